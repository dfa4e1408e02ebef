-- Write down what became of a record, in its receipt and in the plan.
WITH settled AS (
    UPDATE reverse_etl.receipt SET status = %(status)s, object_id = %(object)s, fields = %(fields)s, message = %(message)s,
        settled_at = clock_timestamp()
    WHERE operation_id = %(operation)s
)
UPDATE reverse_etl.plan_item SET status = %(status)s, object_id = %(object)s, reason = %(reason)s
WHERE operation_id = %(operation)s
