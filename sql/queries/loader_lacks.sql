-- Says what the role that loads lacks, which is the owner of the schema orchestration: memberships that migrations give,
-- and rights on this database; for each the statement of an administrator that gives it. Roles and the database are not
-- part of a dump. None is lacking where that role is a superuser; passed over is a role that is not there, or escapes
-- row-level security.
WITH loader AS (
    SELECT r.oid, r.rolname
    FROM pg_namespace AS n JOIN pg_roles AS r ON r.oid = n.nspowner
    WHERE n.nspname = 'orchestration'
), wanted (role, member) AS (
    SELECT role, l.rolname
    FROM loader AS l,
        unnest(ARRAY['crm_owner', 'crm_definer', 'crm_app', 'warehouse_masking', 'warehouse_read_masked']) AS role
    UNION ALL VALUES ('warehouse_read', 'warehouse_masking'), ('crm_read', 'warehouse_read')
)
SELECT w.member AS role, format('GRANT %I TO %I', w.role, w.member) AS statement
FROM wanted AS w
    JOIN pg_roles AS r ON r.rolname = w.role
    JOIN pg_roles AS m ON m.rolname = w.member
WHERE NOT m.rolsuper AND NOT r.rolsuper AND NOT r.rolbypassrls
    AND NOT (pg_has_role(m.oid, r.oid, 'USAGE')
        -- Until PostgreSQL 15 every member may SET ROLE.
        AND pg_has_role(m.oid, r.oid,
            CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END))
UNION ALL
SELECT l.rolname, format('GRANT %s ON DATABASE %I TO %I', privilege, current_database(), l.rolname)
FROM loader AS l, unnest(ARRAY['CONNECT', 'CREATE', 'TEMPORARY']) AS privilege
WHERE NOT has_database_privilege(l.oid, current_database(), privilege)
ORDER BY 1, 2
