"""SQL of how rows of ``people_rows``, ``lead_rows`` and ``activity_rows`` say that a value is found, see ``people``.

Columns are named as they are declared; what ``config/columns.toml`` renamed is found by its new name. A column that it
drops is null, and so is one that it hashes, because a hash is no word, no amount, no name and no number, and must not
reach ``crm`` as if it were one.
"""

import functools
from collections.abc import Iterable, Sequence

from psycopg import sql

from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.rules import KINDS
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines.unified.crm_views import CRM_VIEWS
from warehouse_pipelines.unified.identity import entered
from warehouse_pipelines.unified.people import (
    Join,
)

RAW = "raw_data:"
"""What stands before a path in the record, in place of a column."""


@functools.cache
def entities() -> dict[str, Entity]:
    """Return the entities of this installation by their tables, and the views of crm that are read like these."""
    of_sources = [entity for source in SOURCES for entity in source.entities]
    return {entity.table: entity for entity in (*CRM_VIEWS, entered.ENTITY, *of_sources)}


def table(name: str) -> sql.Composable:
    """Return the name of a table, with its schema."""
    return entities()[name].identifier


def as_declared(name: str) -> sql.Composable | None:
    """Return a SELECT of a table under the names that its columns are declared by; None where these are its own."""
    entity = entities()[name]
    local = entity.local
    if not (local.renamed or local.dropped or local.hashed):
        return None
    found: list[sql.Composable] = []
    for column in entity.pg_types:
        spelled = entity.e164.get(column, column)
        declared = local.renamed.get(spelled, spelled) + ("_e164" if spelled != column else "")
        value: sql.Composable = sql.Identifier("t", column)
        if spelled in local.hashed:
            value = sql.SQL("NULL::{}").format(sql.SQL(entity.pg_types[column].split()[0]))
        found.append(sql.SQL("{} AS {}").format(value, sql.Identifier(declared)))
    for column, was in local.dropped.items():
        found.append(sql.SQL("NULL::{} AS {}").format(sql.SQL(KINDS[was.kind].pg_type), sql.Identifier(column)))
        if was.kind == "phone":
            found.append(sql.SQL("NULL::text AS {}").format(sql.Identifier(f"{column}_e164")))
    return sql.SQL("SELECT {} FROM {} AS t").format(sql.SQL(", ").join(found), table(name))


def called(table_name: str, column: str) -> str | None:
    """Return what a declared column is called here; None where nothing can be read, as it was dropped or has a hash.

    Raises ``KeyError`` for a column that the table does not have.
    """
    entity = entities()[table_name]
    name = _renamed(entity, column)
    if column in entity.local.dropped or name in entity.local.hashed:
        return None
    if name not in entity.pg_types:
        raise KeyError(f"{table_name} has no column {column}")
    return name


def kind(table_name: str, column: str) -> str:
    """Return the kind of a declared column, dropped or not; empty for one that is not the vendor's."""
    entity = entities()[table_name]
    declared = entity.local.dropped.get(column) or entity.columns.get(_renamed(entity, column))
    return declared.kind if declared else ""


def _renamed(entity: Entity, column: str) -> str:
    return next((new for new, declared in entity.local.renamed.items() if declared == column), column)


def one(alias: str, table_name: str, column: str) -> sql.Composable:
    """Return one declared column of a table that stands under ``alias``. Raises ``KeyError`` for an unknown column."""
    if column.startswith(RAW):
        path = column.removeprefix(RAW).split(".")
        return sql.SQL("({} #>> {})").format(sql.Identifier(alias, "raw_data"), sql.Literal(path))
    name = called(table_name, column)
    if name is None:
        return sql.SQL("NULL::{}").format(sql.SQL(KINDS[kind(table_name, column)].pg_type))
    return sql.Identifier(alias, name)


def e164(alias: str, table_name: str, column: str) -> sql.Composable:
    """Return the column with the number in E.164 beside a phone column. Raises ``KeyError`` for another column."""
    name = called(table_name, column)
    if name is None:
        return sql.SQL("NULL::text")
    if f"{name}_e164" not in entities()[table_name].e164:
        raise KeyError(f"{table_name} has no phone column {column}")
    return sql.Identifier(alias, f"{name}_e164")


def dollars(
    amount: sql.Composable, currency: sql.Composable, converted: sql.Composable, at: sql.Composable
) -> sql.Composable:
    """Return an amount in US dollars: as the source itself converts it, else by ``crm.fx_rate`` of the day, else null.

    Without a currency it is in dollars.
    """
    return sql.SQL(
        "CASE WHEN coalesce(upper({currency}), 'USD') = 'USD' THEN {amount} ELSE coalesce({converted}, {amount} *"
        " (SELECT r.rate_to_usd FROM crm.fx_rate AS r WHERE r.currency = upper({currency}) AND r.since <= ({at})::date"
        " ORDER BY r.since DESC LIMIT 1)) END"
    ).format(currency=currency, amount=amount, converted=converted, at=at)


def key(alias: str, table_name: str) -> sql.Composable:
    """Return the key of a row as text, its columns apart by blanks."""
    keys = [sql.SQL("{}::text").format(sql.Identifier(alias, name)) for name in entities()[table_name].keys]
    return keys[0] if len(keys) == 1 else sql.SQL("concat_ws(' ', {})").format(sql.SQL(", ").join(keys))


def own_key(table_name: str) -> sql.Composable:
    """Return the key of ``t`` as its index has it, where it is one column; else as text."""
    keys = entities()[table_name].keys
    return sql.Identifier("t", keys[0]) if len(keys) == 1 else key("t", table_name)


def key_type(table_name: str) -> str:
    """Return the type of ``own_key``."""
    entity = entities()[table_name]
    return entity.pg_types[entity.keys[0]].split()[0] if len(entity.keys) == 1 else "text"


def is_among(table_name: str, rows: str) -> sql.Composable:
    """Return the condition that ``t`` is one of ``rows``, a table with ``source_table`` and ``source_key``."""
    return sql.SQL("{} IN (SELECT r.source_key::{} FROM {} AS r WHERE r.source_table = {})").format(
        own_key(table_name), sql.SQL(key_type(table_name)), sql.Identifier(rows), sql.Literal(table_name)
    )


def edited(alias: str, table_name: str, *others: sql.Composable) -> sql.Composable:
    """Return when somebody last edited a row at its vendor, or the first of ``others`` where that is not told."""
    times = [sql.Identifier(alias, name) for name in entities()[table_name].edit_times]
    return sql.SQL("coalesce({})").format(sql.SQL(", ").join([*times, *others]))


def time_of(table_name: str, alias: str, name: str) -> sql.Composable:
    """Return one of the times that most tables have; NULL where this one has none."""
    there = name in entities()[table_name].source_times
    return sql.Identifier(alias, name) if there else sql.SQL("NULL::timestamptz")


class Joined:
    """The tables of one query: the row's own as ``t``, and its joins by their names."""

    def __init__(self, own: str, joins: Iterable[Join] = ()) -> None:
        self.own = own
        self.joins = {join.name: join for join in joins}

    def table_of(self, alias: str) -> str:
        """Return the table that stands under a name."""
        return self.own if alias == "t" else self.joins[alias].table

    def _place(self, part: str) -> tuple[str, str, str]:
        alias, dot, column = part.partition(".")
        if part.startswith(RAW) or not dot:
            return "t", self.own, part
        return alias, self.table_of(alias), column

    def column(self, part: str) -> sql.Composable:
        """Return one column, as it is."""
        return one(*self._place(part))

    def kind(self, part: str) -> str:
        """Return the kind of one column, see ``kind``."""
        return kind(*self._place(part)[1:])

    def type_of(self, part: str) -> str:
        """Return the type of one column of the vendor's."""
        return KINDS[self.kind(part)].pg_type

    def value(self, written: str, type_: str = "text") -> sql.Composable:
        """Return the first of the columns that is not empty, as a ``type_``."""
        spelled = "nullif(btrim({}::text), '')" if type_ == "text" else f"{{}}::{type_}"
        return _first([sql.SQL(spelled).format(self.column(part)) for part in written.split("|") if part], type_)

    def number(self, written: str) -> sql.Composable:
        """Return the first number in E.164 that stands beside one of the phone columns."""
        return _first([e164(*self._place(part)) for part in written.split("|")])

    def moment(self, written: str, zone: str) -> sql.Composable:
        """Return the time of which the columns tell; a day begins in the time zone ``zone``."""
        return _first([self._moment(part, zone) for part in written.split("|")])

    def _moment(self, part: str, zone: str) -> sql.Composable:
        if "&" in part:
            times = [self._moment(one, zone) for one in part.split("&")]
            return sql.SQL("greatest({})").format(sql.SQL(", ").join(times))
        day, plus, time = part.partition("+")
        if plus:
            clock = self.column(time)
            # A time of day that is none is left out.
            return sql.SQL(
                "(({} + CASE WHEN {} ~ '^([01]?[0-9]|2[0-3]):[0-5][0-9]' THEN substring({} FROM '^[0-9]+:[0-9]+')::time"
                " ELSE time '00:00' END) AT TIME ZONE {})"
            ).format(self.column(day), clock, clock, sql.Literal(zone))
        if self.kind(part) == "date":
            return sql.SQL("({}::timestamp AT TIME ZONE {})").format(self.column(part), sql.Literal(zone))
        return self.column(part)

    def from_clause(self, *, every: bool = False) -> sql.Composable:
        """Return the tables with their joins. A joined row that is not there leaves nulls.

        Of several rows that could be joined the first is (``Join.first``); with ``every`` all are.
        """
        parts = [sql.SQL("{} AS t").format(table(self.own))]
        for join in self.joins.values():
            spelled = "LEFT JOIN {table} AS {name} ON {equal}"
            if join.first and not every:
                spelled = (
                    "LEFT JOIN LATERAL (SELECT * FROM {table} AS {name} WHERE {equal} AND NOT {archived}"
                    " ORDER BY {order} LIMIT 1) AS {name} ON true"
                )
            parts.append(
                sql.SQL(spelled).format(
                    table=table(join.table),
                    name=sql.Identifier(join.name),
                    equal=self.equal(join, join.equals),
                    archived=sql.Identifier(join.name, "archived"),
                    order=_order(join),
                )
            )
        return sql.SQL(" ").join(parts)

    def equal(self, join: Join, written: str) -> sql.Composable:
        """Return the condition by which a row is joined; ``written`` is ``join.equals``, or one of its columns."""
        equals = self.value(written) if "|" in written else self.column(written)
        return sql.SQL("{} = {}").format(one(join.name, join.table, join.column), equals)


def _first(found: Sequence[sql.Composable], type_: str = "text") -> sql.Composable:
    if not found:
        return sql.SQL("NULL::{}").format(sql.SQL(type_))
    return found[0] if len(found) == 1 else sql.SQL("coalesce({})").format(sql.SQL(", ").join(found))


def _order(join: Join) -> sql.Composable:
    """Return what ``join.first`` says, in the names of here; one that the installation gave may be a word of SQL."""
    found: list[sql.Composable] = []
    for column, *how in (part.split(" ", 1) for part in join.first.split(", ") if part):
        name = called(join.table, column)
        if name is not None:
            spelled = sql.SQL(column) if name == column else sql.Identifier(name)
            found.append(sql.SQL(" ").join([spelled, *map(sql.SQL, how)]))
    return sql.SQL(", ").join(found or [sql.SQL("NULL")])
