-- How many seconds the last good run of each of the `entities` of `crm` took, for those that have one.
SELECT asked.entity, good.seconds
FROM unnest(%(entities)s::text[]) AS asked (entity)
    CROSS JOIN LATERAL (
        SELECT extract(epoch FROM g.end_time - g.start_time)::float8 AS seconds
        FROM orchestration.good_run AS g
        WHERE g.crm_source = %(crm)s AND g.sync_type = asked.entity ORDER BY g.id DESC LIMIT 1
    ) AS good
