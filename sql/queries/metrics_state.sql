-- Deliveries of webhooks that wait, and for how many seconds the oldest has; the bytes of the database; and what share of
-- each budget of requests is used, of the credential that has used most.
SELECT inbox.pending, inbox.oldest, pg_database_size(current_database()), (
    SELECT coalesce(jsonb_agg(jsonb_build_array(crm, budget, share) ORDER BY crm, budget), '[]') FROM (
        SELECT coalesce(u.crm_source, 'unknown') AS crm, u.budget, max(u.used::float8 / u.maximum) AS share
        FROM orchestration.used_budgets(clock_timestamp()) AS u WHERE u.maximum > 0 GROUP BY 1, 2
    ) AS every)
FROM (
    SELECT count(*) AS pending,
        coalesce(extract(epoch FROM clock_timestamp() - min(least(received_at, not_before))), 0)::float8 AS oldest
    FROM orchestration.webhook_inbox WHERE status = 'pending'
) AS inbox
