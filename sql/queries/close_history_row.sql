-- Close the row $2 if it is still running; the JSON text $1 holds all that is written.
UPDATE orchestration.sync_history h SET
    end_time = clock_timestamp(),
    status = p ->> 'status',
    records_processed = (p ->> 'processed')::integer,
    records_created = (p ->> 'created')::integer,
    records_updated = (p ->> 'updated')::integer,
    records_failed = (p ->> 'failed')::integer,
    error_message = p ->> 'error_message',
    configuration = h.configuration || (p -> 'configuration'),
    performance_metrics = p -> 'performance_metrics'
FROM (SELECT $1::text::jsonb AS p) given
WHERE h.id = $2::bigint AND h.status = 'running'
RETURNING h.id
