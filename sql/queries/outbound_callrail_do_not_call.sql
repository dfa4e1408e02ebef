-- The last call of each number that must not be called (crm.is_on_dnc_list), and calls that we tagged: these lose the
-- tag when their number may be called again. `organization`: whose list it is, where crm.feed_source names no other.
--
-- The function is asked of a number that no entry has as it is: of those found by index, with or without the 1 that an
-- entry lacks or has too much, and of calls that we tagged. For the entries that no index finds, of erased numbers and
-- of other countries' without their code, the numbers of all calls are read, from their index, while there is one.
WITH organization AS MATERIALIZED (
    SELECT coalesce((SELECT f.organization_id FROM crm.feed_source AS f WHERE f.crm = 'callrail'),
                    %(organization)s::uuid) AS id
), entry AS MATERIALIZED (
    SELECT d.phone, d.phone_hash
    FROM crm.dnc_list AS d
    WHERE d.organization_id = (SELECT o.id FROM organization AS o) AND 'call' = ANY (d.channels)
        AND d.ended_at IS NULL AND (d.expires_at IS NULL OR d.expires_at > now())
), hidden AS MATERIALIZED (
    SELECT EXISTS (SELECT FROM entry AS e WHERE e.phone_hash IS NOT NULL) AS hashed,
        EXISTS (SELECT FROM entry AS e WHERE e.phone !~ '^\+1') AS abroad,
        (SELECT decode(c.value #>> '{}', 'hex') FROM crm.system_config AS c
         WHERE c.organization_id = (SELECT o.id FROM organization AS o) AND c.key = 'dnc.hash_key') AS hashkey
), certain AS MATERIALIZED (
    SELECT DISTINCT e.phone FROM entry AS e WHERE e.phone IS NOT NULL
), ours AS MATERIALIZED (
    SELECT c.id, c.customer_phone_number_e164 AS phone
    FROM (SELECT DISTINCT ON (r.object_id) r.object_id, r.fields #>> '{do_not_call,stored}' AS stored
          FROM reverse_etl.receipt AS r
          WHERE r.target = 'callrail_do_not_call' AND r.fields -> 'do_not_call' ? 'stored'
          ORDER BY r.object_id, r.sent_at DESC) AS w
        JOIN callrail_call AS c ON c.id = w.object_id
    WHERE w.stored = 'true' AND c.customer_phone_number_e164 IS NOT NULL
), asked AS (
    (SELECT s.phone
     FROM (SELECT DISTINCT CASE WHEN e.phone ~ '^\+1' THEN '+' || substr(e.phone, 3)
                                ELSE '+1' || substr(e.phone, 2) END AS phone
           FROM entry AS e) AS s
     WHERE EXISTS (SELECT FROM callrail_call AS c WHERE c.customer_phone_number_e164 = s.phone)
     UNION
     SELECT n.phone
     FROM (SELECT DISTINCT c.customer_phone_number_e164 AS phone FROM callrail_call AS c
           WHERE (SELECT h.hashed OR h.abroad FROM hidden AS h) AND c.customer_phone_number_e164 IS NOT NULL) AS n
     WHERE crm.phone_tail_hash(n.phone, (SELECT h.hashkey FROM hidden AS h WHERE h.hashed)) IN (
             SELECT e.phone_hash FROM entry AS e WHERE e.phone_hash IS NOT NULL)
         OR n.phone !~ '^\+1' AND right(n.phone, 7) IN (
             SELECT right(e.phone, 7) FROM entry AS e WHERE e.phone !~ '^\+1')
     UNION
     SELECT w.phone FROM ours AS w)
    EXCEPT
    SELECT c.phone FROM certain AS c
), listed AS MATERIALIZED (
    SELECT c.phone FROM certain AS c
    UNION ALL
    SELECT q.phone FROM asked AS q WHERE crm.is_on_dnc_list(q.phone, (SELECT o.id FROM organization AS o), 'call')
), last AS (
    SELECT t.id
    FROM listed AS l, LATERAL (
        SELECT c.id FROM callrail_call AS c
        WHERE c.customer_phone_number_e164 = l.phone AND NOT c.archived AND c.start_time > now() - interval '24 months'
        ORDER BY c.start_time DESC, c.id LIMIT 1) AS t
)
SELECT c.id AS key, c.id AS object_id, CASE WHEN l.phone IS NOT NULL THEN true END AS do_not_call,
    CASE WHEN c.raw_data -> 'tags' @> '["do_not_call"]' OR c.raw_data -> 'tags' @> '[{"name": "do_not_call"}]'
        THEN '{"do_not_call": "true"}'::jsonb ELSE '{}'::jsonb END AS mirrored
FROM callrail_call AS c LEFT JOIN listed AS l ON l.phone = c.customer_phone_number_e164
WHERE NOT c.archived AND c.id = ANY (ARRAY(SELECT t.id FROM last AS t UNION SELECT w.id FROM ours AS w))
ORDER BY c.id
