-- At which hours do calls go unanswered, and what do calls become?
SELECT c.hour, sum(c.calls) AS calls, sum(c.missed) AS missed,
    round(100.0 * sum(c.answered) / nullif(sum(c.calls), 0), 1) AS answered_percent,
    sum(c.appointments) AS appointments, sum(c.jobs) AS jobs, sum(c.revenue) AS revenue
FROM marts.call_performance AS c GROUP BY c.hour ORDER BY c.hour
