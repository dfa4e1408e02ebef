-- Leads that were entered in crm are records of people: each is its person's, as identity has it now.
CREATE TEMP TABLE feed_entered ON COMMIT DROP AS
    SELECT l.id AS lead_id, p.person_id
    FROM feed_person AS p
        JOIN identity.member AS m ON m.person_id = p.person_id AND m.source_table = 'crm.entered_leads'
        JOIN crm.leads AS l ON l.organization_id = %(organization)s
            AND l.id = CASE WHEN m.source_table = 'crm.entered_leads' THEN m.source_key::uuid END
    WHERE l.erased_at IS NULL;
CREATE UNIQUE INDEX ON feed_entered (lead_id);
CREATE INDEX ON feed_entered (person_id);
ANALYZE feed_entered;
UPDATE crm.leads AS l SET golden_id = e.person_id
    FROM feed_entered AS e
    WHERE l.organization_id = %(organization)s AND l.id = e.lead_id AND l.golden_id IS DISTINCT FROM e.person_id;
-- One that the feed made goes with the records that it was made of, where those of its person are entered leads now.
UPDATE crm.leads AS l SET golden_id = w.person_id
    FROM crm.lead_feed AS f, LATERAL (
        SELECT m.person_id
        FROM jsonb_each(f.origins) AS o
            JOIN identity.member AS m ON m.source_table = o.value ->> 'table' AND m.source_key = o.value ->> 'key'
            JOIN feed_wanted AS p ON p.organization_id = %(organization)s AND p.person_id = m.person_id
        GROUP BY m.person_id ORDER BY count(*) DESC, m.person_id LIMIT 1) AS w
    WHERE l.organization_id = %(organization)s AND l.deleted_at IS NULL
        AND f.organization_id = l.organization_id AND f.lead_id = l.id AND f.entered IS NULL
        AND l.golden_id IN (SELECT e.person_id FROM feed_entered AS e)
        AND NOT EXISTS (SELECT FROM feed_wanted AS p
                        WHERE p.organization_id = %(organization)s AND p.person_id = l.golden_id)
        AND NOT EXISTS (SELECT FROM crm.leads AS o WHERE o.organization_id = l.organization_id
                            AND o.golden_id = w.person_id AND o.deleted_at IS NULL)
