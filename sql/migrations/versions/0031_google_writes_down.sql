-- Undo 0031. In psql, to undo it although folders were made: SET warehouse.force_down = on;
DO $$
BEGIN
    IF coalesce(nullif(current_setting('warehouse.force_down', true), ''), 'off')::boolean IS FALSE
        AND EXISTS (SELECT FROM pipedesk.drive_applied_nodes)
    THEN
        RAISE object_in_use USING
            MESSAGE = 'Undoing revision 0031_google_writes would delete which folder of Google Drive is whose.',
            HINT = 'Save pipedesk.drive_applied_nodes, or repeat with --force.';
    END IF;
END
$$;
-- The next upgrade makes view, function and triggers again.
DROP VIEW IF EXISTS pipedesk.google_drive_folders_v;
DROP FUNCTION IF EXISTS pipedesk.keep_who_deleted() CASCADE;
COMMENT ON SCHEMA pipedesk IS NULL;
DROP TABLE pipedesk.drive_applied_nodes;
ALTER TABLE reverse_etl.plan DROP COLUMN why;
