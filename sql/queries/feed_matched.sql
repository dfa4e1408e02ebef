-- feed_match: the leads of the people in feed_person, with the person that each belongs to now, locked until the end.
CREATE TEMP TABLE feed_match ON COMMIT DROP AS
    WITH ids AS (
        SELECT p.person_id AS golden_id, p.person_id FROM feed_person AS p
        UNION SELECT a.alias_id, a.person_id FROM identity.alias AS a JOIN feed_person AS p USING (person_id)
    )
    SELECT l.organization_id, l.id AS lead_id, i.person_id, l.golden_id = i.person_id AS is_own,
        l.deleted_at IS NULL AS is_live, l.source_metadata ->> 'feed_deleted' AS deleted_by_feed, l.created_at,
        (SELECT r.rank FROM crm.status_rank AS r WHERE r.status = l.status) AS rank
    FROM ids AS i JOIN crm.leads AS l ON l.golden_id = i.golden_id
    WHERE l.erased_at IS NULL AND l.organization_id = %(organization)s
    FOR NO KEY UPDATE OF l;
ANALYZE feed_match
