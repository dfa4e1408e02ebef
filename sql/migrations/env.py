"""Alembic's entry point. ``warehouse_pipelines.schema.migrate`` hands over its connection and transaction."""

import sqlalchemy as sa
from alembic import context

connection = context.config.attributes["connection"]
connection.execute(sa.text("CREATE SCHEMA IF NOT EXISTS orchestration"))
context.configure(connection=connection, version_table="alembic_version", version_table_schema="orchestration")
context.run_migrations()
