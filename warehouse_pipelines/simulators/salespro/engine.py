"""The query engine of the simulated Athena: runs a ``trino_query`` in SQLite.

A text that is no time under a CAST ends the query with Athena's words for it. A table is filled when it is first asked
for, in a private database that SQLite spills to disk, so a large population costs no memory.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from warehouse_pipelines.simulators.salespro.trino_query import (
    HIVE_TO_TRINO,
    INFORMATION,
    INFORMATION_COLUMNS,
    MalformedQuery,
    Query,
    QueryFailed,
    canonical,
)


@dataclass(frozen=True)
class Result:
    columns: tuple[str, ...]
    rows: Iterator[tuple[Any, ...]]
    scanned: int


def _cast_timestamp(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise QueryFailed("TYPE_MISMATCH: line 1:1: Cannot cast integer to timestamp(3)")
    found = canonical(value)
    if found is None:
        raise QueryFailed(f"INVALID_CAST_ARGUMENT: Value cannot be cast to timestamp: {value}")
    return found


def _from_iso8601(value: str | None) -> str | None:
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        raise QueryFailed(f'INVALID_FUNCTION_ARGUMENT: Invalid format: "{value}"') from None
    return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d}"


def _array_text(value: str | None) -> str | None:
    return None if value is None else f"[{', '.join(map(str, json.loads(value)))}]"


def _tried(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def attempt(value: Any) -> Any:
        try:
            return function(value)
        except QueryFailed:
            return None

    return attempt


class Engine:
    """The tables of one database; ``fill`` yields the rows of a table."""

    def __init__(
        self,
        database: str,
        columns: Mapping[str, Mapping[str, str]],
        fill: Callable[[str], Iterable[Mapping[str, Any]]],
    ) -> None:
        self.database = database
        self.columns = {table: dict(types) for table, types in columns.items()}
        self._fill = fill
        self._filled: set[str] = set()
        self.denied: set[str] = set()
        self._failure: QueryFailed | None = None
        self.db = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        functions: dict[str, Callable[[Any], Any]] = {
            "trino_timestamp": _cast_timestamp,
            "trino_iso8601": _from_iso8601,
        }
        for name, function in functions.items():
            self.db.create_function(name, 1, self._noting(function), deterministic=True)
            self.db.create_function(f"try_{name}", 1, _tried(function), deterministic=True)
        self.db.create_function("trino_array", 1, _array_text, deterministic=True)

    def _noting(self, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """SQLite tells that a function failed, not why."""

        def noted(value: Any) -> Any:
            try:
                return function(value)
            except QueryFailed as failure:
                self._failure = failure
                raise

        return noted

    def need(self, table: str) -> None:
        """Fill a table if it is not."""
        if table in self._filled:
            return
        names = list(self.columns[table])
        quoted = ", ".join(f'"{name}"' for name in names)
        self.db.execute(f'CREATE TABLE "{table}" ({quoted})')
        self._filled.add(table)
        rows = (tuple(row.get(name) for name in names) for row in self._fill(table))
        self.db.execute("BEGIN")
        self.db.executemany(f'INSERT INTO "{table}" VALUES ({", ".join("?" * len(names))})', rows)
        self.db.execute("COMMIT")

    def recreate(self, table: str, types: Mapping[str, str]) -> None:
        """Declare other columns or types for a table; what it holds under the old names stays."""
        self.need(table)
        for name in types.keys() - self.columns[table].keys():
            self.db.execute(f'ALTER TABLE "{table}" ADD COLUMN "{name}"')
        for name in self.columns[table].keys() - types.keys():
            self.db.execute(f'ALTER TABLE "{table}" DROP COLUMN "{name}"')
        self.columns[table] = dict(types)

    def drop(self, table: str) -> None:
        del self.columns[table]

    def run(self, text: str, parameters: list[str] | None = None) -> Result:
        """Start a query; its rows come as they are read."""
        query = Query(text, parameters or [], self.database, self.columns)
        used = query.tables
        for table in sorted(used & self.denied):
            raise QueryFailed(f"Insufficient Lake Formation permission(s): Required Select on {table}")
        if INFORMATION in used:
            self._describe_all()
        for table in used - {INFORMATION}:
            self.need(table)
        try:
            cursor = self.db.execute(query.sqlite())
        except sqlite3.OperationalError as error:
            raise self._said(error) from error
        names = tuple(column[0] for column in cursor.description or ())
        return Result(names, self._rows(cursor), self._scanned(used, len(names)))

    def _rows(self, cursor: sqlite3.Cursor) -> Iterator[tuple[Any, ...]]:
        try:
            yield from cursor
        except sqlite3.OperationalError as error:
            raise self._said(error) from error

    def _said(self, error: sqlite3.OperationalError) -> Exception:
        failure, self._failure = self._failure, None
        if failure is not None:
            return failure
        if "no such column" in str(error):
            name = str(error).rpartition(": ")[2]
            return QueryFailed(f"COLUMN_NOT_FOUND: line 1:8: Column '{name}' cannot be resolved")
        if "no such function" in str(error):
            name = str(error).rpartition(": ")[2]
            return QueryFailed(f"FUNCTION_NOT_FOUND: line 1:8: Function '{name}' not registered")
        return MalformedQuery(f"line 1:1: {error}")

    def _describe_all(self) -> None:
        self.db.execute(f"DROP TABLE IF EXISTS {INFORMATION}")
        self.db.execute(f"CREATE TABLE {INFORMATION} ({', '.join(INFORMATION_COLUMNS)})")
        rows = [
            (self.database, table, name, place, _in_trino(type_))
            for table, types in self.columns.items()
            for place, (name, type_) in enumerate(types.items(), 1)
        ]
        self.db.executemany(f"INSERT INTO {INFORMATION} VALUES (?, ?, ?, ?, ?)", rows)

    def _scanned(self, used: set[str], columns: int) -> int:
        """Columnar storage: what a column of so many rows takes, about; nothing for the catalogue."""
        tables = used - {INFORMATION}
        return sum(9 * columns * self.count(table) for table in tables)

    def count(self, table: str) -> int:
        self.need(table)
        found = self.db.execute(f'SELECT count(*) FROM "{table}"').fetchone()
        return int(found[0])


def _in_trino(type_: str) -> str:
    nested = type_.replace("<", "(").replace(">", ")").replace("struct", "row").replace("string", "varchar")
    return HIVE_TO_TRINO.get(type_, nested)
