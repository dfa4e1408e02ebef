"""The tables of the sources, and the views over them.

Up does nothing: they are aligned with their declarations and files after every upgrade. Down drops every view, and
every table that is declared, with its rows.
"""

import sqlalchemy as sa
from alembic import op

from warehouse_pipelines.schema import repeatable
from warehouse_pipelines.schema.tables import metadata
from warehouse_pipelines.settings import sql_folder
from warehouse_pipelines.sources import SOURCES

revision = "0002_source_tables"
down_revision = "0001_orchestration"


def upgrade() -> None:
    """Leave it to ``loading.tables.align``."""


def downgrade() -> None:
    """Drop the views, the declared tables, and the schemas that are empty then."""
    repeatable.drop_views(op.get_bind(), sql_folder() / "views")
    declared = metadata([entity for source in SOURCES for entity in source.entities])
    _drop_references(declared)
    declared.drop_all(op.get_bind(), checkfirst=True)
    for schema in sorted({table.schema for table in declared.tables.values() if table.schema}):
        op.execute(f'DROP SCHEMA IF EXISTS "{schema}"')


def _drop_references(declared: sa.MetaData) -> None:
    """Drop the foreign keys that ``sql/schemas`` gave the tables, in whose order nobody needs to drop them then."""
    there = sa.inspect(op.get_bind())
    for table in declared.tables.values():
        if there.has_table(table.name, table.schema):
            for key in there.get_foreign_keys(table.name, table.schema):
                op.drop_constraint(key["name"], table.name, schema=table.schema)
