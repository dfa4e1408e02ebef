-- Replace the payload of a dead letter. If another open one has the same payload now, this one is superseded.
WITH given AS (SELECT %s::jsonb AS payload, %s::bigint AS id), hashed AS (
    SELECT g.*, hashtextextended(g.payload::text, hashtextextended(%s, 0)) AS payload_hash FROM given g)
UPDATE orchestration.dead_letter AS d SET payload = h.payload, payload_hash = h.payload_hash,
    status = CASE WHEN twin THEN 'superseded' ELSE status END,
    resolved_at = CASE WHEN twin THEN now() ELSE resolved_at END
FROM hashed h CROSS JOIN LATERAL (
    SELECT EXISTS (
        SELECT FROM orchestration.dead_letter o WHERE o.open_payload = h.payload_hash AND o.id <> h.id)
) AS t (twin)
WHERE d.id = h.id
