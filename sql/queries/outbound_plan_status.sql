-- Give a plan a status.
UPDATE reverse_etl.plan SET status = %(status)s, problem = %(problem)s,
    applied_by = coalesce(%(by)s, applied_by),
    applied_at = CASE WHEN %(status)s = 'applying' THEN coalesce(applied_at, now()) ELSE applied_at END,
    finished_at = CASE WHEN %(status)s IN ('applied', 'partial') THEN now() ELSE finished_at END
WHERE plan_id = %(plan)s
