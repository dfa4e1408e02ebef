"""One run of one entity, from its plan to its history row.

    take the lock of the entity
    plan the window, write the history row
    read:  pages -> Arrow batches         (a thread: it waits for the vendor and coerces)
    load:  batches -> rows, dead letters  (another one: it waits for PostgreSQL)
    tombstone what is gone, close the history row, commit all at once

Whatever is raised, a cancel and an exit included, rolls everything back and closes the row, as cancelled or failed. The
thread that calls ``sync`` only waits (``_interruptible``), so that an interrupt reaches it at any moment: in the main
thread ADBC takes SIGINT for itself during its calls. It ends the statement and loses the signal, and what looks like a
database in trouble is tried again.

A run is one transaction however long it is: the cursor of HubSpot's whole read, which comes in the order of ids, could
not express a stretch that was done, and a table that is half new is what nobody wants to read.
"""

import contextlib
import functools
import logging
import queue
import resource as system
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from warehouse_pipelines.errors import DatabaseUnavailable, SuspiciousRead, WarehouseError
from warehouse_pipelines.loading import resource as extracting
from warehouse_pipelines.loading import sample, sync_history
from warehouse_pipelines.loading.coerce import Coercer
from warehouse_pipelines.loading.loader import Loader
from warehouse_pipelines.loading.options import Options, Result, Status
from warehouse_pipelines.loading.request_budget import RequestBudget
from warehouse_pipelines.loading.warehouse_reader import WarehouseReader
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import Extraction, Window
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.observability import logs
from warehouse_pipelines.observability.lost_values import Sent, Standing
from warehouse_pipelines.settings import settings

if TYPE_CHECKING:
    from dlt.extract import DltResource

log = logging.getLogger("warehouse.sync")

AHEAD = timedelta(days=1)
"""How far ahead of ours a vendor's clock may be; a cursor beyond that is no high-water mark."""

RETRY_WHOLE = 4
"""Of so many runs one tries again to read everything when that did not succeed; without the deltas in between, what is
new at a vendor would not arrive until somebody has looked at a suspicious read.
"""


STOP_SECONDS = 3.0
"""How long a run that is interrupted may take to end what it is in the middle of."""


class Stopped(Exception):
    """The thread of a run ends because the run was interrupted; nobody sees it."""


@dataclass(frozen=True)
class Plan:
    """What a run asks for.

    ``swept`` is the window that it reads whole, so that what is not found in it is gone. With ``narrowed`` a vendor's
    flag leaves records out that are there.
    """

    mode: str
    window: Window
    previous: datetime | None
    moves_cursor: bool
    swept: Window | None
    narrowed: bool = False


def plan(entity: Entity, options: Options, last: sync_history.LastGood | None, now: datetime,
         backfill: Window | None = None, *, replay: bool = False, narrowed: bool = False) -> Plan:  # fmt: skip
    """Choose the window of a run: ``--full`` or ``--force``, then ``--start-date``, then the last good run, then all.

    A delta begins at the source's high-water mark of the last run that moved it, less the overlap, and not later than
    that run's start; with a ``lookback`` at least so far before now. It becomes a read of everything when one fell
    due since the last (``Entity.whole_due``). Backfills, replays, limited and dry runs never move the cursor, nor do
    runs that a vendor's flag ``narrowed``; a run from a start date moves it when it leaves no gap.
    """
    until = now + entity.lookahead
    previous = last.cursor if last else None
    start = None
    if options.start_date is not None:
        start = datetime.combine(options.start_date, datetime.min.time(), UTC)
    if replay:
        return Plan("replay", Window(None, now), previous, False, None)
    if backfill is not None:
        mode, window = "backfill", backfill
    elif entity.cursor is None or options.full or (start is None and (options.force or last is None)):
        mode, window = "full", Window(None, until)
    elif start is not None:
        mode, window = "start_date", Window(start, until)
    elif _whole_is_due(entity, last, now):
        mode, window = "full", Window(None, until)
    else:
        assert last is not None  # noqa: S101  (the second branch)
        since = min(last.cursor, last.start_time) - entity.overlap
        if entity.lookback:
            since = min(since, now - entity.lookback)
        mode, window = "delta", Window(since, until)
    oldest = now - entity.retention if entity.retention else None
    if oldest and window.since and window.since < oldest:
        window = Window(oldest, max(oldest, window.until))
    limited = narrowed or bool(options.max_records or options.dry_run)
    gapless = mode == "full" or (previous is not None and window.since is not None and window.since <= previous)
    moves = bool(entity.cursor) and mode != "backfill" and gapless and not limited
    swept = None
    if not options.max_records and not narrowed:
        if window.since is None:
            swept = Window(oldest, window.until)
        elif entity.missing == "window":
            swept = window
    return Plan(mode, window, previous, moves, swept, narrowed)


def _whole_is_due(entity: Entity, last: sync_history.LastGood | None, now: datetime) -> bool:
    """Return whether to read everything. After one that failed the deltas go on, and it is tried again later."""
    if entity.whole_every is None or last is None:
        return False
    if last.whole_tried and (last.whole_time is None or last.whole_tried > last.whole_time):
        return now - last.whole_tried >= min(RETRY_WHOLE * entity.every, entity.whole_every / 2)
    return last.whole_time is None or last.whole_time < entity.whole_due(now)


def sync(
    source: Source,
    entity: Entity,
    options: Options,
    *,
    url: str,
    backfill: Window | None = None,
    run_id: str | None = None,
    resource: "DltResource | None" = None,
    replayed: Sequence[int] = (),
    progress: Callable[[int], None] = lambda records: None,
) -> Result:
    """Sync one entity and return what was done. ``progress`` is told after each batch how many records were read.

    Raises a ``WarehouseError`` that says what to do; the history row is closed then, and nothing was loaded.
    """
    flags = source.flags_for(entity, options.vendor)
    options = replace(options, vendor={flag.name: value for flag, value in flags.items()})
    with sync_history.locked(url, source, entity, run_id) as session:
        now = sync_history.utc_now()
        planned = plan(
            entity, options, sync_history.last_good(session, source, entity), now, backfill,
            replay=bool(replayed), narrowed=any(flag.narrows for flag in flags),
        )  # fmt: skip
        page_size = options.batch_size or entity.page_size or source.page_size
        configuration = _configuration(entity, options, planned, page_size)
        run = _Run(source, entity, options, planned, url, now, page_size)

        def work() -> Result:
            run.history_id = sync_history.begin(
                session, source, entity, start_time=now, configuration=configuration, run_id=run_id
            )
            run.before = sync_history.last_rows(session, source, entity)
            if (
                entity.cursor is None
                and planned.mode == "full"
                and not (options.full or options.force or options.start_date)
            ):
                run.extraction.state = sync_history.last_state(session, source, entity)
            source.require_settings()
            run.declare(source.as_configured(entity))
            run.expect(*sync_history.last_values(session, source, entity, planned.mode))
            how = {"strategy": planned.mode, "since": str(planned.window.since)}
            logs.asking(source.name, entity.name, source.title, configuration, **how)
            run.extraction.answered = lambda: logs.started(
                source.name, entity.name, run.extraction.reported, configuration, **how
            )
            return run.go(resource or extracting.resource(source, entity), replayed, progress)

        try:
            return _interruptible(work, run.stop)
        except BaseException as raised:
            error = _ours(raised)
            if isinstance(error, Exception):
                sync_history.fail(session, source, entity, error, run.metrics())
            else:
                # The session may still be busy in the thread that was stopped. If there is no other, the sweep closes.
                with contextlib.suppress(DatabaseUnavailable), sync_history.connect(url) as own:
                    sync_history.fail(own, source, entity, error, run.metrics())
            logs.sync_failed(source.name, entity.name, error, configuration)
            if error is raised:
                raise
            raise error from raised


def _interruptible(work: Callable[[], Result], stop: Callable[[], None]) -> Result:
    """Do the work in a thread and wait for it; when that is interrupted, ``stop`` it and raise what interrupted.

    Work that does not end within ``STOP_SECONDS`` is left behind: what it would commit, it cannot, because the row of
    its history is closed by then.
    """
    done: list[Result | BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:
            done.append(error)

    worker = threading.Thread(target=run, name="sync", daemon=True)
    worker.start()
    try:
        worker.join()
    except BaseException:
        deadline = time.monotonic() + STOP_SECONDS
        while worker.is_alive() and time.monotonic() < deadline:
            stop()  # again and again, because it may be between two statements
            worker.join(timeout=0.1)
        raise
    [ended] = done
    if isinstance(ended, BaseException):
        raise ended
    return ended


class _Run:
    """The run between its history row and its result; it holds what the failure of any part must report."""

    def __init__(self, source: Source, entity: Entity, options: Options, planned: Plan, url: str, now: datetime,
                 page_size: int) -> None:  # fmt: skip
        self.source, self.entity, self.options, self.plan = source, entity, options, planned
        self.url, self.now = url, now
        self.history_id = 0
        self.began = time.monotonic()
        self.stopping = threading.Event()
        self.known = WarehouseReader(url)
        flags = {"full": options.full, "force": options.force, "backfill": planned.mode == "backfill", **options.vendor}
        self.extraction = Extraction(
            entity=entity, window=planned.window, known=self.known, page_size=page_size,
            limit=options.max_records, safety_limit=settings().warehouse_safety_limit, options=flags,
        )  # fmt: skip
        self.declare(entity)
        self.budget = RequestBudget(url, self.extraction.cancelled)
        self.extraction.take = self.budget.take
        self.before: tuple[int, int] | None = None
        self.stood = Standing()
        self.loader: Loader | None = None
        self.incomplete = False
        self.high_water: datetime | None = None
        self.outside_window = 0
        self.loading_seconds = 0.0
        self.reading_seconds = 0.0
        self.sample: list[dict[str, Any]] = []

    def declare(self, entity: Entity) -> None:
        """Read and load by this declaration."""
        self.entity = self.extraction.entity = entity
        self.coercer = Coercer(self.source.name, entity, skip_validation=self.options.skip_validation)
        self.coercer.vanished = self.extraction.absent
        self.coercer.has_archived = functools.cache(lambda: bool(self.known.filled(entity, ["archived"])))

    def expect(self, stood: Standing, shares: Mapping[str, float]) -> None:
        """Tell how the columns stood after the last run; with ``--force`` what is absent is believed to be gone."""
        self.stood = stood
        if not self.options.force:
            self.coercer.expect(shares, stood)

    def stop(self) -> None:
        """Have another thread, in which this run goes on, end it soon."""
        self.stopping.set()
        self.extraction.cancelled.set()
        if self.loader is not None:
            self.loader.cancel()

    def go(self, unread: "DltResource", replayed: Sequence[int], progress: Callable[[int], None]) -> Result:
        """Read, load, tombstone, close, commit."""
        loader = self.loader = Loader(
            self.url, self.source, self.entity, history_id=self.history_id,
            force=self.options.force, detect_deletes=self.plan.swept is not None,
        )  # fmt: skip
        end = self.plan.window.until if self.plan.mode == "backfill" else None
        try:
            for table in self._read(extracting.bound(unread, self.extraction, self.coercer, end)):
                if self.stopping.is_set():
                    raise Stopped
                began = time.monotonic()
                self._note(table)
                loader.load(table)
                self._write_dead_letters(loader)
                self.loading_seconds += time.monotonic() - began
                progress(self.coercer.read)
                logs.progress(self.source.name, self.entity.name, self.coercer.read, self.extraction.reported)
            began = time.monotonic()
            self._write_dead_letters(loader)
            loader.empty_returned(self.coercer.absent | self.coercer.vanished_values)
            reason = self._doubt()
            if self.plan.swept is not None and reason is None and not self._delta:
                self._sweep(loader, self.plan.swept)
            elif self.plan.swept is not None and reason in (None, self.extraction.doubt) and self.extraction.gone:
                loader.tombstones.tombstone(self.extraction.gone, self.plan.swept)
            if reason is None:
                loader.tombstones.mark_erased(self.extraction.erased)
            loader.dead_letters.close()
            if replayed:
                loader.dead_letters.resolve(replayed)
            total, living = self._rows(loader)
            self.loading_seconds += time.monotonic() - began
            result = self._result(loader, reason, total, living)
            closing = self._closing(result)
            if self.stopping.is_set():
                raise Stopped
            if self.options.dry_run:
                loader.close()
                self._close_dry(closing)
            else:
                loader.commit(closing)
        finally:
            self.extraction.cancelled.set()
            loader.close()
            self.known.close()
            self.budget.close()
        logs.completed(
            self.source.name, self.entity.name, result.created, result.updated, result.failed,
            status=result.status, sync_history_id=result.history_id, seconds=result.seconds,
        )  # fmt: skip
        return result

    def _read(self, tables: "DltResource") -> Iterator[pa.Table]:
        """Yield the tables that a thread reads, at most two ahead; what it raises is raised here."""
        handed: queue.Queue[pa.Table | BaseException | None] = queue.Queue(maxsize=2)
        stopped = self.extraction.cancelled

        def put(item: pa.Table | BaseException | None) -> bool:
            while not stopped.is_set():
                with contextlib.suppress(queue.Full):
                    handed.put(item, timeout=0.2)
                    return True
            return False

        def next_item() -> pa.Table | BaseException | None:
            while not stopped.is_set():
                with contextlib.suppress(queue.Empty):
                    return handed.get(timeout=0.2)
            raise Stopped

        def read() -> None:
            began = time.monotonic()
            try:
                for table in tables:
                    self.reading_seconds += time.monotonic() - began
                    if not put(table):
                        return
                    began = time.monotonic()
                put(None)
            except BaseException as error:
                put(error)
            finally:
                self.reading_seconds += time.monotonic() - began

        reader = threading.Thread(target=read, name=f"read-{self.entity.table_name}", daemon=True)
        reader.start()
        try:
            while (item := next_item()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            stopped.set()
            reader.join(timeout=1)  # it may still wait for an answer; nobody will take it

    def _note(self, table: pa.Table) -> None:
        """Remember the high-water mark and a few rows."""
        if not table.num_rows:
            return
        if self.entity.cursor:
            # What lies ahead is a plan or a sentinel (9999-12-31), and no time at which the vendor changed anything.
            cursor = table[self.entity.cursor]
            newest = pc.max(pc.filter(cursor, pc.less_equal(cursor, self.now + AHEAD))).as_py()
            if newest is not None and (self.high_water is None or newest > self.high_water):
                self.high_water = newest
        if (wanted := sample.ROWS - len(self.sample)) > 0:
            self.sample += sample.rows(self.entity, table, wanted)

    def _write_dead_letters(self, loader: Loader) -> None:
        """Write what could not be read or loaded so far into the dead letters."""
        rejects, self.coercer.rejects = self.coercer.rejects, []
        refused, loader.rejects = loader.rejects, []
        for reject in (*rejects, *refused):
            logs.record_error(
                self.source.name, self.entity.name, reject.key, reject.message, record=bytes(reject.raw),
                context=f"{reject.stage} {reject.rule}",
            )  # fmt: skip
        loader.write_dead_letters([*rejects, *refused])

    def _doubt(self) -> str | None:
        """Return why this read cannot be called complete, None when it can.

        Raises ``SuspiciousRead`` for a whole read of nothing where there were rows.

        A read that went over the safety limit proves nothing. (``--max-records`` is no such limit: whoever gave it
        wanted no more, so the run is a success; it moves no cursor and buries nothing either.)

        A window of nothing where rows are known to be is the mark of a lost permission as well, but a small customer's
        month may truly be empty once its only call turned out to be spam. So that run is ``partial``: nothing is
        buried, and the cursor stays, whereby the window of the next run still holds those rows. The first run that
        finds anything in it buries what is gone, ``--force`` does so at once, and until then each run says that it is
        in doubt. A false alarm costs a look; rows that are buried without a word cost the trust in all of them.
        """
        loader = self.loader
        assert loader is not None  # noqa: S101
        if self.extraction.endless:
            return (
                f"safety_limit: {self.source.title} still had more {self.entity.name} after {self.coercer.read:,}. "
                "What was read is loaded, no row is counted as deleted, the cursor stays. If there are so many, raise "
                "WAREHOUSE_SAFETY_LIMIT and run again; else the list has no end: tell the vendor."
            )
        if self._delta:
            return self.extraction.doubt
        limited = self.plan.narrowed or bool(self.options.max_records)
        whole = self.plan.window.since is None and self.plan.mode == "full"
        if whole and not limited and not self.coercer.read and loader.had_rows and not self.options.force:
            raise SuspiciousRead(
                f"{self.source.title} answered with no {self.entity.name} at all, and {self.entity.table} has "
                f"{loader.count_rows()[1]} living rows; nothing was changed. If that is right, run again with --force."
            )
        swept = self.plan.swept if not whole and not self.options.force else None
        found = loader.created + loader.updated + loader.unchanged + loader.failed
        if swept is not None and not found and (living := loader.tombstones.count_living(swept)):
            return (
                f"{self.source.title} shows no {self.entity.name} from {swept.since} to {swept.until}, where "
                f"{self.entity.table} has {living} living rows; they were left as they are. Has the credential lost a "
                "permission? If there are none any more, run again with --force."
            )
        if self.extraction.doubt and not limited:
            return self.extraction.doubt
        outside = self.coercer.read - found - self.coercer.superseded
        if whole and outside:
            return f"{outside} of {self.coercer.read} records were read and not loaded, though everything was asked for"
        reported = self.extraction.reported
        if reported is not None and self.extraction.trusted and not limited and reported != self.coercer.read:
            return (
                f"{self.source.title} says, asked twice, that it has {reported} {self.entity.name} in the window, "
                f"and {self.coercer.read} were read"
            )
        return None

    @property
    def _delta(self) -> bool:
        """Whether what was not read may still be there, though no window said so."""
        return self.extraction.unchanged or self.extraction.changes_only

    @property
    def _mode(self) -> str:
        """How everything or a window was read in the end."""
        return "delta" if self.entity.by_state and self.plan.mode == "full" and self._delta else self.plan.mode

    def _sweep(self, loader: Loader, window: Window) -> None:
        """Tombstone what a complete read did not find, unless bad records may hide what was found."""
        if loader.dead_letters.keyless:
            self.extraction.noticed["sweep_skipped"] = (
                f"the keys of {loader.dead_letters.keyless} records in the dead letters could not be made out, and any "
                "row may be theirs: no row was counted as deleted. Have them mended, or waive them: `warehouse "
                f"dead-letters list --crm {self.source.name} --entity {self.entity.name}`"
            )
            log.warning("%s %s: %s", self.source.name, self.entity.name, self.extraction.noticed["sweep_skipped"])
            return
        loader.tombstones.tombstone_missing(window, "erased" if self.extraction.reads_deleted else "missing")

    def _rows(self, loader: Loader) -> tuple[int, int]:
        """Return the rows of the table and the living ones: counted after a whole read, else from the last run's."""
        if self.before is None or self._mode == "full":
            return loader.count_rows()
        total, living = self.before
        return total + loader.created, living + loader.created + loader.restored - loader.deleted

    def _result(self, loader: Loader, reason: str | None, total: int, living: int) -> Result:
        loaded = loader.created + loader.updated + loader.unchanged
        filtered = self.coercer.read - loaded - loader.failed
        standing = self._standing()
        columns = standing.reason(self.stood)
        # A replay was asked to load what failed again; any other run is a success when it met what is known.
        bad = loader.failed if self.plan.mode == "replay" else loader.dead_letters.new
        status: Status = "partial" if bad or reason or columns else "success"
        moves = self.plan.moves_cursor and reason is None
        if moves:
            marks = [mark for mark in (self.plan.previous, self.high_water) if mark is not None]
            cursor = min(max(marks), self.now) if marks else None
        else:
            cursor = None
        seconds = time.monotonic() - self.began
        metrics = self.metrics() | {
            "unchanged": loader.unchanged,
            "filtered": filtered,
            "duplicates": self.coercer.superseded,
            "deleted": loader.deleted,
            "merged": loader.tombstones.absorbed,
            "restored": loader.restored,
            "known_failed": loader.failed - loader.dead_letters.new,
            "error_rate": round(loader.failed / self.coercer.read, 6) if self.coercer.read else 0.0,
            "total_rows": total,
            "living_rows": living,
            **standing.metrics(),
        }
        self.incomplete = reason not in (None, self.extraction.doubt)
        reason = " ".join(filter(None, (reason, columns))) or None
        if reason:
            metrics["partial_reason"] = reason
        return Result(
            history_id=self.history_id, status=status, window=self.plan.window, mode=self._mode,
            processed=self.coercer.read, created=loader.created, updated=loader.updated,
            unchanged=loader.unchanged, failed=loader.failed, filtered=filtered, deleted=loader.deleted,
            restored=loader.restored, total_rows=total, calls=self.extraction.calls, seconds=seconds, cursor=cursor,
            reason=reason, sample=self.sample, metrics=metrics,
        )  # fmt: skip

    def _standing(self) -> Standing:
        """Return how the columns stand after this run."""
        coercer = self.coercer
        full = self._mode == "full" and not self.plan.narrowed and not self.options.max_records and coercer.read > 0
        absent = coercer.absent | coercer.vanished_values
        if not full and not self.options.force:
            # A column that is back in a delta says nothing of the rows whose values were kept.
            absent |= self.stood.absent & {*self.entity.columns, self.entity.flag}
        flag = Sent(0, 0) if self.entity.flag in absent else coercer.flag_sent
        return self.stood.after(coercer.lost, coercer.filled, absent, full=full, flag=flag, unseen=coercer.unseen)

    def _closing(self, result: Result) -> dict[str, Any]:
        """Return what the history row is closed with."""
        left = self.extraction.next_state
        limited = self.options.dry_run or self.options.max_records or self.plan.narrowed
        state = {"state": dict(left)} if left is not None and not limited and not self.incomplete else {}
        return {
            "status": result.status,
            "processed": result.processed,
            "created": result.created,
            "updated": result.updated,
            "failed": result.failed,
            "error_message": result.reason,
            "configuration": {
                "mode": result.mode,
                "cursor": result.cursor.isoformat() if result.cursor else None,
                **state,
            },
            "performance_metrics": dict(result.metrics),
        }

    def _close_dry(self, closing: dict[str, Any]) -> None:
        """Close the row of a dry run, whose transaction is gone."""
        writer = Loader(
            self.url, self.source, self.entity, history_id=self.history_id, force=False, detect_deletes=False
        )
        try:
            writer.commit(closing)
        finally:
            writer.close()

    def metrics(self) -> dict[str, Any]:
        """Return the ``performance_metrics`` that are known at any moment; times in seconds, memory in MB."""
        seconds = time.monotonic() - self.began
        read, calls = self.coercer.read, self.extraction.calls
        waiting = self.extraction.waited_seconds + self.budget.waited_seconds
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
            "vendor_reported": self.extraction.reported,
            "vendor_trusted": self.extraction.trusted,
            "noticed": self.extraction.noticed,
            **dict.fromkeys(self.source.measures, 0),
            **self.extraction.measured,
        }


def _peak_memory() -> int:
    """Return the peak resident memory of this process in bytes."""
    peak = system.getrusage(system.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _configuration(entity: Entity, options: Options, planned: Plan, page_size: int) -> dict[str, Any]:
    """Return the ``configuration`` of the history row: what was asked, and the window that it came to."""
    since, until = planned.window
    return {
        "mode": planned.mode,
        "batch_size": page_size,
        "dry_run": options.dry_run,
        "window_start": since.isoformat() if since else None,
        "window_end": until.isoformat(),
        "full": options.full,
        "force": options.force,
        "skip_validation": options.skip_validation,
        "max_records": options.max_records,
        "start_date": options.start_date.isoformat() if options.start_date else None,
        "end_date": options.end_date.isoformat() if options.end_date else None,
        "vendor": dict(options.vendor),
        "narrowed": planned.narrowed,
        "overlap_seconds": _seconds(entity.overlap),
        "lookback_seconds": _seconds(entity.lookback),
        "previous_cursor": planned.previous.isoformat() if planned.previous else None,
        "cursor": None,
    }


def _seconds(length: timedelta) -> int:
    return int(length.total_seconds())


def _ours(raised: BaseException) -> BaseException:
    """Return the error that was raised on purpose, out of those that dlt wrapped round it."""
    error: BaseException | None = raised
    while error is not None:
        if isinstance(error, WarehouseError) or not isinstance(error, Exception):
            return error
        error = error.__cause__ or error.__context__
    return raised
