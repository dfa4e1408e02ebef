-- The views of these schemas: each one's identity, its columns, and what was granted on it to others than its owner and
-- these roles, as statements that grant it again, each after the column that it is of, if it is of one.
-- Parameters: schemas and roles, two arrays.
SELECT n.nspname AS schema, c.relname AS name, c.oid,
    ARRAY(SELECT a.attname::text FROM pg_attribute AS a
          WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
    ARRAY(SELECT ARRAY[g.attname, concat('GRANT ', g.privilege_type, ' (' || quote_ident(g.attname) || ')', ' ON ',
              quote_ident(n.nspname), '.', quote_ident(c.relname), ' TO ',
              CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(r.rolname) END,
              CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' END)]
          FROM (SELECT NULL AS attname, x.* FROM aclexplode(c.relacl) AS x
                UNION ALL
                SELECT a.attname, x.* FROM pg_attribute AS a, aclexplode(a.attacl) AS x
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS g
              LEFT JOIN pg_roles AS r ON r.oid = g.grantee
          WHERE g.grantee <> c.relowner AND (g.grantee = 0 OR r.rolname <> ALL(:roles))) AS grants
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'v' AND n.nspname = ANY(:schemas)
