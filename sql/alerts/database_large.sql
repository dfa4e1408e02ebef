-- The warehouse, when it is larger than `threshold` GB; without a threshold it may be of any size.
SELECT 'warehouse' AS subject, NULL AS crm, NULL AS entity,
    format('the database has %%s, of %%s GB that it may have', pg_size_pretty(pg_database_size(current_database())),
           %(threshold)s::float8) AS text,
    NULL AS cause
WHERE pg_database_size(current_database()) > %(threshold)s::float8 * 2.0 ^ 30
