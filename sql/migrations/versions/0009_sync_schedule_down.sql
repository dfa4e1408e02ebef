DROP TABLE orchestration.sync_schedule;
