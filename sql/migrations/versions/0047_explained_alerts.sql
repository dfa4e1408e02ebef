-- A CRM whose settings cannot be used is told of once. Rules whose explanations somebody edited stay as they are.
UPDATE orchestration.alert_rule SET unless = unless || '{crm_settings}'
WHERE (name, unless) IN (
    ('stale', '{credential_refused,failing,stuck,schedule_off,schedule_silent,daemon_silent}'),
    ('schedule_off', '{}')
);
