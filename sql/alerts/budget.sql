-- CRMs that used more than the share `threshold` of what an account may request in a day or longer, by what its runs
-- have taken from orchestration.request_budget. Of shorter windows nothing is told: runs wait for them.
SELECT DISTINCT ON (u.crm_source) u.crm_source AS subject, u.crm_source AS crm, NULL AS entity,
    format('%%s of %%s requests of the last %%s hours are used', u.used, u.maximum, round(u.window_seconds / 3600)) AS text,
    NULL AS cause
FROM orchestration.used_budgets(%(now)s) AS u
WHERE u.crm_source = ANY(%(crms)s::text[]) AND u.window_seconds >= 86400 AND u.used >= %(threshold)s * u.maximum
ORDER BY u.crm_source, u.used::float8 / u.maximum DESC
