-- Says who loads, by the owner of the schema orchestration; and whether this database belongs to the user who asks, a
-- superuser, and is to be given to that role, which is none.
SELECT r.rolname AS loader, d.datname AS database,
    me.rolsuper AND NOT r.rolsuper AND d.datdba = me.oid AS gives_database
FROM pg_namespace AS n
    JOIN pg_roles AS r ON r.oid = n.nspowner
    JOIN pg_database AS d ON d.datname = current_database()
    JOIN pg_roles AS me ON me.rolname = current_user
WHERE n.nspname = 'orchestration'
