-- Who of us sets, holds and sells, and how much of it is cancelled or changed?
SELECT r.rep, r.appointments_set AS set, r.appointments_held AS held, r.sold, r.revenue, r.cancelled,
    r.cancelled_amount, r.change_orders, r.change_order_amount
FROM marts.rep_performance AS r
ORDER BY r.revenue DESC, r.appointments_held DESC, r.rep_id LIMIT 10
