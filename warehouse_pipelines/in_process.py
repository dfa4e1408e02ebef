"""Runs the jobs that the UI launches, in this process, and reads back from the history what they did.

The command line and the demo use it. A run is stored by the instance of ``DAGSTER_HOME`` and so appears in the UI
beside the others. What is printed comes from ``orchestration.sync_history`` and from nowhere else.

Importing Dagster takes a second, therefore everything heavy is imported by the first run and not by this module.
"""

import contextlib
import gc
import importlib
import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from warehouse_pipelines import logs

if TYPE_CHECKING:
    import dagster as dg
    from rich.console import Console
    from rich.table import Table

ENDINGS: Mapping[str, int] = {"success": 0, "partial": 3, "failed": 1}
"""The exit code of each ending; ``worst`` says which of several counts."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one run did to one entity. ``reason`` says why it is not a success."""

    crm: str
    sync_type: str
    status: str
    history_id: int | None = None
    processed: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    failed: int = 0
    filtered: int = 0
    deleted: int = 0
    seconds: float = 0.0
    calls: int = 0
    dry_run: bool = False
    reason: str | None = None

    @property
    def records_per_second(self) -> float:
        """Processed records per second of the whole run."""
        return self.processed / self.seconds if self.seconds else 0.0


COUNTS = ("processed", "created", "updated", "unchanged", "failed", "filtered", "deleted")


def worst(outcomes: Iterable[Outcome]) -> int:
    """Return the exit code of the worst of several: failed, then partial, then success; nothing at all is failed."""
    codes = {ENDINGS.get(outcome.status, 1) for outcome in outcomes}
    return next((code for code in (1, 3, 0) if code in codes), 1)


HISTORY = """
SELECT DISTINCT ON (crm_source, sync_type) *, extract(epoch FROM end_time - start_time)::float8 AS took
FROM orchestration.sync_history WHERE run_id = %s ORDER BY crm_source, sync_type, id DESC
"""


def outcomes_of(run_id: str, url: str) -> list[Outcome]:
    """Return what the history says of a Dagster run; of an entity that was tried again, its last attempt."""
    import psycopg
    from psycopg.rows import dict_row

    with psycopg.connect(url, row_factory=dict_row) as connection:
        rows = sorted(connection.execute(HISTORY, (run_id,)).fetchall(), key=lambda row: int(row["id"]))
    return [_outcome(row) for row in rows]


def _outcome(row: Mapping[str, Any]) -> Outcome:
    metrics, status = row["performance_metrics"], row["status"]
    return Outcome(
        crm=row["crm_source"],
        sync_type=row["sync_type"],
        status="failed" if status == "running" else status,
        history_id=row["id"],
        processed=row["records_processed"],
        created=row["records_created"],
        updated=row["records_updated"],
        unchanged=metrics.get("unchanged", 0),
        failed=row["records_failed"],
        filtered=metrics.get("filtered", 0),
        deleted=metrics.get("deleted", 0),
        seconds=row["took"] or 0.0,
        calls=metrics.get("total_api_calls", 0),
        dry_run=bool(row["configuration"].get("dry_run")),
        reason="the run ended without closing its row" if status == "running" else _reason(row),
    )


def _reason(row: Mapping[str, Any]) -> str | None:
    reason = row["error_message"] or row["performance_metrics"].get("partial_reason")
    return None if reason is None else str(reason)


class Runner:
    """Runs jobs one after another. Dagster's own lines are printed with ``debug`` only."""

    def __init__(self, *, url: str, debug: bool = False) -> None:
        self.url = url
        self._debug = debug
        if not debug:
            warnings.simplefilter("ignore")  # Dagster's previews and betas; they are pinned
        gc.disable()  # nothing of what is imported is ever freed; looking for it costs a tenth of the time to start
        import dagster as dg

        from warehouse_pipelines.local import dagster_home

        dagster_home.prepare()
        self._instance = dg.DagsterInstance.get()
        from warehouse_pipelines.definitions import defs

        self._defs = defs
        importlib.import_module("warehouse_pipelines.loading.sync")
        gc.freeze()
        gc.enable()

    def close(self) -> None:
        """Let go of the instance's connections."""
        self._instance.dispose()

    def run(
        self,
        crm: str,
        entity: str,
        *,
        config: Mapping[str, Any] | None = None,
        days: tuple[date, date] | None = None,
    ) -> list[Outcome]:
        """Run ``sync_<crm>_<entity>`` and return what it did, of every entity in the job.

        ``config`` is that of the resource ``sync``; ``days`` are the first and the last partition. An entity that
        failed before it had a row in the history is returned with Dagster's message as its reason.
        """
        job = self._defs.resolve_job_def(f"sync_{crm}_{entity}")
        result = job.execute_in_process(
            instance=self._instance,
            run_config={
                "resources": {"sync": {"config": dict(config or {})}},
                "loggers": {"console": {"config": {"log_level": "DEBUG" if self._debug else "CRITICAL"}}},
            },
            tags=_range(days),
            raise_on_error=False,
        )
        outcomes = outcomes_of(result.run_id, self.url)
        return [*outcomes, *_without_row(crm, entity, result, outcomes)]


def _range(days: tuple[date, date] | None) -> dict[str, str]:
    if days is None:
        return {}
    first, last = days
    return {
        "dagster/asset_partition_range_start": first.isoformat(),
        "dagster/asset_partition_range_end": last.isoformat(),
    }


def _without_row(
    crm: str, entity: str, result: "dg.ExecuteInProcessResult", outcomes: Sequence[Outcome]
) -> Iterator[Outcome]:
    """Yield what failed without the history knowing: the database was away, or the run did not even begin."""
    if result.success:
        return
    known = {outcome.reason for outcome in outcomes if outcome.status == "failed"}
    failures = [event for event in result.all_events if event.is_step_failure or event.is_step_skipped]
    if not failures and not known:
        ended = next(
            (event.message for event in reversed(result.all_events) if event.is_failure), "Dagster says no more"
        )
        yield Outcome(crm=crm, sync_type=entity, status="failed", reason=ended)
    have = {outcome.sync_type for outcome in outcomes}
    for event in failures:
        name = _sync_type(crm, event.step_key or "")
        if name not in have:
            yield Outcome(crm=crm, sync_type=name, status="failed", reason=_message(event))


def _sync_type(crm: str, step_key: str) -> str:
    """Return the name of the entity whose asset the step makes: its table, with ``__`` for the dot."""
    from warehouse_pipelines.sources import SOURCES

    named = {
        entity.table.replace(".", "__"): entity.name
        for source in SOURCES
        if source.name == crm
        for entity in source.entities
    }
    return named.get(step_key, step_key)


def _message(event: "dg.DagsterEvent") -> str:
    if event.is_step_skipped:
        return "not run, because what it is read from failed"
    failure = event.step_failure_data
    if failure.user_failure_data and failure.user_failure_data.description:
        return failure.user_failure_data.description
    error = failure.error
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip() if error is not None else "no message"


def table(outcomes: Sequence[Outcome]) -> "Table":
    """Return the outcomes as a table for a terminal."""
    from rich.table import Table

    shown = Table(
        title="dry run: nothing was written" if any(o.dry_run for o in outcomes) else None, title_justify="left"
    )
    several = len({outcome.crm for outcome in outcomes}) > 1
    shown.add_column("entity")
    shown.add_column("status")
    for name in (
        "created",
        "updated",
        "unchanged",
        "failed",
        "filtered",
        "deleted",
        "seconds",
        "records/s",
        "API calls",
    ):
        shown.add_column(name, justify="right")
    colour = {"success": "green", "partial": "yellow", "failed": "red"}
    for o in outcomes:
        shown.add_row(
            f"{o.crm} {o.sync_type}" if several else o.sync_type,
            f"[{colour.get(o.status, 'red')}]{o.status}[/]",
            *(f"{n:,}" for n in (o.created, o.updated, o.unchanged, o.failed, o.filtered, o.deleted)),
            f"{o.seconds:.1f}",
            f"{o.records_per_second:,.0f}",
            f"{o.calls:,}",
        )
    return shown


def report(outcomes: Sequence[Outcome], console: "Console") -> None:
    """Print the table, and below it a line for each entity that is not a success."""
    from rich.markup import escape

    console.print(table(outcomes))
    for outcome in outcomes:
        if outcome.status != "success" and outcome.reason:
            where = f" (sync_history {outcome.history_id})" if outcome.history_id else ""
            reason = escape(logs.redacted(outcome.reason))
            console.print(f"{outcome.crm} {outcome.sync_type} {outcome.status}: {reason}{where}", soft_wrap=True)


def log(outcomes: Sequence[Outcome]) -> None:
    """Say the same in the log, for ``--log-format json``."""
    for outcome in outcomes:
        counts = {f"records_{name}": getattr(outcome, name) for name in COUNTS}
        said = {
            "crm_source": outcome.crm,
            "sync_type": outcome.sync_type,
            "status": outcome.status,
            "history_id": outcome.history_id,
            **counts,
            "seconds": round(outcome.seconds, 3),
            "records_per_second": round(outcome.records_per_second, 1),
            "api_calls": outcome.calls,
            "dry_run": outcome.dry_run,
            "reason": outcome.reason,
        }
        logs.general.info("%s %s: %s", outcome.crm, outcome.sync_type, outcome.status, extra=said)


class _Bar(logging.Handler):
    """Moves a bar with the progress lines of the loader."""

    def __init__(self, console: "Console") -> None:
        super().__init__(logging.DEBUG)
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[count]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._tasks: dict[str, Any] = {}

    def emit(self, record: logging.LogRecord) -> None:
        extra = record.__dict__
        if "crm_source" not in extra or not ({"record_count", "processed"} & extra.keys()):
            return
        name = f"{extra['crm_source']} {extra['sync_type']}"
        estimated, done = extra.get("estimated", extra.get("record_count")), extra.get("processed", 0)
        if name not in self._tasks:
            for task in self._tasks.values():
                self.progress.update(task, visible=False)
            self._tasks[name] = self.progress.add_task(name, total=estimated, count="")
        count = f"{done:,} records" if estimated is None else f"{done:,} of about {estimated:,} records"
        self.progress.update(self._tasks[name], completed=done, total=estimated, count=count)


@contextlib.contextmanager
def bar(console: "Console") -> Iterator[None]:
    """Show how far the runs inside the block are, when ``console`` is a terminal."""
    if not console.is_terminal:
        yield
        return
    handler = _Bar(console)
    logs.sync.addHandler(handler)
    try:
        with handler.progress:
            yield
    finally:
        logs.sync.removeHandler(handler)
