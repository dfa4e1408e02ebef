-- Add to the counts of deliveries by source, outcome and hour: the arrays `sources`, `outcomes` and `counts`.
INSERT INTO orchestration.webhook_outcome AS o (source, outcome, hour, deliveries, last_at)
SELECT g.source, g.outcome, date_trunc('hour', clock_timestamp(), 'UTC'), g.deliveries, clock_timestamp()
FROM unnest(%(sources)s::text[], %(outcomes)s::text[], %(counts)s::bigint[]) AS g (source, outcome, deliveries)
ON CONFLICT (source, hour, outcome) DO UPDATE
    SET deliveries = o.deliveries + excluded.deliveries, last_at = excluded.last_at
RETURNING o.source
