-- Entities whose last two runs of a kind both took unusually long, and a minute longer than usual.
--
-- Compared as `volume` compares counts, by the logarithm of the seconds; the spread is at least 0.3, as machines are busy
-- now and then. Long is `threshold` units above the median.
WITH sample AS MATERIALIZED (
    SELECT s.crm_source AS crm, s.model_name AS entity, h.mode, h.id, h.start_time,
        h.start_time AT TIME ZONE %(zone)s AS local, h.seconds, ln(1.0 + h.seconds) AS x,
        extract(isodow FROM h.start_time AT TIME ZONE %(zone)s) > 5 AS weekend,
        row_number() OVER (PARTITION BY s.crm_source, s.model_name, h.mode ORDER BY h.id DESC) AS place
    FROM orchestration.sync_schedule AS s
    CROSS JOIN LATERAL (
        SELECT r.configuration ->> 'mode' AS mode, r.id, r.start_time,
            extract(epoch FROM r.end_time - r.start_time)::float8 AS seconds
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
    SELECT r.crm, r.entity, r.mode, r.id, r.start_time, r.seconds, r.x, CASE
        WHEN r.mode = 'full' THEN g.newest
        WHEN cardinality(g.week) >= 6 THEN g.week
        WHEN cardinality(g.day) >= 6 THEN g.day
        WHEN cardinality(g.utc) >= 6 THEN g.utc
        WHEN cardinality(g.every) >= 20 THEN g.every END AS others
    FROM sample AS r JOIN grouped AS g ON g.id = r.id
), judged AS (
    SELECT c.*, exp(u.usual) - 1 AS usual, (c.x - u.usual) / greatest(1.4826 * d.deviation, 0.3) AS score
    FROM compared AS c
    CROSS JOIN LATERAL (
        SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY o.x) AS usual FROM unnest(c.others) AS o (x)
    ) AS u
    CROSS JOIN LATERAL (
        SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY abs(o.x - u.usual)) AS deviation
        FROM unnest(c.others) AS o (x)
    ) AS d
    WHERE cardinality(c.others) >= 6
)
SELECT DISTINCT ON (j.crm, j.entity) j.crm || ' ' || j.entity AS subject, j.crm AS crm, j.entity AS entity,
    format('the last two %%s took %%s s and %%s s, where %%s s are usual at such a time',
           CASE j.mode WHEN 'full' THEN 'reads of everything' ELSE 'deltas' END,
           round((array_agg(j.seconds ORDER BY j.id))[1]), round((array_agg(j.seconds ORDER BY j.id))[2]),
           round((array_agg(j.usual ORDER BY j.id))[2]::numeric)) AS text,
    j.crm AS cause
FROM judged AS j GROUP BY j.crm, j.entity, j.mode
HAVING count(*) = 2 AND min(j.score) > %(threshold)s AND min(j.seconds - j.usual) > 60
ORDER BY j.crm, j.entity, max(j.score) DESC
