-- Who owns or was granted something in the schema public.
WITH ours AS (
    SELECT c.oid, c.relowner, c.relacl FROM pg_class AS c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
        AND NOT EXISTS (SELECT FROM pg_depend AS d
                        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'))
SELECT DISTINCT CASE WHEN user_ = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(user_)) END
FROM (SELECT o.relowner FROM ours AS o
      UNION SELECT a.grantee FROM ours AS o, aclexplode(o.relacl) AS a
      UNION SELECT a.grantee FROM ours AS o JOIN pg_attribute AS t ON t.attrelid = o.oid,
          aclexplode(t.attacl) AS a
      UNION SELECT current_user::regrole::oid) AS u (user_)
