"""Tables, from the rows that declare them.

Nothing about a source table is written twice: ``metadata`` turns entities into SQLAlchemy tables, ``align`` adds to a
database what is declared and missing there. A column that is no longer declared stays, with its data; a column whose
type differs is refused with a message, because changing it needs a migration that somebody has read. One that the
installation added gets the type that ``config/columns.toml`` says now, where each of its values stays what it is.

One query of the catalog tells what is there. Alembic's comparison reflects every table and takes 2 s of processor time
for 120 tables, in every migration; this takes 0.1 s.
"""

import logging
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa
from psycopg.sql import Identifier, quote
from sqlalchemy.dialects.postgresql import JSONB

from warehouse_pipelines.errors import WrongUse
from warehouse_pipelines.model import column_texts
from warehouse_pipelines.model.accounts import declared_table
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.queries import query
from warehouse_pipelines.schema import account_views, masked_views, online, scripts

log = logging.getLogger("warehouse")

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

LONGEST_IN_PLACE = 4080
"""Bytes of a row that PostgreSQL neither compresses nor stores apart (``toast_tuple_target``): two of them fill a page.

Most records with their columns have more than the 2,000 bytes that it allows by itself: a load took half as long again,
to compress ``raw_data`` and, since JSON in this form hardly shrinks, to store most of it apart all the same. The price:
a table of contacts is 18 % larger, and what reads a column of all rows reads two and a half times as many pages.
"""

_REGTYPES = {"timestamptz": "timestamp with time zone"}
"""What PostgreSQL calls a type when asked, where that is not how we spell it."""


_SAME = {
    ("bigint", "numeric"): "true",
    ("numeric", "bigint"): "{0} = trunc({0}) AND abs({0}) < 1e18",
    ("bigint", "text"): "true",
    ("numeric", "text"): "true",
    ("uuid", "text"): "true",
    ("text", "bigint"): r"{0} ~ '^[+-]?\d{{1,18}}$'",
    ("text", "numeric"): r"{0} ~ '^[+-]?\d+(\.\d+)?$'",
    ("text", "uuid"): r"{0} ~* '^[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}$'",
}
"""By two types, the condition under which a value of the one is the same as the other. Of times none is: their zone."""


def metadata(entities: Sequence[Entity]) -> sa.MetaData:
    """Return the tables that ``entities`` declare, with their primary keys and indexes; columns without comments."""
    declared = sa.MetaData()
    for entity in entities:
        table = sa.Table(entity.table_name, declared, schema=_schema(entity))
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
                )
            )
        table.primary_key.name = f"{entity.table_name}_pkey"
        for name in entity.indexes:
            there = table.c[name].is_not(None) if name in entity.sparse else None
            sa.Index(index_name(entity.table_name, name), table.c[name], postgresql_where=there)
        # By which readers find what was loaded since they last looked: 0.1 ms, where a scan of 200,000 contacts took
        # 330. Rows that are written later lie together, so an index of ranges will do, which costs a loader nothing.
        sa.Index(
            index_name(entity.table_name, "sync_updated_at"),
            table.c["sync_updated_at"],
            postgresql_using="brin",
            postgresql_with={"autosummarize": "on"},
        )
        # By which retention and readers find deleted rows. It has no others, so a load of living rows never enters it.
        if "deleted_at" not in entity.indexes:
            sa.Index(
                index_name(entity.table_name, "deleted_at"), table.c["deleted_at"], postgresql_where=table.c["archived"]
            )
    return declared


def index_name(table: str, column: str) -> str:
    """Return the name of the index on one column, within PostgreSQL's 63 bytes."""
    return f"idx_{table}_{column}"[:63]


def _schema(entity: Entity) -> str | None:
    """``public`` is the default schema, which SQLAlchemy's reflection calls None."""
    return None if entity.schema == "public" else entity.schema


@dataclass(frozen=True)
class Difference:
    """What a database lacks of an entity's table, or has otherwise; ``name`` is that of the column or index."""

    entity: Entity
    what: Literal["table", "column", "index", "comment", "storage", "type", "nullability", "columns of index"]
    name: str = ""
    was: str = ""
    """The type that a column of another type has."""

    def __str__(self) -> str:
        name = f".{self.name}" if self.name else ""
        return f"{self.what} {self.entity.table}{name}"


_REFUSED = {"type", "nullability", "columns of index"}


@dataclass(frozen=True)
class _Found:
    """A table as the catalog has it."""

    comment: str | None
    columns: dict[str, tuple[str, bool, str | None]]
    """The type without its modifier, whether it is NOT NULL, and the comment."""
    indexes: dict[str, tuple[bool, list[str | None]]]
    """Whether it is unique, and its columns."""
    stored_as_said: bool
    """Whether the table has a ``toast_tuple_target``; another one than ours is that of an administrator."""


def differences(connection: sa.Connection, entities: Sequence[Entity]) -> list[Difference]:
    """Return what the database lacks or has otherwise; empty when it is right.

    Tables and columns of which no entity speaks are none of our business and are not compared.
    """
    found = _found(connection, entities)
    return [difference for entity in entities for difference in _differences(entity, found.get(entity.table))]


def _found(connection: sa.Connection, entities: Sequence[Entity]) -> dict[str, _Found]:
    """Return the tables that are there, by the name that the entity has for them."""
    names = {(entity.schema, entity.table_name): entity.table for entity in entities}
    asked = {"schemas": [schema for schema, _ in names], "names": [name for _, name in names]}
    rows = connection.exec_driver_sql(query("declared_tables"), asked)
    return {
        names[schema, name]: _Found(comment, columns or {}, indexes or {}, stored_as_said)
        for schema, name, comment, columns, indexes, stored_as_said in rows
    }


def _differences(entity: Entity, found: _Found | None) -> Iterator[Difference]:
    if found is None:
        yield Difference(entity, "table")
        return
    for name, spelled in entity.pg_types.items():
        if name not in found.columns:
            yield Difference(entity, "column", name)
        else:
            type_, not_null, comment = found.columns[name]
            if type_ != _REGTYPES.get(declared := spelled.split(" ")[0], declared):
                yield Difference(entity, "type", name, type_)
            if not_null != ("NOT NULL" in spelled):
                yield Difference(entity, "nullability", name)
            if comment != column_texts.text(entity, name):
                yield Difference(entity, "comment", name)
    for name in dict.fromkeys((*entity.indexes, "sync_updated_at", "deleted_at")):
        index = index_name(entity.table_name, name)
        if index not in found.indexes:
            yield Difference(entity, "index", index)
        elif [*found.indexes[index]] != [False, [name]]:
            yield Difference(entity, "columns of index", index)
    if (found.comment or "") != column_texts.of_table(entity):
        yield Difference(entity, "comment")
    if not found.stored_as_said:
        yield Difference(entity, "storage")


def align(
    connection: sa.Connection, entities: Sequence[Entity], *, indexes: bool = True, largest: int | None = None
) -> list[str]:
    """Create what is declared and missing; return a line for each change, none when there was nothing to do.

    Without ``indexes`` those that are missing on tables that are there are left to ``missing_indexes``.

    Raises ``RuntimeError`` when a column exists with another type or nullability, or an index on other columns, and
    ``WrongUse`` when a column would rewrite a table of more than ``largest`` rows, or one that the installation added
    has values that are none of its type.
    """
    found: dict[str, list[Difference]] = defaultdict(list)
    for difference in differences(connection, entities):
        found[difference.what].append(difference)
    of_ours = [difference for difference in found["type"] if difference.name in difference.entity.local.added]
    found["type"] = [difference for difference in found["type"] if difference not in of_ours]
    if refused := [str(difference) for what in _REFUSED for difference in found[what]]:
        raise RuntimeError(
            "the database differs from the declared entities where only a written migration may change it: "
            + ", ".join(sorted(refused))
        )
    if largest is not None:
        _refuse_rewrites(connection, [*found["column"], *of_ours], largest)
    missing = [difference.entity for difference in found["table"]]
    done = [
        *_create_tables(connection, missing),
        *_add_columns(connection, found["column"]),
        *_change_types(connection, of_ours),
        *(_create_indexes(connection, found["index"]) if indexes else []),
        *_set_storage(connection, [difference.entity for difference in found["storage"]]),
    ]
    comments = [
        *((entity, "") for entity in missing if column_texts.of_table(entity)),
        *((entity, name) for entity in missing for name in entity.pg_types),
        *((difference.entity, difference.name) for difference in (*found["column"], *found["comment"])),
    ]
    _run(connection, [_comment(entity, name) for entity, name in comments])
    if columns := sum(bool(name) for _, name in comments):
        done.append(f"comments of {columns} column{'s' * (columns != 1)}")
    return done


def _create_tables(connection: sa.Connection, entities: Sequence[Entity]) -> list[str]:
    schemas = sorted({entity.schema for entity in entities} - {"public"})
    statements: list[Any] = [sa.schema.CreateSchema(schema, if_not_exists=True) for schema in schemas]
    done = []
    for table in metadata(entities).tables.values():
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        statements += [sa.schema.CreateTable(table), *map(sa.schema.CreateIndex, indexes)]
        done += [f"table {table.fullname}", *(f"index {index.name}" for index in indexes)]
    _run(connection, [_compiled(connection, statement) for statement in statements])
    _set_storage(connection, entities)
    return done


def _add_columns(connection: sa.Connection, missing: Sequence[Difference]) -> list[str]:
    """Add the columns, those of a table in one statement: a generated column rewrites it, and it is rewritten once."""
    added: dict[str, list[str]] = defaultdict(list)
    done = []
    declared = _tables_of(missing)
    for entity, name in ((difference.entity, difference.name) for difference in missing):
        column = declared[entity.table].c[name]
        added[entity.identifier.as_string()].append(
            f"ADD COLUMN {_compiled(connection, sa.schema.CreateColumn(column))}"
        )
        here = " (config/columns.toml)" if name in (*entity.local.added, *entity.local.renamed) else ""
        done.append(f"column {entity.table_name}.{name}{here}")
    _run(connection, [f"ALTER TABLE {table} {', '.join(columns)}" for table, columns in added.items()])
    return done


def _change_types(connection: sa.Connection, others: Sequence[Difference]) -> list[str]:
    """Give the columns their type, with their values; return a line for each.

    The views that show them are dropped, and made again by what follows in a migration.
    """
    statements, done = [], []
    for difference in others:
        entity, name = difference.entity, difference.name
        table, column = entity.identifier.as_string(), Identifier(name).as_string()
        type_ = entity.pg_types[name]
        same = _SAME.get((difference.was, type_))
        other = f"NOT ({same.format(column)})" if same else f"{column} IS NOT NULL"
        if scripts.run(connection, f"SELECT EXISTS (SELECT FROM {table} WHERE {other})").scalar():  # noqa: S608
            raise WrongUse(
                f"config/columns.toml says {entity.columns[name].kind} of {entity.table}.{name}, which is"
                f" {difference.was} and has values that are no {type_}. Keep them under another name, by ALTER TABLE"
                f" {table} RENAME COLUMN {column} TO {Identifier(f'{name}_before').as_string()}; then migrate, and"
                " sync the entity with --full."
            )
        using = f"{column}::{type_}" if same else f"NULL::{type_}"
        statements.append(f"ALTER TABLE {table} ALTER COLUMN {column} TYPE {type_} USING {using}")
        done.append(f"type of {entity.table_name}.{name}: {type_} (config/columns.toml)")
    if statements:
        _drop_views(connection, [difference.entity for difference in others])
    _run(connection, statements)
    return done


def _drop_views(connection: sa.Connection, entities: Sequence[Entity]) -> None:
    names = {declared_table(entity).rpartition(".")[2] for entity in entities}
    masked = {masked_views.name_of(account_views.SCHEMA, name) for name in names}
    masked |= {masked_views.name_of(entity.schema, entity.table_name) for entity in entities}
    masked_views.drop(connection, masked)
    account_views.drop(connection, names)


def _create_indexes(connection: sa.Connection, missing: Sequence[Difference]) -> list[str]:
    indexes = {str(index.name): index for table in _tables_of(missing).values() for index in table.indexes}
    statements = [sa.schema.CreateIndex(indexes[difference.name]) for difference in missing]
    _run(connection, [_compiled(connection, statement) for statement in statements])
    return [f"index {difference.name}" for difference in missing]


def _set_storage(connection: sa.Connection, entities: Sequence[Entity]) -> list[str]:
    """Set how long a row may be, which holds for the rows that are written from now on."""
    names = [entity.identifier.as_string() for entity in entities]
    _run(connection, [f"ALTER TABLE {name} SET (toast_tuple_target = {LONGEST_IN_PLACE})" for name in names])
    return [f"storage of {len(names)} table{'s' * (len(names) != 1)}"] if names else []


def missing_indexes(connection: sa.Connection, entities: Sequence[Entity]) -> list[online.Index]:
    """Return the indexes that are declared, and missing or invalid, of tables that are there."""
    missing = [difference for difference in differences(connection, entities) if difference.what == "index"]
    declared = {str(index.name): index for table in _tables_of(missing).values() for index in table.indexes}
    found = []
    for difference in missing:
        statement = _compiled(connection, sa.schema.CreateIndex(declared[difference.name]))
        what = re.fullmatch(r"CREATE INDEX \S+ ON \S+ (.+)", statement, re.DOTALL)
        assert what is not None  # noqa: S101  (SQLAlchemy's form)
        entity = difference.entity
        found.append(online.Index(difference.name, f"{entity.schema}.{entity.table_name}", what[1]))
    return found


def _refuse_rewrites(connection: sa.Connection, missing: Sequence[Difference], largest: int) -> None:
    """Raise ``WrongUse`` for what PostgreSQL rewrites a large table for, while nobody reads.

    A generated column that is added, and one that gets another type.
    """
    for difference in missing:
        entity = difference.entity
        if difference.what == "column" and "GENERATED" not in entity.pg_types[difference.name]:
            continue
        rows = connection.scalar(
            sa.text("SELECT reltuples::bigint FROM pg_class WHERE oid = to_regclass(:name)"),
            {"name": entity.identifier.as_string()},
        )
        if rows and rows > largest:
            what = "Adding" if difference.what == "column" else "Changing the type of"
            raise WrongUse(
                f"{what} the column {entity.table_name}.{difference.name} rewrites a table of about {rows:,} rows, and "
                "nobody can read it meanwhile. `warehouse migrate --plan` says for how long; "
                "`warehouse migrate --rewrite` does it."
            )


def _tables_of(differences: Sequence[Difference]) -> dict[str, sa.Table]:
    """Return the declared tables in which something differs, by the name that the entity has for them."""
    entities = {difference.entity.table: difference.entity for difference in differences}
    return dict(zip(entities, metadata([*entities.values()]).tables.values(), strict=True))


def _compiled(connection: sa.Connection, statement: Any) -> str:
    return str(statement.compile(dialect=connection.dialect))


def _comment(entity: Entity, name: str) -> str:
    """Return the statement that writes the comment of a column, or without a name that of the table."""
    if not name:
        table = entity.identifier.as_string()
        return f"COMMENT ON TABLE {table} IS {quote(column_texts.of_table(entity))}"
    column = Identifier(entity.schema, entity.table_name, name).as_string()
    return f"COMMENT ON COLUMN {column} IS {quote(column_texts.text(entity, name))}"


def _run(connection: sa.Connection, statements: Sequence[str]) -> None:
    """Send all statements at once."""
    if statements:
        scripts.run(connection, ";\n".join(statements))
