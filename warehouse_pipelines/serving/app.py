"""The program behind ``warehouse serve``: what it answers, and what runs beside.

    POST /webhooks/<vendor>   keeps a delivery (``receive``)
    GET  /health              whether the inbox can be written, and what came of deliveries so far
    GET  /metrics             how syncs, dead letters and budgets do, for Prometheus (``metrics``)
    /login, /logout, /auth    who is signed in (``sign_in``, ``oidc``)
    /api/...                  for programs (``api``); docs/api.md lists it
    /, ...                    for people (``pages``)
    /unsubscribe/...          for those who want no more messages
    /static/...               files of the pages

Beside it sends an alert when Dagster's daemon is silent (``alert_loop``). It reads no vendor and writes no table of a
source: Dagster does. So it can be ended and started at any time.
Each route but those of ``OPEN`` says which right it takes (``rights``), or the program does not start.
"""

import asyncio
import contextlib
import gc
import logging
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.staticfiles import StaticFiles

from warehouse_pipelines.observability.alerts import settings as alert_settings
from warehouse_pipelines.sequences import settings as sequence_settings
from warehouse_pipelines.serving import guard, oidc, problems, sign_in
from warehouse_pipelines.serving.alert_loop import AlertLoop
from warehouse_pipelines.serving.api import analytics, crms, leads, nurture, syncs, tables
from warehouse_pipelines.serving.browsing.table import Catalogue
from warehouse_pipelines.serving.dagster import Dagster
from warehouse_pipelines.serving.database import Pool
from warehouse_pipelines.serving.exposure import is_https
from warehouse_pipelines.serving.guard import GuardedRoute
from warehouse_pipelines.serving.headers import Headers
from warehouse_pipelines.serving.hosts import Hosts, misdirected
from warehouse_pipelines.serving.inbox import Depth, Inbox, InboxAway
from warehouse_pipelines.serving.limits import Room
from warehouse_pipelines.serving.metrics import Metrics
from warehouse_pipelines.serving.outcomes import Outcomes
from warehouse_pipelines.serving.pages import answers as answers_pages
from warehouse_pipelines.serving.pages import (
    dead_letters,
    decide,
    overview,
    persons,
    render,
    row,
    runs,
    schedules,
    standing,
    status,
    unsubscribe,
)
from warehouse_pipelines.serving.pages import tables as tables_pages
from warehouse_pipelines.serving.receive import PATH, Receive, Receiver, Scope, Send
from warehouse_pipelines.serving.rights import everyone
from warehouse_pipelines.settings import ServeSettings
from warehouse_pipelines.settings import settings as common_settings

log = logging.getLogger("warehouse.serve")

ROUTERS = (
    sign_in.routes, oidc.routes,
    overview.routes, runs.routes, dead_letters.routes, schedules.routes, status.routes,
    tables_pages.routes, row.routes, persons.routes, decide.routes, answers_pages.routes, unsubscribe.routes,
    leads.routes, nurture.routes, analytics.routes, crms.routes, tables.routes, syncs.routes,
)  # fmt: skip
"""What is served, beside deliveries and files. Each route says which right it takes."""

OPEN = ("/metrics", "/static", "/api/openapi.json")
"""What has no right of its own: Prometheus proves itself, as deliveries do, and the rest is the same for everybody."""


def guarded_routes() -> list[GuardedRoute]:
    """Return every route that says who may use it."""
    return [route for router in ROUTERS for route in router.routes if isinstance(route, GuardedRoute)]


def build_app(settings: ServeSettings, url: str) -> FastAPI:
    """Return the application on the warehouse at ``url``, all but the deliveries (``Front``)."""
    outcomes = Outcomes()

    @contextlib.asynccontextmanager
    async def running(app: FastAPI) -> AsyncIterator[None]:
        inbox = Inbox(url)
        app.state.inbox, app.state.receiver = inbox, Receiver(settings, inbox, outcomes)
        app.state.depth = Depth(inbox)
        alerts = AlertLoop(url, outcomes.by_source)
        alerts.prepare()
        app.state.pool, app.state.health = Pool(url), crms.health_kept(url)
        app.state.metrics = Metrics(settings, app.state.pool, outcomes.by_source)
        app.state.catalogue = Catalogue(app.state.pool)
        app.state.standings = standing.standings_kept(app.state.pool, app.state.health)
        app.state.status = status.status_kept(app.state.pool, app.state.standings, app.state.zone)
        app.state.replays = dead_letters.Replays(url)
        app.state.dagster = Dagster(settings.warehouse_dagster_api_url)
        ending = asyncio.Event()
        counting = asyncio.create_task(outcomes.run(inbox, ending))
        tasks = [asyncio.create_task(one) for one in (inbox.run(), alerts.run())]
        gc.collect()
        gc.freeze()  # else each full collection looks at all that was imported, while deliveries wait
        try:
            yield
        finally:
            gc.unfreeze()
            ending.set()
            await counting
            for task in tasks:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            await alerts.close()
            await inbox.close()
            await app.state.pool.close()
            await app.state.dagster.close()

    app = FastAPI(
        title="Warehouse", version="1", docs_url=None, redoc_url=None, openapi_url="/api/openapi.json", lifespan=running
    )
    app.state.settings, app.state.https, app.state.url = settings, is_https(settings), url
    app.state.room = Room(guard.MOST_HELD)
    common = common_settings()
    app.state.zone, app.state.organization_id = common.warehouse_time_zone, common.crm_organization_id
    app.state.dagster_url = alert_settings.read().warehouse_dagster_public_url
    sequences = sequence_settings.read()
    app.state.unsubscribe_keys, app.state.business = sequences.keys, sequences.warehouse_business_name
    app.state.oidc = oidc.Provider(settings) if settings.warehouse_oidc_issuer else None
    app.state.oidc_name = settings.warehouse_oidc_name if app.state.oidc else ""
    app.add_middleware(Headers, https=app.state.https)
    problems.install(app)

    app.mount("/static", StaticFiles(directory=render.STATIC), name="static")
    for router in ROUTERS:
        app.include_router(router)

    async def metrics(request: Any) -> Any:
        return await app.state.metrics(request)

    app.add_route("/metrics", metrics, methods=["GET"], include_in_schema=False)

    open_routes = guard.router()

    @open_routes.get("/health")
    @everyone
    async def health() -> JSONResponse:
        """Tell whether deliveries can be kept, how many wait to be worked off, and what came of those so far."""
        found: dict[str, Any] = {"status": "ok", "webhooks": outcomes.by_source()}
        try:
            pending, oldest_seconds = await app.state.depth.now()
        except InboxAway:
            return JSONResponse({**found, "status": "database away"}, status_code=503)
        found["inbox"] = {"pending": pending, "oldest_seconds": round(oldest_seconds, 1)}
        return JSONResponse(found)

    app.include_router(open_routes)
    return app


class Front:
    """Hands deliveries to their receiver, and everything else that asks for a name of ours to the application."""

    def __init__(self, app: FastAPI) -> None:
        self._app, self._hosts = app, Hosts(app.state.settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and scope["path"].startswith(PATH):
            await self._app.state.receiver(scope, receive, send)
        elif scope["type"] == "http" and not self._hosts.allows(scope):
            await misdirected(send)
        else:
            await self._app(scope, receive, send)
