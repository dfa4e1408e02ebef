-- How many rows tables have about, without reading them; null where that was never counted or there is no table.
--
-- tables
SELECT t.name, nullif(greatest(c.reltuples, -1), -1)::bigint AS rows
FROM unnest(%(tables)s::text[]) AS t (name) LEFT JOIN pg_class AS c ON c.oid = to_regclass(t.name)
