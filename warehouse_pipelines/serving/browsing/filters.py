"""What is asked of the rows of a table: ``amount.from:100``, ``email.starts:ada``, ``closed_on.empty``.

A filter asks what the visitor sees. Of a masked column that is the mask: who may not see an address cannot test a guess
of it either.

    is      equals; of a list, has the value
    starts  begins so, as it is spelled
    has     contains, whether in capitals or not
    from    is at least; of times, at that time or later
    to      is at most; of times, a day to its end
    empty   nothing is there, or an empty text; ``filled``: something is
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from psycopg import sql

from warehouse_pipelines.serving.browsing.table import Column, Table
from warehouse_pipelines.serving.problems import Refusal

OPERATORS: Mapping[str, str] = {
    "is": "is", "starts": "starts with", "has": "contains", "from": "is at least", "to": "is at most",
    "empty": "is empty", "filled": "is not empty",
}  # fmt: skip
SPELLED = re.compile(rf"(?P<column>.+?)\.(?P<operator>{'|'.join(OPERATORS)})(?::(?P<value>.*))?", re.DOTALL)
OF_KIND: Mapping[str, frozenset[str]] = {
    "text": frozenset({"is", "starts", "has", "empty", "filled"}),
    "list": frozenset({"is", "empty", "filled"}),
    "number": frozenset({"is", "from", "to", "empty", "filled"}),
    "time": frozenset({"is", "from", "to", "empty", "filled"}),
    "boolean": frozenset({"is", "empty", "filled"}),
    "uuid": frozenset({"is", "empty", "filled"}),
    "other": frozenset({"empty", "filled"}),
}
MOST = 8
LONGEST = 500
LAST_CHARACTER = 0x10FFFF
SURROGATES = range(0xD800, 0xE000)


@dataclass(frozen=True)
class Filter:
    """A condition on a column. ``seeks`` says whether an index finds its rows."""

    column: Column
    operator: str
    value: str
    condition: sql.Composable
    given: tuple[Any, ...]
    seeks: bool

    @property
    def spelled(self) -> str:
        """How it is written in an address."""
        return f"{self.column.name}.{self.operator}" + (f":{self.value}" if takes_value(self.operator) else "")


def takes_value(operator: str) -> bool:
    """Whether an operator compares with something."""
    return operator not in ("empty", "filled")


def own_rows(table: Table, organization_id: UUID, zone: ZoneInfo) -> tuple[Filter, ...]:
    """Return the filter that leaves out rows of other organizations, where no policy of the table does."""
    return (make(table, "organization_id", "is", str(organization_id), zone),) if table.has_rows_of_others else ()


def read(table: Table, spelled: str, zone: ZoneInfo) -> Filter:
    """Return the filter that is written so. Raises ``Refusal``, without repeating what was written."""
    found = SPELLED.fullmatch(spelled) if len(spelled) <= LONGEST + 100 else None
    if found is None:
        raise Refusal(422, f"A filter is written column.operator:value; operators are {', '.join(OPERATORS)}.")
    return make(table, found["column"], found["operator"], found["value"] or "", zone)


def make(table: Table, name: str, operator: str, value: str, zone: ZoneInfo) -> Filter:
    """Return a filter. Raises ``Refusal`` for a column that there is not, or a value that is none of its kind."""
    column = table.by_name.get(name)
    if column is None:
        raise Refusal(422, "The table has no such column to filter by.")
    if operator not in OF_KIND[column.kind]:
        may = ", ".join(said for one, said in OPERATORS.items() if one in OF_KIND[column.kind])
        raise Refusal(422, f"{column.name} is of the type {column.type}; it takes: {may}.")
    if len(value) > LONGEST or "\x00" in value:
        raise Refusal(422, f"A value is at most {LONGEST} characters, none of them NUL.")
    if takes_value(operator) and not value:
        raise Refusal(422, f"Say what {column.name} is compared with.")
    condition, given = _compose(column, operator, value, zone)
    seeks = column.indexed and (
        (operator in ("is", "from", "to") and column.kind != "list") or (operator == "starts" and column.bytewise)
    )
    return Filter(column, operator, value, condition, given, seeks)


def _compose(column: Column, operator: str, value: str, zone: ZoneInfo) -> tuple[sql.Composable, tuple[Any, ...]]:
    name = column.identifier
    if operator in ("empty", "filled"):
        word = sql.SQL("IS NULL" if operator == "empty" else "IS NOT NULL")
        if column.kind == "text":
            return sql.SQL("nullif({}, '') {}").format(name, word), ()
        if column.kind == "list":
            return sql.SQL("nullif({}, '{{}}') {}").format(name, word), ()
        return sql.SQL("{} {}").format(name, word), ()
    if operator == "starts":
        return _beginning(column, value)
    if operator == "has":
        pattern = re.sub(r"([\\%_])", r"\\\1", value)
        return sql.SQL("{} ILIKE %s").format(name), (f"%{pattern}%",)
    if column.kind == "list":
        return sql.SQL("%s = ANY ({})").format(name), (value,)
    if column.kind == "time":
        return _time(column, operator, value, zone)
    comparison = sql.SQL({"is": "=", "from": ">=", "to": "<="}[operator])
    pg_type, read_value = _reader(column)
    try:
        given = read_value(value)
    except (ValueError, InvalidOperation):
        raise Refusal(422, f"{column.name} is of the type {column.type}; the value is none of it.") from None
    return sql.SQL("{} {} %s::{}").format(name, comparison, sql.SQL(pg_type)), (given,)


def _reader(column: Column) -> tuple[str, Callable[[str], Any]]:
    """Return the type that a value is compared as, so that an index serves, and what reads one."""
    if column.type in ("smallint", "integer", "bigint"):
        return "bigint", _integer
    if column.type in ("double precision", "real"):
        return "float8", float
    if column.kind == "number":
        return "numeric", _decimal
    if column.kind == "boolean":
        return "boolean", _boolean
    if column.kind == "uuid":
        return "uuid", UUID
    return "text", str


def _integer(value: str) -> int:
    found = int(value.replace(",", ""))
    if not -(2**63) <= found < 2**63:
        raise ValueError(value)
    return found


def _decimal(value: str) -> Decimal:
    found = Decimal(value.replace(",", ""))
    if not found.is_finite() or abs(found.adjusted()) > 1000:
        raise ValueError(value)
    return found


def _boolean(value: str) -> bool:
    found = {"yes": True, "true": True, "no": False, "false": False}.get(value.lower())
    if found is None:
        raise ValueError(value)
    return found


def _beginning(column: Column, value: str) -> tuple[sql.Composable, tuple[Any, ...]]:
    """Compare with a beginning, as a range where texts are in the order of their bytes."""
    if not column.bytewise:
        return sql.SQL("starts_with({}, %s)").format(column.identifier), (value,)
    last = ord(value[-1]) + 1
    last = SURROGATES.stop if last in SURROGATES else last
    at_least = sql.SQL("{} >= %s::text").format(column.identifier)
    if last > LAST_CHARACTER:
        return at_least, (value,)
    return sql.SQL("({} AND {} < %s::text)").format(at_least, column.identifier), (value, value[:-1] + chr(last))


def _time(column: Column, operator: str, value: str, zone: ZoneInfo) -> tuple[sql.Composable, tuple[Any, ...]]:
    """Compare with a day or a time of the business's zone. A day has its end, so ``to`` a day includes it."""
    try:
        is_day = re.fullmatch(r"\d{4}-\d\d-\d\d", value) is not None
        at = datetime.fromisoformat(value)
        if column.type == "date":
            start: date = at.date()
            end = start + timedelta(days=1)
        else:
            # A timestamp without a zone is compared as it was written.
            local = zone if column.type.endswith("with time zone") else None
            start = at if at.tzinfo and local else at.replace(tzinfo=local)
            end = start + (timedelta(days=1) if is_day else timedelta(microseconds=1))
    except (ValueError, OverflowError):
        raise Refusal(422, f"{column.name} is compared with a day, such as 2026-03-31, or a time of it.") from None
    bounds: Sequence[tuple[str, date]] = {
        "from": ((">=", start),), "to": (("<", end),), "is": ((">=", start), ("<", end)),
    }[operator]  # fmt: skip
    parts = [
        sql.SQL("{} {} %s::{}").format(column.identifier, sql.SQL(sign), sql.SQL(column.type)) for sign, _ in bounds
    ]
    return sql.SQL("({})").format(sql.SQL(" AND ").join(parts)), tuple(bound for _, bound in bounds)
