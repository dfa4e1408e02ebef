-- Delete up to `most` closed deliveries that are past their age in orchestration.retention_policy.
DELETE FROM orchestration.webhook_inbox WHERE id IN (
    SELECT i.id FROM orchestration.webhook_inbox AS i
        JOIN orchestration.retention_policy AS p
            ON p.kind = CASE i.status WHEN 'failed' THEN 'webhook_inbox_failed' ELSE 'webhook_inbox_closed' END
    WHERE i.status <> 'pending' AND i.processed_at < clock_timestamp() - make_interval(days => p.keep_days)
    LIMIT %(most)s)
