"""Browse: every table that analysts may read, and the rows of one, paged, filtered and sorted by what an index has.

Personal columns are masked. Who may see them in clear asks for it (``?clear=1``), and each such view is logged before
anything is sent. Everything is asked by the address, so a page can be kept, sent and returned to.

Not sqladmin and not starlette-admin, which were looked at: both want a mapped class with a primary key for each of 130
tables, and views and masked views have none; they count all rows and page by OFFSET; they ask as one database user,
where here each request takes a role and a tenant for one transaction; and both bring scripts and styles in their pages,
which the content security policy would have to allow.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import psycopg
from fastapi import Query, Request
from fastapi.responses import Response, StreamingResponse

from warehouse_pipelines.serving import guard
from warehouse_pipelines.serving.browsing import filters
from warehouse_pipelines.serving.browsing.display import LONGEST, cell, lines
from warehouse_pipelines.serving.browsing.filters import Filter
from warehouse_pipelines.serving.browsing.rows import (
    Page,
    Search,
    Wanted,
    read_exact,
    read_page,
    read_position,
    write_position,
)
from warehouse_pipelines.serving.browsing.search import rank, searched, tries
from warehouse_pipelines.serving.browsing.table import Column, Table
from warehouse_pipelines.serving.guard import visitor
from warehouse_pipelines.serving.pages.render import render
from warehouse_pipelines.serving.problems import Refusal
from warehouse_pipelines.serving.rights import Right, needs
from warehouse_pipelines.sources import SOURCES

routes = guard.router()

SIZE = 50
COLUMNS = 14
"""Columns of a page unless all are asked for; more cannot be compared by eye."""

EXPORTED = 50_000
"""Rows of a CSV file; more are for psql, or the API."""
EXPORT_PAGE = 1_000
EXPORT_READS = 200
"""Statements of an export at most, each of which may look at 20,000 rows to find few."""

DULL = frozenset({"raw_data", "sync_hash", "sync_created_at", "sync_updated_at", "source_created_at",
                  "source_updated_at", "archived", "deleted_at", "delete_reason"})  # fmt: skip
"""Columns that every table has: shown where they are asked for, or nothing else is there."""

SCHEMAS: Mapping[str, tuple[str, str]] = {
    "marts": ("Marts", "What the business asks, worked out from all CRMs."),
    "accounts": ("All accounts", "A view for each table of a CRM with several accounts: the rows of all of them."),
    "answers": ("Answers", "A view for each question; only in clear."),
    "identity": ("Identity", "Who is who among the records of all CRMs."),
    "crm": ("Leads", "The application's own tables; you see the rows of your organization."),
    "pipedesk": ("PipeDesk, made here", "Views and archives beside what is synced."),
    "public": ("Other", "Views on what is synced."),
    "orchestration": ("Syncs", "What ran, when, and what came of it."),
}


@dataclass(frozen=True)
class Asked:
    """What the address of a page of rows asks for, but for the page itself."""

    q: str = ""
    where: tuple[str, ...] = ()
    sort: str = ""
    clear: bool = False
    columns: str = ""
    anywhere: bool = False

    def parameters(self) -> list[tuple[str, str]]:
        """Return the parameters of the address."""
        found = [("q", self.q), *(("where", one) for one in self.where), ("sort", self.sort)]
        found += [("clear", "1" if self.clear else ""), ("columns", self.columns)]
        return [(name, value) for name, value in [*found, ("anywhere", "1" if self.anywhere else "")] if value]

    def link(self, **page: str) -> str:
        """Return the part of an address behind the path."""
        return f"?{urlencode([*self.parameters(), *page.items()], quote_via=quote)}"

    def but(self, **changed: Any) -> str:
        """Return the part of an address behind the path, with something changed, for the first page."""
        return replace(self, **changed).link()


def require_clear(request: Request, clear: bool) -> None:
    """Raise ``Refusal`` where the visitor asks for personal data in clear and may not see them."""
    if clear and not visitor(request).sees_personal_data:
        raise Refusal(403, f"Personal data in clear take the right {Right.PERSONAL_READ}.")


async def seen_table(request: Request, label: str, *, clear: bool) -> Table:
    """Return a table that the visitor may see. Raises ``Refusal``."""
    of_all = visitor(request).sees_all_organizations
    found: Table = await request.app.state.catalogue.table(label, clear=clear, of_all=of_all)
    return found


@routes.get("/tables")
@needs(Right.DATA_READ)
async def list_tables(request: Request, q: Annotated[str, Query(max_length=200)] = "") -> Response:
    """List every table that the visitor may read, with what it holds."""
    who = visitor(request)
    rows = await request.app.state.catalogue.tables(clear=who.sees_personal_data, of_all=who.sees_all_organizations)
    word = q.strip().lower()
    titles = {source.name: source.title for source in SOURCES}
    groups: dict[str, dict[str, Any]] = {
        **{name: {"title": title, "about": "", "tables": []} for name, title in titles.items()},
        **{
            f"schema-{name}": {"title": title, "about": about, "tables": []} for name, (title, about) in SCHEMAS.items()
        },
    }
    for row in rows:
        label = row["name"] if row["schema"] == "public" else f"{row['schema']}.{row['name']}"
        if word and word not in f"{label} {row['about'] or ''}".lower():
            continue
        groups[row["crm_source"] or f"schema-{row['schema']}"]["tables"].append({
            **row, "label": label, "about": about_of(row["about"]),
            "rows": None if row["is_of_organization"] or row["is_view"] else row["rows"],
        })  # fmt: skip
    shown = {name: group for name, group in groups.items() if group["tables"]}
    return render(request, "tables.html", groups=shown, q=q, count=sum(len(one["tables"]) for one in shown.values()))


def about_of(comment: str | None) -> str:
    """Return a table's comment without the hash that ours end with, and without the marks of code."""
    return (comment or "").partition(" [")[0].replace("`", "")


@routes.get("/tables/{label}")
@needs(Right.DATA_READ)
async def browse_table(
    request: Request,
    label: str,
    q: Annotated[str, Query(max_length=200)] = "",
    where: Annotated[list[str] | None, Query()] = None,
    sort: Annotated[str, Query(max_length=64)] = "",
    clear: bool = False,
    columns: Annotated[str, Query(pattern="^(all)?$")] = "",
    anywhere: bool = False,
    after: Annotated[str | None, Query(max_length=4000)] = None,
    before: Annotated[str | None, Query(max_length=4000)] = None,
    column: Annotated[str, Query(max_length=64)] = "",
    operator: Annotated[str, Query(max_length=10)] = "",
    value: Annotated[str, Query(max_length=600)] = "",
) -> Response:
    """Show rows of a table. ``column``, ``operator`` and ``value`` are a filter to add, as the form sends it."""
    require_clear(request, clear)
    table = await seen_table(request, label, clear=clear)
    asked, found, failed = _filters(request, table, Asked(q.strip(), (), sort, clear, columns, anywhere), where or ())
    if column and not failed:
        try:
            added = filters.make(table, column, operator, value.strip(), request.app.state.zone)
            if added.spelled not in asked.where:
                asked, found = replace(asked, where=(*asked.where, added.spelled)), (*found, added)
        except Refusal as refusal:
            failed = refusal.detail
    order = table.order(sort.removeprefix("-") or None)
    own = filters.own_rows(table, visitor(request).organization_id, request.app.state.zone)
    wanted = Wanted(SIZE, order, sort.startswith("-"), filters=(*found, *own), longest=LONGEST + 1)
    given = after or before
    if given and order:
        wanted = replace(wanted, position=read_position(given, order), backwards=after is None)
    if clear:
        await request.app.state.pool.note_clear_view(visitor(request), table.relation, "list")
    page, exact = await _read(request, table, wanted, asked)
    zone = request.app.state.zone
    chosen = _chosen(table, page, asked, found, order)
    rows = [
        (_row_link(table, row, page.positions, place, asked), [cell(one, row[one.name], zone) for one in chosen])
        for place, row in enumerate(page.rows)
    ]
    return render(
        request, "table.html", status=422 if failed else 200, table=table, asked=asked, failed=failed, rows=rows,
        chosen=chosen, about=about_of(table.about), order=order, exact=exact, page=page,
        sortable=[one for one in table.columns if one.ordered and table.key],
        filters=[
            (one, asked.but(where=tuple(spelled for spelled in asked.where if spelled != one.spelled))) for one in found
        ],
        operators=filters.OPERATORS, form={"column": column, "operator": operator, "value": value if failed else ""},
        previous=asked.link(before=write_position(page.before) or "") if page.before else None,
        following=asked.link(after=write_position(page.after) or "") if page.after else None,
        texts=len(searched(table)), texts_in_all=sum(one.kind == "text" for one in table.columns),
        most=EXPORTED, size=SIZE, descending=sort.startswith("-"), known=_entity_of(table),
    )  # fmt: skip


def _filters(
    request: Request, table: Table, asked: Asked, where: Sequence[str]
) -> tuple[Asked, tuple[Filter, ...], str]:
    """Return the filters of the address, and what is wrong with the first that cannot be used."""
    found: list[Filter] = []
    if len(where) > filters.MOST:
        return asked, (), f"There are at most {filters.MOST} filters."
    try:
        for one in dict.fromkeys(where):
            found.append(filters.read(table, one, request.app.state.zone))
    except Refusal as refusal:
        failed = refusal.detail
    else:
        failed = ""
    return replace(asked, where=tuple(one.spelled for one in found)), tuple(found), failed


async def _read(request: Request, table: Table, wanted: Wanted, asked: Asked) -> tuple[Page, bool]:
    """Return the page, and whether its rows have the word that is searched for as a whole value of an index."""
    async with request.app.state.pool.reading(visitor(request), clear=asked.clear) as session:
        if not asked.q:
            return await read_page(session, table, wanted), False
        if not asked.anywhere and not wanted.filters and wanted.position is None:
            page = await read_exact(session, table, tries(table, asked.q), wanted)
            if page.rows:
                return page, True
        wanted = replace(wanted, search=Search(searched(table), asked.q))
        return await read_page(session, table, wanted), False


def _chosen(
    table: Table, page: Page, asked: Asked, found: Sequence[Filter], order: Sequence[Column]
) -> tuple[Column, ...]:
    """Return the columns to show: all, or the key, what is asked of, and the first that say something here."""
    if asked.columns == "all":
        return table.columns
    ordering = [one for one in order if one is not table.token]
    first = dict.fromkeys((*table.key, *ordering, *(one.column for one in found)))
    others = [one for one in table.columns if one.name not in DULL]
    if page.rows:
        others = [
            one for one in others
            if not one.name.endswith("_e164") and one.kind != "other"
            and any(row[one.name] not in (None, "", "[masked]") for row in page.rows)
        ]  # fmt: skip
    return tuple(dict.fromkeys([*first, *sorted(others, key=rank)]))[: max(COLUMNS, len(first))]


def _row_link(
    table: Table, row: Mapping[str, Any], positions: Sequence[Sequence[str]], place: int, asked: Asked
) -> str | None:
    """Return the address of a row's own page; None where its key is masked, or there is none."""
    if not table.has_plain_key:
        return None
    at = positions[place]
    key = at if len(at) == len(table.key) else [str(row[one.name]) for one in table.key]
    parameters = [*(("key", part) for part in key), *([("clear", "1")] if asked.clear else [])]
    return f"/tables/{table.label}/row?{urlencode(parameters, quote_via=quote)}"


def _entity_of(table: Table) -> tuple[str, str] | None:
    """Return the CRM's title and the entity that a table is of."""
    for source in SOURCES:
        for entity in source.entities:
            if entity.table == table.label:
                return source.title, entity.name
    return None


@routes.get("/tables/{label}/export.csv")
@needs(Right.DATA_READ)
async def export_table(
    request: Request,
    label: str,
    q: Annotated[str, Query(max_length=200)] = "",
    where: Annotated[list[str] | None, Query()] = None,
    sort: Annotated[str, Query(max_length=64)] = "",
    clear: bool = False,
) -> Response:
    """Send what is filtered as a CSV file: all columns, at most ``EXPORTED`` rows, of which the last line tells."""
    require_clear(request, clear)
    table = await seen_table(request, label, clear=clear)
    asked, found, failed = _filters(request, table, Asked(q.strip(), (), sort, clear), where or ())
    if failed:
        raise Refusal(422, failed)
    order = table.order(sort.removeprefix("-") or None)
    search = Search(searched(table), asked.q) if asked.q else None
    own = filters.own_rows(table, visitor(request).organization_id, request.app.state.zone)
    wanted = Wanted(EXPORT_PAGE, order, sort.startswith("-"), filters=(*found, *own), search=search)
    if clear:
        await request.app.state.pool.note_clear_view(visitor(request), table.relation, "export")
    # The first page before the answer begins, so that what cannot be read is refused and no file is cut off.
    async with request.app.state.pool.reading(visitor(request), clear=clear) as session:
        first = await read_page(session, table, wanted)
    return StreamingResponse(
        _export(request, table, wanted, first),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{table.label}.csv"'},
    )


async def _export(request: Request, table: Table, wanted: Wanted, page: Page) -> AsyncIterator[str]:
    """Yield the lines, a page at a time. No session is lent while a slow reader takes them."""
    yield "\ufeff" + lines([[(_TEXT, one.name) for one in table.columns]])
    count = 0
    for _ in range(EXPORT_READS):
        rows = page.rows[: EXPORTED - count]
        count += len(rows)
        yield lines([[(one, row[one.name]) for one in table.columns] for row in rows])
        if page.after is None or count >= EXPORTED:
            break
        wanted = replace(wanted, position=page.after)
        try:
            async with request.app.state.pool.reading(visitor(request), clear=table.clear) as session:
                page = await read_page(session, table, wanted)
        except psycopg.Error as error:
            raise RuntimeError(f"an export ended early: {type(error).__name__}") from None
    if page.after is not None or page.walked:
        yield f"This is not all: the file ends after {count} rows. Filter it or use psql.\r\n"


_TEXT = Column("", "text", None, None, None, False, False, False, False, False)
