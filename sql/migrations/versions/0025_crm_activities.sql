-- What people and sequences did in crm, as rows that marts.activity_timeline reads like those of a source. What the feed
-- wrote is left out: the source that it comes from tells of it.

SET LOCAL ROLE crm_owner;
-- An owner whom a source or a file gave was told as `manual`, as if somebody had chosen.
ALTER TABLE crm.lead_assignments DROP CONSTRAINT lead_assignments_strategy_known,
    ADD CONSTRAINT lead_assignments_strategy_known
        CHECK (strategy IN ('manual', 'round_robin', 'territory', 'load', 'import'));
RESET ROLE;
-- As the user that migrates, whom the policies of crm let see every organization.
UPDATE crm.lead_assignments AS a SET strategy = 'import'
    WHERE a.strategy = 'manual'
        AND EXISTS (SELECT FROM crm.lead_feed AS f WHERE f.organization_id = a.organization_id AND f.lead_id = a.lead_id)
        AND NOT EXISTS (SELECT FROM crm.lead_audit_log AS g
                        WHERE g.organization_id = a.organization_id AND g.lead_id = a.lead_id
                            AND g.field_name = 'owner_id' AND g.changed_by IS NOT NULL
                            AND g.new_value IS NOT DISTINCT FROM a.to_user_id::text);

SET LOCAL ROLE crm_owner;
-- By these a run finds what is new without reading the logs, which the feed fills.
CREATE INDEX lead_assignments_own ON crm.lead_assignments (created_at) WHERE strategy <> 'import';
CREATE INDEX lead_status_history_own ON crm.lead_status_history (created_at)
    WHERE triggered_by <> 'import' AND from_status IS NOT NULL;
CREATE INDEX lead_audit_log_tags ON crm.lead_audit_log (created_at)
    WHERE field_name = 'tags' AND changed_by IS NOT NULL;

-- The marts are of all organizations, and so is what they read: costs, and the channel of a step.
CREATE POLICY definer ON crm.lead_source_costs FOR SELECT TO crm_definer USING (true);
CREATE POLICY definer ON crm.nurture_sequences FOR SELECT TO crm_definer USING (true);

-- Whose each lead is. `archived`: deleted by a user, or erased. One that became part of another stays its person's.
CREATE VIEW crm.lead_person WITH (security_invoker = true) AS
    SELECT l.organization_id, l.id, l.golden_id AS person_id,
        l.erased_at IS NOT NULL OR l.deleted_at IS NOT NULL AND NOT l.source_metadata ? 'feed_deleted' AS archived,
        l.updated_at AS sync_updated_at
    FROM crm.leads AS l;

-- That a lead was entered, with what was entered: `archived` also where the feed made it.
CREATE VIEW crm.lead_entry WITH (security_invoker = true) AS
    SELECT l.id, l.organization_id, p.person_id, l.created_at,
        CASE WHEN f.written ? 'source' AND f.written ->> 'source' IS NOT DISTINCT FROM l.source
             THEN f.entered ->> 'source' ELSE l.source END AS source,
        CASE WHEN f.written ? 'division' AND f.written ->> 'division' IS NOT DISTINCT FROM l.division
             THEN f.entered ->> 'division' ELSE l.division END AS division,
        (SELECT h.to_status FROM crm.lead_status_history AS h
         WHERE h.organization_id = l.organization_id AND h.lead_id = l.id AND h.from_status IS NULL
         ORDER BY h.created_at LIMIT 1) AS status,
        CASE WHEN f.written ? 'owner_id' AND f.written ->> 'owner_id' IS NOT DISTINCT FROM l.owner_id::text
             THEN (f.entered ->> 'owner_id')::uuid ELSE l.owner_id END AS user_id,
        p.archived OR f.lead_id IS NOT NULL AND f.entered IS NULL AS archived, p.sync_updated_at
    FROM crm.leads AS l
        JOIN crm.lead_person AS p ON p.organization_id = l.organization_id AND p.id = l.id
        LEFT JOIN crm.lead_feed AS f ON f.organization_id = l.organization_id AND f.lead_id = l.id;

-- Changes of status by users, sequences and programs; and by a file, which says so in its own log.
CREATE VIEW crm.lead_status_change WITH (security_invoker = true) AS
    SELECT h.id::text AS id, h.organization_id, h.lead_id, p.person_id, h.created_at AS changed_at,
        h.to_status AS status, h.triggered_by, h.changed_by AS user_id, p.archived, h.created_at AS sync_updated_at,
        p.sync_updated_at AS lead_updated_at
    FROM crm.lead_status_history AS h
        JOIN crm.lead_person AS p ON p.organization_id = h.organization_id AND p.id = h.lead_id
    WHERE h.triggered_by <> 'import' AND h.from_status IS NOT NULL
    UNION ALL
    SELECT r.import_id || ' ' || r.row_number, r.organization_id, r.lead_id, p.person_id, r.created_at,
        r.changes #>> '{status,1}', 'file', NULL, p.archived OR coalesce(r.undone IN ('deleted', 'put_back'), false), r.created_at, p.sync_updated_at
    FROM crm.lead_import_row AS r
        JOIN crm.lead_person AS p ON p.organization_id = r.organization_id AND p.id = r.lead_id
    WHERE r.outcome = 'updated' AND r.changes ? 'status';

-- Whom a lead was given to by a user or a rule.
CREATE VIEW crm.lead_assignment WITH (security_invoker = true) AS
    SELECT a.id, a.organization_id, a.lead_id, p.person_id, a.created_at AS assigned_at, a.to_user_id AS user_id,
        a.strategy, p.archived, a.created_at AS sync_updated_at, p.sync_updated_at AS lead_updated_at
    FROM crm.lead_assignments AS a
        JOIN crm.lead_person AS p ON p.organization_id = a.organization_id AND p.id = a.lead_id
    WHERE a.strategy <> 'import';

-- Tags that a user added (+) or took away (-), as long as the audit log is kept.
CREATE VIEW crm.lead_tag_change WITH (security_invoker = true) AS
    SELECT g.id, g.organization_id, g.lead_id, p.person_id, g.created_at AS changed_at, g.changed_by AS user_id, t.tags,
        p.archived, g.created_at AS sync_updated_at, p.sync_updated_at AS lead_updated_at
    FROM crm.lead_audit_log AS g
        JOIN crm.lead_person AS p ON p.organization_id = g.organization_id AND p.id = g.lead_id,
        -- What an erasure left is no list.
        LATERAL (SELECT CASE WHEN g.new_value ~ '^\["' THEN g.new_value ELSE '[]' END::jsonb AS new_tags,
                        CASE WHEN g.old_value ~ '^\["' THEN g.old_value ELSE '[]' END::jsonb AS old_tags) AS v,
        LATERAL (
            SELECT string_agg(d.sign || d.tag, ' ' ORDER BY d.sign COLLATE "C", d.tag) AS tags
            FROM ((SELECT '+' AS sign, n AS tag FROM jsonb_array_elements_text(v.new_tags) AS n
                   EXCEPT SELECT '+' AS sign, o AS tag FROM jsonb_array_elements_text(v.old_tags) AS o)
                  UNION ALL
                  (SELECT '-' AS sign, o AS tag FROM jsonb_array_elements_text(v.old_tags) AS o
                   EXCEPT SELECT '-' AS sign, n AS tag FROM jsonb_array_elements_text(v.new_tags) AS n)) AS d
        ) AS t
    WHERE g.field_name = 'tags' AND g.changed_by IS NOT NULL;

-- Steps of sequences that were done: the call, the text, the e-mail. `kind` is that of the timeline.
CREATE VIEW crm.sequence_step WITH (security_invoker = true) AS
    SELECT e.id || ' ' || x.place AS id, e.organization_id, e.lead_id, p.person_id,
        CASE WHEN crm.is_utc_time(x.entry ->> 'at') THEN crm.utc_time(x.entry ->> 'at') ELSE e.updated_at END AS done_at,
        CASE s.steps #>> ARRAY[x.entry ->> 'step', 'channel'] WHEN 'sms' THEN 'text' WHEN 'voicemail' THEN 'call'
             WHEN 'mail' THEN 'letter' ELSE s.steps #>> ARRAY[x.entry ->> 'step', 'channel'] END AS kind,
        CASE jsonb_typeof(x.entry -> 'outcome') WHEN 'string' THEN x.entry ->> 'outcome'
             WHEN 'object' THEN coalesce(x.entry #>> '{outcome,status}', x.entry #>> '{outcome,result}') END AS outcome,
        s.name AS sequence, p.archived, e.updated_at AS sync_updated_at,
        p.sync_updated_at AS lead_updated_at
    FROM crm.lead_sequence_enrollments AS e
        JOIN crm.lead_person AS p ON p.organization_id = e.organization_id AND p.id = e.lead_id
        JOIN crm.nurture_sequences AS s ON s.organization_id = e.organization_id AND s.id = e.sequence_id,
        LATERAL jsonb_array_elements(e.execution_log) WITH ORDINALITY AS x (entry, place)
    WHERE x.entry ->> 'event' = 'done';
RESET ROLE;

-- So that sql/schemas/crm.sql runs again, although it may not have changed since this revision was undone.
COMMENT ON SCHEMA crm IS NULL;
