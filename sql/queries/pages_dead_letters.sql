-- Dead letters of an entity, the newest first. Neither keys nor payloads: these are personal.
--
-- crm, entity, rule (null: any), status (null: any), before (an id), size
SELECT d.id, d.crm_source AS crm, d.sync_type AS entity, d.status, d.stage, d.rule, d.error_message, d.attempts,
    d.created_at, d.last_seen_at, d.sync_history_id
FROM orchestration.dead_letter AS d
WHERE d.crm_source = %(crm)s AND d.sync_type = %(entity)s AND (%(rule)s::text IS NULL OR d.rule = %(rule)s)
    AND (%(status)s::text IS NULL OR d.status = %(status)s) AND d.id < %(before)s
ORDER BY d.id DESC LIMIT %(size)s
