-- The months of which one of the tables changed since a time, and when they begin and end in a time zone.
INSERT INTO mart_month
    SELECT DISTINCT t.month, t.month::timestamp AT TIME ZONE %(zone)s,
        (t.month + interval '1 month')::timestamp AT TIME ZONE %(zone)s
    FROM marts.touched_month AS t
    WHERE t.table_name = ANY (%(tables)s) AND t.touched_at > %(since)s
