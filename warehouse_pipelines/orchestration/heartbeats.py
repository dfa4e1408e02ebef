"""Whether the process of a run is alive, for a launcher that started it on another machine.

A process that executes a run claims it (``Heartbeat``): a row in Dagster's own storage, which every machine of an
installation reaches, while the daemon need not reach the warehouse. It writes a new value every ``BEAT_SECONDS``, and
removes the row when the run has ended. ``HeartbeatMonitor`` is asked by the daemon: a value that stays the same is
silence.

Decided:

- A claim is an INSERT of a key, so a run that is delivered to two workers is executed by one of them.
- Nobody compares clocks of two machines: the daemon measures, by its own, how long a value has stayed the same.
- Silence must last ``SILENT_SECONDS`` and ``LOOKS`` looks. While the storage is away nobody can write a value or look
  for one, and the first look afterwards would find an old one.
- The process reads at each beat how its run stands, and interrupts itself when somebody wants it to stop or took it for
  dead. No signal and no broker is needed for that.
"""

import contextlib
import logging
import os
import signal
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import dagster as dg
import sqlalchemy as sa
from dagster._core.storage.runs.schema import KeyValueStoreTable as Values

log = logging.getLogger("warehouse")

BEAT_SECONDS = 5.0
SILENT_SECONDS = 20.0
LOOKS = 3

PREFIX = "warehouse/run-worker/"

UNWANTED = (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.FAILURE)
"""Statuses in which the process of a run must end."""


class Heartbeat:
    """The claim of this process on a run, renewed until the end of the block; not ``claimed`` if another has it."""

    def __init__(self, instance: dg.DagsterInstance, run_id: str) -> None:
        self._instance, self._run_id = instance, run_id
        self._ended = threading.Event()
        self.claimed = False
        self._thread = threading.Thread(target=self._beat, name=f"heartbeat-{run_id}", daemon=True)

    def __enter__(self) -> "Heartbeat":
        with _connection(self._instance) as opened:
            yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
            opened.execute(sa.delete(Values).where(Values.c.key.like(f"{PREFIX}%"), Values.c.value < yesterday))
        with contextlib.suppress(sa.exc.IntegrityError), _connection(self._instance) as opened:
            opened.execute(sa.insert(Values).values(key=PREFIX + self._run_id, value=_now()))
            self.claimed = True
        if self.claimed:
            self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        """Remove the row. If the storage is down the row stays, and the next claim removes it after a day."""
        if not self.claimed:
            return
        self._ended.set()
        self._thread.join(timeout=BEAT_SECONDS)
        with contextlib.suppress(sa.exc.SQLAlchemyError), _connection(self._instance) as opened:
            opened.execute(sa.delete(Values).where(Values.c.key == PREFIX + self._run_id))

    def _write(self) -> None:
        """Write that the process is alive; a claim of a machine whose clock is a day ahead may have removed the row."""
        with _connection(self._instance) as opened:
            row = Values.c.key == PREFIX + self._run_id
            if not opened.execute(sa.update(Values).where(row).values(value=_now())).rowcount:
                opened.execute(sa.insert(Values).values(key=PREFIX + self._run_id, value=_now()))

    def _beat(self) -> None:
        interrupted = False
        while not self._ended.wait(BEAT_SECONDS):
            try:
                self._write()
                run = self._instance.get_run_by_id(self._run_id)
            except Exception as error:  # the storage is away; whoever watches cannot see it either
                log.warning("run %s: no heartbeat (%s)", self._run_id, type(error).__name__)
                continue
            if interrupted or (run is not None and run.status not in UNWANTED):
                continue
            # One that failed by itself has a moment to end by itself.
            canceling = run is not None and run.status == dg.DagsterRunStatus.CANCELING
            if not self._ended.wait(0 if canceling else BEAT_SECONDS):
                interrupted = True
                os.kill(os.getpid(), signal.SIGINT)


class Seen(NamedTuple):
    """A value, since when it is the same by the clock of this machine, and how often it was looked at."""

    value: str | None
    since: float
    looks: int


class HeartbeatMonitor:
    """Tells which runs are silent; one per process that looks."""

    def __init__(self) -> None:
        self._seen: dict[str, Seen] = {}

    def silent_seconds(self, instance: dg.DagsterInstance, run_id: str) -> float:
        """Look once, and return for how many seconds nothing was heard of a run; 0.0 while it counts as alive."""
        value = instance.run_storage.get_cursor_values({PREFIX + run_id}).get(PREFIX + run_id)
        now = time.monotonic()
        self._seen = {one: seen for one, seen in self._seen.items() if now - seen.since < 3600}
        seen = self._seen.get(run_id)
        if seen is None or seen.value != value:
            self._seen[run_id] = Seen(value, now, 1)
            return 0.0
        self._seen[run_id] = seen = seen._replace(looks=seen.looks + 1)
        quiet = now - seen.since
        return quiet if quiet >= SILENT_SECONDS and seen.looks >= LOOKS else 0.0


def _connection(instance: dg.DagsterInstance) -> contextlib.AbstractContextManager[Any]:
    """Open a transaction of Dagster's storage of runs."""
    storage: Any = instance.run_storage
    opened: contextlib.AbstractContextManager[Any] = storage.connect()
    return opened


def _now() -> str:
    return f"{datetime.now(UTC).isoformat()} {socket.gethostname()}:{os.getpid()}"
