"""``warehouse sync`` and ``warehouse backfill``: run the jobs of the UI, and end with the exit code of the worst.

``SyncCommand`` adds the flags of the vendor that the line names. Deprecated flags are hidden and give their value to
the one that replaced them.
"""

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import click

from warehouse_pipelines.commands.arguments import (
    Misused,
    complete_crms,
    complete_crms_or_all,
    complete_entities,
    complete_entities_or_all,
    day,
    entity_named,
    options,
    source_named,
    sources,
    warn_of_misspelt_settings,
)
from warehouse_pipelines.commands.console import Progress, err, log, out, report
from warehouse_pipelines.commands.outcome import worst
from warehouse_pipelines.errors import NotConfigured
from warehouse_pipelines.local.database import database_url
from warehouse_pipelines.observability import logs

if TYPE_CHECKING:
    from warehouse_pipelines.model.entity import Entity
    from warehouse_pipelines.model.source import Flag, Source


def _deprecated(instead: str) -> Callable[..., Any]:
    """Return a callback that warns, and gives the value to the option that replaces this one unless it was given."""

    def replace(ctx: click.Context, param: click.Parameter, given: Any) -> None:
        if given in (None, False):
            return
        click.echo(f"Warning: {param.opts[0]} is deprecated; use {instead}.", err=True)
        ctx.meta.setdefault("warehouse.deprecated", {}).setdefault(instead.lstrip("-").replace("-", "_"), given)

    return replace


run_flags = options(
    click.option("--force", is_flag=True, help="Replace values even where the warehouse has newer ones."),
    click.option("--dry-run", is_flag=True, help="Read, check and count; write nothing but the history row."),
    click.option("--skip-validation", is_flag=True, help="Skip business rules and shapes; never keys or types."),
    click.option("--debug", is_flag=True, help="Print DEBUG lines and Dagster's own."),
    click.option(
        "--batch-size",
        type=click.IntRange(1, 10_000),
        metavar="N",
        help="Records per request (default: that of the source, see `warehouse config show`).",
    ),
    click.option(
        "--max-records", type=click.IntRange(0), metavar="N", help="Stop after so many (default 0: no limit)."
    ),
    click.option(
        "--log-format", type=click.Choice(["text", "json"]), help="Default text, or what WAREHOUSE_LOG_FORMAT says."
    ),
)

window_flags = options(
    click.option("--full", is_flag=True, help="Read everything again; rows that are not found are marked deleted."),
    click.option("--start-date", type=day, metavar="YYYY-MM-DD", help="Read what changed since this day, UTC."),
)

deprecated_flags = options(
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
        found: dict[str, Source] = {}
        if words:
            from warehouse_pipelines.sources import SOURCES

            found = {source.name: source for source in SOURCES}
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


@click.command(cls=SyncCommand)
@click.argument("crm", shell_complete=complete_crms_or_all)
@click.argument("entity", required=False, shell_complete=complete_entities_or_all)
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
            names = ", ".join(entity.name for entity in source.entities)
            raise Misused(f"Which entity of {source.name}? There are: {names}, all.")
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


@click.command()
@click.argument("crm", shell_complete=complete_crms)
@click.argument("entity", shell_complete=complete_entities)
@click.option("--from", "first", type=day, metavar="YYYY-MM-DD", required=True, help="The first day.")
@click.option("--to", "last", type=day, metavar="YYYY-MM-DD", required=True, help="The last day; it is included.")
@run_flags
def backfill(crm: str, entity: str, first: date, last: date, **flags: Any) -> None:
    """Load a range of days again, in one run, without moving the watermark."""
    source = source_named(crm)
    declared = entity_named(source, entity)
    from warehouse_pipelines.loading.options import Options

    if first > last:
        raise Misused(f"--from {first} is after --to {last}.")
    Options(start_date=first, end_date=last).purpose(source, declared)
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
    from warehouse_pipelines.settings import settings

    config = _config(flags)
    form: logs.Format = flags["log_format"] or settings().warehouse_log_format
    level = logging.DEBUG if flags.get("debug") else logging.INFO
    logs.configure(form, level)
    from warehouse_pipelines.commands import job_processes

    progress = Progress(err(), job_processes.entities_of(jobs))
    with progress.listening() if form == "text" else contextlib.nullcontext():
        outcomes = job_processes.run_jobs(jobs, url=database_url(), config=config, days=days, form=form, level=level)
    if form == "json":
        log(outcomes)
    else:
        progress.rest(outcomes)
        report(outcomes, out())
    sys.exit(worst(outcomes))
