-- The relations that analysts may read, with what they hold, about how many rows, and the CRM and entity of those that
-- are synced. masked: a view of it without personal data is there. is_of_all: no column says which organization a row is
-- of; a policy alone does not, such as those of pipedesk. The last good run says how new a table is.
--
-- masked_role, role
SELECT n.nspname AS schema, c.relname AS name, obj_description(c.oid, 'pg_class') AS about,
    c.relkind IN ('v', 'm') AS is_view, c.relrowsecurity OR o.is_named AS is_of_organization, NOT o.is_named AS is_of_all,
    nullif(greatest(c.reltuples, -1), -1)::bigint AS rows, coalesce(m.oid IS NOT NULL, false) AS masked,
    t.crm_source, t.sync_type, coalesce(good.start_time, p.refreshed_at) AS fresh_at,
    good.start_time < now() - t.stale_after AS stale
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL (
        SELECT n.nspname IN ('crm', 'marts') AND EXISTS (
            SELECT FROM pg_attribute AS a
            WHERE a.attrelid = c.oid AND a.attname = 'organization_id' AND NOT a.attisdropped
        ) AS is_named
    ) AS o
    LEFT JOIN pg_class AS m ON m.oid = to_regclass(format('masked.%%I',
            left(CASE n.nspname WHEN 'public' THEN c.relname ELSE n.nspname || '_' || c.relname END, 63)))
        AND has_table_privilege(%(masked_role)s, m.oid, 'SELECT')
    LEFT JOIN orchestration.source_table AS t
        ON t.table_name = CASE n.nspname WHEN 'public' THEN c.relname ELSE n.nspname || '.' || c.relname END
    LEFT JOIN LATERAL (
        SELECT g.start_time FROM orchestration.good_run AS g
        WHERE g.crm_source = t.crm_source AND g.sync_type = t.sync_type ORDER BY g.id DESC LIMIT 1
    ) AS good ON true
    LEFT JOIN marts.position AS p ON n.nspname = 'marts' AND p.mart = c.relname
WHERE (n.nspname IN ('accounts', 'answers', 'crm', 'identity', 'marts', 'orchestration', 'pipedesk', 'public')
         OR n.nspname IN (SELECT source FROM orchestration.account))
    AND c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition
    AND (m.oid IS NOT NULL OR has_any_column_privilege(%(role)s, c.oid, 'SELECT'))
ORDER BY n.nspname, c.relname
