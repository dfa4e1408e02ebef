-- `warehouse serve`, when it was alive within a week, did not end as it should, and was silent for `threshold` minutes.
SELECT 'warehouse serve' AS subject, NULL AS crm, NULL AS entity,
    format('it was last alive at %%s UTC', to_char(h.last_alive_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')) AS text,
    NULL AS cause
FROM orchestration.heartbeat AS h
WHERE h.name = 'serve' AND h.last_alive_at BETWEEN %(now)s - interval '7 days'
    AND %(now)s - %(threshold)s * interval '1 minute'
