"""Runs of a code server that are forked; the whole of it, with runs that are killed, is in ``test_dagster_kills``."""

import json
import os
import subprocess
import sys
from pathlib import Path

import dagster._grpc.server as grpc_server
import pytest

from warehouse_pipelines.orchestration import forked_runs

FORKED = """
import json, sys, time

def tell(queue):
    import os, pathlib
    threads = [(one / "comm").read_text().strip() for one in pathlib.Path(f"/proc/{os.getppid()}/task").iterdir()]
    preload = sys.modules.get("warehouse_pipelines.orchestration.forkserver_preload")
    missing = sorted(name for name in preload.NEEDED if name not in sys.modules) if preload else ["everything"]
    queue.put([sum(name != "jemalloc_bg_thd" for name in threads), missing])

def wait(queue, event):
    # as a run does that can be cancelled
    import threading
    from dagster._core.errors import DagsterExecutionInterruptedError
    from dagster._grpc.impl import start_termination_thread
    from dagster import raise_execution_interrupts
    from dagster._utils.interrupts import capture_interrupts

    with capture_interrupts():
        start_termination_thread(event, threading.Event())
        try:
            with raise_execution_interrupts():
                queue.put("waits")
                for _ in range(1200):  # a signal that comes just before a sleep does not end it
                    time.sleep(0.1)
        except DagsterExecutionInterruptedError:
            queue.put("cancelled")

def die(queue):
    import os
    os._exit(7)

if __name__ == "__main__":
    from warehouse_pipelines import definitions
    other = "dagster._grpc.server" in sys.modules
    import dagster._grpc.server as server
    from warehouse_pipelines.orchestration import forked_runs

    forked_runs.fork_runs()
    context = server.DagsterApiServer.__new__(server.DagsterApiServer)._mp_ctx
    queue = context.Queue()
    found = []
    for _ in range(2):
        child = context.Process(target=tell, args=[queue])
        child.start()
        found.append(queue.get(timeout=120))
        child.join()
    event = context.Event()
    cancelled = context.Process(target=wait, args=[queue, event])
    cancelled.start()
    heard = [queue.get(timeout=120)]
    event.set()
    heard.append(queue.get(timeout=120))
    cancelled.join()
    killed = context.Process(target=die, args=[queue])
    killed.start()
    killed.join()
    print(json.dumps([other, context.get_start_method(), found, heard, killed.exitcode]))
"""


@pytest.mark.slow("processes that import everything")
@pytest.mark.skipif(sys.platform != "linux", reason="forks are made on Linux alone")
def test_a_run_of_the_code_server_is_a_fork_that_has_everything_imported(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(FORKED)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    other, method, found, heard, code = json.loads(done.stdout.splitlines()[-1])
    assert not other, "other programs keep their way of starting processes"
    assert method == "forkserver"
    assert found == [[1, []], [1, []]], "threads that a fork would leave behind, and what it has to import"
    assert heard == ["waits", "cancelled"]
    assert code == 7, "who has asked for the fork learns how it ended"


def test_the_code_server_looks_for_ended_runs_again_after_its_storage_was_away(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looks: list[object] = []

    def look(server: object) -> None:
        looks.append(server)
        if len(looks) == 1:
            raise ConnectionError("the storage is away")

    monkeypatch.setattr(grpc_server.DagsterApiServer, "_check_for_orphaned_runs", look)
    forked_runs.go_on_looking()
    forked_runs.go_on_looking()
    server = grpc_server.DagsterApiServer.__new__(grpc_server.DagsterApiServer)
    for _ in range(2):
        server._check_for_orphaned_runs()
    assert looks == [server, server]
    assert "could not look for ended runs: ConnectionError" in caplog.text
