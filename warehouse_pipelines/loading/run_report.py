"""What a run found: its metrics at any moment, its result, and what its history row is opened and closed with."""

import resource as system
import sys
import time
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from warehouse_pipelines.loading import sample
from warehouse_pipelines.loading.coerce import Coercer
from warehouse_pipelines.loading.loader import Loader
from warehouse_pipelines.loading.options import Options, Result, Status
from warehouse_pipelines.loading.plan import Plan
from warehouse_pipelines.loading.request_budget import RequestBudget
from warehouse_pipelines.loading.resource import EntityRead, newest_cursor
from warehouse_pipelines.loading.vendor_account import VendorAccount
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import ReadReport
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.observability.lost_values import Sent, Standing


class RunReport:
    """Collects what one run finds while it goes on.

    ``rows_before``  the rows and the living rows that the last run left, where it is known
    ``stood``        how the columns stood after the last run
    ``watermark``    the greatest cursor that was read
    ``vendor_account``  whose account the credential answers for, where that is known
    """

    def __init__(self, source: Source, options: Options, plan: Plan, reading: EntityRead, coercer: Coercer,
                 budget: RequestBudget, now: datetime) -> None:  # fmt: skip
        self.source, self.options, self.plan, self.now = source, options, plan, now
        self.reading, self.coercer, self.budget = reading, coercer, budget
        self.rows_before: tuple[int, int] | None = None
        self.stood = Standing()
        self.watermark: datetime | None = None
        self.vendor_account: VendorAccount | None = None
        self.sample: list[dict[str, Any]] = []
        self.reading_seconds = self.loading_seconds = 0.0
        self._began = time.monotonic()

    def note(self, table: pa.Table) -> None:
        """Remember the watermark and a few rows of a batch."""
        if not table.num_rows:
            return
        entity = self.reading.request.entity
        if entity.cursor:
            newest = newest_cursor(table[entity.cursor], self.now)
            if newest is not None and (self.watermark is None or newest > self.watermark):
                self.watermark = newest
        if (wanted := sample.ROWS - len(self.sample)) > 0:
            self.sample += sample.rows(entity, table, wanted)

    def add_reading(self, seconds: float) -> None:
        """Add to the time that was spent reading."""
        self.reading_seconds += seconds

    @property
    def mode(self) -> str:
        """How everything or a window was read in the end."""
        report = self.reading.report
        changes_only = report is not None and report.changes_only
        by_changes = self.reading.request.entity.state_based and self.plan.mode == "full" and changes_only
        return "delta" if by_changes else self.plan.mode

    def count_rows(self, loader: Loader) -> tuple[int, int]:
        """Return the rows of the table and the living ones: counted after a full read, else from the last run's."""
        if self.rows_before is None or self.mode == "full":
            return loader.count_rows()
        total, living = self.rows_before
        return total + loader.created, living + loader.created + loader.restored - loader.deleted

    def result(self, history_id: int, loader: Loader, incomplete: str | None, rows: tuple[int, int]) -> Result:
        """Return what the run did; ``incomplete`` says why its read cannot be called complete."""
        total, living = rows
        read = self.coercer.read
        filtered = read - loader.created - loader.updated - loader.unchanged - loader.failed
        standing = self._standing()
        columns = standing.reason(self.stood)
        remark = self.reading.report.remark if self.reading.report else None
        # A replay was asked to load what failed again; any other run is a success when it met what is known.
        bad = loader.failed if self.plan.mode == "replay" else loader.dead_letters.new
        status: Status = "partial" if bad or incomplete or remark or columns else "success"
        watermark = None
        if self.plan.moves_watermark and incomplete is None:
            marks = [mark for mark in (self.plan.previous, self.watermark) if mark is not None]
            watermark = min(max(marks), self.now) if marks else None
        seconds = time.monotonic() - self._began
        metrics = self.metrics() | {
            "unchanged": loader.unchanged,
            "filtered": filtered,
            "outside_window": self.reading.outside,
            "erased": self.coercer.erased.dropped,
            "duplicates": self.coercer.superseded,
            "older": loader.older,
            "deleted": loader.deleted,
            "merged": loader.tombstones.absorbed,
            "restored": loader.restored,
            "known_failed": loader.failed - loader.dead_letters.new,
            "error_rate": round(loader.failed / read, 6) if read else 0.0,
            "total_rows": total,
            "living_rows": living,
            **standing.metrics(),
        }
        reason = " ".join(filter(None, (incomplete, remark, columns))) or None
        if reason:
            metrics["partial_reason"] = reason
        return Result(
            history_id=history_id, status=status, window=self.plan.window, mode=self.mode,
            processed=read, created=loader.created, updated=loader.updated,
            unchanged=loader.unchanged, failed=loader.failed, filtered=filtered, deleted=loader.deleted,
            restored=loader.restored, total_rows=total, calls=self.reading.context.calls, seconds=seconds,
            watermark=watermark, reason=reason, sample=self.sample, metrics=metrics,
            unread_keys=self.reading.report.unread_keys if self.reading.report else (),
            unread_seconds=self.reading.report.unread_seconds if self.reading.report else 0.0,
        )  # fmt: skip

    def _standing(self) -> Standing:
        """Return how the columns stand after this run."""
        coercer, missing, entity = self.coercer, self.coercer.missing, self.reading.request.entity
        full = self.mode == "full" and not self.plan.narrowed and not self.options.max_records and coercer.read > 0
        absent = missing.absent | missing.vanished_values
        if not full and not self.options.force:
            # A column that is back in a delta says nothing of the rows whose values were kept.
            absent |= self.stood.absent & {*entity.columns, entity.deletes.column}
        flag = Sent(0, 0) if entity.deletes.column in absent else missing.flag_sent
        unseen = missing.unseen(coercer.read)
        if self.plan.mode == "backfill":
            absent, flag, unseen = set(self.stood.absent), Sent(0, 0), dict(self.stood.unseen)
        return self.stood.after(coercer.lost, coercer.filled, absent, full=full, flag=flag, unseen=unseen)

    def closing(self, result: Result, incomplete: str | None) -> dict[str, Any]:
        """Return what the history row is closed with. An unproven read keeps the state that its source returned."""
        report = self.reading.report or ReadReport()
        limited = self.options.dry_run or self.options.max_records or self.plan.narrowed
        state = report.next_state if not limited and incomplete in (None, report.unproven) else None
        return {
            "status": result.status,
            "processed": result.processed,
            "created": result.created,
            "updated": result.updated,
            "failed": result.failed,
            "error_message": result.reason,
            "configuration": {
                "mode": result.mode,
                "cursor": result.watermark.isoformat() if result.watermark else None,
                **({} if state is None else {"state": dict(state)}),
                **({} if self.vendor_account is None else {"vendor_account": self.vendor_account.kept}),
            },
            "performance_metrics": dict(result.metrics),
        }

    def progress(self) -> dict[str, Any]:
        """Return those of the ``metrics`` that say how far the run is. Any thread may ask."""
        return {
            "total_records": self.coercer.read,
            "total_api_calls": self.reading.context.calls,
            "vendor_reported": self.reading.reported,
        }

    def metrics(self) -> dict[str, Any]:
        """Return the ``performance_metrics`` that are known at any moment; times in seconds, memory in MB."""
        seconds = time.monotonic() - self._began
        reading, context = self.reading, self.reading.context
        read, calls = self.coercer.read, context.calls
        waiting = context.waited_seconds + self.budget.waited_seconds
        return {
            "duration_seconds": round(seconds, 3),
            "records_per_second": round(read / seconds, 1) if seconds else 0.0,
            "total_records": read,
            "total_api_calls": calls,
            "api_calls_per_record": round(calls / read, 4) if read else 0.0,
            "peak_memory_mb": round(_peak_memory() / 2**20, 1),
            "waiting_seconds": round(waiting, 3),
            "coercing_seconds": round(max(0.0, self.reading_seconds - waiting), 3),
            "loading_seconds": round(self.loading_seconds, 3),
            "warnings": dict(self.coercer.warnings),
            "values_lost": {
                name: {"lost": lost, "of": lost + self.coercer.filled[name]}
                for name, lost in dict(self.coercer.lost).items()
                if lost
            },
            "columns_filled": {name: filled for name, filled in dict(self.coercer.filled).items() if filled},
            "vendor_reported": reading.reported,
            "vendor_trusted": reading.report is not None and reading.report.reported_trusted,
            "noticed": context.noted,
            **dict.fromkeys(self.source.measures, 0),
            **context.measured,
        }


def _peak_memory() -> int:
    """Return the peak resident memory of this process in bytes."""
    peak = system.getrusage(system.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def asked(source: Source, entity: Entity, options: Options) -> dict[str, Any]:
    """Return what a run was asked for, of its ``configuration``; it has no window before it is planned."""
    return {
        "batch_size": options.batch_size or entity.page_size or source.page_size,
        "dry_run": options.dry_run,
        "window_start": None,
        "window_end": None,
        "full": options.full,
        "force": options.force,
        "skip_validation": options.skip_validation,
        "max_records": options.max_records,
        "start_date": options.start_date.isoformat() if options.start_date else None,
        "end_date": options.end_date.isoformat() if options.end_date else None,
        "vendor": dict(options.vendor),
    }


def configuration(source: Source, entity: Entity, options: Options, plan: Plan) -> dict[str, Any]:
    """Return the ``configuration`` that a history row is opened with: what was asked, and the window of the run."""
    since, until = plan.window
    return {
        "mode": plan.mode,
        **asked(source, entity, options),
        "window_start": since.isoformat() if since else None,
        "window_end": until.isoformat(),
        "narrowed": plan.narrowed,
        "overlap_seconds": _seconds(entity.cadence.overlap),
        "lookback_seconds": _seconds(entity.cadence.lookback),
        "previous_cursor": plan.previous.isoformat() if plan.previous else None,
        "cursor": None,
    }


def _seconds(length: timedelta) -> int:
    return int(length.total_seconds())
