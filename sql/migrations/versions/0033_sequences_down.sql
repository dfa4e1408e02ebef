-- Undo 0033. In psql, to undo it although there are messages: SET warehouse.force_down = on;
SET LOCAL ROLE crm_owner;
ALTER TABLE crm.sequence_message NO FORCE ROW LEVEL SECURITY;
DO $$
BEGIN
    IF coalesce(nullif(current_setting('warehouse.force_down', true), ''), 'off')::boolean IS FALSE
        AND EXISTS (SELECT FROM crm.sequence_message)
    THEN
        RAISE object_in_use USING
            MESSAGE = 'Undoing revision 0033_sequences would delete what sequences sent, and to whom.',
            HINT = 'Without it a step may be sent again. Save crm.sequence_message, or repeat with --force.';
    END IF;
END
$$;
DROP TABLE crm.sequence_message, crm.message_template;
RESET ROLE;
