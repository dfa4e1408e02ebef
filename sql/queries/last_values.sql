-- The metrics of the last good run, and of the last one with at least `enough` records, of the same `mode` if there is
-- one.
WITH good AS (
    SELECT id, configuration ->> 'mode' AS mode, records_processed AS processed, performance_metrics AS metrics
    FROM orchestration.sync_history
    WHERE crm_source = %(crm)s AND sync_type = %(sync_type)s AND (status IN ('success', 'partial')) IS TRUE
        AND configuration ->> 'dry_run' = 'false' AND coalesce(configuration ->> 'max_records', '0') = '0'
        AND configuration ->> 'narrowed' IS DISTINCT FROM 'true'
        AND configuration ->> 'mode' NOT IN ('replay', 'webhook') AND performance_metrics ? 'columns_filled'
)
(SELECT metrics, processed FROM good ORDER BY id DESC LIMIT 1)
UNION ALL
(SELECT metrics, processed FROM good WHERE processed >= %(enough)s
 ORDER BY mode = %(mode)s DESC, id DESC LIMIT 1)
