-- Jobs with change orders: by how much these change the contract, and whose job it is. Orders that were cancelled, are
-- void or still a draft do not count, and neither do amounts of a billion or more: the timeline names those.
WITH users AS (
    SELECT m.source_key::bigint AS user_id, m.person_id, p.display_name, p.email
    FROM identity.member AS m JOIN identity.person AS p ON p.person_id = m.person_id
    WHERE m.source_table = 'genius_user'
), orders AS (
    SELECT o.job_id, count(*) AS change_orders, sum(o.total_amount) AS changed,
        sum(greatest(o.total_amount, 0)) AS added, sum(least(o.total_amount, 0)) AS deducted,
        min(o.effective_date) AS first_on, max(o.effective_date) AS last_on,
        array_agg(DISTINCT r.label ORDER BY r.label) FILTER (WHERE r.label IS NOT NULL) AS reasons
    FROM genius_job_change_order AS o
        LEFT JOIN genius_job_change_order_status AS s ON s.id = o.status_id
        LEFT JOIN genius_job_change_order_reason AS r ON r.id = o.reason_id
    WHERE NOT o.archived AND o.cancel_date IS NULL AND o.job_id IS NOT NULL AND abs(o.total_amount) < 1e9
        AND coalesce(s.label, '') !~* '\m(void|draft|cancel+ed|declined|rejected|pending)\M'
    GROUP BY o.job_id
)
SELECT j.id AS job_id, c.person_id, j.contract_number, d.label AS division,
    coalesce(u.person_id::text, 'genius_user ' || coalesce(j.sold_user_id, j.user_id)) AS rep_id,
    coalesce(u.display_name, u.email) AS rep,
    coalesce(j.contract_date, j.sold_date, (j.add_date AT TIME ZONE {zone})::date) AS sold_on,
    v.amount::numeric(14, 2) AS contract_amount,
    o.change_orders::integer AS change_orders, o.changed::numeric(14, 2) AS changed_amount,
    o.added::numeric(14, 2) AS added_amount, o.deducted::numeric(14, 2) AS deducted_amount,
    CASE WHEN abs(o.changed) < 1e6 * abs(v.amount) THEN round(o.changed / v.amount, 4) END AS changed_share,
    coalesce(abs(o.changed) > 0.10 * v.amount, o.changed <> 0) AS passes_limit,
    o.first_on, o.last_on, coalesce(o.reasons, '{}') AS reasons
FROM orders AS o
    JOIN genius_job AS j ON j.id = o.job_id AND NOT j.archived
    CROSS JOIN LATERAL (SELECT CASE WHEN abs(coalesce(j.contract_amount, j.job_value)) < 1e9
                                    THEN coalesce(j.contract_amount, j.job_value) END AS amount) AS v
    LEFT JOIN genius_division AS d ON d.id = j.division_id
    LEFT JOIN users AS u ON u.user_id = coalesce(j.sold_user_id, j.user_id)
    LEFT JOIN identity.member AS c ON c.source_table = 'genius_prospect' AND c.source_key = j.prospect_id::text
