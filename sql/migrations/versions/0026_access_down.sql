-- Undo 0026. In psql, to undo it although there are users: SET warehouse.force_down = on;
DO $$
BEGIN
    IF coalesce(nullif(current_setting('warehouse.force_down', true), ''), 'off')::boolean IS FALSE
        AND EXISTS (SELECT FROM access.user_account)
    THEN
        RAISE object_in_use USING
            MESSAGE = 'Undoing revision 0026_access would delete the users of `warehouse serve`, and their tokens.',
            HINT = 'Save the schema access, or repeat with --force.';
    END IF;
END
$$;
DROP SCHEMA access CASCADE;
