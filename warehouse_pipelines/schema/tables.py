"""Tables, from the rows that declare them.

Nothing about a source table is written twice: ``metadata`` turns entities into SQLAlchemy tables, ``align`` adds to a
database what is declared and missing there. A column that is no longer declared stays, with its data; a column whose
type differs is refused with a message, because changing it needs a migration that somebody has read.
"""

import functools
import logging
import re
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from psycopg.sql import Identifier, quote
from sqlalchemy.dialects.postgresql import JSONB

from warehouse_pipelines.model import column_texts
from warehouse_pipelines.model.entity import Entity

log = logging.getLogger("warehouse")

COMMENT = "modify_comment"

TYPES: dict[str, Any] = {
    "text": sa.Text(),
    "uuid": sa.Uuid(),
    "bigint": sa.BigInteger(),
    "numeric": sa.Numeric(),
    "boolean": sa.Boolean(),
    "date": sa.Date(),
    "timestamptz": sa.TIMESTAMP(timezone=True),
    "jsonb": JSONB(),
}


def metadata(entities: Sequence[Entity]) -> sa.MetaData:
    """Return the tables that ``entities`` declare, with their primary keys and indexes."""
    declared = sa.MetaData()
    for entity in entities:
        table = sa.Table(entity.table_name, declared, schema=_schema(entity), comment=entity.about)
        for name, spelled in entity.pg_types.items():
            type_, _, constraints = spelled.partition(" ")
            default = constraints.partition("DEFAULT ")[2]
            generated = re.fullmatch(r"GENERATED ALWAYS AS \((.*)\) STORED", constraints)
            table.append_column(
                sa.Column(
                    name,
                    TYPES[type_],
                    *([sa.Computed(generated[1], persisted=True)] if generated else []),
                    primary_key=name in entity.keys,
                    nullable="NOT NULL" not in constraints,
                    autoincrement=False,
                    server_default=sa.text(default) if default else None,
                    comment=column_texts.text(entity, name),
                )
            )
        table.primary_key.name = f"{entity.table_name}_pkey"
        for name in entity.indexes:
            there = table.c[name].is_not(None) if name in entity.sparse else None
            sa.Index(index_name(entity.table_name, name), table.c[name], postgresql_where=there)
    return declared


def index_name(table: str, column: str) -> str:
    """Return the name of the index on one column, within PostgreSQL's 63 bytes."""
    return f"idx_{table}_{column}"[:63]


def _schema(entity: Entity) -> str | None:
    """``public`` is the default schema, which SQLAlchemy's reflection calls None."""
    return None if entity.schema == "public" else entity.schema


def differences(connection: sa.Connection, entities: Sequence[Entity]) -> list[Any]:
    """Return what the database lacks or has otherwise, as Alembic's comparison says it; empty when it is right.

    Tables and columns of which no entity speaks are none of our business and are not compared.
    """
    declared = metadata(entities)
    names = {(table.schema, table.name) for table in declared.tables.values()}

    def ours(item: Any, name: str | None, type_: str, reflected: bool, compare_to: Any) -> bool:
        if type_ == "table":
            return (item.schema, name) in names
        return not (reflected and compare_to is None)

    context = MigrationContext.configure(
        connection,
        opts={
            "target_metadata": declared,
            "include_schemas": True,
            "include_object": ours,
            "include_name": functools.partial(_wanted_schema, {schema for schema, _ in names}),
            "compare_type": True,
            "compare_server_default": False,
        },
    )
    return list(compare_metadata(context, declared))


def _wanted_schema(schemas: set[str | None], name: str | None, type_: str, parents: Any) -> bool:
    return name in schemas if type_ == "schema" else True


def align(connection: sa.Connection, entities: Sequence[Entity]) -> list[str]:
    """Create what is declared and missing; return a line for each change, none when there was nothing to do.

    Raises ``RuntimeError`` when a column exists with another type or nullability.
    """
    refused: list[str] = []
    added: dict[tuple[str, str], list[str]] = {}
    indexes: list[sa.Index] = []
    done, there = _create_missing(connection, entities)
    own = {(_schema(entity), entity.table_name): (*entity.local.added, *entity.local.renamed) for entity in entities}
    operations = Operations(MigrationContext.configure(connection))
    for difference in differences(connection, there):
        if isinstance(difference, list):
            refused += [f"{kind} of {table}.{column}" for kind, _, table, column, *_ in difference if kind != COMMENT]
            continue
        kind, item = difference[0], difference[-1]
        if kind == "add_column":
            _, schema, table, column = difference
            spelled = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
            added.setdefault((schema or "public", table), []).append(str(spelled))
            here = " (config/columns.toml)" if column.name in own.get((schema, table), ()) else ""
            done.append(f"column {table}.{column.name}{here}")
        elif kind == "add_index":
            indexes.append(item)
            done.append(f"index {item.name}")
        elif kind == "add_table_comment":
            table = difference[1]
            operations.create_table_comment(table.name, table.comment, schema=table.schema)
        else:
            refused.append(f"{kind} {getattr(item, 'name', item)}")
    for (schema, table), spellings in added.items():
        # In one statement: a generated column rewrites the table, and it is rewritten once.
        name = Identifier(schema, table).as_string()
        connection.exec_driver_sql(f"ALTER TABLE {name} {', '.join(f'ADD COLUMN {one}' for one in spellings)}")
    for index in indexes:
        index.create(connection, checkfirst=False)
    if refused:
        raise RuntimeError(
            "the database differs from the declared entities where only a written migration may change it: "
            + ", ".join(sorted(refused))
        )
    return [*done, *_comment(connection, entities)]


def _create_missing(connection: sa.Connection, entities: Sequence[Entity]) -> tuple[list[str], list[Entity]]:
    """Create the tables that are missing; return a line for each change, and the entities whose table was there.

    A comparison would come to the same, and take three times as long for an empty database.
    """
    schemas = {_schema(entity) for entity in entities}
    for schema in sorted(schema for schema in schemas if schema):
        connection.execute(sa.schema.CreateSchema(schema, if_not_exists=True))
    inspector = sa.inspect(connection)
    found = {(schema, name) for schema in schemas for name in inspector.get_table_names(schema=schema)}
    there = [entity for entity in entities if (_schema(entity), entity.table_name) in found]
    declared = metadata([entity for entity in entities if entity not in there])
    done = []
    for table in declared.tables.values():
        for column in table.columns:
            column.comment = None  # or each would cost a statement
        table.create(connection, checkfirst=False)
        done += [f"table {table.fullname}", *sorted(f"index {index.name}" for index in table.indexes)]
    return done, there


def _comment(connection: sa.Connection, entities: Sequence[Entity]) -> list[str]:
    """Write the comments that differ, all in one statement; return a line if there were any."""
    known = {
        (table, column): comment
        for table, column, comment in connection.execute(
            sa.text("""
                SELECT n.nspname || '.' || c.relname, a.attname, col_description(c.oid, a.attnum)
                FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
                    JOIN pg_namespace AS n ON n.oid = c.relnamespace
                WHERE n.nspname = ANY(:schemas) AND a.attnum > 0 AND NOT a.attisdropped
                """),
            {"schemas": list({entity.schema for entity in entities})},
        )
    }
    statements = [
        f"COMMENT ON COLUMN {Identifier(entity.schema, entity.table_name, name).as_string()} IS {quote(text)};"
        for entity in entities
        for name in entity.pg_types
        if known.get((f"{entity.schema}.{entity.table_name}", name)) != (text := column_texts.text(entity, name))
    ]
    if not statements:
        return []
    # Without parameters, so that % means itself.
    connection.execution_options(no_parameters=True).exec_driver_sql("\n".join(statements))
    return [f"comments of {len(statements)} column{'s' * (len(statements) != 1)}"]
