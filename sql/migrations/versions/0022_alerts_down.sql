DROP TABLE orchestration.heartbeat;
DROP TABLE orchestration.alert_evaluation;
DROP TABLE orchestration.alert_delivery;
DROP TABLE orchestration.alert_silence;
DROP TABLE orchestration.alert_event;
DROP TABLE orchestration.alert_rule;
