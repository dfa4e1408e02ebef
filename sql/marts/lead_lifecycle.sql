-- What became of each lead of each source: qualified before disqualified, that before deleted, and that before open. In
-- PipeDesk qualifying a lead deletes it, so who counts what is not deleted misses every lead that was won.
-- {leads} is what the sources say, of the rows of warehouse_pipelines/unified/marts/lifecycle.py.
WITH said AS (
    SELECT l.*, m.status
    FROM ({leads}) AS l
        LEFT JOIN crm.status_mapping AS m ON m.source = l.word_source AND m.source_status = l.word
), judged AS (
    SELECT s.source_system, s.source_id, s.source_table, min(s.created_at) AS created_at,
        coalesce(min(s.qualified_at), min(s.said_at)
            FILTER (WHERE s.status IN ('qualified', 'appointment_set', 'proposal', 'won'))) AS qualified_at,
        coalesce(min(s.disqualified_at),
            min(s.said_at) FILTER (WHERE s.status IN ('disqualified', 'lost'))) AS disqualified_at,
        max(s.deleted_at) AS deleted_at,
        bool_or(s.qualified_at IS NOT NULL OR s.status IN ('qualified', 'appointment_set', 'proposal', 'won')) AS is_qualified,
        bool_or(s.disqualified_at IS NOT NULL OR s.status IN ('disqualified', 'lost')) AS is_disqualified,
        bool_or(s.archived) AS is_deleted
    FROM said AS s
    GROUP BY s.source_system, s.source_id, s.source_table
)
SELECT j.source_system, j.source_id, j.source_table,
    CASE WHEN j.is_qualified THEN 'qualified' WHEN j.is_disqualified THEN 'disqualified' WHEN j.is_deleted THEN 'deleted'
         ELSE 'open' END AS lifecycle,
    m.person_id, j.created_at, j.qualified_at, j.disqualified_at, j.deleted_at
FROM judged AS j
    LEFT JOIN identity.member AS m ON m.source_table = j.source_table AND m.source_key = j.source_id
