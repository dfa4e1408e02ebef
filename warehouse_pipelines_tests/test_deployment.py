"""docker-compose.yml and Dockerfile: what they promise, and each service's very command run by hand.

No container is started. The commands, the environment and the health checks are taken from the files; hosts and ports
are replaced by free ones of this machine.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from warehouse_pipelines.loading.mirroring import check_mirroring
from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines.local.postgres_programs import find_binaries
from warehouse_pipelines.simulators.server import start_process
from warehouse_pipelines.sources.pipedesk import PIPEDESK

ROOT = Path(__file__).parents[1]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: Mapping[str, Any] = COMPOSE["services"]
STORES = ("WAREHOUSE_DATABASE_URL", "DAGSTER_STORAGE_URL")
OTHERS = ("postgres", "caddy", "redis")
OURS = [name for name in SERVICES if name not in OTHERS]
ENTRYPOINT = json.loads(re.findall(r"^ENTRYPOINT (\[.*\])$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[0])
READY_SECONDS = 300


def test_ports_answer_on_this_machine_only() -> None:
    """All but Caddy's, which encrypts and asks for a login, and is started only when it is asked for."""
    assert SERVICES["caddy"]["profiles"] == ["caddy"]
    published = [port for name, service in SERVICES.items() if name != "caddy" for port in service.get("ports", [])]
    assert len(published) == 3
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_workers_and_their_broker_are_started_only_when_asked_for() -> None:
    """Nobody but who starts, ends and executes runs reaches the broker; its network leads nowhere else."""
    assert {name for name, service in SERVICES.items() if service.get("profiles") == ["scale"]} == {"worker", "redis"}
    assert {name for name, service in SERVICES.items() if "broker" in service.get("networks", [])} == {
        "webserver", "daemon", "worker", "redis",
    }  # fmt: skip
    assert COMPOSE["networks"]["broker"] == {"internal": True}


def test_the_configuration_with_workers_differs_where_it_says_so() -> None:
    one, many = (yaml.safe_load((ROOT / name).read_text()) for name in ("dagster.yaml", "config/dagster.celery.yaml"))
    launcher = many.pop("run_launcher")
    assert launcher == {"module": "warehouse_pipelines.orchestration.celery_launcher", "class": "Launcher"}
    assert many["run_monitoring"].pop("poll_interval_seconds") < one["run_monitoring"].pop("poll_interval_seconds")
    assert many["concurrency"]["runs"].pop("max_concurrent_runs") > one["concurrency"]["runs"].pop(
        "max_concurrent_runs"
    )
    assert many == one


def test_no_secret_is_written_down_and_none_has_a_default() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    found = re.findall(r"\$\{(\w*PASSWORD)(:\?)?", text)
    assert {name for name, _ in found} == {
        "POSTGRES_PASSWORD",
        "WAREHOUSE_DATABASE_PASSWORD",
        "DAGSTER_DATABASE_PASSWORD",
    }
    assert all(demanded for _, demanded in found)
    assert not re.search(r"PASSWORD: (?!\$)", text)


@pytest.mark.parametrize("name", [*SERVICES])
def test_every_service_has_limits_and_logs_that_end(name: str) -> None:
    assert {*SERVICES[name]["deploy"]["resources"]["limits"]} == {"cpus", "memory", "pids"}
    assert SERVICES[name]["logging"]["options"] == {"max-size": "10m", "max-file": "5"}


def test_who_watches_the_daemon_is_given_the_database_of_its_heartbeats() -> None:
    storage = "DAGSTER_STORAGE_URL"
    assert SERVICES["serve"]["environment"][storage] == SERVICES["daemon"]["environment"][storage]


def test_only_who_loads_is_given_the_warehouse_and_the_vendors() -> None:
    for name in OURS:
        loads = name in ("migrate", "code", "serve", "worker")
        assert ("WAREHOUSE_DATABASE_URL" in SERVICES[name]["environment"]) is loads
        assert ("env_file" in SERVICES[name]) is loads
        assert any("/run/secrets:ro" in volume for volume in SERVICES[name]["volumes"]) is loads


class Overriding(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML is untyped
    """Reads Compose's ``!reset``, which takes away what the first file says."""


RESET = object()
Overriding.add_constructor("!reset", lambda loader, node: RESET)


def overridden(base: Any, over: Any) -> Any:
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    merged = {**base, **{name: overridden(base.get(name), value) for name, value in over.items()}}
    return {name: value for name, value in merged.items() if value is not RESET}


def test_an_own_postgresql_takes_the_place_of_the_bundled_one() -> None:
    over = yaml.load((ROOT / "docker-compose.own-postgres.yml").read_text(), Overriding)  # noqa: S506  # a SafeLoader
    whole = overridden(COMPOSE, over)
    assert {*whole["services"]} == {*OURS, "caddy", "redis"}
    assert {*whole["volumes"]} == {"compute-logs", "caddy"}
    for name, service in whole["services"].items():
        if name in OTHERS:
            continue
        assert "postgres" not in service.get("depends_on", {}), name
        urls = {key: value for key, value in service["environment"].items() if key in STORES}
        assert all(value.startswith(f"${{{key}:?") for key, value in urls.items()), name
        assert service["environment"]["DAGSTER_HOME"] == "/var/lib/dagster"


@pytest.mark.parametrize("name", OURS)
def test_our_services_have_no_privileges(name: str) -> None:
    assert SERVICES[name]["cap_drop"] == ["ALL"]
    assert SERVICES[name]["security_opt"] == ["no-new-privileges:true"]
    last_user = re.findall(r"^USER (\w+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[-1]
    assert last_user not in ("root", "0")


@pytest.mark.parametrize("name", [*SERVICES])
def test_every_service_is_started_again_and_watched(name: str) -> None:
    if name == "migrate":
        assert SERVICES[name]["restart"] == "on-failure:3"
    else:
        assert SERVICES[name]["restart"] == "unless-stopped"
        assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"


def test_what_the_image_copies_is_there_and_let_through() -> None:
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = set()
    for line in re.findall(r"^COPY (?!--from)(.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE):
        copied |= {*line.split()[:-1]}
    assert copied == let_through
    assert all((ROOT / name).exists() for name in copied)


def test_docker_accepts_the_file() -> None:
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode
    ):
        pytest.skip("docker compose is missing")  # in CI too: it is no part of a bare machine
    environment = {**os.environ, "WAREHOUSE_DATABASE_PASSWORD": "x"}
    subprocess.run(["docker", "compose", "config", "-q"], cwd=ROOT, env=environment, check=True)


class Machine:
    """Runs services as the compose file says, with its hosts and ports replaced."""

    def __init__(self, server: Server, folder: Path, vendors: Mapping[str, str]) -> None:
        superuser, password, database = re.findall(r"//(\w+):([^@]+)@(127.0.0.1:\d+)/", server.url())[0]
        self.code, self.web, serve = free_port(), free_port(), free_port()
        self.ports = {"code": self.code, "webserver": self.web, "serve": serve}
        self.folder = folder
        self.vendors = vendors
        self.replaced = {
            r"\$\{WAREHOUSE_DATABASE_PASSWORD:\?[^}]*\}": "ofTheLoader",
            r"\$\{DAGSTER_DATABASE_PASSWORD:\?[^}]*\}": "ofDagster",
            r"@postgres:5432/": f"@{database}/",
            r"\$\{WAREHOUSE_DAGSTER_CONFIG:-\}": "",
            r"\b0\.0\.0\.0\b|\bcode\b": "127.0.0.1",
            r"\b4000\b": str(self.code),
            r"\b3000\b": str(self.web),
            r"\b8080\b": str(serve),
            r"^/var/lib/dagster$": str(folder / "serve"),
        }
        workspace = Path("config", "workspace.compose.yaml")
        (folder / workspace.parent).mkdir()
        (folder / workspace).write_text(re.sub("#.*\n", "", self.here((ROOT / workspace).read_text())))
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        self.loader_url = self.here(SERVICES["code"]["environment"]["WAREHOUSE_DATABASE_URL"])
        host, _, port = database.partition(":")
        roles = {
            "PGHOST": host,
            "PGPORT": port,
            "PGPASSWORD": password,
            "POSTGRES_USER": superuser,
            "WAREHOUSE_DATABASE_PASSWORD": "ofTheLoader",
            "DAGSTER_DATABASE_PASSWORD": "ofDagster",
            "PATH": f"{find_binaries()}{os.pathsep}{os.environ['PATH']}",
        }
        for _ in range(2):  # it is safe to repeat
            subprocess.run(["sh", ROOT / "config" / "postgres" / "10-roles.sh"], env=roles, check=True)

    def here(self, text: str) -> str:
        for pattern, replacement in self.replaced.items():
            text = re.sub(pattern, replacement, text)
        return text

    def environment(self, name: str) -> dict[str, str]:
        given = {key: self.here(value) for key, value in SERVICES[name]["environment"].items()}
        own = self.folder / name
        (own / "storage").mkdir(parents=True, exist_ok=True)
        return {
            **{key: value for key, value in os.environ.items() if key != "WAREHOUSE_DATABASE_URL"},
            **(self.vendors if "env_file" in SERVICES[name] else {}),
            **given,
            "DAGSTER_HOME": str(own),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }

    def command(self, name: str) -> list[str]:
        service = SERVICES[name]
        return [self.here(word) for word in [*service.get("entrypoint", ENTRYPOINT), *service["command"]]]

    def start(self, *names: str) -> None:
        """Start services side by side, and wait until each is healthy."""
        for name in names:
            with (self.folder / f"{name}.log").open("wb") as log:
                self.children[name] = subprocess.Popen(
                    self.command(name),
                    env=self.environment(name),
                    cwd=self.folder,
                    stdout=log,
                    stderr=log,
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                )
        deadline = time.monotonic() + READY_SECONDS
        for name in names:
            while not self.healthy(name):
                if self.children[name].poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"{name} is not healthy:\n{(self.folder / f'{name}.log').read_text()}")
                time.sleep(0.2)

    def healthy(self, name: str) -> bool:
        """Ask as Compose does; what has a port only once it listens, because to ask is to start a program."""
        if name in self.ports and not listens(self.ports[name]):
            return False
        check = [self.here(word) for word in SERVICES[name]["healthcheck"]["test"][1:]]
        ran = subprocess.run(check, env=self.environment(name), cwd=self.folder, capture_output=True, check=False)
        return ran.returncode == 0

    def ask(self, query: str, variables: Mapping[str, object] | None = None) -> Any:
        body = json.dumps({"query": query, "variables": variables or {}}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.web}/graphql", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  # http, as written
            return json.load(answer)["data"]

    def stop(self) -> None:
        for child in reversed(self.children.values()):
            os.killpg(child.pid, signal.SIGTERM)
        for child in self.children.values():
            try:
                child.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()


def listens(port: int) -> bool:
    with socket.socket() as candidate:
        return candidate.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as candidate:
        candidate.bind(("127.0.0.1", 0))
        return int(candidate.getsockname()[1])


@pytest.fixture
def machine(server: Server, tmp_path: Path) -> Iterator[Machine]:
    server.start()
    with start_process(["callrail"], contacts=20, wait_seconds=240) as simulators:
        machine = Machine(server, tmp_path, simulators.environment())
        yield machine
        machine.stop()


LAUNCH = """
mutation launch($job: String!) {
  launchRun(executionParams: {runConfigData: {}, selector: {
    repositoryLocationName: "warehouse", repositoryName: "__repository__", jobName: $job
  }}) { __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } }
}"""
STATUS = "query status($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"


@pytest.mark.slow("every service of compose")
@pytest.mark.timeout(1200)
def test_the_services_run_a_sync_together(machine: Machine, server: Server) -> None:
    """Migrations, code location, webserver, daemon; a run launched in the UI is queued, run, and in the warehouse."""
    environment, command = machine.environment("migrate"), machine.command("migrate")
    migrated = run(command, environment, machine.folder)
    assert migrated.returncode == 0, migrated.stderr
    again = run(command, environment, machine.folder)
    assert "Nothing to do." in again.stdout, again.stderr
    machine.start("code", "serve")
    machine.start("webserver", "daemon")
    with server.connect("dagster") as connection:
        found = connection.execute('SELECT concurrency_key, "limit" FROM concurrency_limits ORDER BY 1').fetchall()
    assert ("callrail_api", 3) in found
    launched = machine.ask(LAUNCH, {"job": "sync_callrail_tags"})["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    status, deadline = "", time.monotonic() + READY_SECONDS
    while status not in ("SUCCESS", "FAILURE", "CANCELED") and time.monotonic() < deadline:
        time.sleep(0.2)
        status = machine.ask(STATUS, {"run": launched["run"]["runId"]})["runOrError"]["status"]
    assert status == "SUCCESS", (machine.folder / "code.log").read_text()
    with server.connect() as connection:
        rows = connection.execute("SELECT count(*) FROM callrail_tag").fetchone()
        assert rows is not None
        assert rows[0] > 0
        may = connection.execute(
            "SELECT rolname, rolsuper OR rolcreatedb OR rolreplication OR rolbypassrls, rolcreaterole,"
            " has_database_privilege(rolname, 'warehouse', 'CONNECT') FROM pg_roles"
            " WHERE rolname IN ('warehouse_loader', 'dagster') ORDER BY 1"
        ).fetchall()
    assert may == [("dagster", False, False, False), ("warehouse_loader", False, True, True)]
    check_mirroring(machine.loader_url, PIPEDESK)


def run(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
