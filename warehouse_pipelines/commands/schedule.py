"""``warehouse schedule``: which entities the schedules sync, and the switch of each."""

import click

from warehouse_pipelines import warehouse
from warehouse_pipelines.commands.arguments import complete_crms, complete_entities, entity_named, source_named, sources
from warehouse_pipelines.commands.console import out


@click.group()
def schedule() -> None:
    """Show and switch what is synced by schedule.

    The switch is orchestration.sync_schedule. A schedule that somebody stopped in Dagster asks for nothing at all.
    """


@schedule.command("list")
@click.argument("crm", required=False, shell_complete=complete_crms)
def list_(crm: str | None) -> None:
    """List the entities with their cadence, their switch, and when they were last asked for."""
    from rich.table import Table

    from warehouse_pipelines.loading import sync_schedule
    from warehouse_pipelines.local.database import database_url
    from warehouse_pipelines.model.describe import duration

    chosen = [source_named(crm)] if crm else list(sources().values())
    with warehouse.session(database_url()) as connection:
        rows = sync_schedule.rows(connection)
    table = Table()
    for name in ("entity", "every", "schedule", "last asked for", "next"):
        table.add_column(name)
    for source in chosen:
        configured = not source.missing_settings()
        for entity in source.entities:
            row = rows.get((source.name, entity.name), {"enabled": True, "last_run": None, "next_run": None})
            state = "[green]on[/]" if row["enabled"] else "[red]off[/]"
            times = [f"{row[name]:%Y-%m-%d %H:%M}" if row[name] else "" for name in ("last_run", "next_run")]
            table.add_row(
                f"{source.name} {entity.name}",
                duration(entity.cadence.every),
                state if configured else f"{state}, not configured",
                times[0] or "never",
                times[1] if row["enabled"] and configured else "",
            )
    out().print(table)


@schedule.command()
@click.argument("crm", shell_complete=complete_crms)
@click.argument("entity", required=False, shell_complete=complete_entities)
def on(crm: str, entity: str | None) -> None:
    """Let the schedules sync a CRM, or one ENTITY of it."""
    _switch(crm, entity, on=True)


@schedule.command()
@click.argument("crm", shell_complete=complete_crms)
@click.argument("entity", required=False, shell_complete=complete_entities)
def off(crm: str, entity: str | None) -> None:
    """Keep the schedules from syncing a CRM, or one ENTITY of it. A run that began goes on."""
    _switch(crm, entity, on=False)


def _switch(crm: str, entity: str | None, *, on: bool) -> None:
    from warehouse_pipelines.loading import sync_schedule
    from warehouse_pipelines.local.database import database_url

    source = source_named(crm)
    chosen = entity_named(source, entity) if entity and entity != "all" else None
    with warehouse.session(database_url()) as connection:
        done = sync_schedule.switch(connection, source, chosen, on=on)
    word = "on" if on else "off"
    click.echo(f"Switched {word}: {crm} {', '.join(done)}" if done else f"Nothing to do: it is {word} already.")
