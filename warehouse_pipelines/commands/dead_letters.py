"""``warehouse dead-letters`` and ``warehouse replay``: list, show, waive and load again what could not be loaded."""

import json
import sys

import click

from warehouse_pipelines.commands.arguments import (
    Misused,
    complete_crms,
    complete_entities,
    entity_named,
    options,
    source_named,
    sources,
)
from warehouse_pipelines.commands.console import out, report, short
from warehouse_pipelines.commands.outcome import outcome_of, worst
from warehouse_pipelines.local.database import database_url
from warehouse_pipelines.observability import logs, redaction


@click.command()
@click.argument("crm", required=False, shell_complete=complete_crms)
@click.argument("entity", required=False, shell_complete=complete_entities)
@click.option("--waived", is_flag=True, help="Load those that were waived as well.")
def replay(crm: str | None, entity: str | None, waived: bool) -> None:
    """Load dead letters again after a fix: all of them, those of a CRM, or those of one entity."""
    logs.configure()
    if crm:
        source = source_named(crm)
        if entity:
            entity_named(source, entity)
    from warehouse_pipelines.commands.runner import require_database
    from warehouse_pipelines.loading.replay import replay as replay_dead_letters

    url = database_url()
    require_database(url)
    outcomes = []
    try:
        for one, row, came in replay_dead_letters(
            list(sources().values()), url=url, crm=crm, entity=entity, waived=waived
        ):
            outcomes.append(outcome_of(one.name, row.name, came))
    finally:
        if outcomes:
            report(outcomes, out())
    if not outcomes:
        click.echo("No dead letters are waiting.")
        return
    sys.exit(worst(outcomes))


@click.group("dead-letters")
def dead_letters_group() -> None:
    """List, show and waive the records that could not be loaded."""


chosen_dead_letters = options(
    click.option("--crm", help="Only of this CRM.", shell_complete=complete_crms),
    click.option("--entity", help="Only of this entity (its sync_type).", shell_complete=complete_entities),
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

    found = dead_letters.summary(
        database_url(), crm=crm, entity=entity, rule=rule, status=None if status == "all" else status
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
            redaction.redacted(one["rule"]),
            f"{one['records']:,}",
            str(one["attempts"]),
            *(f"{short((now - one[at]).total_seconds())} ago" for at in ("oldest", "last_seen")),
            str(one["first_id"]),
        )
    out().print(table, markup=False)


@dead_letters_group.command("show")
@click.argument("number", metavar="ID", type=click.IntRange(1))
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def show_dead_letter(number: int, form: str) -> None:
    """Show one with its payload. THIS PRINTS PERSONAL DATA: the record as the vendor sent it."""
    from warehouse_pipelines.loading import dead_letters

    found = dead_letters.find(database_url(), number)
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
        database_url(), by=by or getuser(), reason=reason.strip(), ids=ids or None, crm=crm, entity=entity, rule=rule
    )
    if ids and (others := sorted(set(ids) - set(waived))):
        raise Misused(f"Waived {len(waived)}. Not pending, or not there: {', '.join(map(str, others))}.")
    click.echo(f"Waived {len(waived)}.")
