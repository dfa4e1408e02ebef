-- Steps of migrations that run after the transaction of their revision, while others read and write; and what is deleted
-- of identity, so that marts need not count the rows that are left.

CREATE TABLE orchestration.migration_step (
    revision text NOT NULL,
    step text NOT NULL,
    position text,
    begun_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    PRIMARY KEY (revision, step)
);
COMMENT ON TABLE orchestration.migration_step IS
    'What a migration does to large tables while others use them: indexes, constraints, values for rows that are there.';
COMMENT ON COLUMN orchestration.migration_step.revision IS 'The revision that the step belongs to.';
COMMENT ON COLUMN orchestration.migration_step.step IS 'What is done.';
COMMENT ON COLUMN orchestration.migration_step.position IS
    'The key up to which the rows of the table have their values; null where the step has none.';
COMMENT ON COLUMN orchestration.migration_step.begun_at IS 'When it was first begun.';
COMMENT ON COLUMN orchestration.migration_step.finished_at IS 'When it was done; null while it is not.';

CREATE TABLE identity.deletion (
    deletion_id  bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    table_name   text        NOT NULL,
    person_id    uuid,
    source_table text,
    source_key   text,
    deleted_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX deletion_at ON identity.deletion (table_name, deleted_at);
COMMENT ON TABLE identity.deletion IS
    'Rows of identity that are no more, so that marts find what was made of them. Only the newest are kept.';
COMMENT ON COLUMN identity.deletion.deletion_id IS 'Key.';
COMMENT ON COLUMN identity.deletion.table_name IS 'The table that the row was in.';
COMMENT ON COLUMN identity.deletion.person_id IS 'The person that it was of; null with source_key: more than were noted.';
COMMENT ON COLUMN identity.deletion.source_table IS 'The table of the record that it was of.';
COMMENT ON COLUMN identity.deletion.source_key IS 'The key of the record there.';
COMMENT ON COLUMN identity.deletion.deleted_at IS 'When the transaction that deleted it began.';

-- More rows than this are noted as one, and so is an erasure, which must not leave who was which record: whoever asks looks
-- at everything then.
CREATE FUNCTION identity.note_deleted() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    name CONSTANT text := TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME;
BEGIN
    IF TG_OP = 'TRUNCATE' OR current_setting('warehouse.erasing', true) = 'on' THEN
        INSERT INTO identity.deletion (table_name) VALUES (name);
    ELSIF (SELECT count(*) FROM (SELECT FROM deleted_row LIMIT 20001) AS one) > 20000 THEN
        INSERT INTO identity.deletion (table_name) VALUES (name);
    ELSE
        INSERT INTO identity.deletion (table_name, person_id, source_table, source_key)
            SELECT name, (d ->> 'person_id')::uuid, d ->> 'source_table', d ->> 'source_key'
            FROM (SELECT to_jsonb(o) AS d FROM deleted_row AS o OFFSET 0) AS one;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION identity.note_deleted() IS 'Writes the deleted rows of a statement into identity.deletion.';

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY '{person,member,record,touch,alias}'::text[] LOOP
        EXECUTE format('CREATE TRIGGER note_deleted AFTER DELETE ON identity.%I REFERENCING OLD TABLE AS deleted_row '
            'FOR EACH STATEMENT EXECUTE FUNCTION identity.note_deleted()', name);
        EXECUTE format('CREATE TRIGGER note_emptied AFTER TRUNCATE ON identity.%I '
            'FOR EACH STATEMENT EXECUTE FUNCTION identity.note_deleted()', name);
    END LOOP;
END
$$;
