DROP TABLE orchestration.migration_step;
