-- Deletes a lead softly, unless it has another ETag than the caller knows (null: any).
--
-- id, etag
UPDATE crm.leads AS l SET deleted_at = now()
WHERE l.id = %(id)s AND l.deleted_at IS NULL
    AND (%(etag)s::text IS NULL OR left(encode(sha256(convert_to(l::text, 'UTF8')), 'hex'), 32) = %(etag)s)
RETURNING l.id
