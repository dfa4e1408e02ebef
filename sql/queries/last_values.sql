-- The metrics of the last run that loaded, and of the last one with at least `enough` records, of the same `mode` if there is
-- one, else of no backfill if there is one: records of other years lack what is newer than they are.
WITH loaded AS (
    SELECT id, mode, records_processed AS processed, performance_metrics AS metrics
    FROM orchestration.loaded_run
    WHERE crm_source = %(crm)s AND sync_type = %(sync_type)s AND performance_metrics ? 'columns_filled'
)
(SELECT metrics, processed FROM loaded ORDER BY id DESC LIMIT 1)
UNION ALL
(SELECT metrics, processed FROM loaded WHERE processed >= %(enough)s
 ORDER BY mode = %(mode)s DESC, mode = 'backfill', id DESC LIMIT 1)
