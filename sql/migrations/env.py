"""Alembic's entry point. ``warehouse_pipelines.schema.migrate`` hands over its connection and transaction."""

import sqlalchemy as sa
from alembic import context

connection = context.config.attributes["connection"]
connection.execute(sa.text("CREATE SCHEMA IF NOT EXISTS orchestration"))
applied = context.config.attributes.get("applied", lambda revision: None)
context.configure(
    connection=connection,
    version_table="alembic_version",
    version_table_schema="orchestration",
    on_version_apply=lambda step, **_: applied(step.up_revision_id),
)
context.run_migrations()
