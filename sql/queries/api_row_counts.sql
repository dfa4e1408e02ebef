-- How many rows tables have about, without reading them; null where that was never counted or there is no table. Those
-- of at most `counted_bytes` are `small`: these can be counted.
--
-- tables, counted_bytes
SELECT t.name, nullif(greatest(c.reltuples, -1), -1)::bigint AS rows,
    coalesce(pg_relation_size(c.oid) <= %(counted_bytes)s, false) AS small
FROM unnest(%(tables)s::text[]) AS t (name) LEFT JOIN pg_class AS c ON c.oid = to_regclass(t.name)
