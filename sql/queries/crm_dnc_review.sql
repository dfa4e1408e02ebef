-- The entries that the AI added to the do-not-call list in the last seven days, the least certain first.
SELECT id::text AS id, reason, detection_confidence::float8 AS confidence, created_at, expires_at,
    created_at > now() - interval '1 day' AS new
FROM crm.dnc_list WHERE detected_by = 'ai' AND created_at > now() - interval '7 days'
ORDER BY detection_confidence NULLS FIRST, created_at
