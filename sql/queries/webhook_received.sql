-- Of a source: when a delivery was last taken, how many wait to be worked off, and how many ended how within `hours`.
SELECT (
        SELECT max(o.last_at) FROM orchestration.webhook_outcome AS o
        WHERE o.source = %(source)s AND o.outcome IN ('accepted', 'duplicate', 'ignored', 'failed')
    ) AS last_at, (
        SELECT count(*) FROM orchestration.webhook_inbox AS i WHERE i.source = %(source)s AND i.status = 'pending'
    ) AS waiting, (
        SELECT coalesce(jsonb_object_agg(s.outcome, s.deliveries), '{}') FROM (
            SELECT o.outcome, sum(o.deliveries) AS deliveries FROM orchestration.webhook_outcome AS o
            WHERE o.source = %(source)s
                AND o.hour > date_trunc('hour', clock_timestamp(), 'UTC') - make_interval(hours => %(hours)s)
            GROUP BY o.outcome
        ) AS s
    ) AS outcomes
