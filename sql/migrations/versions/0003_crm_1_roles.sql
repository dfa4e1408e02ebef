-- The schema crm of the unified CRM, part 1 of 9: extensions, schema, roles.
--
--   crm_owner    owns the tables; nobody logs in as it, and row-level security binds it too
--   crm_definer  owns the SECURITY DEFINER functions that must see past row-level security, and may do no more than
--                they need; nobody logs in as it. It exists so that the owner need not be exempt.
--   crm_app      what the application may do
--   crm_read     the same tables, reading only
--
-- Roles belong to the cluster and not to the database: they are made where they are missing, and stay as they are.
-- An application logs in with a role of its own that is granted crm_app. Run this as a superuser, or as a role
-- with CREATEROLE that owns the database.

-- None is required. With pg_trgm a part of a name is found by an index; nothing here calls the other two
-- (gen_random_uuid() and sha256() are in the core).
DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['pg_trgm', 'pgcrypto', 'uuid-ossp'] LOOP
        IF EXISTS (SELECT FROM pg_available_extensions WHERE name = wanted) THEN
            EXECUTE format('CREATE EXTENSION IF NOT EXISTS %I', wanted);
        ELSE
            RAISE NOTICE 'This PostgreSQL comes without the extension %, which crm can do without.', wanted;
        END IF;
    END LOOP;
END
$$;

CREATE SCHEMA crm;

-- Two databases of a cluster may be migrated at a time, or one up and the other down, so each role is tried again
-- when another session was faster. The grant locks the role until the end of this transaction: nobody can drop it
-- meanwhile. The down migration takes the roles in the same order.
DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['crm_owner', 'crm_definer', 'crm_app', 'crm_read'] LOOP
        FOR attempt IN 1..50 LOOP
            BEGIN
                IF to_regrole(wanted) IS NULL THEN
                    EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOBYPASSRLS', wanted);
                END IF;
                EXECUTE format('GRANT USAGE ON SCHEMA crm TO %I', wanted);
                IF wanted IN ('crm_app', 'crm_read') AND NOT EXISTS (
                    SELECT FROM pg_db_role_setting s, unnest(s.setconfig) AS c
                    WHERE s.setrole = to_regrole(wanted)::oid AND s.setdatabase = 0 AND c LIKE 'search\_path=%'
                ) THEN
                    EXECUTE format('ALTER ROLE %I SET search_path = crm, public', wanted);
                END IF;
                -- The owner of a database may not be a superuser; to give objects to these two it must be a member.
                IF wanted IN ('crm_owner', 'crm_definer')
                    AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
                THEN
                    BEGIN
                        EXECUTE format('GRANT %I TO CURRENT_USER', wanted);
                    EXCEPTION WHEN insufficient_privilege THEN
                        -- Another role made it. Good if that role granted it; else SET ROLE below says what is missing.
                        NULL;
                    END;
                END IF;
                EXIT;
            EXCEPTION WHEN duplicate_object OR unique_violation OR undefined_object OR internal_error THEN
                IF attempt = 50 THEN
                    RAISE;
                END IF;
                PERFORM pg_sleep(0.02);
            END;
        END LOOP;
    END LOOP;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname IN ('crm_owner', 'crm_definer', 'crm_app', 'crm_read')
               AND (rolsuper OR rolbypassrls)) THEN
        RAISE EXCEPTION 'Migrating crm: a role among crm_owner, crm_definer, crm_app and crm_read escapes row-level security'
            USING HINT = 'ALTER ROLE ... NOSUPERUSER NOBYPASSRLS, then migrate again.';
    END IF;
END
$$;

ALTER SCHEMA crm OWNER TO crm_owner;

-- What parts 2 to 8 create belongs to crm_owner.
SET LOCAL ROLE crm_owner;
