"""The command line: ``warehouse``, which is also what ``./run <anything else>`` runs.

A module beside this one has each group of commands, and is imported to register them: nothing heavy may be imported
before the command that needs it, so that ``--help`` answers at once.

A sync runs the very Dagster job that the UI launches, in this process, so the UI shows its run too.

Exit codes: 0 success, 3 partial (some records are in the dead letters, or the read may be incomplete; the reason is
printed), 1 failed, 2 wrong use or a missing setting, 130 cancelled by ctrl-c or SIGTERM.
Results go to standard output, everything else to standard error; with ``--log-format json`` standard output is JSON
lines and nothing else.
"""

import atexit
import gc
import os
import sys
from pathlib import Path
from typing import Any

import click

from warehouse_pipelines.commands.accounts import accounts
from warehouse_pipelines.commands.alerts import alerts, report
from warehouse_pipelines.commands.arguments import Misused, Stop, unknown
from warehouse_pipelines.commands.ask import ask
from warehouse_pipelines.commands.backup import backup, restore
from warehouse_pipelines.commands.catalogue import config, entities
from warehouse_pipelines.commands.check import check, discover
from warehouse_pipelines.commands.completion import completion
from warehouse_pipelines.commands.db import db
from warehouse_pipelines.commands.dead_letters import dead_letters_group, replay
from warehouse_pipelines.commands.erase import erase, export_person
from warehouse_pipelines.commands.export import export_group
from warehouse_pipelines.commands.google import google
from warehouse_pipelines.commands.identity import feed, identity_group
from warehouse_pipelines.commands.import_leads import import_group
from warehouse_pipelines.commands.marts import marts
from warehouse_pipelines.commands.new import new
from warehouse_pipelines.commands.outbound import outbound
from warehouse_pipelines.commands.programs import dagster, demo, dg, psql, serve, simulators, stop, ui
from warehouse_pipelines.commands.retention import retention
from warehouse_pipelines.commands.schedule import schedule
from warehouse_pipelines.commands.sequences import sequences
from warehouse_pipelines.commands.setup import init, migrate
from warehouse_pipelines.commands.status import health, status
from warehouse_pipelines.commands.sync import backfill, sync
from warehouse_pipelines.commands.trial import try_
from warehouse_pipelines.commands.users import tokens, users
from warehouse_pipelines.commands.webhooks import webhooks
from warehouse_pipelines.errors import NotConfigured, WarehouseError, WrongUse

DATABASE_ERRORS = {
    "OperationalError": "The database does not answer",
    "UndefinedTable": "The database is not migrated, run `warehouse migrate`",
}
"""Of psycopg and SQLAlchemy, by name, so that neither need be imported."""


class Commands(click.Group):
    """Turn the errors of the project into one line and the right exit code."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run as a program. Python needs 1.2 s to take Dagster's modules apart at its end, so it is left out.

        By default the garbage collector looks after each 700 new objects, which took a twentieth of a sync that found
        nothing new: what is imported is never freed.
        """
        gc.set_threshold(50_000)
        try:
            return self.main(*args, **kwargs)
        except SystemExit as ending:
            if "dagster" not in sys.modules:
                raise
            code = ending.code
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code if isinstance(code, int) else int(code is not None))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (NotConfigured, WrongUse) as error:
            raise Misused(str(error)) from error
        except WarehouseError as error:
            raise Stop(str(error)) from error
        except Exception as error:
            if message := DATABASE_ERRORS.get(type(error).__name__):
                raise Stop(f"{message}: {str(error).splitlines()[0]}") from error
            raise

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            raise click.UsageError(unknown("command", name, self.list_commands(ctx)), ctx)
        return super().resolve_command(ctx, args)


def _print_version(ctx: click.Context, param: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    import tomllib
    from importlib import metadata

    project = Path(__file__).parents[2] / "pyproject.toml"
    try:
        version = tomllib.loads(project.read_text())["project"]["version"]
    except FileNotFoundError:  # an installed wheel
        version = metadata.version("warehouse-pipelines")
    click.echo(f"warehouse {version}")
    ctx.exit()


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit codes: 0 success, 3 partial, 1 failed, 2 wrong use or a missing setting, 130 cancelled.",
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Print the version."
)
def main() -> None:
    """Every CRM in one PostgreSQL warehouse."""


for _command in (
    sync,
    backfill,
    status,
    report,
    alerts,
    health,
    check,
    accounts,
    db,
    discover,
    try_,
    init,
    migrate,
    backup,
    restore,
    entities,
    new,
    config,
    schedule,
    retention,
    replay,
    dead_letters_group,
    import_group,
    identity_group,
    feed,
    marts,
    ask,
    erase,
    export_person,
    export_group,
    ui,
    serve,
    users,
    tokens,
    webhooks,
    outbound,
    sequences,
    google,
    demo,
    simulators,
    stop,
    psql,
    dg,
    dagster,
    completion,
):
    main.add_command(_command)


if __name__ == "__main__":
    main()
