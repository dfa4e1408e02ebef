-- Closes at %(now)s the incidents whose rule is switched off: those that have not opened are deleted, the others resolved,
-- and their messages that wait dropped.
WITH off AS (
    SELECT e.id, e.opened_at FROM orchestration.alert_event AS e JOIN orchestration.alert_rule AS r ON r.name = e.rule
    WHERE e.resolved_at IS NULL AND NOT r.enabled
), unopened AS (
    DELETE FROM orchestration.alert_event AS e USING off WHERE e.id = off.id AND off.opened_at IS NULL
), dropped AS (
    UPDATE orchestration.alert_delivery AS d SET status = 'dropped', ended_at = %(now)s
    FROM off WHERE d.event_id = off.id AND off.opened_at IS NOT NULL AND d.status = 'pending'
)
UPDATE orchestration.alert_event AS e SET resolved_at = %(now)s, cleared_at = coalesce(e.cleared_at, %(now)s)
FROM off WHERE e.id = off.id AND off.opened_at IS NOT NULL
