-- Entities without a good run for longer than `threshold` failed runs would have taken, which are another rule's, and
-- four hours more than a cadence; of one that never had a good run, since the first run that asked for all that is new.
-- What is read less often than `threshold` times a day is late sooner, as it is failing sooner. None of which a run is
-- under way, unless that is older than half a day.
SELECT s.crm_source || ' ' || s.model_name AS subject, s.crm_source AS crm, s.model_name AS entity,
    format('no good run since %%s UTC, where one is due every %%s',
           to_char(last.good AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), c.every) AS text,
    s.crm_source AS cause
FROM orchestration.sync_schedule AS s
CROSS JOIN LATERAL (SELECT coalesce(s.every * ('1 ' || s.period)::interval, interval '1 day') AS every) AS c
CROSS JOIN LATERAL (
    SELECT coalesce(
        (SELECT g.start_time FROM orchestration.good_run AS g
         WHERE g.crm_source = s.crm_source AND g.sync_type = s.model_name ORDER BY g.id DESC LIMIT 1),
        (SELECT h.start_time FROM orchestration.sync_history AS h
         WHERE h.crm_source = s.crm_source AND h.sync_type = s.model_name
             AND orchestration.asks_for_news(h.configuration)
         ORDER BY h.id LIMIT 1)) AS good
) AS last
WHERE s.mode = 'delta' AND s.enabled AND s.crm_source = ANY(%(crms)s::text[])
    AND last.good < %(now)s - greatest(c.every + interval '4 hours', c.every * (0.75
        + least(%(threshold)s, greatest(1, ceil(86400 / extract(epoch FROM c.every)))))::float8)
    AND NOT EXISTS (
        SELECT FROM orchestration.sync_history AS h
        WHERE h.crm_source = s.crm_source AND h.sync_type = s.model_name AND h.status = 'running'
            AND h.start_time > %(now)s - interval '12 hours')
