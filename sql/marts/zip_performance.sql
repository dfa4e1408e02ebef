-- Leads, visits, sales and revenue by zip code; the win rate is computed of them.
SELECT coalesce(j.zip, '') AS zip, sum({weight})::integer AS leads,
    coalesce(sum({weight}) FILTER (WHERE j.visited_at IS NOT NULL), 0)::integer AS visits,
    coalesce(sum({weight}) FILTER (WHERE j.sold_at IS NOT NULL), 0)::integer AS sold,
    coalesce(sum({weight} * j.sold_amount), 0)::numeric(14, 2) AS revenue,
    coalesce(sum({weight} * j.paid_amount), 0)::numeric(14, 2) AS paid
FROM marts.lead_journey AS j
GROUP BY 1
