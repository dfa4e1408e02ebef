-- Views that somebody else made, and the relations that each reads, in the words of PostgreSQL's errors. A view of ours
-- has the hash of its definition at the end of its comment, or is in one of these schemas.
-- Parameters: schemas, an array.
SELECT v.oid::regclass::text AS name, v.relkind = 'm' AS materialized,
    array_agg(DISTINCT d.refobjid::regclass::text) AS reads
FROM pg_class AS v
    JOIN pg_namespace AS n ON n.oid = v.relnamespace
    JOIN pg_rewrite AS r ON r.ev_class = v.oid
    JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
        AND d.refobjid <> v.oid
WHERE v.relkind IN ('v', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND n.nspname <> ALL(%(schemas)s) AND coalesce(obj_description(v.oid, 'pg_class'), '') !~ '\[\w{12}\]$'
GROUP BY v.oid
ORDER BY 1
