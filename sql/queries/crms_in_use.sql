-- Of the CRMs `crms` those that somebody means to have synced: a schedule of theirs is on, and an entity of theirs had a
-- good run, or they are among `given`, whose own settings are there in part.
SELECT meant.crm
FROM unnest(%(crms)s::text[]) AS meant (crm)
WHERE EXISTS (SELECT FROM orchestration.sync_schedule AS s WHERE s.crm_source = meant.crm AND s.enabled)
    AND (meant.crm = ANY(%(given)s::text[]) OR EXISTS (
        SELECT FROM orchestration.sync_schedule AS s
        CROSS JOIN LATERAL (
            SELECT FROM orchestration.good_run AS g
            WHERE g.crm_source = s.crm_source AND g.sync_type = s.model_name ORDER BY g.id DESC LIMIT 1
        ) AS good
        WHERE s.crm_source = meant.crm AND s.mode = 'delta' AND s.declared))
