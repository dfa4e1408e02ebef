-- The person whose record a row is, or whom a call or form without a name may be of; certainty is null for a record.
--
-- table, key (its parts apart by blanks)
SELECT m.person_id, NULL AS certainty FROM identity.member AS m
WHERE m.source_table = %(table)s AND m.source_key = %(key)s
UNION ALL
SELECT t.person_id, t.certainty FROM identity.touch AS t
WHERE t.source_table = %(table)s AND t.source_key = %(key)s AND t.person_id IS NOT NULL
LIMIT 1
