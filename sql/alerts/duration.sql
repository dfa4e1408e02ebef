-- Entities whose last two runs of a kind both took unusually long, and a minute longer than usual.
--
-- Compared as orchestration.compared_runs says, in units of the spread, which is at least 0.3, as machines are busy now
-- and then. Long is `threshold` units above what is usual.
SELECT DISTINCT ON (c.crm, c.entity) c.crm || ' ' || c.entity AS subject, c.crm AS crm, c.entity AS entity,
    format('the last two %%s took %%s s and %%s s, where %%s s are usual at such a time',
           CASE c.mode WHEN 'full' THEN 'reads of everything' ELSE 'deltas' END,
           round((array_agg(c.amount ORDER BY c.id))[1]), round((array_agg(c.amount ORDER BY c.id))[2]),
           round((exp((array_agg(c.usual ORDER BY c.id))[2]) - 1)::numeric)) AS text,
    c.crm AS cause
FROM orchestration.compared_runs('seconds', %(now)s, %(zone)s, %(crms)s) AS c
GROUP BY c.crm, c.entity, c.mode
HAVING count(*) = 2 AND min((c.value - c.usual) / greatest(c.spread, 0.3)) > %(threshold)s
    AND min(c.amount - (exp(c.usual) - 1)) > 60
ORDER BY c.crm, c.entity, max((c.value - c.usual) / greatest(c.spread, 0.3)) DESC
