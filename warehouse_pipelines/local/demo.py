"""The demo: everything on this machine, against simulated vendors, with nothing to configure.

``./run demo`` migrates the embedded PostgreSQL, starts the simulators in a child process, and runs
``sync_<crm>_all`` of every CRM that has a simulator, as Dagster runs in this process. A second demo finds the same
town and loads the delta.

``--ui`` leaves the simulators and Dagster's UI running, detached, so that the command itself can end with the exit
code that says how the syncs went; ``--stop`` ends them. What is running stands in ``.warehouse/demo.json``.
"""

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
from psycopg import sql
from pydantic import SecretStr

from warehouse_pipelines import logs, settings
from warehouse_pipelines.errors import ActionNeeded

READY_SECONDS = 120.0

MARK = "filled by ./run demo with invented people"
"""The comment on the schema ``orchestration`` of a warehouse that the demo may fill."""


def run(*, ui: bool, contacts: int, port: int = 3000) -> int:
    """Show the whole of it; return 0 when every entity ended in success, else the exit code of the worst."""
    stop()
    began = time.monotonic()
    url = settings.database_url()
    _say("PostgreSQL", settings.masked_url(url))

    from warehouse_pipelines.loading.migrate import migrate
    from warehouse_pipelines.simulators.server import lacking

    changes = migrate(url)
    _say("Migrations", f"{len(changes)} changes" if changes else "nothing to do")
    _claim(url)
    with contextlib.ExitStack() as stack:
        environment = _simulators_that_stay(contacts) if ui else _simulators(stack, contacts)
        os.environ.update(environment)
        urls = [settings.masked_url(value) for name, value in environment.items() if name.endswith("_URL")]
        _say("Simulators", ", ".join(urls))
        for name, what in lacking().items():
            _say("Left out", f"{name}, because this machine lacks {what}")
        code = _sync(url)
    _say("Took", f"{time.monotonic() - began:.0f} s")
    click.echo()
    click.echo(f"Look into the tables:   psql {url}")
    click.echo("See it run in Dagster:  " + (_ui(port) if ui else "./run ui"))
    if ui:
        click.echo("Stop it:                ./run demo --stop")
    return code


def _claim(url: str) -> None:
    """Mark the warehouse as the demo's.

    Raises ``ActionNeeded`` when it holds runs that are not the demo's and that may be of real people: the server is
    not on this machine, or a vendor is configured that is not.
    """
    import psycopg

    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT EXISTS (SELECT FROM orchestration.sync_history),"
            " obj_description('orchestration'::regnamespace, 'pg_namespace')"
        ).fetchone()
        filled, comment = row or (False, None)
        if filled and comment != MARK and not (_local(url) and all(map(_local, _vendors()))):
            raise ActionNeeded(
                f"The warehouse at {settings.masked_url(url)} holds runs that are not the demo's, and invented people "
                "do not belong among them. Unset WAREHOUSE_DATABASE_URL, or set WAREHOUSE_HOME to an empty folder."
            )
        connection.execute(sql.SQL("COMMENT ON SCHEMA orchestration IS {}").format(sql.Literal(MARK)))


def _vendors() -> list[str]:
    """Return the addresses of the vendors that are configured."""
    from warehouse_pipelines.sources import SOURCES

    found = [source.settings() for source in SOURCES if not source.missing_settings()]
    urls = [getattr(one, "base_url", None) or getattr(one, "database_url", "") for one in found]
    return [url.get_secret_value() if isinstance(url, SecretStr) else str(url) for url in urls]


def _local(url: str) -> bool:
    return urlsplit(url).hostname in {"127.0.0.1", "localhost", "::1"}


def _say(what: str, how: str) -> None:
    click.echo(f"{what + ':':<13}{how}", err=True)


def _sync(url: str) -> int:
    from rich.console import Console

    from warehouse_pipelines import in_process
    from warehouse_pipelines.cli import out
    from warehouse_pipelines.sources import SOURCES

    logs.configure(level=logging.ERROR)
    jobs = [(source.name, "all") for source in SOURCES if not source.missing_settings()]
    with in_process.bar(Console(stderr=True)):
        outcomes = in_process.run_jobs(jobs, url=url, level=logging.ERROR)
    in_process.report(outcomes, out())
    return in_process.worst(outcomes)


def _simulators(stack: contextlib.ExitStack, contacts: int) -> dict[str, str]:
    from warehouse_pipelines.simulators.server import start_process

    return stack.enter_context(start_process(contacts=contacts)).environment()


def _simulators_that_stay(contacts: int) -> dict[str, str]:
    command = [sys.executable, "-m", "warehouse_pipelines.simulators", "--contacts", str(contacts)]
    log = _folder() / "demo-simulators.log"
    child = _detached("simulators", command, log)
    deadline = time.monotonic() + READY_SECONDS
    while "# ready" not in (lines := log.read_text().splitlines()):
        if child.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"The simulators did not start; see {log}.")
        time.sleep(0.1)
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def _ui(port: int) -> str:
    """Start the UI and return its address once it answers."""
    from warehouse_pipelines.local import dagster_home

    dagster_home.prepare()  # and name the folder: Dagster would start on an empty one otherwise
    address = f"http://127.0.0.1:{port}"
    log = _folder() / "demo-ui.log"
    child = _detached("ui", dagster_home.ui_command("127.0.0.1", port), log)
    deadline = time.monotonic() + READY_SECONDS
    while True:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/server_info", timeout=2):  # noqa: S310
            return address
        if child.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"The UI did not start; see {log}.")
        time.sleep(0.3)


def _folder() -> Path:
    return settings.state_folder()


def _detached(name: str, command: list[str], log: Path) -> "subprocess.Popen[bytes]":
    """Start a program that outlives this one, and note it for ``stop``."""
    with log.open("wb") as stream:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True
        )
    noted = _running()
    noted[name] = {"pid": child.pid, "started": _started(child.pid)}
    (_folder() / "demo.json").write_text(json.dumps(noted))
    return child


def _running() -> dict[str, Any]:
    try:
        noted = json.loads((_folder() / "demo.json").read_text())
    except (OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) else {}


def _started(pid: int) -> str:
    """Return when a living process started, so that a number given to another one since is not mistaken for ours."""
    stat = Path(f"/proc/{pid}/stat")
    if stat.parent.parent.joinpath("self").exists():
        try:
            state, *_, started = stat.read_text().rpartition(")")[2].split()[:20]
        except OSError:
            return ""
        return "" if state == "Z" else started
    shown = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return shown.stdout.strip()


def stop() -> list[str]:
    """End what an earlier ``--ui`` left running; return the names of what was ended."""
    ended = []
    for name, noted in _running().items():
        pid = int(noted["pid"])
        if not noted["started"] or _started(pid) != noted["started"]:
            continue
        # The group: `dagster dev` has four children. An interrupt is what it listens to.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, number)
            deadline = time.monotonic() + 8
            while time.monotonic() < deadline and _started(pid) == noted["started"]:
                time.sleep(0.1)
        ended.append(name)
    (_folder() / "demo.json").unlink(missing_ok=True)
    return ended
