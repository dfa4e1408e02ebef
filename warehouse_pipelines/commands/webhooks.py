"""``warehouse webhooks``: subscriptions at vendors, and what they delivered to ``warehouse serve``."""

import click

from warehouse_pipelines import warehouse
from warehouse_pipelines.commands.arguments import Stop, complete_crms, source_named, sources


@click.group()
def webhooks() -> None:
    """Subscribe at vendors, and work off what they delivered; `warehouse serve` receives it."""


@webhooks.command()
@click.argument("crm", shell_complete=complete_crms)
def register(crm: str) -> None:
    """Subscribe at hubspot, or make the push channels of gcalendar or gdrive, which Dagster renews before they end."""
    from warehouse_pipelines.local.database import database_url
    from warehouse_pipelines.serving import hubspot_app, push_channels

    source = source_named(crm)
    if crm == hubspot_app.NAME:
        source.require_settings()
        click.echo("\n".join(hubspot_app.register()) or "Nothing to do: the app subscribes to all that is kept here.")
        return
    push_channels.service_of(crm)
    source.require_settings()
    with warehouse.session(database_url()) as session:
        lines = push_channels.register(session, crm)
    click.echo("\n".join(lines) or f"Nothing to do: {crm} has channels that last.")


@webhooks.command("list")
@click.argument("crm", shell_complete=complete_crms)
def list_(crm: str) -> None:
    """List what hubspot's app subscribes to, or the push channels of gcalendar or gdrive that were made from here."""
    from rich.table import Table

    from warehouse_pipelines.commands.console import out
    from warehouse_pipelines.local.database import database_url
    from warehouse_pipelines.serving import hubspot_app, push_channels

    source_named(crm)
    if crm == hubspot_app.NAME:
        target, subscriptions = hubspot_app.rows()
        table = Table("event", "object", "property", "active")
        for one in subscriptions:
            event, type_id, name = one.what
            table.add_row(event, type_id, name, "yes" if one.active else "no")
        out().print(table)
        click.echo(f"Deliveries go to {target}." if target else "Deliveries go nowhere: the app has no address.")
        return
    service = push_channels.service_of(crm)
    with warehouse.session(database_url()) as session:
        found = push_channels.rows(session, service)
    table = Table("channel", "watches", "ends (UTC)", "active")
    for row in found:
        ends = f"{row.ends_at:%Y-%m-%d %H:%M}" if row.ends_at else ""
        table.add_row(row.channel_id, row.what or "changes", ends, "yes" if row.active else "no")
    out().print(table)


@webhooks.command()
@click.argument("crm", shell_complete=complete_crms)
def remove(crm: str) -> None:
    """End the subscriptions of hubspot's app, or the push channels of gcalendar or gdrive. Polls go on."""
    from warehouse_pipelines.local.database import database_url
    from warehouse_pipelines.serving import hubspot_app, push_channels

    source = source_named(crm)
    if crm == hubspot_app.NAME:
        click.echo(f"Ended {hubspot_app.remove()} subscription(s) of hubspot's app.")
        return
    push_channels.service_of(crm)
    source.require_settings()
    with warehouse.session(database_url()) as session:
        count = push_channels.remove(session, crm)
    click.echo(f"Stopped {count} channel(s) of {crm}.")


@webhooks.command()
def work() -> None:
    """Read what deliveries name, until nothing is due. Dagster does it by itself while its daemon runs."""
    from warehouse_pipelines.loading import webhook_inbox
    from warehouse_pipelines.local.database import database_url
    from warehouse_pipelines.serving.work import work as work_off

    url, found = database_url(), tuple(sources().values())
    failures: list[str] = []
    taken = 0
    while worked := work_off(found, url=url):
        if not worked.taken:
            break
        taken += worked.taken
        failures += worked.failures
        for source, entity, result in worked.reads:
            click.echo(
                f"{source.name} {entity.name}: {result.created} created, {result.updated} updated, "
                f"{result.deleted} deleted, {result.failed} failed"
            )
    else:
        raise Stop("Another process works the inbox off; nothing was done here.")
    with warehouse.session(url) as session:
        webhook_inbox.prune(session)
    click.echo(f"{taken} deliveries were worked off." if taken else "Nothing is due.")
    if failures:
        raise Stop("Tried again later: " + "; ".join(dict.fromkeys(failures)))
