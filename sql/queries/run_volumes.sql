-- How many records the last runs of an entity processed that were asked in the same way as the last, newest first.
WITH ended AS (
    SELECT id, records_processed AS processed, configuration ->> 'mode' AS mode
    FROM orchestration.sync_history
    WHERE crm_source = %s AND sync_type = %s AND status IN ('success', 'partial')
        AND configuration ->> 'dry_run' = 'false' AND coalesce(configuration ->> 'max_records', '0') = '0'
        AND configuration ->> 'mode' IN ('full', 'delta')
    ORDER BY id DESC LIMIT %s
)
SELECT processed, mode FROM ended WHERE mode = (SELECT mode FROM ended ORDER BY id DESC LIMIT 1)
ORDER BY id DESC
