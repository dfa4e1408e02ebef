-- The new leads of the last seven days and of the eight weeks before, newest first.
SELECT array_agg(n ORDER BY week) AS by_week FROM (
    SELECT week, (SELECT count(*) FROM crm.leads AS l
                  WHERE l.created_at >= now() - (week + 1) * interval '7 days'
                      AND l.created_at < now() - week * interval '7 days') AS n
    FROM generate_series(0, 8) AS week) AS weeks
