UPDATE orchestration.alert_rule SET unless = array_remove(unless, 'crm_settings');
