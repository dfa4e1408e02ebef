"""A row by itself: what each value means, the record as the vendor sent it, what changed, who it is, what is beside it.

What ``Entity.refs`` joins are its neighbours: the rows that it names are links, and those that name it are asked for, a
few of each table, by the index that every such column has.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote, urlencode

import msgspec
from fastapi import Query, Request
from fastapi.responses import Response
from psycopg import sql

from warehouse_pipelines.model.entity import Entity, target
from warehouse_pipelines.queries import query
from warehouse_pipelines.schema import masked_views
from warehouse_pipelines.serving import guard
from warehouse_pipelines.serving.browsing.display import NOTHING, cell
from warehouse_pipelines.serving.browsing.rows import PLAN, read_row
from warehouse_pipelines.serving.browsing.seen import as_seen
from warehouse_pipelines.serving.browsing.table import Table
from warehouse_pipelines.serving.guard import visitor
from warehouse_pipelines.serving.pages.render import render
from warehouse_pipelines.serving.pages.tables import about_of, require_clear, seen_table
from warehouse_pipelines.serving.problems import Refusal
from warehouse_pipelines.serving.rights import Right, needs
from warehouse_pipelines.sources import SOURCES

if TYPE_CHECKING:
    from warehouse_pipelines.serving.database import Session

routes = guard.router()

LONGEST = 5_000
"""Characters of a value; a longer one is in psql."""
LARGEST_RECORD = 200_000
"""Characters of a vendor's record."""
FEW = 5
CHANGES = 100

BESIDE = "(SELECT {} AS label, {} AS column_name, ARRAY[{}]::text[] AS key FROM {} WHERE {} = %s::{} LIMIT {})"
PERSONS = frozenset({"person_id", "golden_id", "our_user_id"})
"""Columns of our own tables that hold the id of a person."""


@routes.get("/tables/{label}/row")
@needs(Right.DATA_READ)
async def show_row(
    request: Request,
    label: str,
    key: Annotated[list[Annotated[str, Query(max_length=500)]] | None, Query()] = None,
    clear: bool = False,
) -> Response:
    """Show a row of a table, by the values of its key in their order."""
    require_clear(request, clear)
    table = await seen_table(request, label, clear=clear)
    given = tuple(key or ())
    if not table.has_plain_key or len(given) != len(table.key) or any("\x00" in part for part in given):
        raise Refusal(404, "There is no such row to read.")
    pool, who, zone = request.app.state.pool, visitor(request), request.app.state.zone
    entity = _entities().get(label)
    if clear:
        await pool.note_clear_view(who, table.relation, await _loggable(request, label, given))
    async with pool.reading(who, clear=clear) as session:
        row = await read_row(session, table, given, longest=LONGEST)
        if row is None or (table.has_rows_of_others and row["organization_id"] != str(who.organization_id)):
            raise Refusal(404, "There is no such row to read.")
        record = await _record(session, table, given) if clear and "raw_data" in table.by_name else None
        beside = await _beside(session, entity, row, clear=clear) if entity else []
    person, changes = None, []
    if who.sees_all_organizations:
        async with pool.session(who, reads=True) as session:
            asked = {"table": label, "key": " ".join(given), "most": CHANGES}
            person = await (await session.execute(query("browse_person_of"), asked)).fetchone()
            changes = await (await session.execute(query("browse_changes"), asked)).fetchall()
    if person is not None:
        async with pool.reading(who, clear=clear) as session:
            statement = as_seen("SELECT display_name FROM identity.person WHERE person_id = %s", clear=clear)
            called = await (await session.execute(statement, [person["person_id"]])).fetchone()
        person["name"] = (called or {}).get("display_name") or "a person without a name"
    # Persons are of all organizations, and so is what vendors' rows name.
    links = dict(_links(table, entity, row, clear)) if who.sees_all_organizations else {}
    values = [(one, cell(one, row[one.name], zone, LONGEST), links.get(one.name)) for one in table.columns]
    return render(
        request, "row.html", table=table, about=about_of(table.about), key=given, clear=clear,
        there=[one for one in values if one[1] is not NOTHING and one[0].name != "raw_data"],
        empty=[one[0] for one in values if one[1] is NOTHING], record=record, beside=beside, person=person,
        changes=changes, has_log=entity is not None and entity.change_log, most=CHANGES,
        other=_address(label, given, clear=not clear), masked_record="raw_data" in table.by_name and not clear,
    )  # fmt: skip


async def _loggable(request: Request, label: str, key: Sequence[str]) -> str:
    """Return a key for the log of views, which names nobody: ``row`` where the key may be somebody's address."""
    try:
        masked = await request.app.state.catalogue.table(label, clear=False, of_all=True)
    except Refusal:
        return "row"
    return " ".join(key) if masked.has_plain_key else "row"


async def _record(session: "Session", table: Table, key: Sequence[str]) -> str:
    """Return the vendor's record as it was read, indented."""
    names = sql.SQL(", ").join(column.identifier for column in table.key)
    casts = sql.SQL(", ").join(column.cast() for column in table.key)
    statement = sql.SQL("SELECT left(raw_data::text, {}) AS record FROM {} WHERE ({}) = ({})").format(
        sql.Literal(LARGEST_RECORD + 1), table.identifier, names, casts
    )
    row = await (await session.execute(statement, list(key))).fetchone()
    text: str = (row or {}).get("record") or ""
    if len(text) > LARGEST_RECORD:
        return f"{text[:LARGEST_RECORD]}… (it is larger than {LARGEST_RECORD:,} characters)"
    return msgspec.json.format(text, indent=2)


def _entities() -> Mapping[str, Entity]:
    return {entity.table: entity for source in SOURCES for entity in source.entities}


def row_address(label: str, key: Sequence[str], *, clear: bool = False) -> str:
    """Return the address of a row's page."""
    return f"/tables/{label}/row{_address(label, key, clear=clear)}"


def _address(label: str, key: Sequence[str], *, clear: bool) -> str:
    parameters = [*(("key", part) for part in key), *([("clear", "1")] if clear else [])]
    return f"?{urlencode(parameters, quote_via=quote)}"


def _links(table: Table, entity: Entity | None, row: Mapping[str, Any], clear: bool) -> Iterator[tuple[str, str]]:
    """Yield the columns whose value names another row, or a person, with its address."""
    for column in table.columns:
        if column.name in PERSONS and column.type == "uuid" and row[column.name]:
            yield column.name, f"/persons/{row[column.name]}{'?clear=1' if clear else ''}"
    for name, ref in (entity.refs if entity else {}).items():
        if row.get(name) in (None, ""):
            continue
        other, found = target(ref, _entities())
        value = str(row[name])
        if other.keys == (found,):
            yield name, row_address(other.table, [value], clear=clear)
        else:
            where = [("where", f"{found}.is:{value}"), *([("clear", "1")] if clear else [])]
            yield name, f"/tables/{other.table}?{urlencode(where, quote_via=quote)}"


async def _beside(session: "Session", entity: Entity, row: Mapping[str, Any], *, clear: bool) -> list[dict[str, Any]]:
    """Return the rows of other tables that name this one: a few of each, and where to find all."""
    parts, given = [], []
    for other in _entities().values():
        for column, ref in other.refs.items():
            named, found = target(ref, _entities())
            value = row.get(found)
            if named.table != entity.table or value is None:
                continue
            masked = sql.Identifier("masked", masked_views.name_of(other.schema, other.table_name))
            relation = other.identifier if clear else masked
            keys = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(key)) for key in other.keys)
            parts.append(sql.SQL(BESIDE).format(
                sql.Literal(other.table), sql.Literal(column), keys, relation, sql.Identifier(column),
                sql.SQL(other.pg_types[column].split(" ")[0]), sql.Literal(FEW + 1),
            ))  # fmt: skip
            given.append(str(value))
    if not parts:
        return []
    await session.execute(PLAN)
    rows = await (await session.execute(sql.SQL(" UNION ALL ").join(parts), given)).fetchall()
    groups: dict[tuple[str, str], dict[str, Any]] = {}
    for one in rows:
        group = groups.setdefault((one["label"], one["column_name"]), {"rows": [], "value": "", "more": False})
        if len(group["rows"]) == FEW:
            group["more"] = True
        else:
            group["rows"].append((" ".join(one["key"]), row_address(one["label"], one["key"], clear=clear)))
    for (label, column), group in groups.items():
        _, found = target(_entities()[label].refs[column], _entities())
        where = [("where", f"{column}.is:{row[found]}"), *([("clear", "1")] if clear else [])]
        group |= {"label": label, "column": column, "all": f"/tables/{label}?{urlencode(where, quote_via=quote)}"}
    return list(groups.values())
