-- What did each source cost, and what was it worth: by the first touch, by the last, and shared between all?
SELECT r.source, sum(r.spent) AS spent, sum(r.revenue_first) AS by_first_touch, sum(r.revenue_last) AS by_last_touch,
    sum(r.revenue_linear) AS by_all_touches, round(sum(r.revenue_linear) / nullif(sum(r.spent), 0), 2) AS per_dollar
FROM marts.source_roi AS r
GROUP BY r.source ORDER BY by_all_touches DESC, r.source
