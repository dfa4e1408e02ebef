-- The dead letters that a run wrote, by rule and status. No personal data.
--
-- id
SELECT d.stage, d.rule, d.status, count(*) AS records
FROM orchestration.dead_letter AS d WHERE d.sync_history_id = %(id)s
GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3
