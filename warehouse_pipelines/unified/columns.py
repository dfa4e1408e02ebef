"""SQL of a column as ``people_rows`` and ``lead_rows`` write it: ``column``, ``join.column``, ``first|second``.

Columns are named as they are declared; what ``config/columns.toml`` renamed is found by its new name. A column that it
drops is null, and so is one that it hashes, because a hash is no word, no amount and no name.
"""

import functools
from collections.abc import Iterable

from psycopg import sql

from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines.unified.crm_views import CRM_VIEWS
from warehouse_pipelines.unified.people import (
    Join,
)

RAW = "raw_data:"
"""What stands before a path in the record, in place of a column."""


@functools.cache
def entities() -> dict[str, Entity]:
    """Return the entities of this installation by their tables, and the views of crm that are read like these."""
    return {entity.table: entity for entity in (*CRM_VIEWS, *(one for source in SOURCES for one in source.entities))}


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
            value = sql.SQL("NULL::{}").format(sql.SQL("text" if spelled != column else _type(entity, column)))
        found.append(sql.SQL("{} AS {}").format(value, sql.Identifier(declared)))
    for column, was in local.dropped.items():
        found.append(sql.SQL("NULL::{} AS {}").format(sql.SQL(_type(entity, column)), sql.Identifier(column)))
        if was.kind == "phone":
            found.append(sql.SQL("NULL::text AS {}").format(sql.Identifier(f"{column}_e164")))
    return sql.SQL("SELECT {} FROM {} AS t").format(sql.SQL(", ").join(found), table(name))


def one(alias: str, table_name: str, column: str) -> sql.Composable:
    """Return one declared column of a table that stands under ``alias``. Raises ``KeyError`` for an unknown column."""
    entity = entities()[table_name]
    if column.startswith(RAW):
        path = column.removeprefix(RAW).split(".")
        return sql.SQL("({} #>> {})").format(sql.Identifier(alias, "raw_data"), sql.Literal(path))
    hashed = column in entity.local.hashed
    if column in entity.local.dropped or hashed:
        return sql.SQL("NULL::{}").format(sql.SQL(_type(entity, column)))
    local = next((new for new, declared in entity.local.renamed.items() if declared == column), column)
    if local not in entity.pg_types:
        raise KeyError(f"{table_name} has no column {column}")
    return sql.Identifier(alias, local)


def _type(entity: Entity, column: str) -> str:
    from warehouse_pipelines.model.rules import KINDS

    declared = entity.local.dropped.get(column) or entity.columns.get(column)
    return KINDS[declared.kind].pg_type if declared else "text"


def e164(alias: str, table_name: str, column: str) -> sql.Composable:
    """Return the column with the number in E.164 beside a phone column."""
    entity = entities()[table_name]
    local = next((new for new, declared in entity.local.renamed.items() if declared == column), column)
    if column in entity.local.dropped or column in entity.local.hashed or f"{local}_e164" not in entity.e164:
        return sql.SQL("NULL::text")
    return sql.Identifier(alias, f"{local}_e164")


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


def edited(alias: str, table_name: str, *others: sql.Composable) -> sql.Composable:
    """Return when somebody last edited a row at its vendor, or the first of ``others`` where that is not told."""
    times = [sql.Identifier(alias, name) for name in entities()[table_name].edit_times]
    return sql.SQL("coalesce({})").format(sql.SQL(", ").join([*times, *others]))


class Scope:
    """The tables of one query: the row's own as ``t``, and its joins by their names."""

    def __init__(self, own: str, joins: Iterable[Join] = ()) -> None:
        self.own, self.joins = own, tuple(joins)
        self._tables = {"t": own, **{join.name: join.table for join in self.joins}}

    def table_of(self, alias: str) -> str:
        """Return the table that is joined under a name."""
        return self._tables[alias]

    def value(self, written: str, kind: str = "text") -> sql.Composable:
        """Return the first of the columns that is not empty, as ``kind``."""
        found = [self._one(part, kind) for part in written.split("|") if part]
        if not found:
            return sql.SQL("NULL::{}").format(sql.SQL(kind))
        return found[0] if len(found) == 1 else sql.SQL("coalesce({})").format(sql.SQL(", ").join(found))

    def _one(self, part: str, kind: str) -> sql.Composable:
        column = self.column(part)
        if kind == "text":
            return sql.SQL("nullif(btrim({}::text), '')").format(column)
        return sql.SQL("{}::{}").format(column, sql.SQL(kind))

    def column(self, part: str) -> sql.Composable:
        """Return one column, as it is."""
        alias, dot, name = part.partition(".") if not part.startswith(RAW) else ("", "", "")
        return one(alias, self._tables[alias], name) if dot else one("t", self.own, part)

    def from_clause(self) -> sql.Composable:
        """Return the tables with their joins. A joined row that is not there leaves nulls."""
        parts = [sql.SQL("{} AS t").format(table(self.own))]
        parts += [
            sql.SQL("LEFT JOIN {} AS {} ON {} = {}").format(
                table(join.table),
                sql.Identifier(join.name),
                one(join.name, join.table, join.column),
                self.column(join.equals),
            )
            for join in self.joins
        ]
        return sql.SQL(" ").join(parts)
