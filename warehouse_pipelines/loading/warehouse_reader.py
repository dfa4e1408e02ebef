"""What a source may ask the warehouse, for a ``fetch`` whose vendor cannot tell it (``model.reading.Known``)."""

import contextlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any

from psycopg import sql
from psycopg.rows import tuple_row

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import DatabaseUnavailable
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import Json, Window

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session


class WarehouseReader:
    """Reads keys, records and hashes; borrows a session with the first call, until the end of the block."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._borrowed = contextlib.ExitStack()
        self._session: Session | None = None
        self._ended = False

    def __enter__(self) -> "WarehouseReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended = True
        self._borrowed.__exit__(kind, error, traceback)

    def _open(self) -> "Session":
        """Return the session. Raises ``DatabaseUnavailable``, also once the block has ended: another may have it."""
        if self._ended:
            raise DatabaseUnavailable("the run has ended, so nothing can be asked for it")
        if self._session is None:
            self._session = self._borrowed.enter_context(warehouse.session(self._url))
        return self._session

    def keys(self, table: str) -> Iterator[str]:
        """Yield the keys of the living rows of ``table``, in order, without holding them all."""
        statement = sql.SQL("SELECT id FROM {} WHERE NOT archived ORDER BY id").format(_identifier(table))
        connection = self._open()
        with connection.transaction(), connection.cursor(name="keys") as cursor:
            cursor.itersize = 10_000
            for row in cursor.execute(statement):
                yield str(row["id"])

    def keys_in(self, entity: Entity, window: Window) -> Iterator[tuple[str, ...]]:
        """Yield the keys of the living rows whose cursor lies in ``window``, without holding them all.

        Of all when the window has no begin.
        """
        statement = sql.SQL("SELECT {} FROM {} t WHERE NOT t.archived").format(
            _texts(entity), _identifier(entity.table)
        )
        values: list[datetime] = []
        if entity.cursor and window.since is not None:
            statement += sql.SQL(" AND t.{0} >= %s AND t.{0} < %s").format(sql.Identifier(entity.cursor))
            values = [window.since, window.until]
        connection = self._open()
        with connection.transaction(), connection.cursor(name="keys_in", row_factory=tuple_row) as cursor:
            if values:
                # By the index of the cursor, whatever the statistics say.
                connection.execute("SET LOCAL enable_seqscan = off")
            cursor.itersize = 10_000
            yield from cursor.execute(statement, values)

    def archived(self, table: str, since: datetime) -> set[str]:
        """Return the keys of the rows that became archived in the vendor's words at ``since`` or later."""
        statement = sql.SQL(
            "SELECT id FROM {} WHERE archived AND delete_reason = 'archived' AND deleted_at >= %s"
        ).format(_identifier(table))
        return {str(row["id"]) for row in self._open().execute(statement, [since])}

    def records(self, table: str, keys: Sequence[str], key: str = "id", *, living: bool = False) -> dict[str, Json]:
        """Return the stored records of these ``keys``, by key; ``key`` names the column or columns.

        ``living`` leaves out those of archived rows.
        """
        columns = key.split()
        types = self._types(table, columns)
        parts = [name.split(" ", len(columns) - 1) for name in keys]
        wanted = [part for part in parts if len(part) == len(columns)]
        # Row by row, which OFFSET 0 sees to: no statistics can make a walk through the table of it.
        # And of a key of several columns the first row from the key to the key, as in ``StoredRows.place``.
        mine, theirs = (
            sql.SQL(", ").join(
                sql.SQL(f"{row}.{{}}{{}}").format(
                    sql.Identifier(name), sql.SQL("" if row == "t" else f"::{types[name]}")
                )
                for name in columns
            )
            for row in ("t", "w")
        )
        statement = sql.SQL("""
            SELECT concat_ws(' ', {texts}) AS key, t.record FROM unnest({arrays}) w ({names})
            CROSS JOIN LATERAL (
                SELECT t.raw_data::text AS record, t.archived FROM {table} t
                WHERE ({mine}) >= ({theirs}) AND ({mine}) <= ({theirs}) ORDER BY {mine} LIMIT 1
            ) t{living}
        """).format(
            texts=sql.SQL(", ").join(sql.Identifier("w", name) for name in columns),
            arrays=sql.SQL(", ").join([sql.SQL("%s::text[]")] * len(columns)),
            names=sql.SQL(", ").join(map(sql.Identifier, columns)),
            table=_identifier(table),
            mine=mine,
            theirs=theirs,
            living=sql.SQL(" WHERE NOT t.archived" if living else ""),
        )
        asked = [[part[n] for part in wanted] for n in range(len(columns))]
        return {row["key"]: row["record"].encode() for row in self._open().execute(statement, asked)}

    def _types(self, table: str, columns: Sequence[str]) -> dict[str, Any]:
        rows = self._open().execute(
            "SELECT attname, format_type(atttypid, atttypmod) AS type FROM pg_attribute"
            " WHERE attrelid = %s::regclass AND attname = ANY(%s)",
            [_identifier(table).as_string(), list(columns)],
        )
        return {row["attname"]: row["type"] for row in rows}

    def hashes(self, entity: Entity) -> Iterator[tuple[tuple[str, ...], int]]:
        """Yield key and ``sync_hash`` of the rows that the vendor had when they were last read, without holding them.

        Not among them are rows that were made here, and those that were missing. Text is in order of its bytes.
        """
        order = [
            sql.SQL('t.{} COLLATE "C"' if entity.pg_types[key].startswith("text") else "t.{}").format(
                sql.Identifier(key)
            )
            for key in entity.keys
        ]
        statement = sql.SQL(
            "SELECT {}, sync_hash FROM {} t WHERE sync_hash IS NOT NULL AND delete_reason IS DISTINCT FROM 'missing'"
            " ORDER BY {}"
        ).format(_texts(entity), _identifier(entity.table), sql.SQL(", ").join(order))
        connection = self._open()
        with connection.transaction(), connection.cursor(name="hashes", row_factory=tuple_row) as cursor:
            cursor.itersize = 10_000
            for *parts, digest in cursor.execute(statement):
                yield tuple(parts), digest

    def filled(self, entity: Entity, columns: Sequence[str]) -> set[str]:
        """Return those of these columns that have a value in any living row; the first such row ends the search.

        ``archived`` and ``deleted_at`` have one where the vendor's deleted flag tombstoned a row.
        """
        asked = [
            sql.SQL("EXISTS (SELECT FROM {} WHERE {}) AS {}").format(
                _identifier(entity.table),
                sql.SQL("archived AND delete_reason = 'archived'")
                if name in {"archived", "deleted_at"} - entity.columns.keys()
                else sql.SQL("{} IS NOT NULL AND NOT archived").format(sql.Identifier(name)),
                sql.Identifier(name),
            )
            for name in columns
        ]
        row = self._open().execute(sql.SQL("SELECT {}").format(sql.SQL(", ").join(asked))).fetchone() or {}
        return {name for name, found in row.items() if found}


def _texts(entity: Entity) -> sql.Composed:
    """Return the key's columns as texts."""
    return sql.SQL(", ").join(sql.SQL("t.{}::text").format(sql.Identifier(key)) for key in entity.keys)


def _identifier(table: str) -> sql.Identifier:
    schema, _, name = table.rpartition(".")
    return sql.Identifier(schema or "public", name)
