"""Make a page of a template of Jinja's.

``render`` gives every template ``visitor`` (None before signing in), ``csrf_token`` for its forms, and ``may``, which
says whether the visitor has a right: ``{% if may("syncs.run") %}``. Everything is escaped; a template has no script and
no style of its own, because the content security policy (``headers``) lets none run. ``parts.html`` has what pages
share: a time, a number, a state, a row of bars, a table.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from fastapi import Request
from fastapi.responses import HTMLResponse

from warehouse_pipelines.model.describe import duration
from warehouse_pipelines.serving.pages import PAGES

FOLDER = Path(__file__).parent
STATIC = FOLDER / "static"

BAR_WIDTH, BAR_HEIGHT = 4, 24
"""Pixels of a bar of a sparkline, its gap included, and of the highest one."""


@cache
def environment() -> jinja2.Environment:
    """Return what reads the templates."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"number": number, "ago": ago, "bars": bars, "duration": duration}
    return made


def render(request: Request, template: str, *, status: int = 200, **context: Any) -> HTMLResponse:
    """Return a page."""
    visitor = getattr(request.state, "visitor", None)
    may = visitor.may if visitor else lambda right: False
    known = {
        "request": request,
        "visitor": visitor,
        "csrf_token": visitor.csrf_token if visitor else "",
        "may": may,
        "path": request.url.path,
        "pages": [(address, name) for address, name, right in PAGES if may(right)],
        "zone": request.app.state.zone,
        "now": datetime.now(UTC),
        "dagster_url": request.app.state.dagster_url,
    }
    return HTMLResponse(environment().get_template(template).render({**known, **context}), status)


def number(value: float | None) -> str:
    """Write a count with its thousands apart: ``1,234``; nothing for none."""
    return "" if value is None else f"{value:,}"


def ago(when: datetime | None, now: datetime) -> str:
    """Say how long ago a time is, in its largest unit: ``3 hours ago``, ``in 5 minutes``, ``now``."""
    if when is None:
        return "never"
    gap = now - when
    for unit, length in (("day", timedelta(days=1)), ("hour", timedelta(hours=1)), ("minute", timedelta(minutes=1))):
        if (count := int(abs(gap) / length)) > 0:
            said = f"{count} {unit}{'s' * (count != 1)}"
            return f"{said} ago" if gap > timedelta() else f"in {said}"
    return "now"


def bars(values: Sequence[float]) -> list[tuple[int, int, int]]:
    """Return left edge, top and height in pixels of a sparkline's bars; one that is not zero can be seen."""
    highest = max(values, default=0) or 1
    heights = [max(round(BAR_HEIGHT * value / highest), int(value > 0)) for value in values]
    return [(place * BAR_WIDTH, BAR_HEIGHT - height, height) for place, height in enumerate(heights)]
