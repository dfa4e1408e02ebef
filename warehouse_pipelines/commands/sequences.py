"""``warehouse sequences``: run what is due, see what is open, decide what only a person can."""

from collections.abc import Mapping
from copy import copy
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from warehouse_pipelines import warehouse
from warehouse_pipelines.commands.arguments import Misused
from warehouse_pipelines.commands.console import out
from warehouse_pipelines.local.database import database_url
from warehouse_pipelines.observability import logs

if TYPE_CHECKING:
    from warehouse_pipelines.sequences.settings import SequenceSettings

SHOWN = 20
PARTIAL = 3
"""Exit code where something waits for a person."""

OUTCOMES = ("done", "again", "skip")
STATUSES = ("sending", "waiting", "retry", "parked", "uncertain", "sent", "recorded", "done", "withheld")


def _organization(given: UUID | None) -> UUID:
    from warehouse_pipelines import settings

    return given or settings.settings().crm_organization_id


_ORGANIZATION = click.option("--organization", type=click.UUID, help="Another organization than CRM_ORGANIZATION_ID.")


@click.group()
def sequences() -> None:
    """Series of messages and calls to leads. Nothing is sent unless WAREHOUSE_SEQUENCES_SENDER is live."""
    logs.configure()


@sequences.command()
@click.option("--limit", default=500, show_default=True, metavar="N", help="Enrollments to work on at most.")
@click.pass_context
def run(ctx: click.Context, limit: int) -> None:
    """Enroll the leads of segments, and send what is due."""
    from warehouse_pipelines.sequences import run as worker
    from warehouse_pipelines.sequences import settings

    given = settings.read()
    result = worker.run(database_url(), given, limit=limit)
    click.echo(f"{result}.")
    if given.warehouse_sequences_sender == "outbox":
        click.echo("Messages are kept and not sent, as WAREHOUSE_SEQUENCES_SENDER says.", err=True)
    for problem in result.problems:
        click.echo(problem, err=True)
    if result.problems:
        ctx.exit(PARTIAL)


@sequences.command("list")
@_ORGANIZATION
def list_(organization: UUID | None) -> None:
    """List the sequences, and how many leads are in them."""
    from rich.table import Table

    from warehouse_pipelines.sequences import messages

    with warehouse.session(database_url()) as session:
        found = messages.sequences(session, _organization(organization))
    table = Table("sequence", "steps", "filled from", "active", "paused", "completed", "stopped")
    for row in found:
        name = row["name"] if row["is_active"] else f"{row['name']} (off)"
        counts = [str(row[status]) for status in ("active", "paused", "completed", "stopped")]
        table.add_row(name, str(row["steps"]), row["segment"] or "", *counts)
    out().print(table, markup=False)


@sequences.command("messages")
@click.option("--status", type=click.Choice(STATUSES), help="Those of a status, instead of all that are open.")
@click.option("--text", is_flag=True, help="Print to whom and what as well. PRINTS PERSONAL DATA.")
@click.option("--show", default=SHOWN, show_default=True, metavar="N", help="Messages to print.")
@_ORGANIZATION
def messages_(status: str | None, text: bool, show: int, organization: UUID | None) -> None:
    """List messages that are open: calls to make, steps that are parked, messages of which nobody knows."""
    from warehouse_pipelines.sequences import messages
    from warehouse_pipelines.sequences import settings as sequence_settings

    with warehouse.session(database_url()) as session:
        found = messages.shown(session, _organization(organization), status, show)
    given, now = sequence_settings.read(), datetime.now(UTC)
    for row in found:
        about = f"{row['id']}  {row['status']:<9} {row['channel']:<9} {row['sequence']}, step {row['step']}"
        why = row["problem"] or (_hour_of(row, given, now) if row["status"] == "waiting" else "")
        if row["blocked"]:
            why = f"must not be reached: {row['blocked']}"
        click.echo(about + (f": {why}" if why else ""))
        if text and not row["blocked"]:
            name = " ".join(part for part in (row["first_name"], row["last_name"]) if part)
            lines = [f"{name} {row['recipient'] or ''}".strip(), row["subject"], row["body"]]
            click.echo("\n".join(f"    {line}" for part in lines if part for line in part.splitlines()))
    if not found:
        click.echo("There are none.")


_as_before = copy(messages_)
_as_before.hidden = True
sequences.add_command(_as_before, "outbox")


def _hour_of(row: Mapping[str, Any], given: "SequenceSettings", now: datetime) -> str:
    """Return until when a call has to wait; nothing where it may be made now."""
    from warehouse_pipelines import settings
    from warehouse_pipelines.sequences import hours

    if row["channel"] not in hours.RINGS:
        return ""
    business = settings.settings().warehouse_time_zone
    zones = hours.zones_of(row["timezone"], row["postal_code"], row["phone"], business)
    allowed = hours.next_allowed(now, zones, given.hours)
    if allowed is None or allowed <= now:
        return "" if allowed else "no hour is allowed"
    return f"not before {allowed.astimezone(business):%Y-%m-%d %H:%M} of {business}"


@sequences.command()
@click.argument("given", metavar="[MESSAGE] done|again|skip", nargs=-1, required=True)
@click.option("--all", "all_", is_flag=True, help="All parked messages that have --problem, and no MESSAGE.")
@click.option("--problem", default="", metavar="TEXT", help="With --all: words of the problem that `messages` prints.")
@click.option("--result", default="", metavar="TEXT", help="Result of a call in a word or two; no name, no number.")
@_ORGANIZATION
def settle(given: tuple[str, ...], all_: bool, problem: str, result: str, organization: UUID | None) -> None:
    """Decide an open MESSAGE: it was sent or is `done`, is to go `again`, or its step is left out (`skip`).

    Many that are parked for one reason are decided at once by --all --problem, such as 'sending limit exceeded'.
    """
    from warehouse_pipelines.sequences import messages

    *which, outcome = given
    if outcome not in OUTCOMES:
        raise Misused(f"{outcome}: the outcome is one of {', '.join(OUTCOMES)}.")
    if result and (all_ or outcome != "done"):
        raise Misused("--result belongs to the outcome done of one message.")
    if all_ != bool(problem.strip()) or len(which) != (0 if all_ else 1):
        raise Misused("Give the id of one message, or --all and --problem.")
    with warehouse.session(database_url()) as session:
        if all_:
            stand = messages.settle_parked(session, _organization(organization), problem, outcome)  # type: ignore[arg-type]
            counts = ", ".join(f"{number} {status}" for status, number in sorted(stand.items()))
            click.echo(f"Enrollments: {counts}." if counts else "No parked message has this problem.")
            return
        message = click.UUID.convert(which[0], None, None)
        now = messages.settle(session, _organization(organization), message, outcome, result)  # type: ignore[arg-type]
    click.echo(f"The enrollment is {now}.")


@sequences.command()
@click.argument("enrollment", type=click.UUID)
@_ORGANIZATION
def resume(enrollment: UUID, organization: UUID | None) -> None:
    """Resume an ENROLLMENT that a reply paused."""
    from warehouse_pipelines.sequences import messages

    with warehouse.session(database_url()) as session:
        messages.resume(session, _organization(organization), enrollment)
    click.echo("Resumed.")
