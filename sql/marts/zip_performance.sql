-- Leads, visits, sales and revenue by zip code.
SELECT coalesce(j.zip, '') AS zip, count(*)::integer AS leads, count(j.visited_at)::integer AS visits,
    count(j.sold_at)::integer AS sold, coalesce(sum(j.sold_amount), 0)::numeric(14, 2) AS revenue,
    coalesce(sum(j.paid_amount), 0)::numeric(14, 2) AS paid,
    round(count(j.sold_at)::numeric / nullif(count(j.visited_at), 0), 4)::numeric(6, 4) AS win_rate
FROM marts.lead_journey AS j
GROUP BY 1
