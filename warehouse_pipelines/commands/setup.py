"""``warehouse init`` and ``warehouse migrate``: from an empty clone to tables with first records.

What ``init`` asks and writes is decided in ``commands.init``, what ``migrate`` does in ``schema.migrate``.
"""

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from warehouse_pipelines.commands.arguments import sources, warn_of_misspelt_settings
from warehouse_pipelines.errors import WrongUse
from warehouse_pipelines.local.database import database_url
from warehouse_pipelines.observability import logs, redaction


@click.command()
@click.option("--down", type=click.IntRange(1), metavar="N", help="Undo the last N revisions instead.")
@click.option("--force", is_flag=True, help="With --down: also a revision whose tables hold rows, which are lost.")
@click.option("--seed", is_flag=True, help="Then add invented rows to the CRM for a first look.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--plan", is_flag=True, help="Say what would be done, locked and for how long, and do nothing.")
@click.option("--rewrite", is_flag=True, help="Also where nobody can read a large table until it is rewritten.")
@click.option(
    "--redact",
    is_flag=True,
    help="Then hash and remove what is stored of columns that config/columns.toml hashes or drops. Cannot be undone.",
)
@click.option(
    "--require-backup",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="ARCHIVE",
    help="Refuse unless this is a recent dump of the database by pg_dump.",
)
@click.option(
    "--backup-hours",
    type=click.FloatRange(0, min_open=True),
    default=24,
    show_default=True,
    help="How old the backup may be.",
)
def migrate(
    down: int | None,
    force: bool,
    seed: bool,
    dry_run: bool,
    plan: bool,
    rewrite: bool,
    redact: bool,
    require_backup: Path | None,
    backup_hours: float,
) -> None:
    """Apply the migrations of sql/ and align the tables with their entities. Safe to repeat."""
    logs.configure()
    if force and not down:
        raise WrongUse("--force goes with --down.")
    if seed and down:
        raise WrongUse("--seed and --down exclude each other.")
    if dry_run + plan + redact + bool(down or seed) > 1:
        raise WrongUse("--dry-run, --plan and --redact go with none of --down and --seed, nor with each other.")
    from warehouse_pipelines.schema import backup, local_columns, migration_plan
    from warehouse_pipelines.schema import migrate as migrations

    url = database_url()
    if plan:
        for line in migration_plan.plan(url).lines():
            click.echo(line)
        return
    if require_backup is not None:
        backup.check(require_backup, url, hours=backup_hours)
    changes = migrations.migrate(url, down=down or 0, force=force, dry_run=dry_run, rewrite=rewrite)
    if redact:
        changes += local_columns.redact(url, list(sources().values()))
    if seed:
        changes += migrations.seed(url)
    for line in changes:
        click.echo(f"would be done: {line}" if dry_run else line)
    if not changes:
        click.echo("Nothing to do.")


@click.command()
@click.argument("crms", metavar="[CRM]...", nargs=-1)
@click.option("--set", "given", metavar="NAME=VALUE", multiple=True, help="A setting, so that it is not asked for.")
@click.option("--database-url", metavar="URL", help="The warehouse; `embedded` for a PostgreSQL in .warehouse/.")
@click.option("--no-sync", is_flag=True, help="Stop before the first sync.")
def init(crms: tuple[str, ...], given: tuple[str, ...], database_url: str | None, no_sync: bool) -> None:
    """Set up: ask for what is needed, write .env, check, migrate, and load the first 100 records of each CRM.

    Without a terminal nothing is asked: name the CRMs, and set their settings in the environment or by --set.
    """
    from warehouse_pipelines import settings
    from warehouse_pipelines.commands import init as program

    ask = may_ask()
    warn_of_misspelt_settings()
    if wrong := [one.partition("=")[0] for one in given if not re.fullmatch(r"[A-Za-z]\w*=.+", one, re.DOTALL)]:
        raise WrongUse(f"--set {', '.join(wrong)}: write --set NAME=value.")
    values = {name.upper(): value for name, _, value in (one.partition("=") for one in given)}
    names = list(crms)
    if not names:
        names = [source.name for source in sources().values() if not source.missing_settings()]
        if ask:
            click.echo(f"CRMs: {', '.join(sources())}")
            answer = click.prompt("Which of them do you use? (blanks between them)", default=" ".join(names) or None)
            names = re.split(r"[,\s]+", answer.strip())
        elif not names:
            raise WrongUse(f"Name the CRMs, for example `warehouse init hubspot`. There are: {', '.join(sources())}")
    picked = program.chosen(names, sources())
    if database_url is None and program.DATABASE not in values and settings.settings().warehouse_database_url is None:
        database_url = (
            click.prompt("URL of the warehouse, PostgreSQL 15 or newer (hidden)", default="embedded", hide_input=True)
            if ask
            else "embedded"
        )
    if database_url not in (None, "embedded"):
        values[program.DATABASE] = database_url
    if (url := values.get(program.DATABASE)) and (problem := program.database_problem(url)):
        raise WrongUse(f"{program.DATABASE} {problem}")

    def asked(name: str, about: str, secret: bool) -> str:
        hidden = " (hidden)" if secret else ""
        return str(click.prompt(f"{about}, {name}{hidden}", hide_input=secret, default="", show_default=False))

    values = program.settings_to_write(picked, values, asked if ask else None)
    redaction.hide(values.values())
    program.write(settings.env_file(), values)
    for name in values:
        if name in os.environ and os.environ[name] != values[name]:
            click.echo(f"Warning: {name} is set in the environment, which counts more than .env.", err=True)
    click.echo(f"{settings.env_file()}: {', '.join(values) or 'nothing to add'}")
    _step("migrate", ["migrate"])
    for source in picked:
        _step(f"check {source.name}", ["check", source.name])
    if no_sync:
        click.echo("Next: `warehouse sync all`, then `warehouse ui`.")
        return
    for source in picked:
        entity = program.first_entity(source)
        words = ["sync", source.name, entity.name, "--max-records", str(program.FIRST_RECORDS)]
        _step(" ".join(words), words)
    click.echo("The first records are there. Next: `warehouse sync all` reads everything, `warehouse ui` shows it.")


def may_ask() -> bool:
    """Whether somebody can answer a question."""
    return sys.stdin.isatty()


def _step(line: str, words: Sequence[str]) -> None:
    """Run another command of ours in a process of its own, which reads the settings anew; end with its exit code."""
    import subprocess

    click.echo(f"\n$ warehouse {line}")
    done = subprocess.run([sys.executable, "-m", "warehouse_pipelines.commands.cli", *words], check=False)
    if done.returncode:
        click.echo(
            f"`warehouse {line}` ended with exit code {done.returncode}; mend that, then `warehouse init` again."
        )
        sys.exit(done.returncode)
