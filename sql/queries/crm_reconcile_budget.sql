-- Each account's entries added up from the first one, its last balance, and the breaks in its chain of balances.
WITH chained AS (
    SELECT b.*, lag(b.balance_after_usd) OVER chain AS expected_before,
        lag(b.entry_no) OVER chain AS entry_before,
        last_value(b.balance_after_usd) OVER (chain ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
            AS last_balance
    FROM crm.budget_transactions AS b WINDOW chain AS (PARTITION BY b.account_id ORDER BY b.entry_no)
)
SELECT account_id::text AS account_id, count(*) AS entries, sum(amount_usd)::text AS sum_usd,
    max(last_balance)::text AS balance_usd,
    count(*) FILTER (WHERE balance_before_usd <> coalesce(expected_before, 0)
        OR entry_no <> coalesce(entry_before, 0) + 1
        OR balance_after_usd <> balance_before_usd + amount_usd) AS breaks,
    sum(amount_usd) <> max(last_balance) AS differs,
    coalesce(sum(amount_usd) FILTER (WHERE amount_usd < 0 AND created_at >= date_trunc('month', now())
        - interval '1 month' AND created_at < date_trunc('month', now())), 0)::text AS spent_last_month_usd
FROM chained GROUP BY account_id ORDER BY 5 DESC, 1
