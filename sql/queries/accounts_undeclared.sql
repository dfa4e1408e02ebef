-- The accounts of this warehouse that are not among the sources `declared`, each with its CRM.
SELECT a.source, a.crm FROM orchestration.account AS a
WHERE a.removed_at IS NULL AND a.source <> ALL(%(declared)s::text[])
ORDER BY a.source
