-- Undo 0030. In psql, to undo it although something was written: SET warehouse.force_down = on;
DO $$
BEGIN
    IF coalesce(nullif(current_setting('warehouse.force_down', true), ''), 'off')::boolean IS FALSE
        AND EXISTS (SELECT FROM reverse_etl.receipt)
    THEN
        RAISE object_in_use USING
            MESSAGE = 'Undoing revision 0030_outbound would delete what was written to vendors, and what was there before.',
            HINT = 'Save the schema reverse_etl, or repeat with --force.';
    END IF;
END
$$;
DROP SCHEMA reverse_etl CASCADE;
