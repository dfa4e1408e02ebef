-- The bytes of PostgreSQL's shared_buffers, and of the warehouse.
SELECT pg_size_bytes(current_setting('shared_buffers')) AS buffers, pg_database_size(current_database()) AS size
