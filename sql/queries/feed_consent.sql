-- leads.consent: an element for each consent, and for each opt-out, of the person's records. What was entered in crm
-- stays, and so do elements of records that are nobody else's; of a CRM that feeds another organization, and of an account
-- that was removed, only those that were taken back. What was taken back there ends the consents that are not dated.
--
-- organization; default: that of CRMs without a row in crm.feed_source
WITH wanted AS (
    SELECT l.id AS lead_id, kept.elements || told.elements AS consent
    FROM feed_live AS f
        JOIN crm.leads AS l ON l.organization_id = %(organization)s AND l.id = f.lead_id
        LEFT JOIN feed_computed AS c ON c.person_id = f.person_id,
        LATERAL (
            SELECT coalesce(jsonb_agg(e ORDER BY n), '[]') AS elements
            FROM jsonb_array_elements(l.consent) WITH ORDINALITY AS old (e, n)
            WHERE CASE
                WHEN NOT e ? 'record' THEN true
                WHEN split_part(e ->> 'record', '.', 1) = ANY (ARRAY(
                    SELECT a.source FROM orchestration.account AS a WHERE a.removed_at IS NOT NULL)) THEN e ? 'revoked_at'
                ELSE NOT EXISTS (
                        SELECT FROM identity.member AS m
                        WHERE m.source_table = split_part(e ->> 'record', ' ', 1)
                            AND m.source_key = substr(e ->> 'record', length(split_part(e ->> 'record', ' ', 1)) + 2))
                    AND NOT EXISTS (SELECT FROM jsonb_array_elements(c.elements) AS x
                                    WHERE x ->> 'record' = e ->> 'record')
                    AND (e ? 'revoked_at' OR %(organization)s = coalesce(
                            (SELECT s.organization_id FROM crm.feed_source AS s WHERE s.crm = e ->> 'source'), %(default)s))
                END) AS kept,
        LATERAL (
            SELECT coalesce(jsonb_agg(
                CASE WHEN e ? 'undated' AND NOT e ? 'revoked_at' AND r.at IS NOT NULL
                     THEN e || jsonb_build_object('revoked_at', r.at) ELSE e END ORDER BY n), '[]') AS elements
            FROM jsonb_array_elements(c.elements) WITH ORDINALITY AS new (e, n),
                LATERAL (SELECT max(g ->> 'revoked_at') AS at FROM jsonb_array_elements(kept.elements) AS g
                         WHERE g ->> 'channel' = e ->> 'channel') AS r) AS told
    WHERE c.person_id IS NOT NULL OR l.consent <> '[]'
)
UPDATE crm.leads AS l SET consent = w.consent
FROM wanted AS w
WHERE l.organization_id = %(organization)s AND l.id = w.lead_id AND l.consent <> w.consent
