-- The lead that this one is now: itself, or the one that it became part of, that being part of another too. None that was
-- deleted by somebody.
--
-- id
WITH RECURSIVE part AS (
    SELECT l.id, l.deleted_at, l.source_metadata FROM crm.leads AS l WHERE l.id = %(id)s
    UNION
    SELECT l.id, l.deleted_at, l.source_metadata
    FROM part AS p JOIN crm.leads AS l ON l.id = crm.merged_into(p.source_metadata)
    WHERE p.deleted_at IS NOT NULL AND p.source_metadata ->> 'feed_deleted' = 'merged'
)
SELECT p.id FROM part AS p WHERE p.deleted_at IS NULL
