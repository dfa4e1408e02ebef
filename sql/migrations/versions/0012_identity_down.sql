-- Undo 0012. In psql, to undo it although people have decided something: SET warehouse.force_down = on;
--
-- Everything but the decisions of people can be made again by `warehouse identity run --full`.
DO $$
BEGIN
    IF coalesce(nullif(current_setting('warehouse.force_down', true), ''), 'off')::boolean IS FALSE
        AND EXISTS (SELECT FROM identity.decision)
    THEN
        RAISE object_in_use USING
            MESSAGE = 'Undoing revision 0012_identity would delete what people decided of who is who.',
            HINT = 'Save identity.decision and identity.alias first, or repeat with --force.';
    END IF;
END
$$;
DROP SCHEMA identity CASCADE;
