-- Incidents that are open: which rule, since when, of which CRMs. None of what is said of them, which may be an error.
SELECT e.id, e.severity, r.title, e.opened_at, e.acknowledged_at IS NOT NULL AS acknowledged,
    ARRAY(SELECT DISTINCT member.value ->> 'crm' FROM jsonb_each(e.members) AS member
          WHERE member.value ->> 'crm' IS NOT NULL ORDER BY 1) AS crms
FROM orchestration.alert_event AS e JOIN orchestration.alert_rule AS r ON r.name = e.rule
WHERE e.resolved_at IS NULL AND e.opened_at IS NOT NULL
ORDER BY array_position(ARRAY['critical', 'warning', 'info'], e.severity), e.opened_at, e.id
