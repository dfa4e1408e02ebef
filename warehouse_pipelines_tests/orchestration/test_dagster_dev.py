"""``dagster dev`` as `warehouse ui` runs it: a code server that is killed comes back."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import dagster as dg
import grpc
import pytest
from dagster._cli.proxy_server_manager import ProxyServerManager
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._grpc.constants import GrpcServerCommand
from dagster._grpc.server import GrpcServerProcess

from warehouse_pipelines.local import dagster_home
from warehouse_pipelines.orchestration import dagster_dev
from warehouse_pipelines_tests.harness.subprocesses import eventually

DEFINITIONS = "import dagster as dg\n\n@dg.job\ndef nothing(): pass\n\ndefs = dg.Definitions(jobs=[nothing])\n"


class Refused(grpc.RpcError):  # type: ignore[misc]
    """An answer of a proxy."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        self._code, self._details = code, details

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._details


AWAY = Refused(grpc.StatusCode.UNKNOWN, "Exception calling application: status = StatusCode.UNAVAILABLE")
SLOW = Refused(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
BROKEN = Refused(grpc.StatusCode.UNKNOWN, "Exception calling application: No available client to code server")
NO_PROXY = Refused(grpc.StatusCode.UNAVAILABLE, "failed to connect to all addresses")


class Proxy:
    """A code server whose pings end as told, one after the other, and then ends itself."""

    def __init__(self, *answers: grpc.RpcError | None) -> None:
        self.answers = list(answers)
        self.ended = threading.Event()
        self.reloads = 0

    def create_client(self) -> "Proxy":
        return self

    def ping(self, echo: str) -> None:
        answer = self.answers.pop(0)
        if not self.answers:
            self.ended.set()
        if answer is not None:
            raise DagsterUserCodeUnreachableError("Could not reach user code server") from answer

    def reload_code(self, timeout: int) -> None:
        self.reloads += 1


@pytest.mark.parametrize(
    ("answers", "reloads"),
    [
        ((None, AWAY, AWAY, None), 1),
        ((AWAY, None, AWAY), 0),
        ((AWAY, AWAY, AWAY, AWAY), 2),
        ((SLOW, SLOW, SLOW), 0),
        ((BROKEN, BROKEN, BROKEN), 0),
        ((NO_PROXY, NO_PROXY, NO_PROXY), 0),
    ],
)
def test_what_is_away_behind_a_proxy_is_started_again_and_what_is_slow_is_not(
    answers: tuple[grpc.RpcError | None, ...], reloads: int
) -> None:
    proxy = Proxy(*answers)
    dagster_dev.look_after(proxy, proxy.ended, pause=0)
    assert proxy.reloads == reloads


def test_the_ui_looks_after_its_code_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """The method of Dagster's that is replaced is there, and the command of the UI replaces it."""
    assert dagster_home.ui_command("127.0.0.1", 3000)[1:4] == ["-m", dagster_dev.__name__, "dev"]
    watched: list[Any] = []
    manager: Any = ProxyServerManager
    assert manager._process_monitoring_thread
    monkeypatch.setattr(manager, "_process_monitoring_thread", lambda self, server: watched.append(server))
    monkeypatch.setattr(dagster_dev, "look_after", lambda server, ended: watched.append(ended))
    dagster_dev.revive_code_servers()
    manager._process_monitoring_thread(None, "a server")
    ended, server = sorted(watched, key=str)
    assert server == "a server"
    assert ended.is_set()


@pytest.mark.slow("Dagster's processes, which are killed")
def test_a_killed_code_server_comes_back(tmp_path: Path) -> None:
    file = tmp_path / "definitions.py"
    file.write_text(DEFINITIONS)
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        server = GrpcServerProcess(
            instance_ref=instance.get_ref(), server_command=GrpcServerCommand.CODE_SERVER_START, location_name="it",
            loadable_target_origin=LoadableTargetOrigin(executable_path=sys.executable, python_file=str(file)),
            heartbeat=True, heartbeat_timeout=5, startup_timeout=60,
        )  # fmt: skip
        ended, client = threading.Event(), server.create_client()

        def answers() -> bool:
            try:
                client.heartbeat("the proxy lives")
                client.ping("so does what is behind it")
            except DagsterUserCodeUnreachableError:
                return False
            return True

        try:
            assert answers()
            behind = subprocess.run(["pgrep", "-P", str(server.pid)], check=True, capture_output=True, text=True)
            for child in behind.stdout.split():
                os.kill(int(child), signal.SIGKILL)
            eventually(lambda: not answers(), "the code server is away", 10, pause=0.05)
            looking = threading.Thread(target=dagster_dev.look_after, args=(server, ended, 0.2), daemon=True)
            looking.start()
            eventually(answers, "the code server answers again", 60, pause=0.2)
        finally:
            ended.set()
            server.server_process.terminate()
            server.wait()
