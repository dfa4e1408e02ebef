-- marts.dnc_conflicts of one organization: contacts after the listing, while the entry held.
CREATE TEMP TABLE feed_conflict ON COMMIT DROP AS
    SELECT DISTINCT ON (c.source_table, c.source_key, c.channel)
        c.channel, c.source_table, c.source_key, c.contacted_at, c.phone, d.lead_id,
        coalesce(d.since, d.created_at) AS listed_at, d.reason, d.evidence
    FROM feed_contacted AS c
        JOIN crm.dnc_list AS d ON d.organization_id = %(organization)s AND d.phone = c.phone
            AND c.channel = ANY (d.channels) AND coalesce(d.since, d.created_at) < c.contacted_at
            AND coalesce(d.ended_at, 'infinity') > c.contacted_at AND coalesce(d.expires_at, 'infinity') > c.contacted_at
    ORDER BY c.source_table, c.source_key, c.channel, coalesce(d.since, d.created_at), d.id;
DELETE FROM marts.dnc_conflicts AS m WHERE m.organization_id = %(organization)s AND NOT EXISTS (
    SELECT FROM feed_conflict AS c
    WHERE (c.source_table, c.source_key, c.channel) = (m.source_table, m.source_key, m.channel));
INSERT INTO marts.dnc_conflicts AS m (organization_id, channel, source_table, source_key, contacted_at, phone, lead_id,
                                      listed_at, reason, evidence)
    SELECT %(organization)s, channel, source_table, source_key, contacted_at, phone, lead_id, listed_at, reason, evidence
    FROM feed_conflict
    ON CONFLICT (organization_id, source_table, source_key, channel) DO UPDATE
        SET contacted_at = excluded.contacted_at, phone = excluded.phone, lead_id = excluded.lead_id,
            listed_at = excluded.listed_at, reason = excluded.reason, evidence = excluded.evidence
        WHERE (m.contacted_at, m.phone, m.lead_id, m.listed_at, m.reason, m.evidence)
            IS DISTINCT FROM (excluded.contacted_at, excluded.phone, excluded.lead_id, excluded.listed_at,
                              excluded.reason, excluded.evidence)
