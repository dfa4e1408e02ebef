-- What is synced by schedule. Of a crontab `every` and `period` are null, of an interval `crontab`.
SELECT s.name, s.crm_source AS crm, s.model_name AS entity, s.mode, s.recurrence_type AS recurrence,
    CASE s.recurrence_type WHEN 'interval' THEN s.every END AS every,
    CASE s.recurrence_type WHEN 'interval' THEN s.period END AS period,
    CASE s.recurrence_type WHEN 'crontab' THEN
        concat_ws(' ', s.crontab_minute, s.crontab_hour, s.crontab_day_of_month, s.crontab_month_of_year,
            s.crontab_day_of_week)
    END AS crontab,
    s.enabled, s.last_run AS last_asked_at, s.next_run AS next_at, s.dagster_schedule_name AS dagster_schedule,
    s.dagster_status, s.problem
FROM orchestration.sync_schedule AS s ORDER BY s.crm_source, s.model_name, s.id
