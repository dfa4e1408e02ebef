-- crm.lead_source_costs from the marketing sheet, by source, month and currency. Foreign money needs a rate of crm.fx_rate
-- that holds at its day; what cannot be loaded stands in marts.refused_costs. An amount that was entered by hand stays
-- until the sheet's own sum changes. {spend} and its columns are composed. What an event cost may stand in its fee and labor
-- alone. crm.source_roi has its months in the zone that is kept here, as the sheet has its days.
INSERT INTO crm.system_config AS c (organization_id, key, value)
    SELECT %(organization)s, 'business.time_zone', to_jsonb(%(zone)s::text)
    ON CONFLICT (organization_id, key) DO UPDATE SET value = excluded.value WHERE c.value <> excluded.value;
CREATE TEMP TABLE feed_spend ON COMMIT DROP AS
    SELECT s.*, CASE
            WHEN s.source IS NULL THEN 'the row names no channel'
            WHEN s.spent_on IS NULL THEN 'the row has no date'
            WHEN s.amount IS NULL THEN 'the amount cannot be read'
            WHEN s.amount < 0 THEN 'the amount is negative'
            WHEN s.amount >= 1e9 THEN 'the amount is a billion or more'
            WHEN s.currency IS NULL THEN 'the currency cannot be read'
            WHEN s.currency <> 'USD' AND r.rate_to_usd IS NULL THEN 'no rate of this currency in crm.fx_rate'
        END AS reason, r.rate_to_usd
    FROM (
        SELECT {key} AS source_key, crm.lead_source({channel}) AS source, {date} AS spent_on, x.written,
            coalesce({amount}, CASE WHEN x.written ~ feed_text.form THEN feed_text.digits::numeric
                                    WHEN x.written IS NULL AND coalesce({event_fee}, {event_labor_cost}) IS NOT NULL THEN 0 END)
                + coalesce({event_fee}, 0) + coalesce({event_labor_cost}, 0) AS amount,
            CASE WHEN x.code IS NOT NULL THEN CASE WHEN x.code ~ '^[A-Z]{{3}}$' THEN x.code
                                                   WHEN x.code = '$' THEN 'USD' WHEN x.code = '€' THEN 'EUR'
                                                   WHEN x.code = '£' THEN 'GBP' END
                 ELSE 'USD' END AS currency
        FROM {spend} AS t,
            LATERAL (SELECT nullif(btrim(t.raw_data ->> 'amount'), '') AS written,
                coalesce(nullif(upper(btrim(coalesce(t.raw_data ->> 'currency', t.raw_data ->> 'Currency'))), ''),
                    CASE WHEN {amount} IS NULL THEN
                        upper(substring(t.raw_data ->> 'amount' FROM '([A-Za-z]{{3}}|[€£$])')) END) AS code) AS x,
            -- One amount as it is written in the US, with a currency before or behind it. What may mean two amounts, such
            -- as 12.000, or is a sum or a product, is for a person to read.
            LATERAL (SELECT regexp_replace(x.written, '[^0-9.]', '', 'g') AS digits, concat(
                '^([A-Za-z]{{3}}|[$€£])? ?([0-9]{{1,3}}(,[0-9]{{3}})+|[0-9]+)(\.[0-9]{{1,2}})? ?([A-Za-z]{{3}}|[$€£])?$'
                ) AS form) AS feed_text
        WHERE NOT t.archived
    ) AS s
        LEFT JOIN LATERAL (SELECT f.rate_to_usd FROM crm.fx_rate AS f
            WHERE f.currency = s.currency AND f.since <= s.spent_on ORDER BY f.since DESC LIMIT 1) AS r ON true;
DELETE FROM marts.refused_costs AS m
    WHERE m.organization_id = %(organization)s AND m.source_table = 'gsheet_marketing_spend' AND NOT EXISTS (
        SELECT FROM feed_spend AS s WHERE s.source_key = m.source_key AND s.reason IS NOT NULL);
INSERT INTO marts.refused_costs (organization_id, source_table, source_key, source, spent_on, amount, currency, reason)
    SELECT %(organization)s, 'gsheet_marketing_spend', s.source_key, s.source, s.spent_on,
        coalesce(s.amount::text, s.written), s.currency, s.reason
    FROM feed_spend AS s WHERE s.reason IS NOT NULL
    ON CONFLICT (organization_id, source_table, source_key) DO UPDATE
        SET source = excluded.source, spent_on = excluded.spent_on, amount = excluded.amount,
            currency = excluded.currency, reason = excluded.reason;
CREATE TEMP TABLE feed_cost ON COMMIT DROP AS
    SELECT s.source, date_trunc('month', s.spent_on)::date AS month, s.currency, round(sum(s.amount), 2) AS amount,
        -- The mean rate of the month, by what was spent.
        CASE WHEN s.currency <> 'USD' THEN
            coalesce(round(sum(s.amount * s.rate_to_usd) / nullif(sum(s.amount), 0), 8), max(s.rate_to_usd)) END AS rate
    FROM feed_spend AS s WHERE s.reason IS NULL
    GROUP BY s.source, date_trunc('month', s.spent_on), s.currency;
DELETE FROM crm.lead_source_costs AS c
    WHERE c.organization_id = %(organization)s AND c.fed_amount IS NOT NULL AND c.amount = c.fed_amount AND NOT EXISTS (
        SELECT FROM feed_cost AS f WHERE (f.source, f.month, f.currency) = (c.source, c.month, c.currency));
INSERT INTO crm.lead_source_costs AS c (organization_id, source, month, currency, amount, fx_rate_to_usd, fed_amount)
    SELECT %(organization)s, f.source, f.month, f.currency, f.amount, f.rate, f.amount FROM feed_cost AS f
    ON CONFLICT (organization_id, source, month, currency) DO UPDATE
        SET amount = excluded.amount, fx_rate_to_usd = excluded.fx_rate_to_usd, fed_amount = excluded.amount
        WHERE c.fed_amount IS NOT NULL AND (c.fed_amount <> excluded.amount OR c.amount = c.fed_amount
            AND c.fx_rate_to_usd IS DISTINCT FROM excluded.fx_rate_to_usd)
