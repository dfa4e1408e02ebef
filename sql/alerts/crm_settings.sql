-- CRMs that somebody means to have synced and whose settings are missing or cannot be used: the array `crms_without_settings`,
-- of each what is wrong in `settings_problems`.
SELECT wrong.crm AS subject, wrong.crm, wrong.problem AS text, wrong.crm AS cause
FROM unnest(%(crms_without_settings)s::text[], %(settings_problems)s::text[]) AS wrong (crm, problem)
