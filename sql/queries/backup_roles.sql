-- Finds the roles that own something in this database or were granted something, but for those of PostgreSQL itself.
SELECT DISTINCT r.rolname AS role
FROM pg_shdepend AS d
    JOIN pg_roles AS r ON r.oid = d.refobjid
WHERE d.refclassid = 'pg_authid'::regclass
    AND (d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()))
    AND r.rolname NOT LIKE 'pg\_%'
ORDER BY 1
