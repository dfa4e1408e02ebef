"""How much more do four workers get done than one, where vendors take their time?

    python benchmarks/workers.py --runs 8 --latency 0.25

Runs of five vendors whose protocols take one request after another: their simulators answer each ``--latency`` seconds
late, one record a page and ``--records`` of them, so that a run mostly waits. HubSpot is not among them, of which one
run has twelve requests in flight. No pool and no lease makes a run wait for another.

The runs are queued before the daemon starts, which then hands them, through Redis, to Celery's workers: processes that
execute one run at a time. Measured is the time from the start of the first run to the end of the last, with all that
Dagster does in between. It takes six minutes; what happens is printed meanwhile. Needs redis-server. The last line is
one JSON object.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._cli.job import _create_run
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget

from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines.schema.migrate import migrate
from warehouse_pipelines.simulators.server import start_process

ROOT = Path(__file__).parents[1]
JOBS = (
    "sync_callrail_calls", "sync_salesrabbit_leads", "sync_leadconduit_events", "sync_arrivy_tasks",
    "sync_callrail_form_submissions", "sync_marketsharp_contact", "sync_arrivy_bookings", "sync_callrail_text_messages",
)  # fmt: skip
VENDORS = ("callrail", "salesrabbit", "leadconduit", "arrivy", "marketsharp")
READY_SECONDS = 180.0
LONGEST_SECONDS = 1_800.0


class Installation:
    """PostgreSQL, Redis, simulators, a code server and the daemon, in one folder."""

    def __init__(self, folder: Path, url: str, broker: str, vendors: dict[str, str]) -> None:
        self.folder = folder
        self.configuration = folder / "dagster.yaml"
        os.environ |= {
            **vendors,
            "WAREHOUSE_DATABASE_URL": url,
            "WAREHOUSE_CELERY_BROKER_URL": broker,
            "WAREHOUSE_DAGSTER_CONFIG": str(self.configuration),
            "DAGSTER_HOME": str(folder / "dagster"),
        }
        self.workspace = folder / "workspace.yaml"
        port = free_port()
        self.workspace.write_text(
            f"load_from: [{{grpc_server: {{host: 127.0.0.1, port: {port}, location_name: warehouse}}}}]"
        )
        self.configure(1)
        words = ("-m", "warehouse_pipelines.definitions", "--location-name", "warehouse")
        self.programs = [self.start("code", "dagster", "api", "grpc", "-h", "127.0.0.1", "-p", str(port), *words)]
        self.wait("code", lambda: listens(port))

    def configure(self, workers: int) -> None:
        """Let as many runs be sent as there are workers."""
        text = (ROOT / "config" / "dagster.celery.yaml").read_text()
        self.configuration.write_text(text.replace("max_concurrent_runs: 8", f"max_concurrent_runs: {workers}"))
        words = (sys.executable, "-m", "warehouse_pipelines.local.dagster_home")
        subprocess.run(words, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)

    def start(self, name: str, program: str, *words: str) -> "subprocess.Popen[bytes]":
        """Start a program beside this Python, in a session of its own, with a log of this name."""
        with self.log(name).open("wb") as log:
            return subprocess.Popen(
                [Path(sys.executable).with_name(program), *words],
                cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def log(self, name: str) -> Path:
        """Return where a program's log is."""
        return self.folder / f"{name}.log"

    def wait(self, name: str, ready: Callable[[], bool]) -> None:
        """Wait until a program is ready. Raises ``TimeoutError`` with the end of its log."""
        deadline = time.monotonic() + READY_SECONDS
        while not ready():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{name} is not ready after {READY_SECONDS:.0f} s\n{self.said(name)}")
            time.sleep(0.5)
        say(f"{name} is ready")

    def said(self, name: str) -> str:
        """Return the end of a program's log."""
        return self.log(name).read_text(errors="replace")[-3000:]

    def queue(self, instance: dg.DagsterInstance, runs: int, config: dict[str, Any]) -> list[str]:
        """Ask for the runs, as ``dagster job launch`` does, which would import Dagster for each of them."""
        with WorkspaceProcessContext(instance, WorkspaceFileTarget([str(self.workspace)])) as context:
            workspace = context.create_request_context()
            (location,) = workspace.code_locations
            (repository,) = location.get_repositories().values()
            made = []
            for job in JOBS[:runs]:
                run = _create_run(
                    instance, location, repository, repository.get_full_job(job), config, {}, None, None
                )  # fmt: skip
                made.append(instance.submit_run(run.run_id, workspace).run_id)
        say(f"{len(made)} runs are queued")
        return made

    def measure(self, workers: int, runs: int, records: int) -> tuple[float, bool]:
        """Return the seconds that the runs take, and whether all succeeded."""
        self.configure(workers)
        config = {"resources": {"sync": {"config": {"batch_size": 1, "full": True, "max_records": records}}}}
        words = ("-A", "warehouse_pipelines.orchestration.celery_worker", "worker", "-Q", "dagster", "-c", "1")
        with dg.DagsterInstance.from_config(str(self.folder / "dagster")) as instance:
            wanted = self.queue(instance, runs, config)
            names = [f"worker-{workers}-{number}" for number in range(workers)]
            started = [self.start(name, "celery", *words, "-l", "INFO", "-n", f"{name}@here") for name in names]
            try:
                for name in names:
                    self.wait(name, lambda name=name: " ready." in self.said(name))  # type: ignore[misc]
                started.append(self.start("daemon", "dagster-daemon", "run", "-w", str(self.workspace)))
                done = self.ended(instance, wanted)
            finally:
                end(started)
        begun, ended = [one.start_time or 0.0 for one in done], [one.end_time or 0.0 for one in done]
        seconds = max(ended) - min(begun)
        each = sum(ended) - sum(begun)
        print(f"{workers} workers  {runs} runs  {seconds:7.1f} s  {each / runs:6.1f} s a run", flush=True)
        return seconds, {one.dagster_run.status for one in done} == {dg.DagsterRunStatus.SUCCESS}

    def ended(self, instance: dg.DagsterInstance, wanted: list[str]) -> list[dg.RunRecord]:
        """Wait until the runs have ended, and say of each when it does."""
        deadline = time.monotonic() + LONGEST_SECONDS
        said: set[str] = set()
        while len(said) < len(wanted):
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {LONGEST_SECONDS:.0f} s {len(said)} runs have ended\n{self.said('daemon')}")
            for record in instance.get_run_records(dg.RunsFilter(run_ids=wanted)):
                run = record.dagster_run
                if run.is_finished and run.run_id not in said:
                    said.add(run.run_id)
                    took = (record.end_time or 0.0) - (record.start_time or 0.0)
                    say(f"{run.job_name}: {run.status.value} after {took:.1f} s, {len(said)} of {len(wanted)}")
            time.sleep(1)
        return list(instance.get_run_records(dg.RunsFilter(run_ids=wanted)))


def say(text: str) -> None:
    """Print what happens, with the time since the start."""
    print(f"# {time.monotonic() - BEGAN:4.0f} s  {text}", file=sys.stderr, flush=True)


BEGAN = time.monotonic()


def listens(port: int) -> bool:
    """Return whether a program listens on a port of this machine."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def end(programs: list["subprocess.Popen[bytes]"]) -> None:
    """End programs and what they started."""
    for one in programs:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(one.pid, signal.SIGKILL)
        one.wait()


@contextlib.contextmanager
def redis(folder: Path) -> Iterator[str]:
    """Run a Redis and give its URL."""
    program = shutil.which("redis-server")
    assert program is not None, "redis-server is missing"
    port = str(free_port())
    words = (program, "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", str(folder))
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        end([process])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=8, choices=range(1, len(JOBS) + 1))
    parser.add_argument("--latency", type=float, default=0.25)
    parser.add_argument("--records", type=int, default=100, help="of each run")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made, redis(Path(made)) as broker, contextlib.ExitStack() as stack:
        folder = Path(made)
        server = Server(folder / "a server")
        server.start()
        stack.callback(server.stop, "immediate")
        url = server.create_database("warehouse_workers")
        migrate(url)
        with server.connect("warehouse_workers") as connection:
            connection.execute("UPDATE orchestration.sync_schedule SET enabled = false")
        # Of ten contacts one has written; of the others there are more.
        simulators = stack.enter_context(start_process(VENDORS, contacts=10 * given.records))
        for vendor in VENDORS:
            simulators.control(vendor, "set_fault", kind="slow", seconds=given.latency)
        say("the warehouse is migrated, the vendors are slow")
        it = Installation(folder, url, broker, simulators.environment())
        stack.callback(lambda: end(it.programs))
        one, right = it.measure(1, given.runs, given.records)
        four, also = it.measure(4, given.runs, given.records)
    found = {"one_seconds": round(one, 1), "four_seconds": round(four, 1), "ratio": round(one / four, 2)}
    print(json.dumps({**found, "all_succeeded": right and also}))


if __name__ == "__main__":
    main()
