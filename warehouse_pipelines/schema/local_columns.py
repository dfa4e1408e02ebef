"""What ``config/columns.toml`` means for tables that are there: renamed columns, and values stored before.

``rename`` and ``stored_in_clear`` are part of every migration. ``redact`` is asked for (``warehouse migrate --redact``)
and cannot be undone: it hashes in place what is stored in clear, takes what is dropped out of ``raw_data`` and the dead
letters, and drops the columns. Rows that a later read changes are the loader's.
"""

import logging
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import sqlalchemy as sa
from psycopg import sql
from psycopg.rows import tuple_row

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import WrongUse
from warehouse_pipelines.loading import kept_redactions
from warehouse_pipelines.loading.hash_and_drop import HASH, Redactor, redactor, scrubbed
from warehouse_pipelines.model.column_texts import RENAMED
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.queries import query
from warehouse_pipelines.schema import online, remade_views, scripts
from warehouse_pipelines.schema.tables import index_name

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

log = logging.getLogger("warehouse")

AT_ONCE = 5_000
"""Rows that are read, hashed and written at a time."""


def require_redacted(connection: sa.Connection, entities: Sequence[Entity]) -> None:
    """Raise ``NotConfigured`` when a table keeps a column as a hash or not at all, and the file does not say so."""
    found: dict[str, list[kept_redactions.Kept]] = {}
    for table, column, done in connection.exec_driver_sql(*kept_redactions.asked(entities)):
        found.setdefault(table, []).append((column, done))
    for entity in entities:
        kept_redactions.refuse_clear(entity, found.get(kept_redactions.quoted(entity), []))


def rename(connection: sa.Connection, entities: Sequence[Entity]) -> list[str]:
    """Rename the columns that the file calls otherwise, with their indexes; return a line for each.

    One that the file called otherwise before, and does no more, has its declared name again first: its comment says
    what it was called.

    Raises ``WrongUse`` when the table has both names: the new one holds values that were another column's, or were
    loaded before the line was taken out of the file.
    """
    before = _renamed_before(connection)
    done = []
    for entity in entities:
        marked = before.get((entity.schema, entity.table_name), {})
        there = _columns(connection, entity) if marked or entity.local.renamed else set()
        for new, old in marked.items():
            if entity.local.renamed.get(new) != old and old not in there:
                done.append(_rename(connection, entity, new, old))
                there = there - {new} | {old}
        for new, old in entity.local.renamed.items():
            if old not in there:
                continue
            if new in there:
                raise WrongUse(
                    f"config/columns.toml renames {entity.table}.{old} to {new}, and the table has a column {new} "
                    "already, with values of before. Keep it under another name, or drop it, in SQL; then migrate, "
                    "and sync the entity with --full."
                )
            done.append(_rename(connection, entity, old, new))
    return done


def _rename(connection: sa.Connection, entity: Entity, old: str, new: str) -> str:
    table = entity.identifier.as_string()
    names = [sql.Identifier(name).as_string() for name in (old, new)]
    scripts.run(connection, f"ALTER TABLE {table} RENAME COLUMN {names[0]} TO {names[1]}")
    before, after = (
        sql.Identifier(entity.schema, index_name(entity.table_name, old)),
        sql.Identifier(index_name(entity.table_name, new)),
    )
    scripts.run(connection, f"ALTER INDEX IF EXISTS {before.as_string()} RENAME TO {after.as_string()}")
    return f"column {entity.table}.{old} renamed to {new} (config/columns.toml)"


def _renamed_before(connection: sa.Connection) -> dict[tuple[str, str], dict[str, str]]:
    """Return what columns were called before a migration renamed them, by schema and table and present name."""
    pattern = re.escape(RENAMED).replace(re.escape("{}"), "(.+)") + "$"
    found: dict[tuple[str, str], dict[str, str]] = {}
    for schema, table, column, old in connection.exec_driver_sql(query("renamed_columns"), {"pattern": pattern}):
        found.setdefault((schema, table), {})[column] = old
    return found


def stored_in_clear(connection: sa.Connection, entities: Sequence[Entity]) -> list[str]:
    """Return a sentence for each table that holds values which the file hashes or drops."""
    found = []
    for entity in entities:
        if not (entity.local.hashed or entity.local.dropped):
            continue
        there = _columns(connection, entity)
        clear = [name for name in sorted(entity.local.hashed & there) if _has_clear(connection, entity, name)]
        dropped = sorted(_dropped(entity) & there)
        phrases = [f"{', '.join(clear)} in clear, to be hashed"] if clear else []
        phrases += [f"{', '.join(dropped)}, dropped and no longer written"] if dropped else []
        if phrases:
            found.append(
                f"{entity.table} still holds {' and '.join(phrases)} (config/columns.toml). They stay until "
                "`warehouse migrate --redact` rewrites the rows and removes the columns, which cannot be undone."
            )
    return found


def redact(url: str, sources: Sequence[Source]) -> list[str]:
    """Hash and remove what is stored of the columns that the file hashes or drops; return a line for each table.

    A transaction for the rows of each table, and then its columns; safe to repeat.

    Raises ``NotConfigured`` without a key to hash with, ``DatabaseUnavailable``, also where others use a table so long
    that its columns cannot be removed, and ``WrongUse`` where a view of somebody else's has such a column.
    """
    done = []
    for source in sources:
        for entity in source.entities:
            redacting = redactor(entity)
            if redacting is None:
                continue
            with remade_views.naming_views_of_others(url), warehouse.connect(url) as connection:
                with connection.transaction():
                    if source.mirrored:  # as the loader does, so that triggers do not take it for an edit
                        connection.execute("SET LOCAL session_replication_role = replica")
                    rows = sum(_rewritten(connection, entity, redacting))
                    dead_letters = _redact_dead_letters(connection, source, entity, redacting)
                    _forget_changes(connection, entity)
                columns = _remove_dropped(connection, entity)
            if rows or dead_letters or columns:
                without = f", without {', '.join(columns)}" if columns else ""
                done.append(f"{entity.table}: {rows:,} rows and {dead_letters:,} dead letters redacted{without}")
    return done


def _rewritten(connection: "Session", entity: Entity, redacting: Redactor) -> Iterator[int]:
    """Rewrite the rows whose record has something to take out, and yield how many.

    ``sync_hash`` becomes 0, so that the next read compares them.
    """
    table = entity.identifier
    kinds = {name: entity.columns[name].kind for name in entity.local.hashed}
    kinds |= dict.fromkeys((name for name, phone in entity.e164.items() if phone in entity.local.hashed), "phone")
    documents = [name for name, type_ in entity.pg_types.items() if type_ == "jsonb"]
    assigned = [*kinds, *documents, "raw_data"]
    texts = [sql.SQL("{}::text").format(sql.Identifier(name)) for name in assigned]
    keys = [sql.Identifier(key) for key in entity.keys]
    update = sql.SQL("UPDATE {} SET {}, sync_hash = 0, sync_updated_at = now() WHERE {}").format(
        table,
        sql.SQL(", ").join(
            sql.SQL("{} = %s::{}").format(sql.Identifier(name), sql.SQL("text" if name in kinds else "jsonb"))
            for name in assigned
        ),
        sql.SQL(" AND ").join(sql.SQL("{} = %s").format(key) for key in keys),
    )
    with connection.cursor(name="stored", row_factory=tuple_row) as stored, connection.cursor() as writing:
        stored.itersize = AT_ONCE
        stored.execute(
            sql.SQL("SELECT {} FROM {} WHERE sync_hash IS NOT NULL FOR UPDATE").format(
                sql.SQL(", ").join([*texts, *keys]), table
            )
        )
        rows = iter(stored)
        while some := list(islice(rows, AT_ONCE)):
            changed = []
            for row in some:
                before = dict(zip(assigned, row, strict=False))
                record, found = redacting.redacted(str(before["raw_data"]).encode())
                after = {
                    name: redacting.hashed(str(value), kinds[name])
                    if name in kinds
                    else scrubbed(str(value).encode(), found).decode()
                    for name, value in before.items()
                    if value is not None
                } | {"raw_data": record.decode()}
                if any(after.get(name) != value for name, value in before.items()):
                    changed.append([*(after.get(name) for name in assigned), *row[len(assigned) :]])
            if changed:
                writing.executemany(update, changed)
            yield len(changed)


def _redact_dead_letters(connection: "Session", source: Source, entity: Entity, redacting: Redactor) -> int:
    """Rewrite the payloads, whose key stays, and return how many."""
    found = connection.execute(
        "SELECT id, payload::text AS payload FROM orchestration.dead_letter WHERE crm_source = %s AND sync_type = %s",
        [source.name, entity.name],
    ).fetchall()
    records = [(row["id"], row["payload"]) for row in found]
    changed = [[kept, number] for number, raw in records if (kept := redacting.record(raw.encode()).decode()) != raw]
    with connection.cursor() as writing:
        for payload, number in changed:  # one by one: two may have become the same, and are one then
            writing.execute(query("redact_dead_letter"), [payload, number, f"{source.name} {entity.name}"])
    return len(changed)


def _forget_changes(connection: "Session", entity: Entity) -> None:
    """Delete what is logged of changes: documents among the old values may hold what is hashed or dropped now."""
    connection.execute("DELETE FROM orchestration.change_log WHERE table_name = %s", [entity.table])


def _remove_dropped(connection: "Session", entity: Entity) -> list[str]:
    """Remove the columns that are dropped, without keeping out others for long, and return their names."""
    columns = [
        row["attname"]
        for row in connection.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0"
            " AND NOT attisdropped AND attname = ANY(%s) ORDER BY attnum",
            [entity.identifier.as_string(), list(_dropped(entity))],
        )
    ]
    if columns:
        statement = sql.SQL("ALTER TABLE {} {}").format(
            entity.identifier,
            sql.SQL(", ").join(sql.SQL("DROP COLUMN {}").format(sql.Identifier(name)) for name in columns),
        )
        online.patiently(connection, f"Changing {entity.table}", lambda: connection.execute(statement))
    return columns


def _has_clear(connection: sa.Connection, entity: Entity, name: str) -> bool:
    statement = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {} !~ {})").format(
        entity.identifier, sql.Identifier(name), sql.Literal(f"^{HASH.pattern}$")
    )
    return bool(scripts.run(connection, statement.as_string()).scalar())


def _dropped(entity: Entity) -> set[str]:
    """Return the columns of the table that are dropped; not one whose name another column has now."""
    phones = {f"{name}_e164" for name, column in entity.local.dropped.items() if column.kind == "phone"}
    return (entity.local.dropped.keys() | phones) - entity.pg_types.keys()


def _columns(connection: sa.Connection, entity: Entity) -> set[str]:
    there = sa.text(
        "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(:name) AND attnum > 0 AND NOT attisdropped"
    )
    return set(connection.scalars(there, {"name": entity.identifier.as_string()}))
