-- What was written of a mart whose rows another mart sums, and which groups of people are too large to make pairs.

CREATE TABLE marts.changed_row (
    changed_row_id bigint   GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    reader         text     NOT NULL,
    weight         smallint NOT NULL CONSTRAINT changed_row_weight_known CHECK (weight IN (-1, 0, 1)),
    content        jsonb,
    CONSTRAINT changed_row_has_content CHECK ((weight = 0) = (content IS NULL))
);
CREATE INDEX changed_row_reader ON marts.changed_row (reader);
COMMENT ON TABLE marts.changed_row IS
    'Rows of marts that were written since the mart that sums them was computed, which then removes them.';
COMMENT ON COLUMN marts.changed_row.changed_row_id IS 'Key.';
COMMENT ON COLUMN marts.changed_row.reader IS 'The mart that sums them.';
COMMENT ON COLUMN marts.changed_row.weight IS
    '-1: the row as it was; 1: as it is; 0: more rows than are noted, so that the reader sums all.';
COMMENT ON COLUMN marts.changed_row.content IS 'The row.';

CREATE TABLE marts.crowded_group (
    relation text NOT NULL,
    via      text NOT NULL,
    PRIMARY KEY (relation, via)
);
COMMENT ON TABLE marts.crowded_group IS
    'Households, properties and companies of so many people that marts.relationships has no pairs of them.';
COMMENT ON COLUMN marts.crowded_group.relation IS 'household, property or company.';
COMMENT ON COLUMN marts.crowded_group.via IS 'Which: as in marts.relationships.';

-- That leads were deleted is noted, so that marts need not count those that are left. Who deletes them cannot write here.
CREATE FUNCTION identity.note_deleted_of_crm() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM deleted_row) THEN
        INSERT INTO identity.deletion (table_name) VALUES (TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME);
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION identity.note_deleted_of_crm() FROM PUBLIC;
COMMENT ON FUNCTION identity.note_deleted_of_crm() IS
    'Writes into identity.deletion that rows of a table of crm were deleted, not which.';
CREATE TRIGGER note_deleted AFTER DELETE ON crm.leads REFERENCING OLD TABLE AS deleted_row
    FOR EACH STATEMENT EXECUTE FUNCTION identity.note_deleted_of_crm();
CREATE TRIGGER note_deleted AFTER DELETE ON crm.lead_assignments REFERENCING OLD TABLE AS deleted_row
    FOR EACH STATEMENT EXECUTE FUNCTION identity.note_deleted_of_crm();
