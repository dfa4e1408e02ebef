-- The last call of each number that must not be called, and calls that we tagged whose number is listed no more.
WITH listed AS (
    SELECT DISTINCT d.phone
    FROM crm.dnc_list AS d
    WHERE d.organization_id = coalesce(
            (SELECT f.organization_id FROM crm.feed_source AS f WHERE f.crm = 'callrail'), %(organization)s)
        AND d.phone IS NOT NULL AND 'call' = ANY(d.channels) AND d.ended_at IS NULL
        AND (d.expires_at IS NULL OR d.expires_at > now())
), last AS (
    SELECT DISTINCT ON (c.customer_phone_number_e164) c.id
    FROM callrail_call AS c JOIN listed AS l ON l.phone = c.customer_phone_number_e164
    WHERE NOT c.archived AND c.start_time > now() - interval '24 months'
    ORDER BY c.customer_phone_number_e164, c.start_time DESC, c.id
)
SELECT c.id AS key, c.id AS object_id, CASE WHEN l.phone IS NOT NULL THEN true END AS do_not_call,
    CASE WHEN c.raw_data -> 'tags' @> '["do_not_call"]' OR c.raw_data -> 'tags' @> '[{"name": "do_not_call"}]'
        THEN '{"do_not_call": "true"}'::jsonb ELSE '{}'::jsonb END AS mirrored
FROM callrail_call AS c LEFT JOIN listed AS l ON l.phone = c.customer_phone_number_e164
WHERE NOT c.archived AND c.id IN (
    SELECT id FROM last
    UNION
    SELECT r.object_id FROM reverse_etl.receipt AS r WHERE r.target = 'callrail_do_not_call' AND r.status = 'written')
ORDER BY c.id
