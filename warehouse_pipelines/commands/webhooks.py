"""``warehouse webhooks``: subscriptions at vendors, and what they delivered to ``warehouse serve``."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from warehouse_pipelines import warehouse
from warehouse_pipelines.commands.arguments import Misused, Stop, complete_crms, source_named, sources
from warehouse_pipelines.errors import ActionNeeded, NotConfigured
from warehouse_pipelines.local.database import database_url

if TYPE_CHECKING:
    from rich.table import Table

    from warehouse_pipelines.model.source import Source
    from warehouse_pipelines.sources.hubspot.subscriptions import Subscription
    from warehouse_pipelines.warehouse import Session

COUNTED_HOURS = 24


@click.group()
def webhooks() -> None:
    """Subscribe at vendors, and work off what they delivered; `warehouse serve` receives it."""


@webhooks.command()
@click.argument("crm", shell_complete=complete_crms)
def register(crm: str) -> None:
    """Subscribe at hubspot, or make the push channels of gcalendar or gdrive, which Dagster renews before they end."""
    from warehouse_pipelines.serving import hubspot_app, push_channels

    source = source_named(crm)
    if crm == hubspot_app.NAME:
        source.require_settings()
        click.echo("\n".join(hubspot_app.register()) or "Nothing to do: the app subscribes to all that is kept here.")
        return
    push_channels.service_of(crm)
    source.require_settings()
    with warehouse.session(database_url()) as session:
        made, failed = push_channels.register(session, crm)
    if made or not failed:
        click.echo("\n".join(made) or f"Nothing to do: {crm} has channels that last.")
    if failed:
        raise ActionNeeded("\n".join(failed))


@webhooks.command("list")
@click.argument("crm", shell_complete=complete_crms)
def list_(crm: str) -> None:
    """List what hubspot's app subscribes to, or the push channels of gcalendar or gdrive that were made from here.

    Of every CRM that delivers: what its deliveries may tell of, and when the last one came.
    """
    from warehouse_pipelines.commands.console import out
    from warehouse_pipelines.serving import hubspot_app, push_channels
    from warehouse_pipelines.sources.webhooks import DELIVERED_ENTITIES

    source = source_named(crm)
    if source.declared_name not in DELIVERED_ENTITIES:
        raise Misused(f"{crm} delivers no webhooks; these do: {', '.join(DELIVERED_ENTITIES)}.")
    with warehouse.session(database_url()) as session:
        if crm in push_channels.SERVICES:
            out().print(_channels(session, crm), markup=False)
        click.echo("\n".join(_received(session, source, DELIVERED_ENTITIES[source.declared_name])))
    if crm == hubspot_app.NAME and hubspot_app.is_set_up():
        target, subscriptions = hubspot_app.rows()
        out().print(_subscriptions(subscriptions), markup=False)
        click.echo(f"Deliveries go to {target}." if target else "Deliveries go nowhere: the app has no address.")
    elif crm not in push_channels.SERVICES:
        click.echo("What is subscribed stands at the vendor; docs/webhooks.md says what to set up there.")


def _channels(session: "Session", crm: str) -> "Table":
    from rich.table import Table

    from warehouse_pipelines.serving import push_channels

    table = Table("channel", "watches", "ends (UTC)", "active")
    for row in push_channels.rows(session, push_channels.SERVICES[crm]):
        ends = f"{row.ends_at:%Y-%m-%d %H:%M}" if row.ends_at else ""
        table.add_row(row.channel_id, row.what or "changes", ends, "yes" if row.active else "no")
    return table


def _subscriptions(subscriptions: "Sequence[Subscription]") -> "Table":
    from rich.table import Table

    table = Table("event", "object", "property", "active")
    for one in subscriptions:
        event, type_id, name = one.what
        table.add_row(event, type_id, name, "yes" if one.active else "no")
    return table


def _received(session: "Session", source: "Source", entities: "Sequence[str]") -> list[str]:
    """Return what deliveries of a CRM tell of, where they go, and what came lately."""
    from warehouse_pipelines.loading import webhook_inbox
    from warehouse_pipelines.serving.public_address import public_address
    from warehouse_pipelines.serving.vendors import BY_CRM
    from warehouse_pipelines.settings import serve_settings

    vendor = BY_CRM[source.name]
    by_key = [entity for entity in entities if entity in source.by_key]
    others = [entity for entity in entities if entity not in source.by_key]
    lines = [f"Read by key: {', '.join(by_key)}."] if by_key else []
    lines += [f"Read by a delta: {', '.join(others)}."] if others else []
    try:
        lines.append(f"Deliveries come to {public_address(vendor.name)}.")
    except NotConfigured as error:
        lines.append(str(error))
    if vendor.needs and not vendor.is_set_up(serve_settings()):
        lines.append(f"{vendor.needs} is not set: every delivery is answered 401.")
    found = webhook_inbox.received(session, vendor.name, COUNTED_HOURS)
    counts = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(found["outcomes"].items()))
    last_at = f"{found['last_at']:%Y-%m-%d %H:%M:%S} UTC" if found["last_at"] else "none yet"
    lines.append(f"Last delivery of {vendor.name}: {last_at}; within {COUNTED_HOURS} h: {counts or 'none'}.")
    if found["waiting"]:
        lines.append(f"{found['waiting']:,} wait to be worked off.")
    return lines


@webhooks.command()
@click.argument("crm", shell_complete=complete_crms)
def remove(crm: str) -> None:
    """End the subscriptions of hubspot's app, or the push channels of gcalendar or gdrive. Polls go on."""
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
    from warehouse_pipelines.serving.work import work as work_off

    url, found = database_url(), tuple(sources().values())
    failures: list[str] = []
    taken = closed = 0
    while worked := work_off(found, url=url):
        if not worked.taken:
            break
        taken += worked.taken
        closed += worked.closed
        failures += worked.failures
        for source, entity, result in worked.reads:
            click.echo(
                f"{source.name} {entity.name}: {result.created} created, {result.updated} updated, "
                f"{result.deleted} deleted, {result.failed} failed"
            )
    if worked is None and not taken:
        raise Stop("Another process works the inbox off; nothing was done here.")
    click.echo(f"{closed} deliveries were worked off." if taken else "Nothing is due.")
    if failures:
        raise Stop("Tried again later: " + "; ".join(dict.fromkeys(failures)))
