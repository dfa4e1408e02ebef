"""Work the inbox of webhooks off while Dagster's daemon runs: a sensor that asks for it, and the job that does it.

**The sensor** looks every minute. A few deliveries it works off itself, in the code server, which has everything
imported, for ``OWN_SECONDS`` at most; if more is due, it asks for a run of ``work_webhooks``. An event is to be a row
within ten seconds, and a run waits in a queue for as long. Therefore a thread of the code server waits for deliveries
between the looks of the sensor (``Watch``), where a vendor has a secret or has delivered before: ``serve`` notifies it
with each commit. It looks every ``PAUSE_SECONDS`` as well, for what is tried again and for what a pooler of connections
did not hand on. Its look is one statement, while a tick of Dagster's is thirty, in three processes. What it finds of a
source is worked off in a thread of that source, and its lists in another; both end when nothing is left to do.

**The job** works off batch after batch until nothing is due, and some seconds longer, because deliveries come in
bursts. Each read is an observation of its asset, not a materialization: it says nothing of how fresh the table is.

Sensor, job and command never work the same off (``loading.webhook_inbox.working``), and a row is closed only after its
records were read, so whoever is killed leaves pending rows for the next. A tick that cannot ask the warehouse
fails; a vendor that cannot be read is a reason to try its deliveries again, which the tick names and the history keeps.
"""

import contextlib
import importlib
import selectors
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import dagster as dg

from warehouse_pipelines import warehouse
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.orchestration.asset_facts import key_of
from warehouse_pipelines.orchestration.schedules import UNFINISHED
from warehouse_pipelines.orchestration.ticks import TickFailed, told_plainly
from warehouse_pipelines.settings import serve_settings

if TYPE_CHECKING:
    from warehouse_pipelines.serving.work import Batch, Worked
    from warehouse_pipelines.warehouse import Session

JOB = "work_webhooks"
LOOK_SECONDS = 60

PAUSE_SECONDS = 5.0
"""How long the thread waits at most before it looks again."""

GATHER_SECONDS = 0.3
"""Deliveries come in bursts, and one read reads what several of them name."""

WATCH_SECONDS = 150.0
"""The thread ends so long after the last look of the sensor: whoever stops the sensor or the daemon stops both."""

WORKING_SECONDS = 1.0
"""How long it waits while a source is worked off, whose thread may have ended just before something came."""

STUCK_SECONDS, LISTS_STUCK_SECONDS = 600.0, 7_200.0
"""After so long in one go the thread of a source, or that of its lists, is taken for stuck, and the sensor fails: it
holds the lock. A list that is read for the first time takes long."""

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
        context.log_event(dg.AssetObservation(key_of(entity.table), description=description, metadata=facts))


def sensors(sources: Sequence[Source], url: Callable[[], str]) -> list[dg.SensorDefinition]:
    """Return the sensor."""
    watch = Watch(sources)

    @dg.sensor(
        name="webhook_inbox",
        job_name=JOB,
        minimum_interval_seconds=LOOK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def webhook_inbox(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        """Have the inbox of webhooks worked off."""
        with told_plainly():
            where = url()
            return _look(context, sources, where, watch.go_on(where) if _is_received(where) else None)

    return [webhook_inbox]


def _is_received(url: str) -> bool:
    """Return whether deliveries are to be expected: a vendor has a secret, or one came before."""
    from warehouse_pipelines.loading import webhook_inbox

    with warehouse.session(url) as session:
        return serve_settings().can_verify or webhook_inbox.is_used(session)


class Watch:
    """Works deliveries off between two looks of the sensor, in threads that end after ``WATCH_SECONDS``.

    One waits for deliveries; each source of which some are due has one more, and one for its lists.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources, self._url = sources, ""
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._until = 0.0
        self._began: dict[str, float] = {}
        """When the thread of a source began to work off what it is at."""
        self._lists_began: dict[Batch, float] = {}
        """When the lists of a batch were begun."""
        self._elsewhere: dict[str, float] = {}
        """Until when a source is left to another process that is at it."""
        self._done = Done()
        self._error: Exception | None = None

    def go_on(self, url: str) -> "Done":
        """Watch for another while, and return what was done since the last call.

        Raises what ended a thread, and ``TickFailed`` while one is stuck; the next call returns what was done by then.
        The settings, which say the URL, are read here and not at every look, because that costs more than to look.
        """
        with self._lock:
            self._url, self._until = url, time.monotonic() + WATCH_SECONDS
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._watch, name="webhook_inbox", daemon=True)
                self._thread.start()
            self._fail_if_stuck("deliveries", self._began, STUCK_SECONDS)
            lists_began = {batch.source: began for batch, began in reversed(self._lists_began.items())}
            self._fail_if_stuck("lists for deliveries", lists_began, LISTS_STUCK_SECONDS)
            error, self._error = self._error, None
            if error is not None:
                raise error
            done, self._done = self._done, Done()
        return done

    @staticmethod
    def _fail_if_stuck(what: str, began: Mapping[str, float], most: float) -> None:
        longest = {source: time.monotonic() - at for source, at in began.items()}
        if stuck := [source for source, seconds in longest.items() if seconds > most]:
            raise TickFailed(
                f"{what} of {', '.join(stuck)} have been worked off for"
                f" {max(longest[source] for source in stuck) / 60:.0f} minutes in one go, and nobody else can do it"
                " meanwhile; restart the code server if that does not end"
            )

    def _watch(self) -> None:
        try:
            with contextlib.closing(Listener()) as inbox:
                while self._goes_on():
                    began = time.monotonic()
                    due = inbox.count_due(self._url)
                    took = time.monotonic() - began
                    with self._lock:
                        for source in due:
                            self._start(source)
                        seconds = WORKING_SECONDS if self._began else PAUSE_SECONDS
                    inbox.wait(min(seconds, PAUSE_SECONDS))
                    time.sleep(max(GATHER_SECONDS, 9 * took))  # a look at 100,000 deliveries takes 90 ms
        except Exception as error:  # told by the next tick, which starts another thread
            self._end(error)

    def _goes_on(self) -> bool:
        with self._lock:
            if time.monotonic() < self._until:
                return True
            self._thread = None
            return False

    def _end(self, error: Exception) -> None:
        with self._lock:
            self._error = error
            if threading.current_thread() is self._thread:
                self._thread = None

    def _start(self, source: str) -> None:
        """Have a source worked off, unless it is."""
        if source not in self._began and self._elsewhere.get(source, 0.0) <= time.monotonic():
            threading.Thread(target=self._work_off, args=(source,), name=f"webhooks of {source}", daemon=True).start()
            self._began[source] = time.monotonic()  # only now: the machine may give no thread

    def _work_off(self, source: str) -> None:
        try:
            from warehouse_pipelines.serving.work import work_keys

            while time.monotonic() < self._until:
                with self._lock:
                    self._began[source] = time.monotonic()
                batch = work_keys(self._sources, source, url=self._url, limit=FEW)
                if batch is None:
                    with self._lock:
                        self._elsewhere[source] = time.monotonic() + PAUSE_SECONDS
                    return
                if not batch.worked.taken:
                    return
                self._count(batch)
                if batch.has_lists:
                    self._start_lists(batch)
        except Exception as error:
            self._end(error)
        finally:
            with self._lock:
                self._began.pop(source, None)

    def _start_lists(self, batch: "Batch") -> None:
        with self._lock:
            name = f"lists of {batch.source}"
            threading.Thread(target=self._read_lists, args=(batch,), name=name, daemon=True).start()
            self._lists_began[batch] = time.monotonic()

    def _read_lists(self, batch: "Batch") -> None:
        try:
            batch.read_lists()
            self._count(batch)
        except Exception as error:
            self._end(error)
        finally:
            with self._lock:
                self._lists_began.pop(batch, None)

    def _count(self, batch: "Batch") -> None:
        """Count what was done of a batch since the last count."""
        worked = batch.take_worked()
        with self._lock:
            self._done.add(Done(worked.closed, dict.fromkeys(worked.failures)))


@dataclass
class Done:
    """How many deliveries were worked off, why some of them are tried again, and how many are left."""

    closed: int = 0
    failures: dict[str, None] = field(default_factory=dict)
    left: int = 0
    elsewhere: bool = False
    """Whether another process or thread is at it."""

    def add(self, other: "Done") -> None:
        """Count what was done beside this."""
        self.closed += other.closed
        self.failures |= other.failures

    def __str__(self) -> str:
        again = f"; tried again later: {'; '.join(self.failures)}" if self.failures else ""
        return f"worked off {self.closed} deliveries{again}"


class Listener:
    """Counts what is due and hears of deliveries, on its own session: to borrow one takes three statements more."""

    def __init__(self) -> None:
        self._url = ""
        self._session: Session | None = None
        self._notified = False

    def count_due(self, url: str) -> dict[str, int]:
        """Return how many deliveries of each source are due. Raises ``DatabaseUnavailable``."""
        import psycopg

        from warehouse_pipelines.loading import webhook_inbox

        self._notified = False
        if self._session is not None and url == self._url:
            with contextlib.suppress(psycopg.OperationalError):  # the server may have been started again
                return webhook_inbox.count_due(self._session)
        self.close()
        self._url, self._session = url, warehouse.connect(url, prepare_threshold=None)  # which a pooler may refuse
        self._session.add_notify_handler(self._hear)
        webhook_inbox.listen(self._session)
        return webhook_inbox.count_due(self._session)

    def _hear(self, _: object) -> None:
        self._notified = True

    def wait(self, seconds: float) -> None:
        """Wait until something was delivered since the last count, or for so long. A lost session ends it too."""
        if self._notified:
            return
        with selectors.DefaultSelector() as sessions:  # psycopg's own wait for it wakes up ten times a second
            if self._session is not None:
                sessions.register(self._session, selectors.EVENT_READ)
            sessions.select(seconds)

    def close(self) -> None:
        """Close the session."""
        if self._session is not None:
            self._session.close()
        self._session = None


def count_due(url: str) -> int:
    """Return how many deliveries are due. Raises ``DatabaseUnavailable``."""
    from warehouse_pipelines.loading import webhook_inbox

    with warehouse.session(url) as session:
        return sum(webhook_inbox.count_due(session).values())


def work_off(sources: Sequence[Source], url: str) -> Done:
    """Work off what is due if it is a few, for ``OWN_SECONDS`` at most. Raises ``DatabaseUnavailable``."""
    began, done = time.monotonic(), Done()
    while True:
        done.left = count_due(url)
        if not done.left or done.left > FEW or time.monotonic() - began >= OWN_SECONDS:
            break
        from warehouse_pipelines.serving.work import work

        worked = work(sources, url=url, limit=FEW)
        if worked is None:
            done.elsewhere = True
            break
        done.closed += worked.closed
        done.failures |= dict.fromkeys(worked.failures)
    return done


def _log(context: dg.SensorEvaluationContext, done: Done) -> None:
    for message in done.failures:
        context.log.warning("tried again later: %s", message)


def _import_early() -> None:
    """Import what a read needs, which takes six seconds, before the next delivery has to wait for it."""
    for name in ("dlt", "warehouse_pipelines.serving.work"):
        importlib.import_module(name)


def _look(
    context: dg.SensorEvaluationContext, sources: Sequence[Source], url: str, before: Done | None
) -> dg.RunRequest | dg.SkipReason:
    """Do what is due, or ask for a run that does. ``before`` is what the thread did since the last look.

    Failures are logged at once, because a look that asks for a run, leaves the work to others or raises names none.
    """
    _log(context, before or Done())
    due = count_due(url)
    if before is not None:
        _import_early()
    if due and context.instance.get_runs(dg.RunsFilter(job_name=JOB, statuses=UNFINISHED), limit=1):
        return dg.SkipReason(f"{JOB} is at it")
    done = work_off(sources, url)
    _log(context, done)
    if done.left and not done.elsewhere:
        return dg.RunRequest()
    done.add(before or Done())
    if done.elsewhere and not done.closed:
        return dg.SkipReason("another process is at it")
    return dg.SkipReason(str(done) if done.closed or done.failures else "nothing is due")
