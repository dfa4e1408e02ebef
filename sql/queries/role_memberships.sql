-- Which of these roles is a member of which other, and has its rights.
--
-- roles
SELECT DISTINCT r.rolname AS role, o.rolname AS member
FROM pg_auth_members AS m
    JOIN pg_roles AS r ON r.oid = m.roleid
    JOIN pg_roles AS o ON o.oid = m.member
WHERE r.rolname = ANY(%(roles)s::text[]) AND o.rolname = ANY(%(roles)s::text[])
    AND pg_has_role(m.member, m.roleid, 'USAGE')
ORDER BY 1, 2
