-- The runs that are kept however old they are: of each entity the newest of each kind that somebody asks for. They say
-- where the next delta begins (cursor, state), when everything was last read, how columns and rows stood, and how the
-- last run of each status went.
SELECT array_agg(id) AS ids FROM (
    SELECT max(id) AS id FROM orchestration.sync_history
    GROUP BY crm_source, sync_type, status, configuration ->> 'mode', configuration ->> 'dry_run',
        coalesce(configuration ->> 'max_records', '0') = '0', configuration ->> 'narrowed',
        configuration ->> 'cursor' IS NULL, jsonb_typeof(configuration -> 'state') = 'object',
        performance_metrics ? 'columns_filled', performance_metrics ? 'total_rows', records_processed >= %(enough)s
) AS newest
