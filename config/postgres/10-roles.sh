#!/bin/sh
# The roles of docker-compose.yml: who loads and who runs Dagster, neither of them a superuser. PostgreSQL's image runs
# this once, on an empty volume; it is safe to repeat:
#   docker compose exec postgres sh /docker-entrypoint-initdb.d/10-roles.sh
#
# warehouse_loader owns the warehouse. CREATEROLE, because migrations make the roles of the schema crm; the parameter,
# because mirrored tables are loaded without their triggers.
# dagster owns the database of Dagster's runs and may not connect to the warehouse.
set -eu
psql -v ON_ERROR_STOP=1 --no-psqlrc --quiet --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\getenv loader_password WAREHOUSE_DATABASE_PASSWORD
\getenv dagster_password DAGSTER_DATABASE_PASSWORD
SELECT format('CREATE ROLE %I', name) FROM (VALUES ('warehouse_loader'), ('dagster')) AS wanted (name)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
ALTER ROLE warehouse_loader LOGIN NOSUPERUSER NOCREATEDB CREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'loader_password';
ALTER ROLE dagster LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'dagster_password';
SELECT 'CREATE DATABASE dagster OWNER dagster'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'dagster') \gexec
ALTER DATABASE warehouse OWNER TO warehouse_loader;
REVOKE ALL ON DATABASE warehouse, dagster FROM PUBLIC;
GRANT SET ON PARAMETER session_replication_role TO warehouse_loader;
SQL
