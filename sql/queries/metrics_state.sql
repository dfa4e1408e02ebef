-- Deliveries of webhooks that wait, and for how many seconds the oldest has; the bytes of the database; and what share of
-- each budget of requests is used, of the credential that has used most.
SELECT inbox.pending, inbox.oldest, pg_database_size(current_database()), (
    SELECT coalesce(jsonb_agg(jsonb_build_array(crm, budget, share) ORDER BY crm, budget), '[]') FROM (
        SELECT crm, budget, max(share) AS share FROM (
            SELECT coalesce(max(crm_source), 'unknown') AS crm, budget,
                sum(used)::float8 / nullif(max(maximum), 0) AS share
            FROM orchestration.request_budget
            WHERE slot >= floor(extract(epoch FROM clock_timestamp()) / (window_seconds / 20)) - 20
            GROUP BY credential, budget
        ) AS one WHERE share IS NOT NULL GROUP BY crm, budget
    ) AS every)
FROM (
    SELECT count(*) AS pending, coalesce(extract(epoch FROM clock_timestamp() - min(received_at)), 0)::float8 AS oldest
    FROM orchestration.webhook_inbox WHERE status = 'pending'
) AS inbox
