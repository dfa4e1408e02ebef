-- Undo 0015. In psql, to undo it although people were erased: SET warehouse.force_down = on;
DO $$
BEGIN
    IF coalesce(nullif(current_setting('warehouse.force_down', true), ''), 'off')::boolean IS FALSE
        AND EXISTS (SELECT FROM identity.tombstone)
    THEN
        RAISE object_in_use USING
            MESSAGE = 'Undoing revision 0015_erasure would forget who was erased: later syncs would bring them back.',
            HINT = 'Save identity.erasure_key, identity.tombstone and identity.erasure first, or repeat with --force.';
    END IF;
END
$$;
DROP FUNCTION crm.erase_dnc_numbers(text[]);
DROP TABLE identity.tombstone, identity.erasure, identity.erasure_proposal, identity.erasure_key;
