"""The command line: ``warehouse``, which is also what ``./run <anything else>`` runs.

A sync runs the very Dagster job that the UI launches, in this process, so its run is seen in the UI too.

Exit codes: 0 success, 3 partial (some records are in the dead letters, or what was read may not be all; the reason is
printed), 1 failed, 2 wrong use or a missing setting, 130 cancelled by ctrl-c or SIGTERM.
Results go to standard output, everything else to standard error; with ``--log-format json`` standard output is JSON
lines and nothing else.

Nothing heavy is imported before the command that needs it, so that ``--help`` answers at once.
"""

import atexit
import contextlib
import difflib
import json
import logging
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from warehouse_pipelines.commands.schedule import schedule
from warehouse_pipelines.errors import CredentialRefused, NotConfigured, TryAgain, WarehouseError, WrongUse
from warehouse_pipelines.observability import logs

if TYPE_CHECKING:
    from rich.console import Console

    from warehouse_pipelines.model.entity import Entity
    from warehouse_pipelines.model.source import Flag, Source
    from warehouse_pipelines.observability.health import Health

F = TypeVar("F", bound=Callable[..., Any])

WRONG_USE = 2

DATABASE_ERRORS = {
    "OperationalError": "The database does not answer",
    "UndefinedTable": "The database is not migrated, run `warehouse migrate`",
}
"""Of psycopg and SQLAlchemy, by name, so that neither need be imported."""


class Stop(click.ClickException):
    """Ends the program with one message and exit code 1."""

    def __init__(self, message: str) -> None:
        super().__init__(logs.redacted(message))


class Misused(Stop):
    """Wrong use, or a setting that is missing: exit code 2."""

    exit_code = WRONG_USE


class Commands(click.Group):
    """Turns what the project raises on purpose into one line and the right exit code."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run as a program. Python needs 1.2 s to take Dagster's modules apart at its end, so it is left out."""
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


def day(value: str) -> date:
    """Read a date in the one format that cannot be misread."""
    wrong = f"{value!r} is not a date; write it as YYYY-MM-DD, for example 2025-01-31"
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", value):  # fromisoformat also takes 20250101 and 2025-W01-1
        raise click.BadParameter(wrong)
    try:
        return date.fromisoformat(value)
    except ValueError as error:
        raise click.BadParameter(wrong) from error


def unknown(what: str, name: str, there_are: Sequence[str]) -> str:
    """Return the message for a name that does not exist: what was probably meant, and what there is."""
    close = difflib.get_close_matches(name, there_are, n=1, cutoff=0.5)
    meant = f" Did you mean {close[0]!r}?" if close else ""
    return f"No such {what}: {name!r}.{meant} There are: {', '.join(there_are)}."


def sources() -> Mapping[str, "Source"]:
    """Return all sources by name, and see to it that none of their secrets is ever printed."""
    from warehouse_pipelines.sources import SOURCES

    for source in SOURCES:
        if not source.missing_settings():
            logs.hide_settings(source.settings())
    return {source.name: source for source in SOURCES}


def warn_of_misspelt_settings() -> None:
    """Name on standard error what looks like a setting and is none."""
    from warehouse_pipelines import settings

    for sentence in settings.misspelt([source.settings for source in sources().values()]):
        click.echo(f"Warning: {sentence}", err=True)


def source_named(crm: str) -> "Source":
    """Return a source, or end with the list of those there are."""
    found = sources()
    if crm not in found:
        raise Misused(unknown("CRM", crm, [*found]))
    return found[crm]


def entity_named(source: "Source", name: str) -> "Entity":
    """Return an entity of a source, or end with the list of those it has."""
    for entity in source.entities:
        if entity.name == name:
            return entity
    names = [entity.name for entity in source.entities]
    raise Misused(unknown(f"entity of {source.name}", name, [*names, "all"]))


def _crms(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a CRM. No setting is read."""
    from warehouse_pipelines.sources import SOURCES

    return [source.name for source in SOURCES if source.name.startswith(incomplete)]


def _entities(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of an entity of the CRM that the line names."""
    from warehouse_pipelines.sources import SOURCES

    found = [entity.name for source in SOURCES if source.name == ctx.params.get("crm") for entity in source.entities]
    return [name for name in found if name.startswith(incomplete)]


def _crms_or_all(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return [*_crms(ctx, param, incomplete), *(["all"] if "all".startswith(incomplete) else [])]


def _entities_or_all(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return [*_entities(ctx, param, incomplete), *(["all"] if "all".startswith(incomplete) else [])]


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


def out() -> "Console":
    """Return the console of standard output; where it is no terminal, lines are as wide as they need to be."""
    from rich.console import Console

    return Console() if sys.stdout.isatty() else Console(width=200)


def err() -> "Console":
    """Return the console of standard error."""
    from rich.console import Console

    return Console(stderr=True)


def _deprecated(instead: str, value: Callable[[Any], Any] = lambda given: given) -> Callable[..., Any]:
    """Return a callback that warns, and gives the value to the option that replaces this one unless it was given."""

    def replace(ctx: click.Context, param: click.Parameter, given: Any) -> None:
        if given in (None, False):
            return
        click.echo(f"Warning: {param.opts[0]} is deprecated; use {instead}.", err=True)
        ctx.meta.setdefault("warehouse.deprecated", {}).setdefault(instead.lstrip("-").replace("-", "_"), given)

    return replace


def _flags(*options: Callable[[F], F]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


run_flags = _flags(
    click.option("--force", is_flag=True, help="Replace values even where the warehouse has newer ones."),
    click.option("--dry-run", is_flag=True, help="Read, check and count; write nothing but the history row."),
    click.option("--skip-validation", is_flag=True, help="Skip business rules and shapes; never keys or types."),
    click.option("--debug", is_flag=True, help="Print DEBUG lines and Dagster's own."),
    click.option(
        "--batch-size",
        type=click.IntRange(1, 10_000),
        metavar="N",
        help="Records per request (default 100, or what the vendor allows).",
    ),
    click.option(
        "--max-records", type=click.IntRange(0), metavar="N", help="Stop after so many (default 0: no limit)."
    ),
    click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True),
)

window_flags = _flags(
    click.option("--full", is_flag=True, help="Read everything again; rows that are gone are marked deleted."),
    click.option("--start-date", type=day, metavar="YYYY-MM-DD", help="Read what changed since this day, UTC."),
)

deprecated_flags = _flags(
    click.option("--since", type=day, hidden=True, expose_value=False, callback=_deprecated("--start-date")),
    click.option("--test", is_flag=True, hidden=True, expose_value=False, callback=_deprecated("--debug")),
    click.option("--verbose", is_flag=True, hidden=True, expose_value=False, callback=_deprecated("--debug")),
    click.option("--force-overwrite", is_flag=True, hidden=True, expose_value=False, callback=_deprecated("--force")),
)


class VendorFlag(click.Option):
    """A flag that one CRM has beside those of all, in a section of its own in the help."""

    def __init__(self, source: "Source", flag: "Flag", standard: Mapping[str, click.Parameter]) -> None:
        self.flag = flag
        self.section = f"Only of {source.title}"
        how: dict[str, Any] = {"metavar": "TEXT"}
        if flag.type == "number":
            how = {"type": click.IntRange(1, flag.most), "metavar": "N"}
        if flag.type == "switch":
            how = {"is_flag": True}
        if flag.stands_for:
            self.section = f"Legacy flags of {source.title}"
            same = standard[flag.stands_for]
            how = {"type": same.type, "is_flag": getattr(same, "is_flag", False), "expose_value": False}
            how["callback"] = _deprecated(f"--{flag.stands_for.replace('_', '-')}")
        super().__init__([flag.spelled], help=flag.help, **how)


class SyncCommand(click.Command):
    """Has the flags of the CRM that its line names, beside its own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        words = [word for word in args if not word.startswith("-")]
        found = sources() if words else {}
        source = next((found[word] for word in words if word in found), None)
        if source is not None:
            standard = {str(param.name): param for param in self.params}
            ctx.meta["warehouse.vendor_flags"] = [VendorFlag(source, flag, standard) for flag in source.flags]
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            flags = [(one.title, flag.spelled) for one in found.values() for flag in one.flags]
            if owners := [title for title, spelled in flags if spelled == error.option_name]:
                raise Misused(f"{error.option_name}: only {' and '.join(owners)} has this flag.") from error
            raise

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Those of all and those of the vendor, which may list an old spelling that is hidden elsewhere."""
        own: list[click.Parameter] = ctx.meta.get("warehouse.vendor_flags", [])
        listed = {spelled for param in own for spelled in param.opts}
        return [*(param for param in super().get_params(ctx) if listed.isdisjoint(param.opts)), *own]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            if isinstance(param, click.Option) and (record := param.get_help_record(ctx)):
                sections.setdefault(getattr(param, "section", "Options"), []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


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


@main.command(cls=SyncCommand)
@click.argument("crm", shell_complete=_crms_or_all)
@click.argument("entity", required=False, shell_complete=_entities_or_all)
@window_flags
@run_flags
@deprecated_flags
@click.pass_context
def sync(ctx: click.Context, /, crm: str, entity: str | None, **flags: Any) -> None:
    """Sync one ENTITY of a CRM, `all` of them, or `all` CRMs that are configured.

    Without flags only what changed since the last good run is read.
    """
    for name, given in ctx.meta.get("warehouse.deprecated", {}).items():
        flags[name] = flags[name] or given
    warn_of_misspelt_settings()
    if crm == "all":
        if entity not in (None, "all"):
            raise Misused("`sync all` takes no entity: it runs every entity of every configured CRM.")
        chosen = list(_configured())
    else:
        source = source_named(crm)
        if entity is None:
            raise Misused(unknown_entity(source))
        if entity != "all":
            _require_concerned(source, entity_named(source, entity), flags)
        source.require_settings()
        chosen = [source]
    jobs = [(source.name, entity or "all") for source in chosen]
    _run(jobs, flags)


def _require_concerned(source: "Source", entity: "Entity", flags: Mapping[str, Any]) -> None:
    """End with a message when a flag was given that means nothing to the entity: what is read would not be less."""
    for flag in source.flags:
        if flags.get(flag.name) and not flag.concerns(entity):
            raise Misused(f"{flag.spelled} is for {source.name} {' and '.join(flag.entities)}, not for {entity.name}.")


def unknown_entity(source: "Source") -> str:
    """Return the message for a command that lacks its entity."""
    return f"Which entity of {source.name}? There are: {', '.join(e.name for e in source.entities)}, all."


def _configured() -> Iterator["Source"]:
    """Yield the sources whose settings are there; name the others on standard error."""
    missing = {}
    wrong: dict[str, str] = {}
    found = False
    for source in sources().values():
        if absent := source.wrong_settings():
            missing[source.name] = sorted(absent)
            wrong |= {name: problem for name, problem in absent.items() if problem}
        else:
            found = True
            yield source
    if not found:
        wanted = "; ".join(f"{name}: {', '.join(absent)}" for name, absent in missing.items())
        raise NotConfigured(f"No CRM is configured. Set in the environment or in .env: {wanted}")
    if missing:
        click.echo(f"Not configured, left out: {', '.join(missing)}", err=True)
    for name, problem in wrong.items():
        click.echo(f"{name} {problem}", err=True)


@main.command()
@click.argument("crm", shell_complete=_crms)
@click.argument("entity", shell_complete=_entities)
@click.option("--from", "first", type=day, metavar="YYYY-MM-DD", required=True, help="The first day.")
@click.option("--to", "last", type=day, metavar="YYYY-MM-DD", required=True, help="The last day; it is included.")
@run_flags
def backfill(crm: str, entity: str, first: date, last: date, **flags: Any) -> None:
    """Load a range of days again, in one run, without moving the cursor of the delta runs."""
    source = source_named(crm)
    declared = entity_named(source, entity)
    from warehouse_pipelines.loading.options import Options

    if first > last:
        raise Misused(f"--from {first} is after --to {last}.")
    Options(start_date=first, end_date=last).backfill(source, declared)
    source.require_settings()
    _run([(crm, entity)], flags, days=(first, last))


def _config(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config of the resource ``sync``: only what differs from its defaults, to read well in the UI."""
    given = {name: value for name, value in flags.items() if value not in (None, False) and name != "log_format"}
    if isinstance(given.get("start_date"), date):
        given["start_date"] = given["start_date"].isoformat()
    vendor = {name: given.pop(name) for name in sorted(given.keys() - {param.name for param in sync.params})}
    return {**given, **({"vendor": vendor} if vendor else {})}


def _run(jobs: Sequence[tuple[str, str]], flags: Mapping[str, Any], days: tuple[date, date] | None = None) -> None:
    """Run the jobs, print what they did, and end with the exit code of the worst."""
    config = _config(flags)
    form, level = flags["log_format"], logging.DEBUG if flags.get("debug") else logging.INFO
    logs.configure(form, level)
    from warehouse_pipelines.commands import runner as in_process

    progress = in_process.Progress(err(), in_process.entities_of(jobs))
    with progress.listening() if form == "text" else contextlib.nullcontext():
        outcomes = in_process.run_jobs(jobs, url=_database_url(), config=config, days=days, form=form, level=level)
    if form == "json":
        in_process.log(outcomes)
    else:
        progress.rest(outcomes)
        in_process.report(outcomes, out())
    sys.exit(in_process.worst(outcomes))


def _database_url() -> str:
    """Return the URL of the warehouse, its server started if it is the embedded one."""
    from warehouse_pipelines.local.database import database_url

    url = database_url()
    logs.hide_password(url)
    return url


@main.command()
@click.option("--down", type=click.IntRange(1), metavar="N", help="Undo the last N revisions instead.")
@click.option("--force", is_flag=True, help="With --down: also a revision whose tables hold rows, which are lost.")
@click.option("--seed", is_flag=True, help="Then add invented rows to the CRM for a first look.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
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
    if dry_run + redact + bool(down or seed) > 1:
        raise WrongUse("--dry-run and --redact go with none of --down and --seed, nor with each other.")
    from warehouse_pipelines.schema import local_columns
    from warehouse_pipelines.schema import migrate as migrations

    url = _database_url()
    if require_backup is not None:
        migrations.check_backup(require_backup, url, hours=backup_hours)
    changes = migrations.migrate(url, down=down or 0, force=force, dry_run=dry_run)
    if redact:
        changes += local_columns.redact(url, list(sources().values()))
    if seed:
        changes += migrations.seed(url)
    for line in changes:
        click.echo(f"would be done: {line}" if dry_run else line)
    if not changes:
        click.echo("Nothing to do.")


@main.command()
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

    values = program.settings_of(picked, values, asked if ask else None)
    logs.hide(values.values())
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


def _step(said: str, words: Sequence[str]) -> None:
    """Run another command of ours in a process of its own, which reads the settings anew; end with its exit code."""
    import subprocess

    click.echo(f"\n$ warehouse {said}")
    done = subprocess.run([sys.executable, "-m", "warehouse_pipelines.commands.cli", *words], check=False)
    if done.returncode:
        click.echo(
            f"`warehouse {said}` ended with exit code {done.returncode}; mend that, then `warehouse init` again."
        )
        sys.exit(done.returncode)


health_flags = _flags(
    click.option("--crm", help="Only this CRM.", shell_complete=_crms),
    click.option(
        "--hours",
        type=click.FloatRange(0, min_open=True),
        help="Judge the success rate over so many hours (default 24, or twice the cadence).",
    ),
    click.option(
        "--expected-hours",
        type=click.FloatRange(0, min_open=True),
        help="The last start must be within so many hours (default 2, or twice the cadence).",
    ),
)


@main.command()
@health_flags
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def status(crm: str | None, hours: float | None, expected_hours: float | None, form: str) -> None:
    """Show the last run of each entity, its age and health. Exit code 1 when something is unhealthy.

    A success makes an entity healthy again, whatever failed before it.
    """
    _status(crm, hours, expected_hours, ("recovery", "age", "values"), form)


@main.command(hidden=True)
@health_flags
@click.option("--frequency", is_flag=True, help="Judge only when the last run began.")
def health(crm: str | None, hours: float | None, expected_hours: float | None, frequency: bool) -> None:
    """Do as `status` does, by one rule: the success rate, or with --frequency the age of the last start."""
    _status(crm, hours, expected_hours, ("age",) if frequency else ("rate",))


def _status(
    crm: str | None, hours: float | None, expected_hours: float | None, rules: Sequence[str], form: str = "text"
) -> None:
    chosen = [source_named(crm)] if crm else list(sources().values())
    if crm:
        chosen[0].require_settings()
    url = _database_url()
    from warehouse_pipelines.observability.health import judge

    found = judge(chosen, url=url, hours=hours, expected_hours=expected_hours, rules=rules)
    judged = [one for one in found if one.configured]
    ill = [one for one in judged if not one.healthy]
    if form == "json":
        click.echo(json.dumps([_health(one) for one in found], indent=1))
        sys.exit(WRONG_USE if not judged else 1 if ill else 0)
    from rich.table import Table

    table = Table()
    for name in (
        "entity", "last run", "ended as", "seconds", "created", "updated", "failed", "pending", "success", "health",
    ):  # fmt: skip
        table.add_column(name, justify="left" if name in {"entity", "ended as", "health"} else "right")
    for one in found:
        if not one.configured and one.status is None and not one.refusals:
            continue
        verdict = "; ".join(one.problems) or ("healthy" if one.configured else "not configured")
        table.add_row(
            f"{one.crm} {one.sync_type}",
            "never" if one.age is None else f"{_age(one.age.total_seconds())} ago",
            f"{one.status or ''}{f', {one.refusals} refused' if one.refusals else ''}",
            "" if one.seconds is None else f"{one.seconds:.1f}",
            *(["", "", ""] if one.status is None else [f"{n:,}" for n in (one.created, one.updated, one.failed)]),
            f"{one.pending:,}" if one.pending else "",
            "" if one.rate is None else f"{one.rate:.0%} of {one.runs}",
            f"[green]{verdict}[/]"
            if one.configured and one.healthy
            else f"[red]{verdict}[/]"
            if one.problems
            else verdict,
        )
    out().print(table)
    for one in ill:
        if one.last_error:
            click.echo(f"{one.crm} {one.sync_type}, last error: {logs.redacted(one.last_error)}")
    for one in found:
        if one.refusal:
            click.echo(f"{one.crm} {one.sync_type}, refused since then: {logs.redacted(one.refusal)}")
    if absent := sorted({one.crm for one in found if not one.configured}):
        click.echo(f"Not configured, not judged: {', '.join(absent)}")
    if waiting := sum(one.pending for one in found):
        click.echo(f"Pending in the dead letters: {waiting:,}; `warehouse dead-letters list` counts them by rule.")
    if not judged:
        raise NotConfigured("No CRM is configured; `warehouse check` names what is missing.")
    click.echo(f"{len(judged) - len(ill)} of {len(judged)} entities are healthy.")
    sys.exit(1 if ill else 0)


def _health(one: "Health") -> dict[str, Any]:
    """Return what ``status --format json`` says of an entity. Times are ISO 8601, durations seconds."""

    def said(error: str | None) -> str | None:
        return None if error is None else logs.redacted(error)

    return {
        "crm": one.crm,
        "sync_type": one.sync_type,
        "configured": one.configured,
        "healthy": one.configured and one.healthy,
        "problems": list(one.problems),
        "status": one.status,
        "started_at": None if one.started_at is None else one.started_at.isoformat(),
        "age_seconds": None if one.age is None else round(one.age.total_seconds(), 1),
        "seconds": one.seconds,
        "created": one.created,
        "updated": one.updated,
        "failed": one.failed,
        "pending": one.pending,
        "runs": one.runs,
        "successes": one.successes,
        "last_error": said(one.last_error),
        "last_error_at": None if one.last_error_at is None else one.last_error_at.isoformat(),
        "refusals": one.refusals,
        "refusal": said(one.refusal),
    }


def _age(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


@main.command()
@click.argument("crm", required=False, shell_complete=_crms)
def check(crm: str | None) -> None:
    """Ask whether the settings are there, whether the database and the vendors answer, and for every entity.

    Names the entities whose sync would fail, and the columns that would be null; exit code 1 when one would fail.

    Without CRM all of them are asked; one of which no setting is there counts as not used, one of which some are
    there as forgotten.
    """
    chosen = [source_named(crm)] if crm else list(sources().values())
    warn_of_misspelt_settings()
    absent = {source.name: source.wrong_settings() for source in chosen}
    codes = [_check_database()]
    for source in chosen:
        if wrong := absent[source.name]:
            forgotten = crm is not None or any(wrong.values()) or len(wrong) < len(_required(source))
            click.echo(f"{source.name}: {source.settings_problem()}")
            codes.append(WRONG_USE if forgotten else 0)
            continue
        try:
            source.require_settings()
        except NotConfigured as error:
            click.echo(f"{source.name}: {logs.redacted(str(error))}")
            codes.append(WRONG_USE)
            continue
        codes.append(_check_source(source))
    if all(absent.values()):
        codes.append(WRONG_USE)
    sys.exit(next((code for code in (WRONG_USE, 1) if code in codes), 0))


def _check_source(source: "Source") -> int:
    """Ask one CRM, and for each of its entities what a sync of it would ask for; return the exit code."""
    from warehouse_pipelines.commands import portal

    try:
        said = source.check()
        if source.mirrored:
            from warehouse_pipelines.loading.mirroring import check_mirroring

            check_mirroring(_database_url(), source)
    except (CredentialRefused, TryAgain) as error:
        click.echo(f"{source.name}: {logs.redacted(str(error))}")
        return 1
    except WarehouseError as error:
        click.echo(f"{source.name}: {logs.redacted(str(error))}")
        said = ""
    try:
        found = portal.check(source)
    except WarehouseError as error:
        click.echo(f"{source.name}: {logs.redacted(str(error))}")
        return 1
    click.echo(f"{source.name}: {'; '.join(filter(None, (logs.redacted(said), found.lines[0])))}")
    for line in found.lines[1:]:
        click.echo(f"  {line}")
    return 0 if said and not found.failing else 1


@main.command()
@click.argument("crm")
@click.argument("entity", required=False)
@click.option("--sample", type=click.IntRange(1, 100_000), default=500, show_default=True, help="Records to look at.")
@click.option(
    "--least",
    type=click.FloatRange(0, 100),
    default=10,
    show_default=True,
    help="Percent of the records that must have a value, or the column is proposed as a comment.",
)
@click.option("--write", is_flag=True, help="Add the proposal to config/columns.toml, without what is a comment.")
def discover(crm: str, entity: str | None, sample: int, least: float, write: bool) -> None:
    """Propose columns for what a CRM has and no column reads: a piece of config/columns.toml.

    Each line has the type and how many records of the sample have a value. No value is printed.
    """
    source = source_named(crm)
    if entity:
        entity_named(source, entity)
    source.require_settings()
    from warehouse_pipelines.commands import discover as program
    from warehouse_pipelines.model import column_config
    from warehouse_pipelines.sources import DECLARED

    proposals = list(program.discover(source, records=sample, only=entity))
    if not write:
        click.echo(program.toml(source, proposals, least=least))
    else:
        added = program.write(source, proposals, DECLARED, least=least)
        click.echo(
            f"{added} columns added to {column_config.columns_file()}; `warehouse migrate --dry-run` says what follows."
        )
    for one in proposals:
        if one.problem:
            click.echo(f"{crm} {one.entity.name} could not be asked: {one.problem}", err=True)
    sys.exit(1 if any(one.problem for one in proposals) else 0)


def _required(source: "Source") -> list[str]:
    return [name for name, field in source.settings.model_fields.items() if field.is_required()]


def _check_database() -> int:
    import psycopg

    try:
        with psycopg.connect(_database_url(), connect_timeout=10) as connection:
            version = connection.info.server_version // 10_000
            row = connection.execute("SELECT to_regclass('orchestration.sync_history') IS NOT NULL").fetchone()
    except (psycopg.OperationalError, WarehouseError) as error:
        click.echo(f"database: does not answer: {logs.redacted(str(error).splitlines()[0])}")
        return 1
    if version < 15:
        click.echo(f"database: PostgreSQL {version}; at least 15 is needed")
        return 1
    if not (row and row[0]):
        click.echo(f"database: PostgreSQL {version}, not migrated; run `warehouse migrate`")
        return 1
    click.echo(f"database: PostgreSQL {version}, migrated")
    return 0


@main.command()
@click.argument("crm", required=False, shell_complete=_crms)
@click.argument("entity", required=False, shell_complete=_entities)
@click.option("--waived", is_flag=True, help="Load those that were waived as well.")
def replay(crm: str | None, entity: str | None, waived: bool) -> None:
    """Load dead letters again after a fix: all of them, those of a CRM, or those of one entity."""
    logs.configure()
    if crm:
        source = source_named(crm)
        if entity:
            entity_named(source, entity)
    from warehouse_pipelines.commands import runner as in_process
    from warehouse_pipelines.loading.replay import replay

    url = _database_url()
    in_process.require_database(url)
    done = replay(list(sources().values()), url=url, crm=crm, entity=entity, waived=waived)
    if not done:
        click.echo("No dead letters are waiting.")
        return
    outcomes = [in_process.outcome_of(source.name, entity.name, result) for source, entity, result in done]
    in_process.report(outcomes, out())
    sys.exit(in_process.worst(outcomes))


@main.group("dead-letters")
def dead_letters_group() -> None:
    """List, show and waive the records that could not be loaded."""


chosen_dead_letters = _flags(
    click.option("--crm", help="Only of this CRM.", shell_complete=_crms),
    click.option("--entity", help="Only of this entity (its sync_type).", shell_complete=_entities),
    click.option("--rule", help="Only those that broke this rule."),
)


@dead_letters_group.command("list")
@chosen_dead_letters
@click.option(
    "--status",
    type=click.Choice(["pending", "waived", "resolved", "superseded", "all"]),
    default="pending",
    show_default=True,
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def list_dead_letters(crm: str | None, entity: str | None, rule: str | None, status: str, form: str) -> None:
    """Count them by entity, status and rule. No personal data is shown: neither keys nor payloads."""
    if crm:
        source_named(crm)
    from warehouse_pipelines.loading import dead_letters

    found = dead_letters.listed(
        _database_url(), crm=crm, entity=entity, rule=rule, status=None if status == "all" else status
    )
    if form == "json":
        click.echo(json.dumps(found, indent=1, default=str))
        return
    if not found:
        click.echo("There are none.")
        return
    from datetime import UTC, datetime

    from rich.table import Table

    now = datetime.now(UTC)
    table = Table("entity", "status", "stage", "rule")
    for name in ("records", "attempts", "oldest", "last seen", "first id"):
        table.add_column(name, justify="right")
    for one in found:
        table.add_row(
            f"{one['crm_source']} {one['sync_type']}",
            one["status"],
            one["stage"],
            logs.redacted(one["rule"]),
            f"{one['records']:,}",
            str(one["attempts"]),
            *(f"{_age((now - one[at]).total_seconds())} ago" for at in ("oldest", "last_seen")),
            str(one["first_id"]),
        )
    out().print(table)


@dead_letters_group.command("show")
@click.argument("number", metavar="ID", type=click.IntRange(1))
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def show_dead_letter(number: int, form: str) -> None:
    """Show one with its payload. THIS PRINTS PERSONAL DATA: the record as the vendor sent it."""
    from warehouse_pipelines.loading import dead_letters

    found = dead_letters.shown(_database_url(), number)
    if found is None:
        raise Misused(f"There is no dead letter {number}; `warehouse dead-letters list` has those there are.")
    if form == "json":
        click.echo(json.dumps(found, indent=1, default=str))
        return
    for name, value in found.items():
        if value is not None and name != "payload":
            click.echo(f"{name:21}{value}")
    click.echo(f"\n{found['payload']}")


@dead_letters_group.command("waive")
@click.argument("ids", metavar="[ID]...", nargs=-1, type=click.IntRange(1))
@chosen_dead_letters
@click.option("--reason", required=True, help="Why; it is kept with them.")
@click.option("--by", help="Who (default: the user of this machine).")
def waive_dead_letters(
    ids: tuple[int, ...], crm: str | None, entity: str | None, rule: str | None, reason: str, by: str | None
) -> None:
    """Give up pending ones: by their IDs, or all of a CRM, an entity or a rule.

    A waived record warns no more and hides no deletions, for as long as its payload stays the same. `replay --waived`
    loads it again.
    """
    if bool(ids) == bool(crm or entity or rule):
        raise Misused("Give either IDs, or which ones by --crm, --entity and --rule.")
    if not reason.strip():
        raise Misused("--reason is empty; say why.")
    if crm:
        source = source_named(crm)
        if entity:
            entity_named(source, entity)
    from getpass import getuser

    from warehouse_pipelines.loading import dead_letters

    waived = dead_letters.waive(
        _database_url(), by=by or getuser(), reason=reason.strip(), ids=ids or None, crm=crm, entity=entity, rule=rule
    )
    if ids and (others := sorted(set(ids) - set(waived))):
        raise Misused(f"Waived {len(waived)}. Not pending, or not there: {', '.join(map(str, others))}.")
    click.echo(f"Waived {len(waived)}.")


@main.command()
@click.argument("action", type=click.Choice(["list"]), default="list")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def entities(action: str, form: str) -> None:
    """List every entity: its table, how it is read, its cursor and its cadence."""
    listed = [
        {
            "crm": source.name,
            "sync_type": entity.name,
            "table": entity.table,
            "transport": source.transport,
            "cursor": entity.cursor,
            "every_minutes": int(entity.every.total_seconds() // 60),
            "configured": not source.missing_settings(),
        }
        for source in sources().values()
        for entity in source.entities
    ]
    if form == "json":
        click.echo(json.dumps(listed, indent=1))
        return
    from rich.table import Table

    table = Table(*listed[0])
    for one in listed:
        table.add_row(*("" if value is None else str(value) for value in one.values()))
    out().print(table)


@main.command()
@click.argument("action", type=click.Choice(["show"]), default="show")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def config(action: str, form: str) -> None:
    """Show every setting with its value and where it comes from, secrets masked, and the sizes records travel in."""
    from warehouse_pipelines import settings
    from warehouse_pipelines.loading.resource import CHUNK

    found = sources()
    rows = settings.shown([settings.Settings, *(source.settings for source in found.values())])
    listed = [{"setting": name, "value": logs.redacted(value), "from": origin} for name, value, origin in rows]
    pages = {name: source.page_size for name, source in found.items()}
    pages |= {
        f"{source.name} {entity.name}": entity.page_size
        for source in found.values()
        for entity in source.entities
        if entity.page_size
    }
    # A chunk is merged by one statement; only what PostgreSQL refuses is tried in parts.
    sizes = {"api_page_size": pages, "stream_chunk": CHUNK, "load_sub_batch": CHUNK}
    if form == "json":
        click.echo(json.dumps({"sizes": sizes, "settings": listed}, indent=1))
        return
    click.echo(f"API page size   {', '.join(f'{name} {size:,}' for name, size in pages.items())}; or --batch-size")
    click.echo(f"stream chunk    {CHUNK:,} records, of as many pages as that takes")
    click.echo(f"load sub-batch  {CHUNK:,}: a chunk is merged at once, in halves down to one record if it is refused")
    from rich.table import Table

    table = Table(*listed[0])
    for one in listed:
        table.add_row(*one.values())
    out().print(table)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Of the first vendor; 0 takes free ones.")
@click.option("--contacts", type=click.IntRange(1), default=1000, show_default=True, help="Contacts in HubSpot.")
def simulators(host: str, port: int, contacts: int) -> None:
    """Serve the simulated vendors and print the settings to use them."""
    from warehouse_pipelines import running, settings
    from warehouse_pipelines.simulators.server import serve_forever

    running.note(settings.state_folder(), "simulators in a terminal", os.getpid())
    serve_forever(host=host, port=port, contacts=contacts)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(1, 65535), default=3000, show_default=True)
def ui(host: str, port: int) -> None:
    """Open Dagster's UI on this workspace; ctrl-c stops everything."""
    _database_url()
    from warehouse_pipelines import running, settings
    from warehouse_pipelines.local import dagster_home

    dagster_home.prepare()
    running.note(settings.state_folder(), "ui in a terminal", os.getpid())
    command = dagster_home.ui_command(host, port)
    click.echo(f"http://{host}:{port}")
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell ignores it for what runs behind it, and so would Dagster
    os.execv(command[0], command)  # noqa: S606


def _dagsters_own(program: str) -> None:
    """Add a command of Dagster's, run on the instance of this project."""

    @main.command(
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


_dagsters_own("dg")
_dagsters_own("dagster")


@main.command()
@click.option("--ui", is_flag=True, help="Leave the Dagster UI running, too.")
@click.option("--stop", is_flag=True, help="End the simulators and the UI that a demo left running.")
@click.option("--contacts", type=click.IntRange(1), default=1000, show_default=True, help="Contacts in HubSpot.")
@click.option("--port", type=click.IntRange(1, 65535), default=3000, show_default=True, help="Of the UI.")
def demo(ui: bool, stop: bool, contacts: int, port: int) -> None:
    """Show the whole of it on this machine, with simulated vendors, which go on running."""
    from warehouse_pipelines import running, settings
    from warehouse_pipelines.commands import demo as program

    if stop:
        ended = running.stop(settings.state_folder(), program.OURS)
        click.echo(f"Stopped: {', '.join(ended) or 'nothing was running'}")
    else:
        sys.exit(program.run(ui=ui, contacts=contacts, port=port))


@main.command()
def stop() -> None:
    """End what runs on this machine: the UI, the simulators, the embedded PostgreSQL.

    A PostgreSQL named by WAREHOUSE_DATABASE_URL is not ours to end.
    """
    from warehouse_pipelines import running, settings
    from warehouse_pipelines.local import postgres

    folder = settings.state_folder()
    ended = running.stop(folder)
    if postgres.down(folder):
        ended.append("PostgreSQL")
    click.echo(f"Stopped: {', '.join(ended) or 'nothing was running'}")


@main.command(add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def psql(arguments: tuple[str, ...]) -> None:
    """Open psql on the warehouse; ARGUMENTS are those of psql, such as -c 'SELECT 1'.

    The password goes by the environment, so it is neither on the screen nor in the list of processes.
    """
    import shutil
    from urllib.parse import unquote, urlsplit

    url = _database_url()
    program = shutil.which("psql")
    if program is None:
        from warehouse_pipelines.local.postgres import find_binaries

        beside = find_binaries() / "psql"
        if not beside.exists():
            raise Misused("psql is not installed. On Debian and Ubuntu: apt-get install postgresql-client.")
        program = str(beside)
    if password := urlsplit(url).password:
        os.environ["PGPASSWORD"] = unquote(password)
        url = url.replace(f":{password}@", "@", 1)
    os.execv(program, [program, "-d", url, *arguments])  # noqa: S606  # no shell is wanted


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes a shell complete commands, CRMs and entities.

    \b
    bash:  eval "$(./run completion bash)"            in ~/.bashrc
    zsh:   eval "$(./run completion zsh)"             in ~/.zshrc, behind compinit
    fish:  ./run completion fish | source             in ~/.config/fish/config.fish

    It completes `warehouse`, and in bash and zsh also `./run`.
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    if found is None:
        raise Misused(f"click completes nothing in {shell}.")
    script = found(main, {}, "warehouse", "_WAREHOUSE_COMPLETE").source()
    if shell == "bash":
        script += "\ncomplete -o nosort -F _warehouse_completion ./run\n"
    if shell == "zsh":
        # Asks the command that is typed, which need not be on the PATH.
        script = script.replace("    (( ! $+commands[warehouse] )) && return 1\n", "")
        script = script.replace(
            "_WAREHOUSE_COMPLETE=zsh_complete warehouse", "_WAREHOUSE_COMPLETE=zsh_complete $words[1]"
        )
        script += "\ncompdef _warehouse_completion ./run\n"
    click.echo(script)


main.add_command(schedule)


if __name__ == "__main__":
    main()
