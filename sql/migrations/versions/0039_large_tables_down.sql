DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY '{person,member,record,touch,alias}'::text[] LOOP
        EXECUTE format('DROP TRIGGER note_deleted ON identity.%I; DROP TRIGGER note_emptied ON identity.%I', name, name);
    END LOOP;
END
$$;
DROP FUNCTION identity.note_deleted();
DROP TABLE identity.deletion;
DROP INDEX IF EXISTS identity.touch_updated, identity.member_since, identity.record_changed;
DROP TABLE orchestration.migration_step;
