"""A warehouse, simulated vendors and a prepared ``DAGSTER_HOME``, for tests that start Dagster's own programs."""

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import psycopg
import pytest
import yaml

from warehouse_pipelines.local.dagster_home import CODE_SERVER_SECONDS
from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines.schema.migrate import migrate
from warehouse_pipelines.simulators.server import SimulatorsProcess, start_process
from warehouse_pipelines_tests.harness.subprocesses import Command, prepare_at_once

ROOT = Path(__file__).parents[2]
START_SECONDS = 150


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@dataclass
class DagsterHarness:
    """Where everything is: the URL of the warehouse, and the environment of a subprocess."""

    url: str
    home: Path
    environment: dict[str, str]
    simulators: SimulatorsProcess
    subprocesses: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def dagster(self, *arguments: str) -> str:
        """Run a command of Dagster's from the top level, as a user would, and return what it printed."""
        file = self.home / f"command-{next(self.numbers)}.log"
        code, said = Command(arguments, self.environment, file, program="dagster").ended()
        assert code == 0, said
        return said

    def start(self, program: str, *arguments: str, log_name: str = "") -> "subprocess.Popen[bytes]":
        """Start a program in a session of its own, so that what it starts can be ended with it."""
        with (self.home / f"{log_name or program}.log").open("wb") as log:
            child = subprocess.Popen(
                [Path(sys.executable).with_name(program), *arguments],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.subprocesses.append(child)
        return child

    def start_code_server(self) -> Path:
        """Load the definitions once, for whoever is given the workspace that this returns: the daemon and commands."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        workspace = self.home / "workspace.yaml"
        workspace.write_text(
            f"load_from: [{{grpc_server: {{host: 127.0.0.1, port: {port}, location_name: warehouse}}}}]"
        )
        words = ("-m", "warehouse_pipelines.definitions", "--location-name", "warehouse")
        child = self.start("dagster", "api", "grpc", "-h", "127.0.0.1", "-p", port, *words, log_name="code")
        deadline = time.monotonic() + START_SECONDS
        while not _listens(int(port)):
            said = (self.home / "code.log").read_text()
            assert child.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.1)
        return workspace

    def runs(self, job: str) -> list[dg.DagsterRun]:
        """Return the runs of a job, newest first."""
        with self.instance() as instance:
            return list(instance.get_runs(dg.RunsFilter(job_name=job)))

    @contextlib.contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """Open the instance that the subprocesses write to."""
        names = ("WAREHOUSE_DATABASE_URL", "DAGSTER_STORAGE_URL", "WAREHOUSE_CELERY_BROKER_URL")
        with pytest.MonkeyPatch.context() as patch:
            for name in names:
                patch.setenv(name, self.environment.get(name, ""))
            opened = dg.DagsterInstance.from_config(str(self.home))
            _ = opened.run_launcher  # which reads the settings when it is first asked for
        with opened:
            yield opened

    def finished(self, job: str, count: int, seconds: float = 300) -> list[dg.DagsterRun]:
        """Wait until a job has ``count`` runs that ended, and return them, newest first."""
        deadline = time.monotonic() + seconds
        with self.instance() as instance:
            while True:
                runs = list(instance.get_runs(dg.RunsFilter(job_name=job)))
                if len(runs) >= count and all(run.is_finished for run in runs):
                    return runs
                if time.monotonic() > deadline:
                    logs = "\n".join(log.read_text()[-3000:] for log in self.home.glob("*.log"))
                    raise TimeoutError(f"{job}: {[run.status for run in runs]} after {seconds} s\n{logs}")
                time.sleep(0.2)

    def history(self, sync_type: str) -> list[tuple[str, str, str]]:
        """Return status, mode and run of an entity's history, oldest first."""
        with psycopg.connect(self.url) as connection:
            return connection.execute(
                "SELECT status, configuration ->> 'mode', run_id FROM orchestration.sync_history "
                "WHERE sync_type = %s ORDER BY id",
                [sync_type],
            ).fetchall()

    def kill(self) -> None:
        """Kill every child and all that it started at once, as the loss of a machine does."""
        for child in self.subprocesses:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        self.subprocesses.clear()


@contextlib.contextmanager
def dagster_harness(
    server: Server,
    template: str | None,
    folder: Path,
    name: str,
    contacts: int = 60,
    *,
    vendors: Sequence[str] | None = None,
    storage: str = "",
    **more: str,
) -> Iterator[DagsterHarness]:
    """Prepare ``folder``, with a warehouse and a storage of its own; ``storage`` is DAGSTER_STORAGE_URL.

    ``vendors`` are those that are simulated, by default all, which takes seconds. ``more`` is set in the environment.

    All entities are switched off, or a schedule's run would come between those of the test at some minute of the hour.
    Dagster's daemon looks every second for what it has to do, where it would after 5 to 30 seconds.
    """
    home = folder / "dagster"
    configuration = yaml.safe_load((ROOT / more.pop("WAREHOUSE_DAGSTER_CONFIG", "dagster.yaml")).read_text())
    configuration["run_queue"] = {"dequeue_interval_seconds": 1}
    configuration["run_monitoring"]["poll_interval_seconds"] = 1
    (folder / "dagster.yaml").write_text(yaml.safe_dump(configuration))
    url = server.create_database(name, template=template)
    if template is None:
        migrate(url)
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE orchestration.sync_schedule SET enabled = false")
    with start_process(vendors, contacts=contacts, wait_seconds=240) as simulators:
        environment = {
            **os.environ,
            **CODE_SERVER_SECONDS,
            **simulators.environment(),
            "WAREHOUSE_DATABASE_URL": url,
            "WAREHOUSE_RETRY_SECONDS": "0.01",
            "WAREHOUSE_DAGSTER_CONFIG": str(folder / "dagster.yaml"),
            "DAGSTER_EVENT_LOG_CONSUMER_DAEMON_INTERVAL_SECONDS": "1",
            "DAGSTER_HOME": str(home),
            "DAGSTER_STORAGE_URL": storage,
            **more,
        }
        prepare_at_once([environment])
        made = DagsterHarness(url, home, environment, simulators)
        try:
            yield made
        finally:
            made.kill()
            server.drop_database(name)
            server.drop_database(f"{name}_dagster")
