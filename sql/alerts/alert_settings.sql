-- Settings of alerts that cannot be used and count as unset: the array `alert_settings`, of each what is wrong in
-- `alert_problems`.
SELECT wrong.setting AS subject, wrong.problem AS text, 'settings' AS cause
FROM unnest(%(alert_settings)s::text[], %(alert_problems)s::text[]) AS wrong (setting, problem)
