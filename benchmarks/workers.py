"""How much more do four workers get done than one, where vendors take their time?

    python benchmarks/workers.py --runs 8 --latency 0.25

Runs of CallRail and MarketSharp, whose simulators answer each request ``--latency`` seconds late, one record a page, so
that a run mostly waits. They are queued before the daemon starts, which then hands them, through Redis, to Celery's
workers: processes that execute one run at a time. Measured is the time from the start of the first run to the end of
the last, with all that Dagster does in between. Needs redis-server. The last line is one JSON object.
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
from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines.schema.migrate import migrate
from warehouse_pipelines.simulators.server import start_process

ROOT = Path(__file__).parents[1]
JOBS = (
    "sync_callrail_calls", "sync_marketsharp_contact", "sync_callrail_form_submissions", "sync_marketsharp_lead",
    "sync_callrail_text_messages", "sync_marketsharp_appointment", "sync_callrail_users", "sync_marketsharp_activity",
)  # fmt: skip
CONFIG = json.dumps({"resources": {"sync": {"config": {"batch_size": 1, "full": True}}}})


class Installation:
    """PostgreSQL, Redis, simulators, a code server and the daemon, in one folder."""

    def __init__(self, folder: Path, url: str, broker: str, vendors: dict[str, str]) -> None:
        self.folder = folder
        self.configuration = folder / "dagster.yaml"
        self.environment = {
            **os.environ,
            **vendors,
            "WAREHOUSE_DATABASE_URL": url,
            "WAREHOUSE_CELERY_BROKER_URL": broker,
            "WAREHOUSE_DAGSTER_CONFIG": str(self.configuration),
            "DAGSTER_HOME": str(folder / "dagster"),
        }
        os.environ.update(self.environment)
        self.workspace = str(folder / "workspace.yaml")
        port = free_port()
        Path(self.workspace).write_text(
            f"load_from: [{{grpc_server: {{host: 127.0.0.1, port: {port}, location_name: warehouse}}}}]"
        )
        self.configure(1)
        words = ("-m", "warehouse_pipelines.definitions", "--location-name", "warehouse")
        self.programs = [self.start("dagster", "api", "grpc", "-h", "127.0.0.1", "-p", str(port), *words)]
        time.sleep(30)  # until it has loaded the definitions

    def configure(self, workers: int) -> None:
        """Let as many runs be sent as there are workers."""
        text = (ROOT / "config" / "dagster.celery.yaml").read_text()
        self.configuration.write_text(text.replace("max_concurrent_runs: 8", f"max_concurrent_runs: {workers}"))
        self.run(sys.executable, "-m", "warehouse_pipelines.local.dagster_home")

    def run(self, *words: str) -> None:
        """Run a program to its end."""
        subprocess.run(words, cwd=ROOT, env=self.environment, check=True, stdout=subprocess.DEVNULL)

    def start(self, program: str, *words: str) -> "subprocess.Popen[bytes]":
        """Start a program beside this Python, in a session of its own."""
        with (self.folder / f"{program}.log").open("ab") as log:
            return subprocess.Popen(
                [Path(sys.executable).with_name(program), *words],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def measure(self, workers: int, runs: int) -> tuple[float, bool]:
        """Return the seconds that the runs take, and whether all succeeded."""
        self.configure(workers)
        before = {record.dagster_run.run_id for record in self.records()}
        for at in range(runs):
            words = ("job", "launch", "-w", self.workspace, "-j", JOBS[at % len(JOBS)], "--config-json", CONFIG)
            self.run(str(Path(sys.executable).with_name("dagster")), *words)
        application = ("-A", "warehouse_pipelines.orchestration.celery_worker", "worker", "-Q", "dagster", "-c", "1")
        started = [self.start("celery", *application, "-n", f"{workers}-{n}@here") for n in range(workers)]
        try:
            time.sleep(30)  # until they have loaded the definitions
            started.append(self.start("dagster-daemon", "run", "-w", self.workspace))
            deadline = time.monotonic() + 1800
            while True:
                own = [record for record in self.records() if record.dagster_run.run_id not in before]
                if all(record.dagster_run.is_finished for record in own):
                    break
                assert time.monotonic() < deadline, (self.folder / "celery.log").read_text()[-3000:]
                time.sleep(1)
            begun, ended = [one.start_time or 0.0 for one in own], [one.end_time or 0.0 for one in own]
            seconds = max(ended) - min(begun)
            each = sum(ended) - sum(begun)
            print(f"{workers} workers  {runs} runs  {seconds:7.1f} s  {each / runs:6.1f} s a run", flush=True)
            statuses = {one.dagster_run.status for one in own}
            return seconds, len(own) == runs and statuses == {dg.DagsterRunStatus.SUCCESS}
        finally:
            end(started)

    def records(self) -> list[dg.RunRecord]:
        """Return all runs."""
        with dg.DagsterInstance.from_config(str(self.folder / "dagster")) as instance:
            return list(instance.get_run_records())


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
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--latency", type=float, default=0.25)
    parser.add_argument("--contacts", type=int, default=60)
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
        simulators = stack.enter_context(start_process(["callrail", "marketsharp"], contacts=given.contacts))
        for vendor in ("callrail", "marketsharp"):
            simulators.control(vendor, "set_fault", kind="slow", seconds=given.latency)
        it = Installation(folder, url, broker, simulators.environment())
        stack.callback(lambda: end(it.programs))
        one, right = it.measure(1, given.runs)
        four, also = it.measure(4, given.runs)
    found = {"one_seconds": round(one, 1), "four_seconds": round(four, 1), "ratio": round(one / four, 2)}
    print(json.dumps({**found, "all_succeeded": right and also}))


if __name__ == "__main__":
    main()
