"""The demo: everything on this machine, against simulated vendors, with nothing to configure.

``./run demo`` migrates the embedded PostgreSQL, starts the simulators in a child process, and runs
``sync_<crm>_all`` of every CRM that has a simulator, as Dagster runs. At the end it writes the divisions of Genius back
to the simulated HubSpot, and undoes that: HubSpot is as it was. A second demo finds the same invented people and
loads the delta.

The simulators go on running, and ``--ui`` leaves Dagster's UI and ``warehouse serve`` running too, detached, so that
the command itself can end with the exit code that says how the syncs went. ``settings`` finds them, so that
``./run sync hubspot contacts`` works next. ``./run stop`` ends them (``running``).

Whoever looks at the pages signs in as the user ``demo`` with a password that each demo makes anew and prints. It is
made for a warehouse on this machine alone, and ``serve`` listens on this machine alone.
"""

import contextlib
import logging
import os
import secrets
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import click
from psycopg import sql
from pydantic import SecretStr

from warehouse_pipelines import running, settings, warehouse
from warehouse_pipelines.commands import job_processes
from warehouse_pipelines.errors import ActionNeeded
from warehouse_pipelines.local.database import database_url
from warehouse_pipelines.local.postgres import free_port
from warehouse_pipelines.observability import logs
from warehouse_pipelines.queries import query

OURS = ("simulators", "ui", "serve")
"""The names under which ``running`` knows what the demo starts."""

READY_SECONDS = 120.0

USER = "demo"

SHOWN = ("roi", "reps", "follow_up")
"""The questions whose answers stand at the end; ``warehouse ask`` has the others."""

PLANNED = 2
"""Records of the plan that are printed."""

MARK = "filled by ./run demo with invented people"
"""The comment on the schema ``orchestration`` of a warehouse that the demo may fill."""


def run(*, ui: bool, contacts: int, port: int = 3000, serve_port: int = 8080) -> int:
    """Show the whole of it; return 0 when every entity ended in success, else the exit code of the worst."""
    running.stop(_folder(), OURS)
    began = time.monotonic()
    job_processes.start_importing()
    url = database_url()
    _say("PostgreSQL", settings.masked_url(url))

    from warehouse_pipelines.schema.migrate import migrate
    from warehouse_pipelines.simulators.registry import lacking

    changes = migrate(url)
    _say("Migrations", f"{len(changes)} changes" if changes else "nothing to do")
    _claim(url)
    environment = _simulators(contacts)
    os.environ.update(environment)
    urls = [settings.masked_url(value) for name, value in environment.items() if name.endswith("_URL")]
    _say("Simulators", ", ".join(urls))
    for name, what in lacking().items():
        _say("Left out", f"{name}, because this machine lacks {what}")
    code = _sync(url) or _unify(url) or _write_back(url)
    _say("Took", f"{time.monotonic() - began:.0f} s")
    click.echo()
    click.echo("Ask another question:   ./run ask")
    click.echo("Look into the tables:   ./run psql")
    dagster = _ui(port) if ui else ""
    click.echo(f"See it run in Dagster:  {dagster or './run ui'}")
    if ui:
        click.echo(f"Look at the pages:      {_serve(serve_port, dagster)}")
        click.echo(f"Sign in there:          {_sign_in(url)}")
    if settings.settings().warehouse_database_url is None and not settings.env_file().exists():
        click.echo("Sync again:             ./run sync hubspot contacts, while the simulators run")
    click.echo("Stop all of it:         ./run stop")
    return code


def _claim(url: str) -> None:
    """Mark the warehouse as the demo's.

    Raises ``ActionNeeded`` when it holds runs that are not the demo's and that may be of real people: the server is
    not on this machine, no vendor is configured, or one is that is not on this machine. The mark is the database's
    comment: those of schemas follow their files at each migration.
    """
    with warehouse.session(url) as session:
        [found] = session.execute(
            "SELECT EXISTS (SELECT FROM orchestration.sync_history) AS filled,"
            " shobj_description(oid, 'pg_database') AS comment FROM pg_database WHERE datname = current_database()"
        )
        vendors = _vendors()
        # Without a vendor, runs may be of one that was configured before, unless the server is the demo's own.
        known = bool(vendors) or settings.settings().warehouse_database_url is None
        if found["filled"] and found["comment"] != MARK and not (known and all(map(_local, [url, *vendors]))):
            raise ActionNeeded(
                f"The warehouse at {settings.masked_url(url)} holds runs that are not the demo's, and invented people "
                "do not belong among them. Unset WAREHOUSE_DATABASE_URL, or set WAREHOUSE_HOME to an empty folder."
            )
        database = sql.Identifier(session.info.dbname)
        session.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(database, sql.Literal(MARK)))


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
    from warehouse_pipelines.commands.console import Progress, err, out, report
    from warehouse_pipelines.commands.outcome import worst
    from warehouse_pipelines.sources import SOURCES

    logs.configure(level=logging.ERROR)
    jobs = [(source.name, "all") for source in SOURCES if not source.missing_settings()]
    progress = Progress(err(), job_processes.entities_of(jobs))
    with progress.listening():
        outcomes = job_processes.run_jobs(jobs, url=url, level=logging.ERROR)
    progress.rest(outcomes)
    report(outcomes, out())
    return worst(outcomes)


def _unify(url: str) -> int:
    """Decide who is who, feed the schema crm and the marts; say what came of it, and return the exit code."""
    if why := job_processes.run_apart("unify", url=url):
        click.echo(f"unify failed: {why}", err=True)
        return 1
    from warehouse_pipelines.commands.ask import show
    from warehouse_pipelines.unified import answers

    with warehouse.session(url) as session:
        [made] = session.execute(query("people_made"))
        found = {name: answers.ask(session, name) for name in SHOWN}
    click.echo(
        "{records:,} records of people in {tables} tables are {persons:,} persons in {households:,} households, and "
        "{leads:,} leads in crm; {reviews:,} pairs wait for `./run identity review`.".format(**made)
    )
    for name, answer in found.items():
        click.echo()
        show(answer, answers.answers()[name].question)
    return 0


def _write_back(url: str) -> int:
    """Write the divisions of Genius back to the simulated HubSpot, verify that, undo it; return the exit code."""
    from warehouse_pipelines.commands.outbound import counts, show_plan
    from warehouse_pipelines.outbound import ledger
    from warehouse_pipelines.outbound.run import connected
    from warehouse_pipelines.outbound.targets import DIVISIONS

    click.echo()
    with connected(url, DIVISIONS) as at_work:
        at_work.prepare()
        plan = at_work.plan(USER)
        show_plan(plan, ledger.items(at_work.session, plan.plan_id, limit=PLANNED))
        done = at_work.apply(plan, USER)
        verdicts = at_work.verify(done)
        undone = at_work.apply(at_work.plan_undo(done, USER), USER)
    holds = sum(verdict.holds for verdict in verdicts)
    click.echo(f"\nApplied: {counts(done)}; read back, {holds} of {len(verdicts)} hold. Undone: {counts(undone)}.")
    click.echo("Write more of it back:  ./run outbound list")
    return 0 if holds == len(verdicts) and {done.status, undone.status} == {"applied"} else 1


def _simulators(contacts: int) -> dict[str, str]:
    """Start the simulators and return their settings."""
    command = [sys.executable, "-m", "warehouse_pipelines.simulators", "--contacts", str(contacts)]
    log = _folder() / "demo-simulators.log"
    child = _detached("simulators", command, log)
    deadline = time.monotonic() + READY_SECONDS
    while "# ready" not in (lines := log.read_text().splitlines()):
        if child.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"The simulators did not start; see {log}.")
        time.sleep(0.1)
    environment = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    running.keep_simulated_settings(_folder(), environment)
    return environment


def _ui(port: int) -> str:
    """Start the UI and return its address once it answers."""
    from warehouse_pipelines.local import dagster_home

    dagster_home.prepare()  # and name the folder: Dagster would start on an empty one otherwise
    address = f"http://127.0.0.1:{port}"
    log = _folder() / "demo-ui.log"
    child = _detached("ui", dagster_home.ui_command("127.0.0.1", port), log)
    return _answering(child, address, "/server_info", log)


def _answering(child: "subprocess.Popen[bytes]", address: str, path: str, log: Path) -> str:
    """Return the address of a program once it answers. Raises ``RuntimeError`` when it does not."""
    deadline = time.monotonic() + READY_SECONDS
    while True:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}{path}", timeout=2):  # noqa: S310
            return address
        if child.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{address} did not start; see {log}.")
        time.sleep(0.3)


def _serve(port: int, dagster: str) -> str:
    """Start ``warehouse serve`` on this machine alone and return its address once it answers.

    Where another program has the port, it takes a free one.
    """
    port = free_port(port)
    os.environ |= {
        "WAREHOUSE_SERVE_HOST": "127.0.0.1", "WAREHOUSE_SERVE_PORT": str(port),
        "WAREHOUSE_DAGSTER_API_URL": dagster, "WAREHOUSE_DAGSTER_PUBLIC_URL": dagster,
    }  # fmt: skip
    log = _folder() / "demo-serve.log"
    child = _detached("serve", [sys.executable, "-m", "warehouse_pipelines.commands.cli", "serve"], log)
    return _answering(child, f"http://127.0.0.1:{port}", "/health", log)


def _sign_in(url: str) -> str:
    """Give the demo's user a new password, and say how to sign in."""
    if not _local(url):
        return "./run users add NAME --role admin"
    from warehouse_pipelines.serving import accounts

    password = secrets.token_urlsafe(9)
    with warehouse.session(url) as session:
        if any(one["name"] == USER for one in accounts.users(session)):
            accounts.set_password(session, USER, password)
        else:
            accounts.add_user(session, USER, "admin", settings.settings().crm_organization_id, password)
    return f"as {USER} with the password {password}, which the next demo changes"


def _folder() -> Path:
    return settings.state_folder()


def _detached(name: str, command: list[str], log: Path) -> "subprocess.Popen[bytes]":
    """Start a program that outlives this one, and note it for ``./run stop``."""
    with log.open("wb") as stream:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True
        )
    running.note(_folder(), name, child.pid)
    return child
