-- Entities with a column that loses more than the share `threshold` of its values, or that is no longer sent, by the last
-- run that counted columns; the smallest numbers are those of `observability.lost_values`.
SELECT s.crm_source || ' ' || s.model_name AS subject, s.crm_source AS crm, s.model_name AS entity,
    concat_ws('; ', 'values lost: ' || bad.losing, 'no longer sent, values kept: ' || bad.absent) AS text,
    NULL AS cause
FROM orchestration.sync_schedule AS s
CROSS JOIN LATERAL (
    SELECT l.performance_metrics AS metrics FROM orchestration.loaded_run AS l
    WHERE l.crm_source = s.crm_source AND l.sync_type = s.model_name AND l.performance_metrics ? 'columns_filled'
    ORDER BY l.id DESC LIMIT 1
) AS last
CROSS JOIN LATERAL (
    SELECT
        (SELECT string_agg(format('%%s %%s of %%s', l.key, l.lost, l.total), ', ' ORDER BY l.key)
         FROM (SELECT e.key, (e.value ->> 'lost')::bigint AS lost, (e.value ->> 'of')::bigint AS total
               FROM jsonb_each(coalesce(last.metrics -> 'losses', '{}')) AS e) AS l
         WHERE (l.lost >= 5 AND l.lost > %(threshold)s * l.total) OR (l.lost >= 3 AND l.lost >= 0.2 * l.total)
        ) AS losing,
        (SELECT string_agg(a.name, ', ' ORDER BY a.name)
         FROM jsonb_array_elements_text(coalesce(last.metrics -> 'columns_absent', '[]')) AS a (name)) AS absent
) AS bad
WHERE s.mode = 'delta' AND s.crm_source = ANY(%(crms)s::text[]) AND coalesce(bad.losing, bad.absent) IS NOT NULL
