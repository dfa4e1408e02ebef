"""Syncs and commands in a process of their own, to be killed; forked from a server that has everything imported."""

import multiprocessing
import os
import pkgutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from warehouse_pipelines import settings
from warehouse_pipelines.commands.job_processes import PRELOADED
from warehouse_pipelines.loading import resource
from warehouse_pipelines.loading.options import Options
from warehouse_pipelines.loading.sync import sync
from warehouse_pipelines_tests.harness.source_harness import BY_TABLE, SourceHarness

PATIENCE = 120
"""Seconds until a process counts as stuck; on a busy machine the first takes half a minute to be forked."""

PING_SECONDS = 0.5
"""Twice this is what a command waits before it believes that another one's run is dead; no session breaks here."""

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([PRELOADED, "warehouse_pipelines_tests.harness.source_harness"])


def _sync(
    table: str, url: str, environment: dict[str, str], flags: dict[str, Any], wait: bool, told: Connection
) -> None:
    os.environ.update(environment)
    resource.CHUNK = 2
    source, entity = BY_TABLE[table]

    def progress(records: int) -> None:
        told.send(records)
        if wait:
            time.sleep(60)

    sync(source, entity, Options(**flags), url=url, progress=progress)


class Child:
    """A sync of a harness's entity in another process. With ``wait`` it stops after its first batch for good."""

    def __init__(self, harness: SourceHarness, *, wait: bool = False, **flags: Any) -> None:
        self._told, theirs = FORKS.Pipe()
        arguments = (harness.entity.table, harness.url, harness.simulators.environment(), flags, wait, theirs)
        self._process: Any = FORKS.Process(target=_sync, args=arguments, daemon=True)
        self._process.start()

    def has_loaded(self) -> int:
        """Wait for the first batch to be loaded, and say how many records that were."""
        assert self._told.poll(PATIENCE), "the child never loaded anything"
        return int(self._told.recv())

    def send(self, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal and return the exit code."""
        self.signal(number)
        return self.ended()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        os.kill(self._process.pid, number)

    def ended(self) -> int:
        """Wait for its end and return the exit code."""
        self._process.join(PATIENCE)
        assert self._process.exitcode is not None, "the child goes on"
        return int(self._process.exitcode)


def _call(function: Callable[..., object], arguments: tuple[Any, ...], environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    function(*arguments)


def forked(function: Callable[..., object], *arguments: Any, **environment: str) -> int:
    """Call a function of a module in another process, and return its exit code."""
    given = (function, arguments, {**os.environ, **environment})
    process: Any = FORKS.Process(target=_call, args=given, daemon=True)
    process.start()
    process.join(PATIENCE)
    assert process.exitcode is not None, "the child goes on"
    return int(process.exitcode)


def _prepare(environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    from warehouse_pipelines.local import dagster_home

    dagster_home.prepare()


def prepare_at_once(environments: Sequence[dict[str, str]]) -> None:
    """Prepare the ``DAGSTER_HOME`` of each of these environments, in processes that begin together."""
    processes: list[Any] = [FORKS.Process(target=_prepare, args=(one,), daemon=True) for one in environments]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * len(processes)


PROGRAMS = {
    "dagster": "dagster._cli:main",
    "dg": "dagster_dg_cli.cli:main",
    "warehouse": "warehouse_pipelines.commands.cli:main",
}


def _command(words: list[str], environment: dict[str, str], file: str) -> None:
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(settings.project_root())
    with Path(file).open("wb", buffering=0) as said:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(said.fileno(), stream.fileno())
    from warehouse_pipelines.orchestration import run_lock

    run_lock.PING_SECONDS = PING_SECONDS
    sys.argv = words
    pkgutil.resolve_name(PROGRAMS[words[0]])()


class Command:
    """``warehouse`` with these words in another process, or Dagster's ``program``; what it prints goes to a file."""

    def __init__(
        self, words: Sequence[str], environment: dict[str, str], file: Path, *, program: str = "warehouse"
    ) -> None:
        self._file = file
        file.touch()
        given = ([program, *words], environment, str(file))
        self._process: Any = FORKS.Process(target=_command, args=given, daemon=True)
        self._process.start()

    @property
    def said(self) -> str:
        """What it printed so far."""
        return self._file.read_text()

    def ended(self, seconds: float = 240) -> tuple[int, str]:
        """Wait for its end, and return its exit code and what it printed."""
        self._process.join(seconds)
        assert self._process.exitcode is not None, self.said
        return int(self._process.exitcode), self.said

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, and not to the processes that it started."""
        os.kill(self._process.pid, number)

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return bool(self._process.is_alive())

    def end(self) -> None:
        """Kill it if it has not ended."""
        self._process.kill()
        self._process.join(PATIENCE)

    def kill(self) -> None:
        """Kill it as ``kill -9`` does."""
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.join(PATIENCE)
        assert self._process.exitcode == -signal.SIGKILL, self.said


def eventually(true: Callable[[], object], what: str, seconds: float = PATIENCE, *, pause: float = 0.02) -> None:
    """Wait until something is true.

    Asks after ``pause``, and less and less often, at last four times a second: to ask takes what is waited for the
    processor.
    """
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"in vain: {what}"
        time.sleep(pause)
        pause = max(pause, min(1.2 * pause, 0.25))


def _worker(run_id: str, environment: dict[str, str], file: str, stop: Any) -> None:
    os.environ.clear()
    os.environ.update(environment)
    with Path(file).open("wb", buffering=0) as said:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(said.fileno(), stream.fileno())
    import queue

    import dagster as dg
    from dagster._core.definitions.reconstruct import ReconstructableRepository
    from dagster._grpc.impl import start_run_in_subprocess
    from dagster._grpc.types import ExecuteExternalJobArgs
    from dagster._serdes import serialize_value

    from warehouse_pipelines.commands.runner import origin

    repository = ReconstructableRepository.for_module("warehouse_pipelines.definitions", "defs")
    with dg.DagsterInstance.get() as instance:
        run = instance.get_run_by_id(run_id)
        assert run is not None
        job = repository.get_reconstructable_job(run.job_name)
        given = ExecuteExternalJobArgs(job_origin=origin(run.job_name), run_id=run_id, instance_ref=instance.get_ref())
    start_run_in_subprocess(serialize_value(given), job, queue.Queue(), stop)


class Worker:
    """The process of a run, as Dagster's code server starts it."""

    def __init__(self, run_id: str, environment: dict[str, str], file: Path) -> None:
        self._file = file
        file.touch()
        self._stop = FORKS.Event()
        arguments = (run_id, environment, str(file), self._stop)
        # No daemon of multiprocessing, which may start no process: the run may have several.
        self._process: Any = FORKS.Process(target=_worker, args=arguments)
        self._process.start()

    @property
    def said(self) -> str:
        """What it printed so far."""
        return self._file.read_text()

    def interrupt(self) -> None:
        """Ask it to stop as the code server does: once."""
        self._stop.set()

    def kill(self) -> None:
        """Kill it as ``kill -9`` does."""
        os.kill(self._process.pid, signal.SIGKILL)
        self.ended()

    def ended(self, seconds: float = PATIENCE) -> None:
        """Wait for its end."""
        self._process.join(seconds)
        assert self._process.exitcode is not None, self.said
