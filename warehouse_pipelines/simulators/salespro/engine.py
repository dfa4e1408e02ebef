"""A query engine that speaks as much of Athena's SQL as a careful client uses: Trino's forms rewritten for SQLite.

It is strict where Athena is: a name that is not there, a text compared with a time, a text that is no time under a
CAST, a wrong number of parameters end the query with Athena's words for it. A table is filled when it is first asked
for, in a private database that SQLite spills to disk, so a large population costs no memory.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

TOKEN = re.compile(r"""\s+|'(?:[^']|'')*'|"(?:[^"]|"")*"|[A-Za-z_]\w*|\d+(?:\.\d+)?|>=|<=|<>|!=|\|\||.""", re.DOTALL)
TIME = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})(?: (\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,12}))?)?)?")
COMPARISONS = {"=", "<", ">", "<=", ">=", "<>", "!="}
STARTS = {"SELECT", "WITH", "SHOW", "DESCRIBE", "UNLOAD", "INSERT", "CREATE", "EXPLAIN"}
INFORMATION = "information_schema_columns"

HIVE_TO_TRINO = {"string": "varchar", "timestamp": "timestamp(3)", "bigint": "bigint"}


class MalformedQuery(Exception):
    """Refused before it starts."""


class QueryFailed(Exception):
    """Ends in FAILED; the text is the reason."""


@dataclass(frozen=True)
class Result:
    columns: tuple[str, ...]
    rows: Iterator[tuple[Any, ...]]
    scanned: int


def canonical(text: str) -> str | None:
    """A time as it is held, with milliseconds; None for what Trino does not cast."""
    match = TIME.fullmatch(text.strip())
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    try:
        at = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    return f"{at:%Y-%m-%d %H:%M:%S}.{(match[7] or '0')[:3].ljust(3, '0')}"


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
        tokens = [token for token in TOKEN.findall(text) if not token.isspace()]
        if not tokens or tokens[0].upper() not in STARTS:
            first = tokens[0] if tokens else "<EOF>"
            raise MalformedQuery(f"line 1:1: mismatched input '{first}'. Expecting: 'SELECT', 'WITH', ...")
        tokens = self._with_parameters(tokens, parameters or [])
        used = self._check_names(tokens)
        self._check_types(tokens, used)
        for table in sorted(used & self.denied):
            raise QueryFailed(f"Insufficient Lake Formation permission(s): Required Select on {table}")
        if INFORMATION in used:
            self._describe_all()
        for table in used - {INFORMATION}:
            self.need(table)
        statement = " ".join(self._rewritten(tokens, used))
        try:
            cursor = self.db.execute(statement)
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

    def _with_parameters(self, tokens: list[str], parameters: list[str]) -> list[str]:
        expected = tokens.count("?")
        if expected != len(parameters):
            raise QueryFailed(
                f"INVALID_PARAMETER_USAGE: line 1:1: Incorrect number of parameters: expected {expected} "
                f"but found {len(parameters)}"
            )
        given = iter(parameters)
        filled: list[str] = []
        for token in tokens:
            pasted = TOKEN.findall(next(given)) if token == "?" else [token]  # noqa: S105
            filled += [part for part in pasted if not part.isspace()]
        return filled

    def _check_names(self, tokens: list[str]) -> set[str]:
        """The tables of a query; a quoted name must be one of something."""
        used: set[str] = set()
        aliases: set[str] = set()
        for place, token in enumerate(tokens):
            if token.upper() in ("FROM", "JOIN") and tokens[place + 1] != "(":
                name, at = [_bare(tokens[place + 1])], place + 2
                while at + 1 < len(tokens) and tokens[at] == ".":
                    name.append(_bare(tokens[at + 1]))
                    at += 2
                if name[-2:] == ["information_schema", "columns"]:
                    used.add(INFORMATION)
                    continue
                if len(name) > 1 and name[-2] != self.database:
                    raise QueryFailed(f"SCHEMA_NOT_FOUND: line 1:15: Schema '{name[-2]}' does not exist")
                if name[-1] not in self.columns and name[-1] not in aliases:
                    raise QueryFailed(
                        f"TABLE_NOT_FOUND: line 1:15: Table 'awsdatacatalog.{self.database}.{name[-1]}' does not exist"
                    )
                used.add(name[-1])
            if token.upper() == "AS":
                aliases.add(_bare(tokens[place + 1]))
        known = {*self.columns, *aliases, self.database, "information_schema", "columns"}
        for table in used:
            known |= set(self.columns.get(table, _INFORMATION_COLUMNS))
        for token in tokens:
            if token[0] == '"' and _bare(token) not in known:
                raise QueryFailed(f"COLUMN_NOT_FOUND: line 1:8: Column '{_bare(token)}' cannot be resolved")
        return used

    def _check_types(self, tokens: list[str], used: set[str]) -> None:
        called = {
            _bare(tokens[place + 2]): _bare(tokens[place + 1])
            for place in range(len(tokens) - 2)
            if tokens[place].upper() in ("FROM", "JOIN") and re.fullmatch(r"[a-z]\w*", tokens[place + 2])
        }
        types: dict[str, str] = {}
        # What is called by no other name last: a column without one in front, or with that of a subquery, is of it.
        for table in sorted(used, key=lambda name: name not in called.values()):
            types |= self.columns.get(table, {})
        for alias, table in called.items():
            types |= {f"{alias}.{name}": type_ for name, type_ in self.columns.get(table, {}).items()}
        for place, token in enumerate(tokens[1:-1], 1):
            before = tokens[max(0, place - 3) : place]
            left = types.get(_bare(tokens[place - 1]))
            if before[1:2] == ["."]:
                left = types.get(f"{before[0]}.{_bare(before[2])}", left)
            if token not in COMPARISONS or left is None:
                continue
            right = _type_of(tokens[place + 1 :], types)
            mine = HIVE_TO_TRINO.get(left, left).partition("(")[0]
            if right is not None and right != mine and "varchar" in (right, mine):
                raise QueryFailed(f"TYPE_MISMATCH: line 1:1: Cannot apply operator: {mine} {token} {right}")

    def _rewritten(self, tokens: list[str], used: set[str]) -> Iterator[str]:
        """The tokens as SQLite has them."""
        arrays = {
            name
            for table in used
            for name, type_ in self.columns.get(table, {}).items()
            if type_.startswith(("array", "map", "struct"))
        }
        trying = 0
        closing: list[str] = []  # what stands for each open parenthesis when it closes
        place = 0
        while place < len(tokens):
            token, upper = tokens[place], tokens[place].upper()
            following = tokens[place + 1] if place + 1 < len(tokens) else ""
            if upper in ("TIMESTAMP", "DATE") and following.startswith("'"):
                found = canonical(following[1:-1])
                if found is None:
                    raise QueryFailed(f"INVALID_LITERAL: line 1:1: {following} is not a valid {token} literal")
                yield f"'{found}'"
                place += 2
                continue
            if upper in ("CAST", "TRY_CAST") and following == "(":
                yield from self._cast(tokens, place, trying or upper == "TRY_CAST", closing)
                place += 2
                continue
            if upper == "TRY" and following == "(":
                trying += 1
                closing.append("try")
                yield "("
                place += 2
                continue
            if upper == "FROM_ISO8601_TIMESTAMP":
                yield "try_trino_iso8601" if trying else "trino_iso8601"
            elif upper == "JSON_FORMAT":
                pass  # JSON is held as its text
            elif token == "(":  # noqa: S105
                closing.append("(")
                yield token
            elif token == ")":  # noqa: S105
                trying -= closing.pop() == "try" if closing else 0
                yield token
            elif upper == "AS" and closing and closing[-1].startswith("cast"):
                while tokens[place + 1] != ")":
                    place += 1
                    if tokens[place] == "(":
                        place = tokens.index(")", place)
            elif _bare(token) == "information_schema" and following == ".":
                yield INFORMATION
                place += 2
            elif _bare(token) == self.database and following == ".":
                place += 1
            elif _bare(token) in arrays and "cast json" not in closing and tokens[place - 1].upper() != "AS":
                yield f"trino_array({token}) AS {token}" if following in (",", "FROM", "from") else token
            else:
                yield token
            place += 1

    def _cast(self, tokens: list[str], place: int, trying: Any, closing: list[str]) -> Iterator[str]:
        depth, at = 0, place + 1
        kind = ""
        while True:
            depth += (tokens[at] == "(") - (tokens[at] == ")")
            if depth == 1 and tokens[at].upper() == "AS":
                kind = tokens[at + 1].lower()
            if depth == 0:
                break
            at += 1
        if kind not in ("timestamp", "varchar", "json"):
            raise QueryFailed(f"FUNCTION_NOT_FOUND: line 1:1: the simulator casts to no {kind}")
        closing.append(f"cast {kind}")
        if kind == "timestamp":
            yield "try_trino_timestamp" if trying else "trino_timestamp"
        yield "("

    def _describe_all(self) -> None:
        self.db.execute(f"DROP TABLE IF EXISTS {INFORMATION}")
        self.db.execute(f"CREATE TABLE {INFORMATION} ({', '.join(_INFORMATION_COLUMNS)})")
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


_INFORMATION_COLUMNS = ("table_schema", "table_name", "column_name", "ordinal_position", "data_type")


def _in_trino(type_: str) -> str:
    nested = type_.replace("<", "(").replace(">", ")").replace("struct", "row").replace("string", "varchar")
    return HIVE_TO_TRINO.get(type_, nested)


def _bare(token: str) -> str:
    return token[1:-1].replace('""', '"') if token[:1] == '"' else token.lower()


def _type_of(tokens: list[str], types: Mapping[str, str]) -> str | None:
    """The type of the operand that the tokens begin with: varchar, timestamp, bigint, None for what is not known."""
    first = tokens[0].upper()
    if tokens[0].startswith("'"):
        return "varchar"
    if first == "TIMESTAMP" and tokens[1].startswith("'"):
        return "timestamp"
    if first in ("CAST", "TRY_CAST"):
        kinds = [tokens[place + 1].lower() for place, token in enumerate(tokens[:12]) if token.upper() == "AS"]
        return kinds[0] if kinds else None
    declared = types.get(_bare(tokens[0]), "")
    if tokens[1:2] == ["."]:
        declared = types.get(f"{tokens[0]}.{_bare(tokens[2])}") or types.get(_bare(tokens[2]), "")
    return HIVE_TO_TRINO.get(declared, "").partition("(")[0] or None
