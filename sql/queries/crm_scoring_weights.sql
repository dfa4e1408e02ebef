-- For each factor of the scoring, the mean share of its points that leads had before they were won, and before they
-- were lost, in the last twelve months.
WITH closed AS (
    SELECT l.id, l.organization_id, l.status, l.status_changed_at FROM crm.leads AS l
    WHERE l.status IN ('won', 'lost') AND l.status_changed_at > now() - interval '12 months'
), scored AS (
    SELECT c.id, c.status, s.factors FROM closed AS c, LATERAL (
        SELECT h.factors FROM crm.lead_score_history AS h
        WHERE h.organization_id = c.organization_id AND h.lead_id = c.id AND h.created_at < c.status_changed_at
        ORDER BY h.created_at DESC LIMIT 1) AS s
), weights AS (
    SELECT coalesce((SELECT value FROM crm.system_config WHERE key = 'scoring.weights'),
        '{"reachable": 25, "source": 20, "stage": 30, "recency": 15, "consent": 10}') AS of_now
)
SELECT w.key AS factor, w.value::float8 AS weight,
    count(*) FILTER (WHERE s.status = 'won') AS won, count(*) FILTER (WHERE s.status = 'lost') AS lost,
    avg((s.factors ->> w.key)::float8) FILTER (WHERE s.status = 'won')
        / nullif(w.value::float8, 0) AS share_won,
    avg((s.factors ->> w.key)::float8) FILTER (WHERE s.status = 'lost')
        / nullif(w.value::float8, 0) AS share_lost
FROM weights, jsonb_each_text(weights.of_now) AS w LEFT JOIN scored AS s ON true
GROUP BY w.key, w.value ORDER BY w.key
