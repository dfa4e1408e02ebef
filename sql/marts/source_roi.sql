-- What a source of leads cost in a month, and what of that month is credited to it, by each model of attribution. What was
-- spent without a channel, and what came of no known source, is `unattributed`. Spent is what crm.lead_source_costs has, and
-- what of the sheet was not posted there although it is in dollars and can be meant; a row without a day is of the month it
-- was found.
-- {weight} and {others} are for a run of what changed: marts.mart says how.
WITH spent AS (
    SELECT c.month, crm.lead_source(c.source) AS source, c.amount_usd AS amount FROM crm.lead_source_costs AS c
    UNION ALL
    SELECT date_trunc('month', coalesce(r.spent_on, (r.found_at AT TIME ZONE {zone})::date))::date,
        coalesce(r.source, 'unattributed'), r.amount::numeric
    FROM marts.refused_costs AS r
    WHERE r.currency = 'USD' AND r.amount ~ '^-?[0-9]+([.][0-9]+)?$' AND r.reason <> 'the amount is a billion or more'
), credited AS (
    SELECT date_trunc('month', j.converted_day)::date AS month, j.source, j.conversion,
        sum({weight} * j.first_credit) AS first_credit, sum({weight} * j.last_credit) AS last_credit,
        sum({weight} * j.linear_credit) AS linear_credit, sum({weight} * j.first_amount) AS first_amount,
        sum({weight} * j.last_amount) AS last_amount, sum({weight} * j.linear_amount) AS linear_amount
    FROM marts.attribution_credit AS j
    GROUP BY 1, 2, 3
), told AS (
    SELECT s.month, s.source, s.amount AS spent, NULL AS conversion, 0::numeric AS first_credit, 0::numeric AS last_credit,
        0::numeric AS linear_credit, 0::numeric AS first_amount, 0::numeric AS last_amount, 0::numeric AS linear_amount
    FROM spent AS s WHERE {others}
    UNION ALL
    SELECT c.month, c.source, 0, c.conversion, c.first_credit, c.last_credit, c.linear_credit, c.first_amount,
        c.last_amount, c.linear_amount
    FROM credited AS c
)
SELECT t.month, t.source, sum(t.spent)::numeric(16, 2) AS spent,
    coalesce(sum(t.first_credit) FILTER (WHERE t.conversion = 'lead'), 0)::numeric(18, 6) AS leads_first,
    coalesce(sum(t.last_credit) FILTER (WHERE t.conversion = 'lead'), 0)::numeric(18, 6) AS leads_last,
    coalesce(sum(t.linear_credit) FILTER (WHERE t.conversion = 'lead'), 0)::numeric(18, 6) AS leads_linear,
    coalesce(sum(t.first_credit) FILTER (WHERE t.conversion = 'appointment'), 0)::numeric(18, 6) AS appointments_first,
    coalesce(sum(t.last_credit) FILTER (WHERE t.conversion = 'appointment'), 0)::numeric(18, 6) AS appointments_last,
    coalesce(sum(t.linear_credit) FILTER (WHERE t.conversion = 'appointment'), 0)::numeric(18, 6) AS appointments_linear,
    coalesce(sum(t.first_credit) FILTER (WHERE t.conversion = 'sale'), 0)::numeric(18, 6) AS sold_first,
    coalesce(sum(t.last_credit) FILTER (WHERE t.conversion = 'sale'), 0)::numeric(18, 6) AS sold_last,
    coalesce(sum(t.linear_credit) FILTER (WHERE t.conversion = 'sale'), 0)::numeric(18, 6) AS sold_linear,
    sum(t.first_amount)::numeric(16, 2) AS revenue_first,
    sum(t.last_amount)::numeric(16, 2) AS revenue_last,
    sum(t.linear_amount)::numeric(16, 2) AS revenue_linear
FROM told AS t
GROUP BY t.month, t.source
HAVING round(sum(t.spent), 2) <> 0 OR sum(abs(t.linear_credit)) <> 0 OR NOT {others}
