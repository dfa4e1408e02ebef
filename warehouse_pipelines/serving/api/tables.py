"""Rows of a table, by its key: those of the schema ``masked``, or in clear for who may, which is logged.

Only what analysts may read is there, and it is read as they read it, as ``warehouse_read_masked`` or
``warehouse_read``, in a transaction that writes nothing and ends after five seconds. Numbers of exact kinds and times
come as texts, since no number of JSON holds them all; a JSON value comes as it is.
"""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from fastapi import Query, Request
from fastapi.responses import Response
from psycopg import sql

from warehouse_pipelines.queries import query
from warehouse_pipelines.serving import guard
from warehouse_pipelines.serving.api.answers import MOST, reply
from warehouse_pipelines.serving.database import READ, READ_MASKED
from warehouse_pipelines.serving.guard import visitor
from warehouse_pipelines.serving.problems import Refusal
from warehouse_pipelines.serving.rights import Right, needs

if TYPE_CHECKING:
    from warehouse_pipelines.serving.database import Session

routes = guard.router("/api", tags=["warehouse"], in_schema=True)

NAME = re.compile(r"(?:(?P<schema>[a-z_][a-z0-9_]{0,62})\.)?(?P<name>[a-z_][a-z0-9_]{0,62})")
AS_THEY_ARE = ("boolean", "smallint", "integer", "bigint", "double precision", "real", "json", "jsonb", "text[]")
TIMES = ("timestamp", "date")


@routes.get("/tables/{table}")
@needs(Right.DATA_READ)
async def read_table(
    request: Request,
    table: str,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 100,
    cursor: Annotated[str | None, Query(max_length=4000, description="`next` of the page before.")] = None,
    clear: Annotated[bool, Query(description="Personal columns in clear; takes personal.read.")] = False,
) -> Response:
    """Read rows in the order of the key, with the columns' types and meanings, and about how many rows there are."""
    who = visitor(request)
    if clear and not who.sees_personal_data:
        raise Refusal(403, f"Personal data in clear take the right {Right.PERSONAL_READ}.")
    found = NAME.fullmatch(table)
    if found is None:
        raise Refusal(404, "There is no such table to read.")
    schema, name = found["schema"] or "public", found["name"]
    shown = (schema, name) if clear else ("masked", name if schema == "public" else f"{schema}_{name}")
    pool = request.app.state.pool
    async with pool.session() as session:
        asked = {
            "schema": schema, "name": name, "role": READ if clear else READ_MASKED,
            "shown": sql.Identifier(*shown).as_string(),
        }  # fmt: skip
        columns = await (await session.execute(query("api_table"), asked)).fetchall()
    if not columns:
        raise Refusal(404, "There is no such table to read.")
    if clear:
        await pool.note_clear_view(who, f"{schema}.{name}", "list")
    async with pool.reading(who, clear=clear) as session:
        rows, following = await _page(session, shown, columns, limit, cursor)
    fields = [{name: column[name] for name in ("name", "type", "meaning")} for column in columns]
    return reply({"items": rows, "next": following, "fields": fields, "total_estimate": columns[0]["rows"]})


async def _page(
    session: "Session", shown: tuple[str, str], columns: Sequence[Mapping[str, Any]], limit: int, cursor: str | None
) -> tuple[list[dict[str, Any]], str | None]:
    """Return rows behind the cursor, and the cursor behind them. Raises ``Refusal``."""
    placed = sorted((column["key_place"], column) for column in columns if column["key_place"] is not None)
    keys = [column for _, column in placed]
    names = sql.SQL(", ").join(sql.Identifier(column["name"]) for column in keys)
    wanted = [sql.SQL("{} AS {}").format(_value(column), sql.Identifier(column["name"])) for column in columns]
    # The key once more, as PostgreSQL writes it, for the cursor.
    wanted.append(
        sql.SQL("ARRAY[{}]::text[] AS {}").format(
            sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(column["name"])) for column in keys),
            sql.Identifier(""" key """),
        )
    )
    statement = sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(wanted), sql.Identifier(*shown))
    given: list[Any] = []
    if cursor and keys:
        given = _key(cursor, len(keys))
        places = sql.SQL(", ").join(sql.SQL("%s::{}").format(sql.SQL(column["type"])) for column in keys)
        statement += sql.SQL(" WHERE ({}) > ({})").format(names, places)
    if keys:
        statement += sql.SQL(" ORDER BY {}").format(names)
    statement += sql.SQL(" LIMIT {}").format(sql.Literal(limit + 1))
    rows = await (await session.execute(statement, given)).fetchall()
    made = [row.pop(" key ") for row in rows]
    if len(rows) <= limit or not keys:
        return rows[:limit], None
    return rows[:limit], msgspec.json.encode(made[limit - 1]).decode()


def _value(column: Mapping[str, Any]) -> sql.Composable:
    name = sql.Identifier(column["name"])
    if column["type"] in AS_THEY_ARE:
        return name
    if column["type"].startswith(TIMES):
        return sql.SQL("to_json({}) #>> '{{}}'").format(name)  # in the form of ISO 8601, infinity too
    return sql.SQL("{}::text").format(name)


def _key(cursor: str, count: int) -> list[str]:
    try:
        found = msgspec.json.decode(cursor, type=list[str])
    except (msgspec.DecodeError, msgspec.ValidationError):
        found = []
    if len(found) != count:
        raise Refusal(422, "The cursor is none that this API gave for this table.")
    return found
