"""Runs of a code server that are forked; the whole of it, with runs that are killed, is in ``test_dagster_kills``."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FORKED = """
import json, sys
import dagster._grpc.server as server
from warehouse_pipelines.orchestration import warm_runs

def tell(queue):
    import threading
    queue.put([len(threading.enumerate()), sorted(name for name in warm_runs.NEEDED if name not in sys.modules)])

def die(queue):
    import os
    os._exit(7)

if __name__ == "__main__":
    warm_runs.fork_runs()
    context = server.DagsterApiServer.__new__(server.DagsterApiServer)._mp_ctx
    queue = context.Queue()
    found = []
    for _ in range(2):
        child = context.Process(target=tell, args=[queue])
        child.start()
        found.append(queue.get(timeout=120))
        child.join()
    killed = context.Process(target=die, args=[queue])
    killed.start()
    killed.join()
    print(json.dumps([context.get_start_method(), found, killed.exitcode]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="forks are made on Linux alone")
def test_a_run_of_the_code_server_is_a_fork_that_has_everything_imported(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(FORKED)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    method, found, code = json.loads(done.stdout.splitlines()[-1])
    assert method == "forkserver"
    assert [missing for _, missing in found] == [[], []], "imported before the fork"
    assert code == 7, "who has asked for the fork learns how it ended"


def test_other_programs_keep_their_way_of_starting_processes() -> None:
    code = "import sys; from warehouse_pipelines import definitions; print('dagster._grpc.server' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
