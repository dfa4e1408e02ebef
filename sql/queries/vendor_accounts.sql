-- Which accounts of the vendor the tables of each source of a CRM are of: `vendor_account` of the last good run of each of
-- its `entities` that has any, the newest run last. Runs from before an account was made, or emptied, do not count.
WITH source AS (
    SELECT %(crm)s::text AS name
    UNION
    SELECT a.source FROM orchestration.account AS a WHERE a.crm = %(crm)s AND a.removed_at IS NULL
)
SELECT s.name AS source, e.entity, last.account
FROM source AS s LEFT JOIN orchestration.account AS a ON a.source = s.name
    CROSS JOIN unnest(%(entities)s::text[]) AS e (entity)
    CROSS JOIN LATERAL (
        SELECT h.start_time, h.configuration -> 'vendor_account' AS account FROM orchestration.sync_history AS h
        WHERE h.crm_source = s.name AND h.sync_type = e.entity AND (h.status IN ('success', 'partial')) IS TRUE
            AND h.configuration ->> 'dry_run' = 'false'
        ORDER BY h.id DESC LIMIT 1
    ) AS last
WHERE last.account IS NOT NULL AND last.start_time >= coalesce(a.account_since, '-infinity')
ORDER BY s.name, last.start_time
