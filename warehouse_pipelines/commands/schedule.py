"""``warehouse schedule``: what the schedules sync, the switch of each, and schedules beside those of the cadence."""

import re
from datetime import timedelta
from typing import Any

import click

from warehouse_pipelines import warehouse
from warehouse_pipelines.commands.arguments import (
    Misused,
    complete_crms,
    complete_entities,
    entity_named,
    source_named,
    sources,
)
from warehouse_pipelines.commands.console import out
from warehouse_pipelines.local.database import database_url

MODES = click.Choice(["delta", "full", "force7"])
"""As ``loading.sync_schedule.MODES``, which is not imported for the help."""

MODE = click.option(
    "--mode",
    type=MODES,
    default="delta",
    show_default=True,
    help="delta: what is new; full: everything; force7: seven days, also over newer values.",
)


@click.group()
def schedule() -> None:
    """Show and switch what is synced by schedule.

    The switch is orchestration.sync_schedule. A schedule that somebody stopped in Dagster asks for nothing at all.
    """


@schedule.command("list")
@click.argument("crm", required=False, shell_complete=complete_crms)
def list_(crm: str | None) -> None:
    """List the entities with their cadence, their switch, and when they were last asked for."""
    from rich.markup import escape
    from rich.table import Table

    from warehouse_pipelines.loading import sync_schedule
    from warehouse_pipelines.model.describe import duration

    chosen = [source_named(crm)] if crm else list(sources().values())
    with warehouse.session(database_url()) as connection:
        rows = sync_schedule.rows(connection)
        others = [row for row in sync_schedule.other_rows(connection) if crm in (None, row["crm_source"])]
    table = Table()
    for name in ("entity", "mode", "every", "schedule", "last asked for", "next"):
        table.add_column(name)
    for source in chosen:
        configured = not source.missing_settings()
        for entity in source.entities:
            row = rows.get((source.name, entity.name), {"enabled": True, "last_run": None, "next_run": None})
            every = duration(entity.cadence.every)
            if longer := entity.cadence.with_webhooks:
                every += f" ({duration(longer)} while webhooks deliver)"
            table.add_row(f"{source.name} {entity.name}", "delta", every, *_state(row, configured=configured))
    for row in others:
        configured = any(source.name == row["crm_source"] and not source.missing_settings() for source in chosen)
        entity_name = f"{row['crm_source']} {row['model_name']}"
        name = "" if row["declared"] else escape(f" ({row['name']})")
        table.add_row(f"{entity_name}{name}", row["mode"], _recurrence(row), *_state(row, configured=configured))
    out().print(table)


def _state(row: dict[str, Any], *, configured: bool) -> tuple[str, str, str]:
    """Return the switch of a row, and when it was asked for last and will be next."""
    state = "[green]on[/]" if row["enabled"] else "[red]off[/]"
    if row["enabled"] and row.get("dagster_status") == "stopped":
        state = "[red]stopped in Dagster[/]"
    state = state if configured else f"{state}, not configured"
    times = [f"{row[name]:%Y-%m-%d %H:%M}" if row[name] else "" for name in ("last_run", "next_run")]
    return state, times[0] or "never", times[1] if row["enabled"] and configured else ""


def _recurrence(row: dict[str, Any]) -> str:
    from warehouse_pipelines.loading import sync_schedule

    if row["recurrence_type"] == "interval":
        return f"{row['every']} {row['period'].removesuffix('s') if row['every'] == 1 else row['period']}"
    return sync_schedule.crontab(row)


@schedule.command()
@click.argument("crm", shell_complete=complete_crms)
@click.argument("entity", required=False, shell_complete=complete_entities)
@MODE
def on(crm: str, entity: str | None, mode: str) -> None:
    """Let the schedules of a mode sync a CRM, or one ENTITY of it."""
    _switch(crm, entity, mode, on=True)


@schedule.command()
@click.argument("crm", shell_complete=complete_crms)
@click.argument("entity", required=False, shell_complete=complete_entities)
@click.option("--mode", type=MODES, help="Only the schedules of this mode; by default all, the added ones as well.")
def off(crm: str, entity: str | None, mode: str | None) -> None:
    """Keep the schedules from syncing a CRM, or one ENTITY of it. A run that began goes on."""
    _switch(crm, entity, mode, on=False)


def _switch(crm: str, entity: str | None, mode: str | None, *, on: bool) -> None:
    from warehouse_pipelines.loading import sync_schedule

    source = source_named(crm)
    chosen = entity_named(source, entity) if entity and entity != "all" else None
    with warehouse.session(database_url()) as connection:
        modes = [mode] if mode else sync_schedule.MODES
        done = sync_schedule.switch(connection, source, chosen, on=on, modes=modes)
        others = [
            row
            for row in sync_schedule.other_rows(connection)
            if row["crm_source"] == crm and entity in (None, "all", row["model_name"])
        ]
    if mode not in (None, "delta", *(row["mode"] for row in others)):
        what = f"{crm} {entity}" if entity else crm
        raise Misused(f"{what} has no schedule of the mode {mode}; `warehouse schedule add` makes one.")
    word = "on" if on else "off"
    names = [name if of in (mode, "delta") else f"{name} ({of})" for name, of in done]
    click.echo(f"Switched {word}: {crm} {', '.join(names)}" if done else f"Nothing to do: it is {word} already.")
    if on and (left := [row["name"] for row in others if not row["declared"] and not row["enabled"]]):
        click.echo(f"Off still: {', '.join(left)}; --mode switches them on.")


@schedule.command()
@click.argument("crm", shell_complete=complete_crms)
@click.argument("entity", shell_complete=complete_entities)
@MODE
@click.option("--every", metavar="SPAN", help="An interval, such as 90m, 6h, 7d or 2w.")
@click.option("--cron", metavar="CRONTAB", help='Five fields in the zone of the business, such as "0 2 * * 0".')
@click.option("--name", help="What the row is called; by default after the entity, the mode and the recurrence.")
def add(crm: str, entity: str, mode: str, every: str | None, cron: str | None, name: str | None) -> None:
    """Add a schedule beside that of the cadence. Dagster's daemon asks for it within a minute of its time."""
    from dagster._utils.schedules import is_valid_cron_string

    from warehouse_pipelines.loading import sync_schedule

    source = source_named(crm)
    chosen = entity_named(source, entity)
    if (every is None) == (cron is None):
        raise Misused("Give one of --every and --cron.")
    span = _span(every) if every else None
    fields = cron.split() if cron else []
    if cron and (len(fields) != 5 or not is_valid_cron_string(cron)):
        raise Misused(f"{cron!r} is no crontab of five fields: minute, hour, day of the month, month, day of the week.")
    called = name or f"{crm} {entity} {mode} {every or cron}"
    with warehouse.session(database_url()) as connection:
        if not sync_schedule.add(connection, source, chosen, name=called, mode=mode, every=span, crontab=fields):
            raise Misused(f"There is a schedule {called!r} already.")
    click.echo(f"Added: {called}")


@schedule.command()
@click.argument("name")
def remove(name: str) -> None:
    """Remove a schedule that was added; those that are declared are switched off instead."""
    from warehouse_pipelines.loading import sync_schedule

    with warehouse.session(database_url()) as connection:
        if not sync_schedule.remove(connection, name):
            added = [row["name"] for row in sync_schedule.other_rows(connection) if not row["declared"]]
            raise Misused(f"No schedule {name!r} was added. There are: {', '.join(added) or 'none'}.")
    click.echo(f"Removed: {name}")


def _span(text: str) -> timedelta:
    """Read an interval. Raises ``Misused``."""
    found = re.fullmatch(r"([1-9]\d{0,4})([mhdw])", text)
    if not found:
        raise Misused(f"{text!r} is no interval; write 90m, 6h, 7d or 2w.")
    unit = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}[found[2]]
    return timedelta(**{unit: int(found[1])})
