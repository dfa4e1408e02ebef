-- Entities whose last two runs of a kind both found unusually few or unusually many records.
--
-- A delta is compared with the deltas of eight weeks that began within 35 minutes of the same time of the week, where the
-- business is; where these are fewer than six, with those at that time on working days, or on weekends; after the clocks
-- were changed with those at the same time in UTC; else with all. A read of everything is compared with the thirty
-- before it: what a table holds does not depend on the day.
-- The logarithm of the count is compared with the median of theirs, in units of their spread: 1.4826 times the median
-- absolute deviation, not less than that of the same hour on all such days (eight counts alone may be alike by chance),
-- and not less than chance makes of such a count. Few is when two runs together are `threshold` units below, and each at
-- least half of that; many is when each is twice as many above, as a run that catches up finds more. Two runs, because
-- one in fifty is odd by itself. Holidays are not judged.
WITH sample AS MATERIALIZED (
    SELECT s.crm_source AS crm, s.model_name AS entity, h.mode, h.id, h.start_time,
        h.start_time AT TIME ZONE %(zone)s AS local, h.amount, ln(1.0 + h.amount) AS x,
        extract(isodow FROM h.start_time AT TIME ZONE %(zone)s) > 5 AS weekend,
        row_number() OVER (PARTITION BY s.crm_source, s.model_name, h.mode ORDER BY h.id DESC) AS place
    FROM orchestration.sync_schedule AS s
    CROSS JOIN LATERAL (
        SELECT r.configuration ->> 'mode' AS mode, r.id, r.start_time, r.records_processed::float8 AS amount
        FROM orchestration.sync_history AS r
        WHERE r.crm_source = s.crm_source AND r.sync_type = s.model_name
            AND (r.status IN ('success', 'partial')) IS TRUE
            AND r.start_time BETWEEN %(now)s - interval '59 days' AND %(now)s
            AND r.configuration ->> 'mode' IN ('delta', 'full') AND r.configuration ->> 'dry_run' = 'false'
            AND coalesce(r.configuration ->> 'max_records', '0') = '0'
            AND r.configuration ->> 'narrowed' IS DISTINCT FROM 'true'
    ) AS h
    WHERE s.mode = 'delta' AND s.enabled AND s.crm_source = ANY(%(crms)s::text[])
), other AS (
    SELECT r.id, r.weekend AS of_weekend, e.x, e.weekend, extract(epoch FROM r.local - e.local)::bigint AS ago,
        extract(epoch FROM r.start_time - e.start_time)::bigint AS apart
    FROM sample AS r JOIN sample AS e ON e.crm = r.crm AND e.entity = r.entity AND e.mode = r.mode AND e.id < r.id
        AND e.start_time BETWEEN r.start_time - interval '57 days' AND r.start_time - interval '1 hour'
    WHERE r.place <= 2
), grouped AS (
    SELECT o.id, array_agg(o.x) FILTER (WHERE mod(o.ago + 2100, 604800) <= 4200) AS week,
        array_agg(o.x) FILTER (WHERE mod(o.ago + 2100, 86400) <= 4200 AND o.weekend = o.of_weekend) AS day,
        array_agg(o.x) FILTER (WHERE mod(o.apart + 2100, 604800) <= 4200) AS utc,
        array_agg(o.x) AS every, (array_agg(o.x ORDER BY o.ago))[:30] AS newest
    FROM other AS o GROUP BY o.id
), compared AS (
    SELECT r.crm, r.entity, r.mode, r.id, r.start_time, r.amount, r.x, CASE
        WHEN r.mode = 'full' THEN g.newest
        WHEN cardinality(g.week) >= 6 THEN g.week
        WHEN cardinality(g.day) >= 6 THEN g.day
        WHEN cardinality(g.utc) >= 6 THEN g.utc
        WHEN cardinality(g.every) >= 20 THEN g.every END AS others,
        CASE WHEN r.mode = 'delta' AND cardinality(g.day) >= 12 THEN g.day END AS same_hour
    FROM sample AS r JOIN grouped AS g ON g.id = r.id
), judged AS (
    SELECT c.*, u.usual, (c.x - u.usual)
        / greatest(1.4826 * d.deviation, 1.4826 * s.deviation, 0.1, 1.6 / sqrt(exp(u.usual))) AS score
    FROM compared AS c
    CROSS JOIN LATERAL (
        SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY o.x) AS usual FROM unnest(c.others) AS o (x)
    ) AS u
    CROSS JOIN LATERAL (
        SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY abs(o.x - u.usual)) AS deviation
        FROM unnest(c.others) AS o (x)
    ) AS d
    CROSS JOIN LATERAL (
        SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY abs(o.x - m.middle)) AS deviation
        FROM (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY e.x) AS middle FROM unnest(c.same_hour) AS e (x)) AS m
        CROSS JOIN unnest(c.same_hour) AS o (x)
    ) AS s
    CROSS JOIN LATERAL (
        SELECT date_part('month', l.at) AS month, date_part('day', l.at) AS day, date_part('isodow', l.at) AS weekday
        FROM (SELECT c.start_time AT TIME ZONE %(zone)s AS at) AS l
    ) AS t
    WHERE cardinality(c.others) >= 6 AND NOT (
        (t.month, t.day) IN ((1, 1), (7, 4), (12, 24), (12, 25), (12, 31))
        OR (t.month = 5 AND t.weekday = 1 AND t.day > 24) OR (t.month = 9 AND t.weekday = 1 AND t.day < 8)
        OR (t.month = 11 AND t.weekday = 4 AND t.day BETWEEN 22 AND 28)
        OR (t.month = 11 AND t.weekday = 5 AND t.day BETWEEN 23 AND 29))
)
SELECT DISTINCT ON (j.crm, j.entity) j.crm || ' ' || j.entity AS subject, j.crm AS crm, j.entity AS entity,
    format('the last two %%s found %%s and %%s records, where %%s are usual at such a time',
           CASE j.mode WHEN 'full' THEN 'reads of everything' ELSE 'deltas' END,
           (array_agg(j.amount ORDER BY j.id))[1], (array_agg(j.amount ORDER BY j.id))[2],
           round((exp((array_agg(j.usual ORDER BY j.id))[2]) - 1)::numeric)) AS text,
    j.crm || CASE WHEN max(j.score) < 0 THEN ': less' ELSE ': more' END AS cause
FROM judged AS j GROUP BY j.crm, j.entity, j.mode
HAVING count(*) = 2 AND ((sum(j.score) < - sqrt(2) * %(threshold)s AND max(j.score) < -0.5 * %(threshold)s)
    OR min(j.score) > 2 * %(threshold)s)
ORDER BY j.crm, j.entity, max(abs(j.score)) DESC
