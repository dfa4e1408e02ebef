-- The same of what a lead that was merged lent to another one, and would get back.
--
-- account, tables
UPDATE crm.lead_feed AS f SET written = jsonb_set(f.written, '{lent,consent}', k.elements)
FROM (SELECT o.organization_id, o.lead_id,
          coalesce(jsonb_agg(e ORDER BY n) FILTER (WHERE NOT t.goes), '[]') AS elements
      FROM crm.lead_feed AS o,
          jsonb_array_elements(CASE jsonb_typeof(o.written #> '{lent,consent}')
                               WHEN 'array' THEN o.written #> '{lent,consent}' ELSE '[]' END) WITH ORDINALITY AS c (e, n),
          LATERAL (SELECT NOT e ? 'revoked_at' AND coalesce(
                       split_part(e ->> 'record', '.', 1) = %(account)s
                       OR split_part(e ->> 'record', ' ', 1) = ANY (%(tables)s::text[]), false) AS goes) AS t
      WHERE o.written ? 'lent'
      GROUP BY o.organization_id, o.lead_id HAVING bool_or(t.goes)) AS k
WHERE f.organization_id = k.organization_id AND f.lead_id = k.lead_id
