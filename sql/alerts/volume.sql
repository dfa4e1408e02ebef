-- Entities whose last two runs of a kind both found unusually few or unusually many records.
--
-- Compared as orchestration.compared_runs says, in units of the spread, which is not less than that of the same hour on all
-- such days, not less than 0.1, or 0.4 where the others are not of the same time of the week, and not less than chance
-- makes of such a count. Few is when two runs together are `threshold` units below,
-- and each at least half of that; many is when each is twice as many above, as a run that catches up finds more. Two runs,
-- because one in fifty is odd by itself. Holidays are not judged.
WITH judged AS (
    SELECT c.*, (c.value - c.usual)
        / greatest(c.spread, c.hour_spread, CASE WHEN c.alike THEN 0.1 ELSE 0.4 END, 1.6 / sqrt(exp(c.usual))) AS score
    FROM orchestration.compared_runs('records', %(now)s, %(zone)s, %(crms)s) AS c
        CROSS JOIN LATERAL (
            SELECT date_part('month', l.at) AS month, date_part('day', l.at) AS day, date_part('isodow', l.at) AS weekday
            FROM (SELECT c.start_time AT TIME ZONE %(zone)s AS at) AS l
        ) AS t
    WHERE NOT (
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
