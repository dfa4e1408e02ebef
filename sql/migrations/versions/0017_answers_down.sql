-- Undo 0017. Whatever stands in the tables, the next run computes.
DROP SCHEMA answers CASCADE;
DROP VIEW marts.data_quality, marts.sync_metrics_daily, orchestration.sync_metrics_daily;
DROP FUNCTION identity.path(uuid, uuid), identity.related(uuid), identity.current_person(uuid);
DROP TABLE orchestration.source_table, marts.call_performance, marts.rep_performance, marts.job_change_orders,
    marts.zip_performance, marts.duplicates, marts.follow_up_recommendations, marts.relationships;
