"""Work the inbox of webhooks off while Dagster's daemon runs: a sensor that asks for it, and the job that does it.

**The sensor** looks every five seconds; every half minute if no vendor had a secret when the code server started. A few
deliveries it works off itself, in the code server, which has everything imported: a run waits in a queue for up to ten
seconds, and an event is to be a row within ten. It does not do so for longer than ``OWN_SECONDS``. If more is due, it
asks for a run of ``work_webhooks``.

**The job** works off batch after batch until nothing is due, and some seconds longer, because deliveries come in
bursts. Each read is an observation of its asset, not a materialization: it says nothing of how fresh the table is.

Sensor, job and command never work at the same time (``loading.webhook_inbox.working``), and a row is closed only after
its records were read, so whoever is killed leaves pending rows for the next. A tick that cannot ask the warehouse
fails; a vendor that cannot be read is a reason to try its deliveries again, which the tick names and the history keeps.
"""

import importlib
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import dagster as dg

from warehouse_pipelines.model.source import Source
from warehouse_pipelines.orchestration.io_manager import key_of
from warehouse_pipelines.orchestration.schedules import UNFINISHED
from warehouse_pipelines.orchestration.ticks import told_plainly
from warehouse_pipelines.settings import serve_settings

if TYPE_CHECKING:
    from warehouse_pipelines.serving.work import Worked

JOB = "work_webhooks"
LOOK_SECONDS = 1
"""The daemon itself looks at sensors every five seconds; with five here it would leave out every second look."""

IDLE_LOOK_SECONDS = 30
"""Where no vendor has a secret, so that no delivery is accepted and the inbox has only what is left of earlier ones."""

FEW = 200
"""Deliveries that the sensor works off itself."""

OWN_SECONDS = 20.0
LINGER_SECONDS = 20.0
"""How long the job waits for more before it ends."""

LONGEST_SECONDS = 1_800.0
"""After so long the job ends and the sensor asks for the next run, so that no run's log grows without end."""


def jobs(sources: Sequence[Source], url: Callable[[], str]) -> list[dg.JobDefinition]:
    """Return the job, on the warehouse at ``url()``."""

    @dg.op(name=f"{JOB}_op", description="Read what deliveries of webhooks name, and close them.")
    def run(context: dg.OpExecutionContext) -> None:
        from warehouse_pipelines.serving.work import work

        began = idle_since = time.monotonic()
        while time.monotonic() - idle_since < LINGER_SECONDS and time.monotonic() - began < LONGEST_SECONDS:
            worked = work(sources, url=url(), run_id=context.run_id)
            if worked and worked.taken:
                _report(context, worked)
                idle_since = time.monotonic()
            else:
                time.sleep(0.5)

    @dg.job(name=JOB, description="Work off the inbox of webhooks; the sensor `webhook_inbox` asks for it.")
    def job() -> None:
        run()

    return [job]


def _report(context: dg.OpExecutionContext, worked: "Worked") -> None:
    context.log.info(f"{worked.taken} deliveries: {dict(worked.rows)}")
    for message in worked.failures:
        context.log.warning(message)
    for source, entity, result in worked.reads:
        facts: dict[str, str | int] = {
            "mode": result.mode, "created": result.created, "updated": result.updated, "deleted": result.deleted,
            "failed": result.failed, "sync_history_id": result.history_id,
        }  # fmt: skip
        description = f"read for webhooks of {source.title}"
        context.log_event(dg.AssetObservation(key_of(entity), description=description, metadata=facts))


def sensors(sources: Sequence[Source], url: Callable[[], str]) -> list[dg.SensorDefinition]:
    """Return the sensor."""

    @dg.sensor(
        name="webhook_inbox",
        job_name=JOB,
        minimum_interval_seconds=LOOK_SECONDS if serve_settings().can_verify else IDLE_LOOK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def webhook_inbox(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        """Have the inbox of webhooks worked off."""
        with told_plainly():
            return _look(context.instance, sources, url())

    return [webhook_inbox]


def _import_early() -> None:
    """Import what a read needs, which takes six seconds, before the next delivery has to wait for it."""
    for name in ("dlt", "warehouse_pipelines.serving.work"):
        importlib.import_module(name)


def _look(instance: dg.DagsterInstance, sources: Sequence[Source], url: str) -> dg.RunRequest | dg.SkipReason:
    from warehouse_pipelines import warehouse
    from warehouse_pipelines.loading import webhook_inbox

    def due() -> int:
        with warehouse.session(url) as session:
            return webhook_inbox.count_due(session, FEW + 1)

    if not due():
        with warehouse.session(url) as session:
            if serve_settings().can_verify or webhook_inbox.is_used(session):
                _import_early()
        return dg.SkipReason("nothing is due")
    if instance.get_runs(dg.RunsFilter(job_name=JOB, statuses=UNFINISHED), limit=1):
        return dg.SkipReason(f"{JOB} is at it")
    from warehouse_pipelines.serving.work import work

    began, taken = time.monotonic(), 0
    failures: dict[str, None] = {}
    while 0 < (left := due()) <= FEW and time.monotonic() - began < OWN_SECONDS:
        worked = work(sources, url=url, limit=FEW)
        if worked is None:
            return dg.SkipReason("another process is at it")
        taken += worked.taken
        failures |= dict.fromkeys(worked.failures)
    if left:
        return dg.RunRequest()
    again = f"; tried again later: {'; '.join(failures)}" if failures else ""
    return dg.SkipReason(f"worked off {taken} deliveries{again}")
