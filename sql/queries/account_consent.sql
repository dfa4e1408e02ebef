-- Takes the consents that records of an account, or of these tables, told of out of leads.consent, of all organizations: they
-- permit nothing any more. What was taken back stays, and ends those that were given before. Runs as crm_definer.
--
-- account, tables
UPDATE crm.leads AS l SET consent = k.elements
FROM (SELECT o.id,
          coalesce(jsonb_agg(e ORDER BY n) FILTER (WHERE NOT t.goes), '[]') AS elements
      FROM crm.leads AS o, jsonb_array_elements(o.consent) WITH ORDINALITY AS c (e, n),
          LATERAL (SELECT NOT e ? 'revoked_at' AND coalesce(
                       split_part(e ->> 'record', '.', 1) = %(account)s
                       OR split_part(e ->> 'record', ' ', 1) = ANY (%(tables)s::text[]), false) AS goes) AS t
      WHERE o.consent <> '[]'
      GROUP BY o.id HAVING bool_or(t.goes)) AS k
WHERE l.id = k.id
