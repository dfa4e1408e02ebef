"""Run a sync, see how it goes, cancel it. Dagster runs it (``serving.dagster``).

A repetition under the same Idempotency-Key is answered with the first run. The run has a tag of the key, by which a
repetition finds it where Dagster made it and answered too late. One that Dagster makes later than ``LAUNCHED_WITHIN``
syncs nothing, because a repetition may have made another, and no repetition is answered with it.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from fastapi import Request
from fastapi.responses import Response

from warehouse_pipelines.queries import query
from warehouse_pipelines.serving import guard
from warehouse_pipelines.serving.api.answers import reply
from warehouse_pipelines.serving.api.bodies import NewSync
from warehouse_pipelines.serving.api.crms import source_named
from warehouse_pipelines.serving.api.writes import once_elsewhere, replayed
from warehouse_pipelines.serving.dagster import LAUNCH_BY, DagsterAway, LaunchUnknown
from warehouse_pipelines.serving.guard import visitor
from warehouse_pipelines.serving.problems import Refusal
from warehouse_pipelines.serving.rights import Right, needs

routes = guard.router("/api/syncs", tags=["syncs"], in_schema=True)

TAG = "warehouse/requested_by"
REQUEST_TAG = "warehouse/request"
"""The mark of the request that a run was made for."""

LAUNCHED_WITHIN = timedelta(minutes=5)
"""Less than ``writes.UNDECIDED``, as Dagster's storage may have another clock than the warehouse."""


def job_of(wanted: NewSync) -> tuple[str, dict[str, Any]]:
    """Return Dagster's job for a sync, and its configuration. Raises ``Refusal`` where there is no such entity."""
    source = source_named(wanted.crm)
    if wanted.entity != "all" and wanted.entity not in (names := [entity.name for entity in source.entities]):
        raise Refusal(404, f"{source.name} has no such entity. There are: {', '.join(names)}, all.")
    options = wanted.model_dump(exclude={"crm", "entity"}, exclude_defaults=True)
    return f"sync_{source.name}_{wanted.entity}", {"resources": {"sync": {"config": options}}} if options else {}


@routes.post("", status_code=202)
@needs(Right.SYNCS_RUN)
async def run_sync(request: Request, wanted: NewSync) -> Response:
    """Ask Dagster for a sync of an entity, or of `all` of a CRM; answers with the id of the run."""
    job, config = job_of(wanted)
    dagster, by = request.app.state.dagster, {TAG: str(visitor(request).user_id)}

    async def launch(mark: str, asked_at: datetime | None) -> str:
        until = {LAUNCH_BY: (asked_at + LAUNCHED_WITHIN).isoformat()} if asked_at else {}
        run_id: str = await dagster.launch(job, config, by | {REQUEST_TAG: mark} | until)
        return run_id

    async def find(mark: str) -> str | None:
        run_id: str | None = await dagster.tagged({REQUEST_TAG: mark})
        return run_id

    run_id, again = await once_elsewhere(request, launch, find, unknown=LaunchUnknown, status=202)
    answer = reply({"id": run_id, "job": job}, 202, {"Location": f"/api/syncs/{run_id}"})
    return replayed(answer) if again else answer


@routes.get("/{run_id}")
@needs(Right.STATUS_READ)
async def read_sync(request: Request, run_id: UUID) -> Response:
    """Tell how a run goes: Dagster's status, and how many records of each entity were read so far.

    What became of them is told when the entity is done: nothing is loaded before.
    """
    async with request.app.state.pool.session(visitor(request), reads=True) as session:
        rows = await (await session.execute(query("api_sync"), {"run_id": str(run_id)})).fetchall()
    run: dict[str, Any] | None = None
    try:
        run = await request.app.state.dagster.run(str(run_id))
    except DagsterAway:
        if not rows:
            raise
    if run is None and not rows:
        raise Refusal(404, "There is no such run.")
    return reply({
        "id": str(run_id), "job": run and run["jobName"], "status": run and run["status"].lower(), "entities": rows,
    })  # fmt: skip


@routes.post("/{run_id}/cancel", status_code=202)
@needs(Right.SYNCS_RUN)
async def cancel_sync(request: Request, run_id: UUID) -> Response:
    """Ask for the end of a run. Nothing of what it reads is loaded then, and its history row says so."""
    if not await request.app.state.dagster.cancel(str(run_id)):
        raise Refusal(409, "There is no such run that could be ended.")
    return reply({"id": str(run_id)}, 202)
