-- Says what belongs to another role than the one that migrations give it to, a row for each schema and owner: crm and
-- crm_archive to crm_owner, functions also to crm_definer; our views of masked to warehouse_masking, where it is there;
-- tables and functions elsewhere to who owns the schema orchestration. Of public, where others may have theirs, only the
-- tables of entities.
WITH loader AS (
    SELECT nspowner::regrole AS role FROM pg_namespace WHERE nspname = 'orchestration'
), ours AS (
    SELECT n.nspname AS schema, c.relowner AS owner, 'tables or views' AS kind
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname IN ('crm', 'crm_archive') AND c.relkind IN ('r', 'p', 'v')
        OR n.nspname = 'masked' AND c.relkind = 'v' AND obj_description(c.oid, 'pg_class') ~ '\[\w{12}\]$'
        OR n.nspname IN ('access', 'identity', 'marts', 'orchestration', 'pipedesk', 'reverse_etl')
            AND c.relkind IN ('r', 'p')
        OR n.nspname = 'public' AND c.relkind IN ('r', 'p') AND EXISTS (
            SELECT FROM orchestration.source_table AS s WHERE s.table_name = c.relname)
    UNION ALL
    SELECT n.nspname, p.proowner, 'functions'
    FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE n.nspname IN ('crm', 'identity', 'masked', 'orchestration', 'pipedesk')
), compared AS (
    SELECT o.*, CASE WHEN o.schema IN ('crm', 'crm_archive') THEN to_regrole('crm_owner')
        WHEN o.schema = 'masked' AND o.kind <> 'functions' THEN coalesce(to_regrole('warehouse_masking'), l.role)
        ELSE l.role END AS wanted
    FROM ours AS o CROSS JOIN loader AS l
)
SELECT format('%s of %s belong to %I and not to %s: %s', kind, schema, pg_get_userbyid(owner), wanted, count(*))
FROM compared
WHERE owner <> wanted::oid
    AND NOT (schema = 'crm' AND kind = 'functions' AND owner = to_regrole('crm_definer')::oid)
GROUP BY kind, schema, owner, wanted
ORDER BY 1
