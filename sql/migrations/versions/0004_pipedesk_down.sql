-- Removes the tables of the schema pipedesk that no source fills. Refuses while one holds rows, unless forced:
--
--   SET warehouse.force_down = on;
--
-- Rows of calendar_sync_states without a channel are not counted: they are copied from orchestration.sync_history. Nor
-- are the templates of folders as migrations bring them (sql/schemas/pipedesk.sql).

DO $$
DECLARE
    name  regclass;
    n     bigint;
    found text[] := '{}';
    tree  text;
BEGIN
    LOCK TABLE pipedesk.drive_structure_templates, pipedesk.drive_structure_nodes;
    SELECT md5(string_agg(concat_ws('/', t.name, t.entity_type, t.active, p.name, n.name, n."order"), '|'
                          ORDER BY t.name COLLATE "C", p.name COLLATE "C", n."order", n.name COLLATE "C")) INTO tree
        FROM pipedesk.drive_structure_templates AS t
            LEFT JOIN pipedesk.drive_structure_nodes AS n ON n.template_id = t.id
            LEFT JOIN pipedesk.drive_structure_nodes AS p ON p.template_id = t.id AND p.id = n.parent_id;
    FOREACH name IN ARRAY ARRAY['pipedesk.calendar_events_archive', 'pipedesk.calendar_sync_states',
        'pipedesk.drive_change_logs', 'pipedesk.drive_files_archive', 'pipedesk.drive_structure_nodes',
        'pipedesk.drive_structure_templates', 'pipedesk.drive_webhook_channels']::regclass[]
    LOOP
        CONTINUE WHEN tree = '271c4267b7dc12974dc7b43a3a7660ef' AND starts_with(name::text, 'pipedesk.drive_structure_');
        -- So that none comes in after the count.
        EXECUTE format('LOCK TABLE %s', name);
        EXECUTE format('SELECT count(*) FROM %s', name)
            || CASE name WHEN 'pipedesk.calendar_sync_states'::regclass THEN ' WHERE channel_id IS NOT NULL' ELSE '' END
            INTO n;
        IF n > 0 THEN
            found := found || format('%s (%s)', name, n);
        END IF;
    END LOOP;
    IF found <> '{}' AND coalesce(nullif(current_setting('warehouse.force_down', true), ''), 'off')::boolean IS FALSE
    THEN
        RAISE object_in_use USING
            MESSAGE = format('Undoing the migration 0004_pipedesk: these tables hold rows: %s.',
                             array_to_string(found, ', ')),
            HINT = 'Back them up, then force it: warehouse migrate --down N --force';
    END IF;
END
$$;

DROP TRIGGER show_sync_tokens ON orchestration.sync_history;
DROP TABLE pipedesk.calendar_events_archive, pipedesk.calendar_sync_states, pipedesk.drive_change_logs,
    pipedesk.drive_files_archive, pipedesk.drive_structure_nodes, pipedesk.drive_structure_templates,
    pipedesk.drive_webhook_channels;
DROP FUNCTION pipedesk.show_sync_tokens, pipedesk.refuse_log_change, pipedesk.refuse_node_cycle,
    pipedesk.render_node_name;
-- So that sql/schemas/pipedesk.sql runs again after the next upgrade.
COMMENT ON SCHEMA pipedesk IS NULL;
