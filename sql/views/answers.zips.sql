-- Where do we win, and where is the money?
SELECT z.zip, z.leads, z.visits, z.sold, round(100 * z.win_rate, 1) AS win_percent, z.revenue
FROM marts.zip_performance AS z
ORDER BY z.revenue DESC, z.zip LIMIT 10
