"""The commands that start, end or become another program of this machine.

``ui``, ``simulators``, ``demo`` and ``stop`` note and end what runs (``running``); ``psql``, ``dg`` and ``dagster``
replace this process by a program that is set up for this project.
"""

import os
import signal
import sys
from pathlib import Path

import click

from warehouse_pipelines.commands.arguments import Misused
from warehouse_pipelines.local.database import database_url


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Of the first vendor; 0 takes free ones.")
@click.option("--contacts", type=click.IntRange(1), default=1000, show_default=True, help="Contacts in HubSpot.")
def simulators(host: str, port: int, contacts: int) -> None:
    """Serve the simulated vendors and print the settings to use them."""
    from warehouse_pipelines import running, settings
    from warehouse_pipelines.simulators.server import serve_forever

    running.note(settings.state_folder(), "simulators in a terminal", os.getpid())
    serve_forever(host=host, port=port, contacts=contacts)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(1, 65535), default=3000, show_default=True)
def ui(host: str, port: int) -> None:
    """Open Dagster's UI on this workspace; ctrl-c stops everything."""
    database_url()
    from warehouse_pipelines import running, settings
    from warehouse_pipelines.local import dagster_home

    dagster_home.prepare()
    running.note(settings.state_folder(), "ui in a terminal", os.getpid())
    command = dagster_home.ui_command(host, port)
    click.echo(f"http://{host}:{port}")
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell ignores it for what runs behind it, and so would Dagster
    os.execv(command[0], command)  # noqa: S606


@click.command()
def serve() -> None:
    """Serve pages, the API and webhooks; ctrl-c stops it. WAREHOUSE_SERVE_HOST and WAREHOUSE_SERVE_PORT say where."""
    from warehouse_pipelines import running, settings
    from warehouse_pipelines.observability import logs

    logs.configure()
    found = settings.serve_settings()
    url = database_url()
    from warehouse_pipelines.serving.server import serve as program

    running.note(settings.state_folder(), "serve in a terminal", os.getpid())
    scheme = "https" if found.warehouse_tls_certificate else "http"
    click.echo(f"{scheme}://{found.warehouse_serve_host}:{found.warehouse_serve_port}", err=True)
    program(found, url)


def _dagsters_own(program: str) -> click.Command:
    """Return a command of Dagster's, run on the instance of this project."""

    @click.command(
        program,
        add_help_option=False,
        context_settings={"ignore_unknown_options": True},
        short_help=f"Dagster's own `{program}`, on this project and its instance.",
    )
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def run(arguments: tuple[str, ...]) -> None:
        executable = Path(sys.executable).with_name(program)
        if not executable.exists():
            raise Misused(f"{program} is not installed beside {sys.executable}; in a checkout, ./run installs it.")
        from warehouse_pipelines import settings
        from warehouse_pipelines.local import dagster_home

        dagster_home.prepare()
        os.chdir(settings.project_root())
        os.execv(executable, [str(executable), *arguments])  # noqa: S606

    return run


dg = _dagsters_own("dg")
dagster = _dagsters_own("dagster")


@click.command()
@click.option("--ui", is_flag=True, help="Leave Dagster's UI and the pages running, too.")
@click.option("--stop", is_flag=True, help="End what a demo left running.")
@click.option("--contacts", type=click.IntRange(1), default=1000, show_default=True, help="Contacts in HubSpot.")
@click.option("--port", type=click.IntRange(1, 65535), default=3000, show_default=True, help="Of Dagster's UI.")
@click.option("--serve-port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="Of the pages.")
def demo(ui: bool, stop: bool, contacts: int, port: int, serve_port: int) -> None:
    """Show the whole of it on this machine, with simulated vendors, which go on running."""
    from warehouse_pipelines import running, settings
    from warehouse_pipelines.commands import demo as program

    if stop:
        ended = running.stop(settings.state_folder(), program.OURS)
        click.echo(f"Stopped: {', '.join(ended) or 'nothing was running'}")
    else:
        sys.exit(program.run(ui=ui, contacts=contacts, port=port, serve_port=serve_port))


@click.command()
def stop() -> None:
    """End what runs on this machine: the UI, the pages, the simulators, the embedded PostgreSQL.

    A PostgreSQL named by WAREHOUSE_DATABASE_URL is not ours to end.
    """
    from warehouse_pipelines import running, settings
    from warehouse_pipelines.local import postgres

    folder = settings.state_folder()
    ended = running.stop(folder)
    if postgres.down(folder):
        ended.append("PostgreSQL")
    click.echo(f"Stopped: {', '.join(ended) or 'nothing was running'}")


@click.command(add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def psql(arguments: tuple[str, ...]) -> None:
    """Open psql on the warehouse; ARGUMENTS are those of psql, such as -c 'SELECT 1'.

    The password goes by the environment, so it is neither on the screen nor in the list of processes.
    """
    import shutil
    from urllib.parse import unquote, urlsplit

    url = database_url()
    program = shutil.which("psql")
    if program is None:
        from warehouse_pipelines.local.postgres_programs import find_binaries

        beside = find_binaries() / "psql"
        if not beside.exists():
            raise Misused("psql is not installed. On Debian and Ubuntu: apt-get install postgresql-client.")
        program = str(beside)
    if password := urlsplit(url).password:
        os.environ["PGPASSWORD"] = unquote(password)
        url = url.replace(f":{password}@", "@", 1)
    os.execv(program, [program, "-d", url, *arguments])  # noqa: S606  # no shell is wanted
