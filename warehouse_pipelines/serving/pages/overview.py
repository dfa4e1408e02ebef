"""The first page: how every CRM does."""

from fastapi import Request
from fastapi.responses import Response

from warehouse_pipelines.serving import guard
from warehouse_pipelines.serving.pages.render import render
from warehouse_pipelines.serving.rights import Right, needs

routes = guard.router()


@routes.get("/")
@needs(Right.STATUS_READ)
async def show_overview(request: Request) -> Response:
    """Show how every CRM does."""
    return render(request, "overview.html")
