"""A query in as much of Athena's SQL as a careful client uses, checked as Athena does and rewritten for SQLite.

It is strict where Athena is: a name that is not there, a text compared with a time, a wrong number of parameters are
errors with Athena's words for them.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

TOKEN = re.compile(r"""\s+|'(?:[^']|'')*'|"(?:[^"]|"")*"|[A-Za-z_]\w*|\d+(?:\.\d+)?|>=|<=|<>|!=|\|\||.""", re.DOTALL)
TIME = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})(?: (\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,12}))?)?)?")
COMPARISONS = {"=", "<", ">", "<=", ">=", "<>", "!="}
STARTS = {"SELECT", "WITH", "SHOW", "DESCRIBE", "UNLOAD", "INSERT", "CREATE", "EXPLAIN"}
INFORMATION = "information_schema_columns"

INFORMATION_COLUMNS = ("table_schema", "table_name", "column_name", "ordinal_position", "data_type")

HIVE_TO_TRINO = {"string": "varchar", "timestamp": "timestamp(3)", "bigint": "bigint"}


class MalformedQuery(Exception):
    """Refused before it starts."""


class QueryFailed(Exception):
    """Ends in FAILED; the text is the reason."""


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


class Query:
    """One query on a database of tables with these columns. Raises ``MalformedQuery`` and ``QueryFailed``."""

    def __init__(
        self, text: str, parameters: list[str], database: str, columns: Mapping[str, Mapping[str, str]]
    ) -> None:
        self.database, self.columns = database, columns
        tokens = [token for token in TOKEN.findall(text) if not token.isspace()]
        if not tokens or tokens[0].upper() not in STARTS:
            first = tokens[0] if tokens else "<EOF>"
            raise MalformedQuery(f"line 1:1: mismatched input '{first}'. Expecting: 'SELECT', 'WITH', ...")
        self._tokens = _with_parameters(tokens, parameters)
        self.tables = self._check_names(self._tokens)
        self._check_types(self._tokens, self.tables)

    def sqlite(self) -> str:
        """Return the query as SQLite has it."""
        return " ".join(self._rewritten(self._tokens, self.tables))

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
            known |= set(self.columns.get(table, INFORMATION_COLUMNS))
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


def _with_parameters(tokens: list[str], parameters: list[str]) -> list[str]:
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
