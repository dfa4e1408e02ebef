-- The same of what a lead that was merged lent to another one, and would get back.
--
-- account
UPDATE crm.lead_feed AS f
SET written = jsonb_set(f.written, '{lent,consent}', (
        SELECT coalesce(jsonb_agg(e ORDER BY n), '[]')
        FROM jsonb_array_elements(f.written #> '{lent,consent}') WITH ORDINALITY AS c (e, n)
        WHERE (split_part(e ->> 'record', '.', 1) = %(account)s AND NOT e ? 'revoked_at') IS NOT TRUE))
WHERE jsonb_typeof(f.written #> '{lent,consent}') = 'array' AND EXISTS (
    SELECT FROM jsonb_array_elements(f.written #> '{lent,consent}') AS e
    WHERE split_part(e ->> 'record', '.', 1) = %(account)s AND NOT e ? 'revoked_at')
