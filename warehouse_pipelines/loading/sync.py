"""One run of one entity, from its history row to its commit. ``sync`` is what Dagster, the CLI and replays call.

    take the lease of the entity
    plan the window, write the history row
    read:  pages -> Arrow batches         (a thread: it waits for the vendor and coerces)
    load:  batches -> rows, dead letters  (another one: it waits for PostgreSQL)
    tombstone deleted rows, close the history row, commit all at once

Whatever is raised, a cancel and an exit included, rolls everything back and closes the row, as cancelled or failed. The
thread that calls ``sync`` only waits (``interruption``).

A run is one transaction however long it is: the cursor of HubSpot's full read, which comes in the order of ids, could
not express a stretch that was done, and nobody wants to read a table that is half new.
"""

import contextlib
import functools
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import DatabaseUnavailable, WarehouseError
from warehouse_pipelines.loading import kept_redactions, lease, run_report, sync_history, vendor_account
from warehouse_pipelines.loading import resource as extracting
from warehouse_pipelines.loading.coerce import Coercer
from warehouse_pipelines.loading.completeness import Counts, incomplete_reason
from warehouse_pipelines.loading.dlt_source import dlt_resource
from warehouse_pipelines.loading.erased import Erased
from warehouse_pipelines.loading.interruption import STOP_SECONDS, Stopped, interruptible
from warehouse_pipelines.loading.loader import Loader
from warehouse_pipelines.loading.options import PROBE, SCHEDULED, Options, Purpose, Result, Status
from warehouse_pipelines.loading.plan import Plan, plan
from warehouse_pipelines.loading.read_ahead import read_ahead
from warehouse_pipelines.loading.rejects import Reject
from warehouse_pipelines.loading.request_budget import LONGEST_WAIT, RequestBudget
from warehouse_pipelines.loading.warehouse_reader import WarehouseReader
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import ReadContext, ReadReport, ReadRequest, Window
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.observability import logs
from warehouse_pipelines.observability.lost_values import Standing
from warehouse_pipelines.settings import settings

if TYPE_CHECKING:
    from dlt.extract import DltResource

    from warehouse_pipelines.warehouse import Session

log = logging.getLogger("warehouse.sync")

PROBE_RECORDS, PROBE_SECONDS = 1_000, 10.0
"""More than that no probe reads, and no longer."""


class SomethingNew(Exception):
    """A probe found something to load, or more to read than it may, as where a read of everything is due."""


def sync(
    source: Source,
    entity: Entity,
    options: Options,
    purpose: Purpose = SCHEDULED,
    *,
    url: str,
    run_id: str | None = None,
    resource: "DltResource | None" = None,
    longest_wait: float = LONGEST_WAIT,
    until_free: bool = False,
    progress: Callable[[int], None] = lambda records: None,
) -> Result:
    """Sync one entity and return what was done. ``progress`` is called after each batch with the records read so far.

    It raises ``BudgetSpent`` rather than wait more than ``longest_wait`` seconds for a request of a budget. With
    ``until_free`` it waits for another run of the entity until that has ended.

    Raises a ``WarehouseError`` that says what to do; the history row is closed then, and nothing was loaded. A probe
    leaves no row then; it also raises ``SomethingNew``, and ``TimeoutError`` after ``PROBE_SECONDS``.
    """
    flags = source.flags_for(entity, options.vendor)
    options = replace(options, vendor={flag.name: value for flag, value in flags.items()})
    asked = run_report.asked(source, entity, options)
    with lease.hold(url, source, entity, run_id, asked, at_once=purpose == PROBE, until_free=until_free) as held:
        last = sync_history.last_good(held.session, source, entity)
        narrowed = any(flag.narrows for flag in flags)
        planned = plan(entity, options, last, held.taken_at, purpose, narrowed=narrowed)
        run = (Probe if purpose == PROBE else Run)(source, entity, options, purpose, planned, held)
        held.when_lost, held.when_renewed = run.stop, run.keep_progress
        run.budget.longest_wait = longest_wait

        def work() -> Result:
            run.begin(run_id)
            return run.execute(resource or dlt_resource(source, entity), progress)

        try:
            return interruptible(work, run.stop, seconds=run.most_seconds)
        except BaseException as raised:
            error = unwrap_error(raised)
            if held.lost.is_set() and isinstance(error, Exception):
                error = held.error()
            try:
                run.close_failed(error)
            except Exception:
                raise
            except BaseException as again:  # a second interrupt, of a run that has not ended soon
                run.close_failed(again)
                raise
            run.tell_failed(error)
            if error is raised:
                raise
            raise error from raised


class Run:
    """The run between its history row and its result; it holds what the failure of any part must report.

    It is ended after ``most_seconds``.
    """

    most_seconds: float | None = None

    def __init__(
        self, source: Source, entity: Entity, options: Options, purpose: Purpose, planned: Plan, held: lease.Lease
    ) -> None:
        self.source, self.entity, self.options, self.purpose, self.plan = source, entity, options, purpose, planned
        self.lease, self.history_id = held, 0
        self.accounts: vendor_account.Known = {}
        self._progress: dict[str, Any] = {}
        self.stopping = threading.Event()
        self.warehouse = WarehouseReader(held.url)
        self.configuration = run_report.configuration(source, entity, options, planned) | purpose.configuration
        flags = {"full": options.full, "force": options.force, "backfill": planned.mode == "backfill", **options.vendor}
        self.cancelled = threading.Event()
        self.erased = Erased(entity)
        self.budget = RequestBudget(held.url, self.cancelled, source.name)
        self.reading = extracting.EntityRead(
            ReadRequest(
                entity=entity, window=planned.window, page_size=self.configuration["batch_size"],
                limit=options.max_records, options=flags, keys=purpose.keys,
            ),
            ReadContext(known=self.warehouse, acquire=self.budget.acquire, cancelled=self.cancelled),
            safety_limit=settings().warehouse_safety_limit,
        )  # fmt: skip
        self.coercer = self._coercer()
        self.report = run_report.RunReport(
            source, options, planned, self.reading, self.coercer, self.budget, held.taken_at
        )
        self.loader: Loader | None = None

    def begin(self, run_id: str | None) -> None:
        """Write the history row, and take over what earlier runs left: rows, the vendor's state, how columns stood."""
        source, entity, options, mode = self.source, self.entity, self.options, self.plan.mode
        session = self.lease.session
        if self.stopping.is_set():
            raise Stopped
        self.history_id = sync_history.begin(
            session, source, entity, start_time=self.report.now, configuration=self.configuration, run_id=run_id
        )
        self.report.rows_before = sync_history.last_rows(session, source, entity)
        if entity.cursor is None and mode == "full" and not (options.full or options.force or options.start_date):
            self.change_request(state=sync_history.last_state(session, source, entity))
        if self.purpose.kind != "replay":
            source.require_settings()
        kept_redactions.require(session, entity)
        self.accounts = vendor_account.known(session, source)
        self.declare(source.configured(entity), session)
        self.expect(*sync_history.last_values(session, source, entity, mode))
        self.tell_begun()

    def declare(self, entity: Entity, session: "Session") -> None:
        """Read and load by this declaration, without the people who were erased so far."""
        self.erased = Erased.read(session, entity)
        if entity is self.entity and not self.erased:
            return
        self.entity = entity
        self.change_request(entity=entity)
        self.coercer = self.report.coercer = self._coercer()

    def change_request(self, **changes: Any) -> None:
        """Ask for something else, before the read begins."""
        self.reading.request = replace(self.reading.request, **changes)

    def _coercer(self) -> Coercer:
        coercer = Coercer(
            self.source.name, self.entity, skip_validation=self.options.skip_validation, erased=self.erased
        )
        coercer.missing.vanished = self.reading.context.absent
        coercer.missing.has_archived = functools.cache(lambda: bool(self.warehouse.filled(self.entity, ["archived"])))
        return coercer

    def expect(self, stood: Standing, shares: Mapping[str, float]) -> None:
        """Set how the columns stood after the last run; with ``--force`` absent columns are emptied instead of kept."""
        self.report.stood = stood
        if not self.options.force:
            self.coercer.missing.expect(shares, stood)

    def keep_progress(self) -> None:
        """Write into the history row how far the run is, if it has got on since the last time."""
        progress = self.report.progress()
        if self.history_id and progress != self._progress:
            sync_history.keep_progress(self.lease.session, self.history_id, progress)
            self._progress = progress

    def close_failed(self, error: BaseException) -> None:
        """Close the history row of a run that raised, in another session where that of an interrupted run may be busy.

        The server may have no session left: the run has just given up some of its own. If there is none for
        ``STOP_SECONDS``, ``close_stale_runs`` closes the row.
        """
        if isinstance(error, Exception):
            self.fail(self.lease.session, error)
            return
        deadline = time.monotonic() + STOP_SECONDS
        while True:
            try:
                with warehouse.session(self.lease.url) as own:
                    self.fail(own, error)
                return
            except DatabaseUnavailable as away:
                if time.monotonic() > deadline:
                    log.error("the history row of %s %s is left open: %s", self.source.name, self.entity.name, away)
                    return
                time.sleep(0.2)

    def fail(self, session: "Session", error: BaseException) -> None:
        """Close the history row as failed or cancelled."""
        metrics = self.report.metrics()
        sync_history.fail(
            session, self.source, self.entity, error, metrics, history_id=self.history_id, token=self.lease.token
        )

    def stop(self) -> None:
        """Have another thread, in which this run goes on, end it soon."""
        self.stopping.set()
        self.cancelled.set()
        if self.loader is not None:
            self.loader.cancel()

    def execute(self, unread: "DltResource", progress: Callable[[int], None]) -> Result:
        """Read, load, tombstone, close the history row, commit."""
        with self.warehouse, self.budget:
            self._require_account()
            result = self._execute(unread, progress)
        self.tell_completed(result)
        return result

    def _require_account(self) -> None:
        """Refuse the credential of another account; a replay asks no vendor."""
        if self.purpose.kind == "replay":
            self.report.vendor_account = self.accounts.get(self.source.name)
        else:
            self.report.vendor_account = vendor_account.require(self.source, self.accounts, self.reading.context)
        self.reading.context.see_accounts = self._see_accounts

    def _see_accounts(self, ids: Sequence[str]) -> None:
        """Refuse and remember the accounts that the read itself saw."""
        self.report.vendor_account = vendor_account.seen(self.source, self.accounts, ids, self.reading.context)

    def _execute(self, unread: "DltResource", progress: Callable[[int], None]) -> Result:
        loader = self.loader = Loader(
            self.lease.url, self.source, self.entity, history_id=self.history_id, token=self.lease.token,
            force=self.options.force, detect_deletes=self.plan.complete_range is not None,
        )  # fmt: skip
        end = self.plan.window.until if self.plan.mode == "backfill" else None
        try:
            self._load(extracting.bound(unread, self.reading, self.coercer, end), loader, progress)
            began = time.monotonic()
            incomplete = self._finish(loader)
            rows = self.report.count_rows(loader)
            self.report.loading_seconds += time.monotonic() - began
            result = self.report.result(self.history_id, loader, incomplete, rows)
            closing = self.report.closing(result, incomplete)
            self.judge(loader, result.status)
            if self.stopping.is_set():
                raise Stopped
            if self.options.dry_run:
                loader.close()
                self._close_dry(closing)
            else:
                self.erased.require_unchanged(loader.transaction)
                loader.commit(closing)
            return result
        finally:
            self.cancelled.set()
            loader.close()

    def _load(self, tables: "DltResource", loader: Loader, progress: Callable[[int], None]) -> None:
        """Load the tables while the next ones are read."""
        name = f"read-{self.entity.table_name}"
        for table in read_ahead(
            tables, self.cancelled, name=name, add_seconds=self.report.add_reading, waiting=self.tell_reading
        ):
            if self.stopping.is_set():
                raise Stopped
            began = time.monotonic()
            self.report.note(table)
            loader.load(table)
            loader.tombstones.note_erased(self.erased.take_keys())
            self._write_dead_letters(loader)
            self.judge(loader)
            self.report.loading_seconds += time.monotonic() - began
            progress(self.coercer.read)
            self.tell_progress()

    def judge(self, loader: Loader, status: Status = "success") -> None:
        """Raise where the run may not go on with what was read so far."""

    def tell_begun(self) -> None:
        """Log that the vendor is asked, and later that it answers."""
        source, entity, configuration = self.source, self.entity, self.configuration
        how = {"strategy": self.plan.mode, "since": str(self.plan.window.since)}
        logs.asking(source.name, entity.name, source.title, configuration, **how)
        self.reading.begun = lambda: logs.started(source.name, entity.name, self.reading.reported, configuration, **how)

    def tell_progress(self) -> None:
        """Log how many records were read."""
        logs.progress(self.source.name, self.entity.name, self.coercer.read, self.reading.reported)

    def tell_reading(self) -> None:
        """Log now and then that the run goes on, while no batch is there."""
        logs.reading(
            self.source.name, self.entity.name, self.coercer.read, self.reading.reported, self.reading.context.calls
        )

    def tell_rejects(self, rejects: Sequence[Reject]) -> None:
        """Log what could not be read or loaded."""
        for reject in rejects:
            logs.record_error(
                self.source.name, self.entity.name, reject.key, reject.message, record=bytes(reject.raw),
                configuration=self.configuration, context=f"{reject.stage} {reject.rule}",
            )  # fmt: skip

    def tell_completed(self, result: Result) -> None:
        """Log what was done."""
        logs.completed(
            self.source.name, self.entity.name, result.created, result.updated, result.failed,
            status=result.status, sync_history_id=result.history_id, seconds=result.seconds,
        )  # fmt: skip

    def tell_failed(self, error: BaseException) -> None:
        """Log why the run ended."""
        logs.sync_failed(self.source.name, self.entity.name, error, self.configuration)

    def _finish(self, loader: Loader) -> str | None:
        """Tombstone and close dead letters once all is read. Return why the read is incomplete."""
        self._write_dead_letters(loader)
        loader.empty_returned(self.coercer.missing.absent | self.coercer.missing.vanished_values)
        report, window = self.reading.report, self.plan.complete_range
        incomplete = incomplete_reason(self.source, self.entity, self.options, self.plan, report, self._counts(loader))
        if report is not None:
            if window is not None and incomplete is None and not report.changes_only:
                self._detect_deletes(loader, window, report)
            elif report.deleted_keys and incomplete in (None, report.unproven):
                self._tombstone_named(loader, window, report)
            if incomplete is None and not self._account_is_new:
                loader.tombstones.mark_erased(report.erased_keys)
        if loader.older and self.plan.mode == "full":
            self._tell_older(loader.older)
        loader.dead_letters.close()
        if self.purpose.dead_letters:
            loader.dead_letters.resolve(self.purpose.dead_letters)
        return incomplete

    def _tell_older(self, older: int) -> None:
        """Tell that a read of everything found records that differ from rows that are newer."""
        told = (
            f"{older} records of {self.source.title} are older than their rows in {self.entity.table}, which were left "
            "as they are. Were they put back to a former state over there, run again with --full --force."
        )
        self.reading.context.note(older_than_stored=told)
        log.warning("%s %s: %s", self.source.name, self.entity.name, told)

    def _counts(self, loader: Loader) -> Counts:
        return Counts(
            read=self.coercer.read, superseded=self.coercer.superseded, outside=self.reading.outside,
            found=loader.created + loader.updated + loader.unchanged + loader.failed + self.erased.dropped
            + loader.older,
            had_rows=loader.had_rows, endless=self.reading.endless,
            living=lambda: loader.count_rows()[1], living_within=loader.tombstones.count_living,
        )  # fmt: skip

    def _write_dead_letters(self, loader: Loader) -> None:
        """Write what could not be read or loaded so far into the dead letters."""
        rejects = [*self.coercer.take_rejects(), *loader.take_rejects()]
        self.tell_rejects(rejects)
        loader.write_dead_letters(rejects)

    def _detect_deletes(self, loader: Loader, window: Window, report: ReadReport) -> None:
        """Tombstone what a complete read did not return, unless bad records may hide what was found."""
        if keyless := loader.dead_letters.keyless:
            skipped = (
                f"the keys of {keyless} records in the dead letters could not be made out, and any row may be "
                "theirs: no row was counted as deleted. Have them mended, or waive them: `warehouse dead-letters list "
                f"--crm {self.source.name} --entity {self.entity.name}`"
            )
            self.reading.context.note(delete_detection_skipped=skipped)
            log.warning("%s %s: %s", self.source.name, self.entity.name, skipped)
            return
        everything = self.plan.window.since is None
        if report.complete_since is not None:
            begins = [moment for moment in (window.since, report.complete_since) if moment is not None]
            window = Window(max(begins), window.until)
        loader.tombstones.withdraw(report.withdrawn_keys, window)
        loader.tombstones.tombstone_missing(window, self._delete_reason(report), everything=everything)

    def _tombstone_named(self, loader: Loader, window: Window | None, report: ReadReport) -> None:
        """Tombstone the rows whose keys the source named, if this run may."""
        if self.purpose.keys:
            window = self.plan.window
        if window is not None:
            loader.tombstones.tombstone(report.deleted_keys, window, self._delete_reason(report))

    @property
    def _account_is_new(self) -> bool:
        """Whether no run of this entity knew before whose account it read, so that rows may be of another one."""
        own = self.accounts.get(self.source.name)
        return self.report.vendor_account is not None and (own is None or self.entity.name not in own.entities)

    def _delete_reason(self, report: ReadReport) -> str:
        """Return why a row that was not found is deleted: of another account, it need not be erased at the vendor."""
        return "missing" if self._account_is_new else report.delete_reason

    def _close_dry(self, closing: dict[str, Any]) -> None:
        """Close the row of a dry run, whose transaction was rolled back."""
        writer = Loader(
            self.lease.url, self.source, self.entity, history_id=self.history_id, token=self.lease.token,
            force=False, detect_deletes=False,
        )  # fmt: skip
        try:
            writer.commit(closing)
        finally:
            writer.close()


class Probe(Run):
    """A run that goes on only while nothing is new, leaves no row if it does not come to its end, and logs nothing."""

    most_seconds = PROBE_SECONDS

    def begin(self, run_id: str | None) -> None:
        """Begin, unless everything is to be read that a delta would not."""
        if self.entity.cursor and self.plan.mode == "full":
            raise SomethingNew
        super().begin(run_id)

    def judge(self, loader: Loader, status: Status = "success") -> None:
        """Raise ``SomethingNew`` where there is something to load, or more records than a probe reads."""
        report = self.reading.report
        changed = loader.created + loader.updated + loader.restored + loader.deleted + loader.failed
        if changed or status != "success" or (report and report.erased_keys) or self.coercer.read > PROBE_RECORDS:
            raise SomethingNew

    def close_failed(self, error: BaseException) -> None:
        """Delete the history row; the session may be busy in the thread that was stopped, as after its seconds."""
        with contextlib.suppress(DatabaseUnavailable), warehouse.session(self.lease.url) as own:
            sync_history.withdraw(own, self.source, self.entity, token=self.lease.token)

    def keep_progress(self) -> None:
        """Write nothing: nobody looks at a row that is deleted or closed within seconds."""

    def tell_begun(self) -> None:
        """Log nothing, as below: whatever went wrong is told by the run that follows."""

    def tell_progress(self) -> None: ...
    def tell_reading(self) -> None: ...
    def tell_rejects(self, rejects: Sequence[Reject]) -> None: ...
    def tell_completed(self, result: Result) -> None: ...
    def tell_failed(self, error: BaseException) -> None: ...


def unwrap_error(raised: BaseException) -> BaseException:
    """Return the error that was raised on purpose, out of those that dlt wrapped round it."""
    error: BaseException | None = raised
    while error is not None:
        if isinstance(error, WarehouseError) or not isinstance(error, Exception):
            return error
        error = error.__cause__ or error.__context__
    return raised
