-- How many runs of each CRM began on each day and how many of them ended how, from the day of `since` to before `until`.
--
-- since, until, zone (in which days begin)
SELECT found.crm, found.day, sum(found.runs)::bigint AS runs, sum(found.good)::bigint AS good,
    sum(found.failed)::bigint AS failed
FROM (
    SELECT h.crm_source AS crm, (h.start_time AT TIME ZONE %(zone)s)::date AS day, count(*) AS runs,
        count(*) FILTER (WHERE h.status IN ('success', 'partial')) AS good,
        count(*) FILTER (WHERE h.status = 'failed') AS failed
    FROM orchestration.sync_history AS h
    WHERE h.start_time >= %(since)s AND h.start_time < %(until)s AND h.status <> 'running'
    GROUP BY 1, 2
    UNION ALL
    SELECT d.crm_source, d.day, d.runs, d.succeeded + d.partial, d.failed
    FROM orchestration.sync_history_daily AS d
    WHERE d.day >= (%(since)s AT TIME ZONE %(zone)s)::date AND d.day < (%(until)s AT TIME ZONE %(zone)s)::date
) AS found
GROUP BY 1, 2
