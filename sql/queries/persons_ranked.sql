-- The values of the fields `fields` of each person of person_candidate, the best first, with the rule that decided.
--
-- What decides, in this order: whether the value may stand in identity.person; how fit it is (a phone that persons of
-- two properties have is less so); the field's rows of identity.survivorship; the place in the record; the record's name.
WITH rules AS (
    SELECT field, array_agg(rule ORDER BY position) AS rules FROM identity.survivorship GROUP BY field
), single AS (
    SELECT DISTINCT ON (c.person_id, c.field, c.value) c.person_id, c.field, c.value, c.record_id, c.source_table,
        c.source_key, c.ordinal, c.at, c.length,
        bool_or(c.eligible) OVER same AS any_eligible,
        max(c.good) OVER same + (c.field = 'phone' AND shared.phone IS NULL)::integer AS most_good,
        coalesce(min(c.rank) FILTER (WHERE c.eligible) OVER same, min(c.rank) OVER same) AS most_trusted,
        count(*) FILTER (WHERE c.eligible) OVER same AS records,
        coalesce(max(c.at) FILTER (WHERE c.eligible) OVER same, max(c.at) OVER same) AS newest
    FROM person_candidate AS c
        LEFT JOIN person_shared_phone AS shared ON c.field = 'phone' AND shared.phone = c.value
    WHERE c.field = ANY (%(fields)s)
    WINDOW same AS (PARTITION BY c.person_id, c.field, c.value)
    ORDER BY c.person_id, c.field, c.value, c.eligible DESC, c.good DESC, c.neat DESC, c.rank, c.at DESC, c.ordinal,
        c.source_table, c.source_key
), keyed AS (
    SELECT s.*, coalesce(r.rules, '{}') AS rules, ARRAY[s.any_eligible::integer, s.most_good,
        CASE r.rules[1] WHEN 'trusted' THEN -s.most_trusted WHEN 'frequent' THEN s.records
            WHEN 'newest' THEN date_part('epoch', s.newest) WHEN 'longest' THEN s.length END,
        CASE r.rules[2] WHEN 'trusted' THEN -s.most_trusted WHEN 'frequent' THEN s.records
            WHEN 'newest' THEN date_part('epoch', s.newest) WHEN 'longest' THEN s.length END,
        CASE r.rules[3] WHEN 'trusted' THEN -s.most_trusted WHEN 'frequent' THEN s.records
            WHEN 'newest' THEN date_part('epoch', s.newest) WHEN 'longest' THEN s.length END,
        CASE r.rules[4] WHEN 'trusted' THEN -s.most_trusted WHEN 'frequent' THEN s.records
            WHEN 'newest' THEN date_part('epoch', s.newest) WHEN 'longest' THEN s.length END]::float8[] AS keys
    FROM single AS s
        LEFT JOIN rules AS r ON r.field = s.field
), ordered AS (
    SELECT k.*, row_number() OVER best AS position, lead(k.keys) OVER best AS next_keys
    FROM keyed AS k
    WINDOW best AS (PARTITION BY k.person_id, k.field ORDER BY k.keys DESC, k.ordinal, k.source_table, k.source_key)
)
SELECT person_id, field, value, record_id, source_table, source_key, at, any_eligible AND position = 1, position,
    CASE WHEN position > 1 THEN NULL
        WHEN next_keys IS NULL THEN 'only'
        ELSE coalesce(
            (ARRAY['live', CASE field WHEN 'phone' THEN 'unshared' WHEN 'email' THEN 'usable' ELSE 'complete' END]
                || rules)[(SELECT min(i) FROM generate_subscripts(keys, 1) AS i WHERE keys[i] <> next_keys[i])],
            'first')
    END
FROM ordered
