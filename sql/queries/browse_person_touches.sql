-- What happened with a person, over all CRMs, the newest first.
--
-- person, size
SELECT a.occurred_at, a.kind, a.crm_source, a.source_table, a.source_key, a.direction, a.our_user, a.outcome, a.amount,
    a.title, a.certainty
FROM marts.activity_timeline AS a
WHERE a.person_id = %(person)s ORDER BY a.occurred_at DESC NULLS LAST LIMIT %(size)s
