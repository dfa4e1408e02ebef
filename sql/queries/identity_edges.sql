-- The edges that join people, a text of each for `edges`. Parameter: the ids of records that form whole components, null
-- for all.
SELECT concat_ws(' ', score, a_id, b_id, array_to_string(rules, ','))
FROM identity.edge
WHERE relation = 'person' AND (%(ids)s::bigint[] IS NULL OR a_id = ANY (%(ids)s::bigint[]))
