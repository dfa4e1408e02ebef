"""``warehouse alerts`` and ``warehouse report``: what is wrong, who is told of it, and whether last night is right."""

import getpass
import json
import re
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from warehouse_pipelines import warehouse
from warehouse_pipelines.commands.arguments import Misused, Stop, sources, unknown
from warehouse_pipelines.commands.console import out, short
from warehouse_pipelines.errors import NotConfigured
from warehouse_pipelines.local.database import database_url

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session


@click.group()
def alerts() -> None:
    """Show incidents, try the channels, and say what nobody need be told of.

    Dagster's sensor `alerts` evaluates the rules of orchestration.alert_rule every minute; docs/alerts.md lists them.
    """


@alerts.command("list")
@click.option("--rules", "of_rules", is_flag=True, help="The rules instead: when each was asked, and what came of it.")
@click.option("--all", "everything", is_flag=True, help="Those of the last week that are resolved, too.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def list_(of_rules: bool, everything: bool, form: str) -> None:
    """List the incidents that are open. Exit code 1 when there are any."""
    with warehouse.session(database_url()) as session:
        rows = _rules(session) if of_rules else _incidents(session, everything=everything)
    if form == "json":
        click.echo(json.dumps(rows, indent=1, default=str))
    elif not rows:
        click.echo("No incident is open.")
    else:
        from rich.markup import escape
        from rich.table import Table

        table = Table(*rows[0])
        for row in rows:
            table.add_row(*(escape("" if value is None else str(value)) for value in row.values()))
        out().print(table)
    sys.exit(int(not of_rules and any(row["state"] != "resolved" for row in rows)))


def _incidents(session: "Session", *, everything: bool) -> list[dict[str, Any]]:
    from warehouse_pipelines.observability.alerts import incidents, messages, rules

    now = datetime.now(UTC)
    titles = rules.titles(session)
    found = incidents.opened(session, resolved_after=now - timedelta(days=7) if everything else None)
    rows = []
    for one in sorted(found, key=lambda one: (one.resolved_at is not None, now - (one.resolved_at or now), one.id)):
        until = one.resolved_at or now
        rows.append(
            {
                "id": one.id,
                "rule": one.rule,
                "severity": one.severity,
                "state": _state(one.acknowledged_by, resolved=one.resolved_at is not None),
                "for": short((until - one.first_seen_at).total_seconds()),
                "what": f"{titles[one.rule]}: {messages.who(one)}",
                "text": "; ".join(messages.texts(one)),
            }
        )
    return rows


def _state(acknowledged_by: str | None, *, resolved: bool) -> str:
    return "resolved" if resolved else f"acknowledged by {acknowledged_by}" if acknowledged_by else "open"


def _rules(session: "Session") -> list[dict[str, Any]]:
    return session.execute(
        """
        SELECT r.name, r.severity, CASE WHEN r.enabled THEN 'on' ELSE 'off' END AS state,
            concat_ws(' ', r.threshold, r.counts) AS threshold,
            to_char(e.evaluated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') AS "asked (UTC)",
            e.faults AS "at fault", e.error
        FROM orchestration.alert_rule AS r LEFT JOIN orchestration.alert_evaluation AS e ON e.rule = r.name
        ORDER BY r.name
        """
    ).fetchall()


@alerts.command()
def test() -> None:
    """Send a message to every channel of WAREHOUSE_ALERT_URLS. Exit code 1 when one refuses it."""
    from warehouse_pipelines.observability.alerts import settings
    from warehouse_pipelines.observability.alerts.channels import ChannelRefused, channels

    usable, wrong = channels(settings.read().urls)
    wrong += settings.problems().values()
    if not usable and not wrong:
        raise NotConfigured("WAREHOUSE_ALERT_URLS is not set: a URL of apprise for each channel, with blanks between.")
    for sentence in wrong:
        click.echo(sentence, err=True)
    refused = len(wrong)
    for channel in usable:
        try:
            channel.send("[info] A test of the warehouse's alerts", "This channel works.", "info")
        except ChannelRefused as error:
            refused += 1
            click.echo(f"{channel.name} refused it: {error}", err=True)
        else:
            click.echo(f"{channel.name} took it")
    if refused:
        raise Stop(f"{refused} of {len(usable) + len(wrong)} channels did not take the message.")


@alerts.command()
@click.argument("incident", type=click.IntRange(1))
@click.option("--by", default=getpass.getuser, show_default="the user of this machine", help="Who takes it on.")
def ack(incident: int, by: str) -> None:
    """Take an INCIDENT on, so that it is not told again unless it grows; its end is still told."""
    from warehouse_pipelines.observability.alerts import incidents

    with warehouse.session(database_url()) as session:
        taken = incidents.acknowledge(session, incident, by)
    if taken is None:
        raise Misused(f"No incident {incident} is open; `warehouse alerts list` has those that are.")
    click.echo(f"{by} took on incident {incident}: {taken.rule}, {taken.cause}.")


LENGTH = re.compile(r"(\d+)\s*(min|h|d)")
UNITS = {"min": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


def _length(ctx: click.Context, param: click.Parameter, value: str) -> timedelta:
    found = LENGTH.fullmatch(value.strip())
    if found is None:
        raise click.BadParameter(f"{value!r} is no length of time; write 30min, 4h or 2d")
    return int(found[1]) * UNITS[found[2]]


@alerts.command()
@click.argument("rule")
@click.option("--subject", help="Only of this: a CRM, or CRM and entity such as 'hubspot contacts'.")
@click.option("--for", "length", default="4h", show_default=True, callback=_length, help="30min, 4h, 2d.")
@click.option("--by", default=getpass.getuser, show_default="the user of this machine", help="Who says so.")
@click.option("--reason", default="", help="Why.")
@click.option("--end", is_flag=True, help="End it instead.")
def silence(rule: str, subject: str | None, length: timedelta, by: str, reason: str, end: bool) -> None:
    """Tell nobody of a RULE for a while, or of `all`. Incidents are written, and told if they outlast it."""
    from warehouse_pipelines.observability.alerts import rules

    with warehouse.session(database_url()) as session:
        names = list(rules.titles(session))
        if rule not in (*names, "all"):
            raise Misused(unknown("rule", rule, [*names, "all"]))
        of = None if rule == "all" else rule
        ended = session.execute(
            "UPDATE orchestration.alert_silence SET ends_at = clock_timestamp() WHERE ends_at > clock_timestamp() "
            "AND rule IS NOT DISTINCT FROM %s AND subject IS NOT DISTINCT FROM %s",
            [of, subject],
        ).rowcount
        if end:
            click.echo(f"Ended {ended} silence(s) of {rule}.")
            return
        ends_at = warehouse.value(
            session,
            "INSERT INTO orchestration.alert_silence (rule, subject, ends_at, made_by, reason) "
            "VALUES (%s, %s, clock_timestamp() + %s, %s, %s) RETURNING ends_at",
            [of, subject, length, by, reason],
        )
    about = f" of {subject}" if subject else ""
    click.echo(f"Nobody is told of {rule}{about} until {ends_at:%Y-%m-%d %H:%M} UTC.")


@click.command()
@click.option("--send", is_flag=True, help="Send it, too, to every channel that has not had today's.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def report(send: bool, form: str) -> None:
    """Say whether last night is right: runs, records, failures, freshness, and what needs a person.

    Exit code 1 when something does. Dagster sends the same at seven in the morning, in WAREHOUSE_TIME_ZONE.
    """
    from dataclasses import asdict

    from warehouse_pipelines.observability.alerts import program

    url, all_of_them = database_url(), list(sources().values())
    found, count = program.send_report(url, all_of_them) if send else (program.build_report(url, all_of_them), 0)
    if form == "json":
        click.echo(json.dumps({"right": found.right, **asdict(found)}, indent=1, default=str))
    else:
        click.echo(f"{found.title}\n\n{found.text()}")
    if send:
        click.echo(f"Sent to {count} channel(s).", err=True)
    sys.exit(int(not found.right))
