"""Answers: the questions of ``warehouse ask``, each as a chart, a table and the SQL that answers it.

The SELECT of a question is asked as the visitor: below row-level security, and of the masked views unless personal data
are asked for in clear, which is logged. Where its mart has days, a range can be chosen; then the mart's rows of that
range stand in the place of the mart, and the SQL that is shown has it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated

from fastapi import Query, Request
from fastapi.responses import Response
from psycopg import sql

from warehouse_pipelines.serving import guard
from warehouse_pipelines.serving.browsing.seen import as_seen
from warehouse_pipelines.serving.guard import visitor
from warehouse_pipelines.serving.pages.render import render
from warehouse_pipelines.serving.pages.tables import require_clear
from warehouse_pipelines.serving.problems import Refusal
from warehouse_pipelines.serving.rights import Right, needs, of_all_organizations
from warehouse_pipelines.unified.answers import Found, answers

routes = guard.router()


@dataclass(frozen=True)
class Chart:
    """What is drawn of an answer: by a column across, a chart for each group of columns of one unit."""

    across: str
    measured: tuple[tuple[str, ...], ...]
    kind: str = "bars"


CHARTS: Mapping[str, Chart] = {
    "journey": Chart("stage", (("people",), ("stopped",))),
    "funnel": Chart("source", (("leads",), ("sold_percent",), ("sold_amount",))),
    "roi": Chart("source", (("spent",), ("by_all_touches",), ("per_dollar",))),
    "calls": Chart("hour", (("calls", "missed"), ("answered_percent",)), "line"),
    "reps": Chart("rep", (("sold",), ("revenue",))),
    "change_orders": Chart("contract_number", (("percent",), ("changed_amount",))),
    "zips": Chart("zip", (("revenue",), ("win_percent",))),
    "duplicates": Chart("source_table", (("surplus_records",), ("surplus_cost",))),
    "relationships": Chart("relation", (("pairs",),)),
    "quality": Chart("crm_source", (("total_rows",), ("unmapped",))),
}
"""Of the questions whose answer is a figure for each of something."""

DATED: Mapping[str, tuple[str, str, str]] = {
    "journey": ("marts.lead_journey", "lead_at", "first word"),
    "funnel": ("marts.funnel_daily", "day", "day"),
    "roi": ("marts.source_roi", "month", "month"),
    "change_orders": ("marts.job_change_orders", "sold_on", "day of the sale"),
}
"""Of the questions whose mart has days: the mart, the column, and what the day is."""


@routes.get("/answers")
@needs(Right.ANALYTICS_READ)
@of_all_organizations
async def list_answers(request: Request) -> Response:
    """List the questions."""
    return render(request, "answers.html", questions=answers().values(), charts=CHARTS)


@routes.get("/answers/{name}")
@needs(Right.ANALYTICS_READ)
@of_all_organizations
async def show_answer(
    request: Request,
    name: str,
    since: Annotated[str, Query(alias="from", max_length=10)] = "",
    until: Annotated[str, Query(alias="to", max_length=10)] = "",
    clear: bool = False,
) -> Response:
    """Answer a question, of the days between two, both included."""
    require_clear(request, clear)
    question = answers().get(name)
    if question is None:
        raise Refusal(404, "There is no such question.")
    statement = as_seen(question.select, clear=clear)
    if name in DATED and (since or until):
        statement = _between(request, question.select, name, (_day(since), _day(until)), clear)
    if clear:
        await request.app.state.pool.note_clear_view(visitor(request), f"answers.{name}", "list")
    async with request.app.state.pool.reading(visitor(request), clear=clear) as session:
        cursor = await session.execute(statement)
        rows = await cursor.fetchall()
        names = tuple(column.name for column in cursor.description or ())
    found = Found(names, tuple(rows))
    return render(
        request, "answer.html", question=question, found=found, cells=found.cells(), numbers=found.numbers,
        chart=CHARTS.get(name) if rows else None, dated=DATED.get(name), since=since, until=until, statement=statement,
        clear=clear, others=[one for one in answers().values() if one.name != name],
    )  # fmt: skip


def _day(given: str) -> date | None:
    if not given:
        return None
    try:
        return date.fromisoformat(given)
    except ValueError:
        raise Refusal(422, "A day is written as 2026-03-31.") from None


def _between(request: Request, select: str, name: str, days: tuple[date | None, date | None], clear: bool) -> str:
    """Return a question's SELECT over the rows of its mart in a range of days of the business."""
    mart, column, _ = DATED[name]
    since, until = days
    try:
        after = None if until is None else until + timedelta(days=1)
    except OverflowError:
        after = None
    is_time = column.endswith("_at")
    zone = request.app.state.zone
    bounds = []
    for sign, day in ((">=", since), ("<", after)):
        if day is not None:
            at = datetime(day.year, day.month, day.day, tzinfo=zone) if is_time else day
            bounds.append(f"{column} {sign} {sql.Literal(at.isoformat()).as_string()}")
    rows = as_seen(f"SELECT * FROM {mart} WHERE {' AND '.join(bounds) or 'true'}", clear=clear)  # noqa: S608  (ours)
    return as_seen(re.sub(rf"FROM {re.escape(mart)}\b", lambda _: f"FROM ({rows})", select), clear=clear)
