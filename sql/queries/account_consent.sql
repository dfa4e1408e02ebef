-- Takes the consents that records of an account told of out of leads.consent, of all organizations: they permit nothing any
-- more. What was taken back stays, and ends those that were given before. The session acts as crm_definer.
--
-- account
UPDATE crm.leads AS l
SET consent = (SELECT coalesce(jsonb_agg(e ORDER BY n), '[]') FROM jsonb_array_elements(l.consent) WITH ORDINALITY AS c (e, n)
               WHERE (split_part(e ->> 'record', '.', 1) = %(account)s AND NOT e ? 'revoked_at') IS NOT TRUE)
WHERE l.consent <> '[]' AND EXISTS (SELECT FROM jsonb_array_elements(l.consent) AS e
                                    WHERE split_part(e ->> 'record', '.', 1) = %(account)s AND NOT e ? 'revoked_at')
