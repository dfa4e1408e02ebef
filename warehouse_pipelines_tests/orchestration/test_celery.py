"""Runs on Celery's workers, each part of which is killed in the middle of one: tried again in time, history exact."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import dagster as dg
import psycopg
import pytest

from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines_tests.harness.dagster_harness import DagsterHarness, dagster_harness
from warehouse_pipelines_tests.harness.redis import Redis

pytestmark = [
    pytest.mark.slow("Dagster's daemon and Celery's workers, which are killed"),
    pytest.mark.timeout(900),
]

JOB = "sync_callrail_tags"
IN_TIME = 60.0
"""Seconds after which a run that lost its worker must have been failed and loaded by another."""


class Cluster:
    """PostgreSQL, Redis, the daemon and workers."""

    def __init__(self, server: Server, redis: Redis, harness: DagsterHarness) -> None:
        self.server, self.redis, self.harness = server, redis, harness
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self.workspace = harness.start_code_server()

    def start_daemon(self) -> "subprocess.Popen[bytes]":
        self.daemon = self.harness.start("dagster-daemon", "run", "-w", str(self.workspace))
        return self.daemon

    def start_worker(self, name: str) -> None:
        words = ("-A", "warehouse_pipelines.orchestration.celery_worker", "worker", "-Q", "dagster", "-c", "1")
        self.workers[name] = self.harness.start("celery", *words, "-n", name, log_name=name)

    def kill(self, process: "subprocess.Popen[bytes]") -> None:
        """Kill a program and all that it started, at once."""
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self.harness.subprocesses.remove(process)

    def executor_of(self, run: dg.DagsterRun) -> str:
        """Return the name of the worker that executes a run, by the process that the run's events name."""
        with self.harness.instance() as instance:
            messages = " ".join(entry.message for entry in instance.all_logs(run.run_id))
        found = re.findall(r"pid: (\d+)", messages)
        assert found, messages
        group = os.getpgid(int(found[-1]))
        (name,) = (name for name, process in self.workers.items() if process.pid == group)
        return name

    def rows(self) -> list[str]:
        """Return the statuses of the entity's history, oldest first."""
        with psycopg.connect(self.harness.url) as connection:
            found = connection.execute(
                "SELECT status FROM orchestration.sync_history WHERE sync_type = 'tags' ORDER BY id"
            ).fetchall()
        return [status for (status,) in found]

    def tags(self) -> int:
        with psycopg.connect(self.harness.url) as connection:
            found = connection.execute("SELECT count(*) FROM callrail_tag").fetchone()
        assert found is not None
        return int(found[0])

    def launch(self) -> None:
        self.harness.dagster("job", "launch", "-w", str(self.workspace), "-j", JOB)

    def wait(self, reached: Callable[[], bool], what: str, seconds: float = 150) -> float:
        """Wait, and return for how long."""
        began = time.monotonic()
        while not reached():
            if time.monotonic() - began > seconds:
                logs = {log.name: log.read_text()[-3000:] for log in self.harness.home.glob("*.log")}
                raise TimeoutError(f"not within {seconds} s: {what}; rows {self.rows()}; logs {logs}")
            time.sleep(0.1)
        return time.monotonic() - began

    def answer(self) -> None:
        """Let CallRail answer at once."""
        self.harness.simulators.control("callrail", "clear_faults")

    def be_slow(self) -> None:
        self.harness.simulators.control("callrail", "set_fault", kind="slow", seconds=90, path="tags.json")


@pytest.fixture(scope="module")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("celery")
    redis = Redis(folder)
    server = Server(folder / "a server", durable=False)
    try:
        server.start()
        settings = {
            "WAREHOUSE_DAGSTER_CONFIG": "config/dagster.celery.yaml",
            "WAREHOUSE_CELERY_BROKER_URL": redis.url,
        }
        with dagster_harness(server, None, folder, "celery", 20, vendors=["callrail"], **settings) as harness:
            made = Cluster(server, redis, harness)
            made.start_daemon()
            for name in ("one@test", "two@test"):
                made.start_worker(name)
            yield made
    finally:
        redis.kill()
        server.stop("immediate")


@pytest.fixture
def cluster(shared_cluster: Cluster) -> Cluster:
    """With nothing in the history but a run that waits for CallRail's tags."""
    it = shared_cluster
    with psycopg.connect(it.harness.url, autocommit=True) as connection:
        connection.execute("TRUNCATE orchestration.sync_history, callrail_tag")
    it.be_slow()
    it.launch()
    it.wait(lambda: it.rows() == ["running"], "the run writes its row")
    return it


def check_repeated(it: Cluster, began: float) -> None:
    """The run was failed and tried again in time, and nothing is left of the first try."""
    it.wait(lambda: it.rows()[-2:] == ["failed", "success"], "failed and loaded by another")
    took = time.monotonic() - began
    assert it.rows() == ["failed", "success"]
    assert it.tags() == 6
    it.wait(lambda: all(run.is_finished for run in it.harness.runs(JOB)), "both runs end", 60)
    again, first, *_ = it.harness.runs(JOB)
    assert (first.status, again.status) == (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS)
    assert took < IN_TIME, f"{took:.0f} s"


def test_a_run_whose_worker_is_killed_is_tried_again_by_another(cluster: Cluster) -> None:
    run, *_ = cluster.harness.runs(JOB)
    name = cluster.executor_of(run)
    cluster.kill(cluster.workers.pop(name))
    began = time.monotonic()
    cluster.answer()
    check_repeated(cluster, began)
    cluster.start_worker(name)


def test_a_run_outlives_redis_which_then_hands_out_the_next(cluster: Cluster) -> None:
    cluster.redis.kill()
    cluster.answer()
    cluster.wait(lambda: cluster.rows() == ["success"], "the run ends without Redis")
    cluster.redis.start()
    cluster.launch()
    cluster.wait(lambda: cluster.rows() == ["success", "success"], "the next one is executed", 60)
    assert cluster.tags() == 6


def test_a_run_outlives_the_daemon(cluster: Cluster) -> None:
    cluster.kill(cluster.daemon)
    cluster.answer()
    cluster.wait(lambda: cluster.rows() == ["success"], "the run ends without the daemon")
    cluster.start_daemon()
    assert cluster.tags() == 6
    assert cluster.harness.finished(JOB, 1)[0].status == dg.DagsterRunStatus.SUCCESS


def test_a_run_that_is_cancelled_ends_itself(cluster: Cluster) -> None:
    run, *_ = cluster.harness.runs(JOB)
    with cluster.harness.instance() as instance:
        assert instance.run_launcher.terminate(run.run_id)
    cluster.wait(lambda: cluster.rows() == ["cancelled"], "the row is closed", 30)
    cluster.wait(lambda: cluster.harness.runs(JOB)[0].is_finished, "the run ends", 60)
    assert cluster.harness.runs(JOB)[0].status == dg.DagsterRunStatus.CANCELED
    cluster.answer()


def test_a_run_whose_database_is_killed_is_tried_again(cluster: Cluster) -> None:
    """Warehouse and Dagster's storage are on it."""
    cluster.server.kill()
    cluster.server.start()
    began = time.monotonic()
    cluster.answer()
    cluster.wait(lambda: cluster.rows()[-1:] == ["success"], "loaded in the end")
    took = time.monotonic() - began
    assert cluster.rows().count("success") == 1
    assert "running" not in cluster.rows()
    assert cluster.tags() == 6
    assert took < IN_TIME, f"{took:.0f} s"
