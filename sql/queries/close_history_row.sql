-- Close the row $2 if it is still running and its entity's lease has the token $3; the JSON text $1 holds all that is
-- written. The lease stays locked until the commit, so that nobody takes it in between.
WITH lease AS (
    SELECT l.crm_source, l.sync_type FROM orchestration.entity_lease l
    JOIN orchestration.sync_history h USING (crm_source, sync_type)
    WHERE h.id = $2::bigint AND l.token = $3::bigint
    FOR SHARE OF l
)
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
FROM (SELECT $1::text::jsonb AS p) given, lease
WHERE h.id = $2::bigint AND h.status = 'running'
RETURNING h.id
