-- Which jobs do change orders alter by more than 10 %, and whose jobs are they?
SELECT o.contract_number, o.rep, o.division, o.contract_amount, o.changed_amount,
    round(100 * o.changed_share, 1) AS percent, o.reasons
FROM marts.job_change_orders AS o WHERE o.passes_limit
ORDER BY abs(o.changed_share) DESC NULLS FIRST, o.job_id
