-- Which accounts of the vendor the tables of each source of a CRM are of: `vendor_account` of the last good run of any of
-- its `entities`, one row for each source of `crm` that has any.
WITH source AS (
    SELECT %(crm)s::text AS name, '-infinity'::timestamptz AS since
    UNION ALL
    SELECT a.source, a.created_at FROM orchestration.account AS a WHERE a.crm = %(crm)s AND a.removed_at IS NULL
)
SELECT DISTINCT ON (s.name) s.name AS source, last.account
FROM source AS s CROSS JOIN unnest(%(entities)s::text[]) AS e (entity)
    CROSS JOIN LATERAL (
        SELECT h.start_time, h.configuration -> 'vendor_account' AS account FROM orchestration.sync_history AS h
        WHERE h.crm_source = s.name AND h.sync_type = e.entity AND (h.status IN ('success', 'partial')) IS TRUE
            AND h.configuration ->> 'dry_run' = 'false'
        ORDER BY h.id DESC LIMIT 1
    ) AS last
WHERE last.account IS NOT NULL AND last.start_time >= s.since
ORDER BY s.name, last.start_time DESC
