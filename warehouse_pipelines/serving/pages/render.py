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
from warehouse_pipelines.serving.pages import OF_ALL, PAGES
from warehouse_pipelines.serving.rights import EVERYONE

FOLDER = Path(__file__).parent
STATIC = FOLDER / "static"

BAR_WIDTH, BAR_HEIGHT, LOWEST = 4, 20, 3
"""Pixels of a bar of a sparkline, its gap included; of the highest one, and of the lowest that is not zero."""


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
    made.globals |= {"bars": bars, "number": number, "brief": brief}
    made.filters |= {
        "number": number, "ago": ago, "duration": duration, "brief": brief, "portions": portions,
    }  # fmt: skip
    return made


def render(request: Request, template: str, *, status: int = 200, **context: Any) -> HTMLResponse:
    """Return a page."""
    visitor = getattr(request.state, "visitor", None)
    may = visitor.may if visitor else lambda right: False
    sees_all = visitor is not None and visitor.sees_all_organizations
    known = {
        "request": request,
        "visitor": visitor,
        "csrf_token": visitor.csrf_token if visitor else "",
        "may": may,
        "path": request.url.path,
        "pages": [
            (address, name)
            for address, name, right in PAGES
            if (right == EVERYONE or may(right)) and (address not in OF_ALL or sees_all)
        ],
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


def brief(length: timedelta | float | None) -> str:
    """Write a length of time shortly: ``0.4 s``, ``12 min``, ``3 h``, ``5 d``; a number is seconds."""
    if length is None:
        return ""
    seconds = length.total_seconds() if isinstance(length, timedelta) else float(length)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            count = round(seconds / size, 1) if seconds < 10 * size and size > 60 else round(seconds / size)
            return f"{count:g} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def portions(parts: Sequence[tuple[str, float, str]]) -> list[tuple[float, float, str, str]]:
    """Return left edge and width in percent, class and words of the parts of a bar; what is nothing has no part."""
    whole, left, found = sum(size for _, size, _ in parts) or 1, 0.0, []
    for words, size, kind in parts:
        width = 100 * size / whole
        if size > 0:
            found.append((round(left, 2), round(max(width, 0.5), 2), kind, words))
        left += width
    return found


def bars(values: Sequence[float], kinds: Sequence[str], places: int = 0) -> dict[str, str]:
    """Return the bars of a sparkline as a path for each kind; one that is not zero can be seen.

    With ``places`` the last bar stands at the right end of so many.
    """
    highest, first = max(values, default=0) or 1, max(places - len(values), 0)
    paths: dict[str, list[str]] = {}
    for place, (value, kind) in enumerate(zip(values, kinds, strict=True), first):
        height = max(round(BAR_HEIGHT * value / highest), LOWEST * (value > 0))
        paths.setdefault(kind, []).append(f"M{place * BAR_WIDTH} {BAR_HEIGHT}v-{height}h{BAR_WIDTH - 1}v{height}z")
    return {kind: "".join(found) for kind, found in paths.items()}
