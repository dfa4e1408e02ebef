"""Pages: Jinja's templates in ``templates/``, files for browsers in ``static/``.

``render`` gives every template ``visitor`` (None before signing in), ``csrf_token`` for its forms, and ``may``, which
says whether the visitor has a right: ``{% if may("syncs.run") %}``. Everything is escaped; a template has no script and
no style of its own, because the content security policy (``headers``) lets none run.
"""

from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from fastapi import Request
from fastapi.responses import HTMLResponse

FOLDER = Path(__file__).parent
STATIC = FOLDER / "static"


@cache
def environment() -> jinja2.Environment:
    """Return what reads the templates."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(request: Request, template: str, *, status: int = 200, **context: Any) -> HTMLResponse:
    """Return a page."""
    visitor = getattr(request.state, "visitor", None)
    known = {
        "request": request,
        "visitor": visitor,
        "csrf_token": visitor.csrf_token if visitor else "",
        "may": visitor.may if visitor else lambda right: False,
        "path": request.url.path,
    }
    return HTMLResponse(environment().get_template(template).render({**known, **context}), status)
