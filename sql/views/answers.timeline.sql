-- What happened with the customer of the largest sale, over all CRMs?
SELECT a.occurred_day, a.kind, a.crm_source AS told_by, a.our_user AS who_of_us, a.outcome, a.amount
FROM marts.activity_timeline AS a
WHERE a.person_id = (SELECT j.person_id FROM marts.lead_journey AS j
                     ORDER BY j.sold_amount DESC NULLS LAST, j.person_id LIMIT 1)
ORDER BY a.occurred_at, a.source_table, a.source_key, a.kind
