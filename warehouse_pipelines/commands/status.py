"""``warehouse status``, and the hidden ``warehouse health``: whether each entity is loaded as it should be.

The rules are in ``observability.health``; this prints their judgement and turns it into an exit code.
"""

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from warehouse_pipelines import warehouse
from warehouse_pipelines.commands.arguments import WRONG_USE, complete_crms, options, source_named, sources
from warehouse_pipelines.commands.console import out, short
from warehouse_pipelines.errors import NotConfigured
from warehouse_pipelines.local.database import database_url
from warehouse_pipelines.observability import redaction

if TYPE_CHECKING:
    from warehouse_pipelines.model.source import Source
    from warehouse_pipelines.observability.health import Health

REFUSED_HOURS = 24
"""Over how many hours refused deliveries of webhooks are counted."""

health_flags = options(
    click.option("--crm", help="Only this CRM.", shell_complete=complete_crms),
    click.option(
        "--hours",
        type=click.FloatRange(0, min_open=True),
        help="Judge the success rate over so many hours (default 24, or twice the cadence).",
    ),
    click.option(
        "--expected-hours",
        type=click.FloatRange(0, min_open=True),
        help="The last good run must have begun within so many hours (default 2, or twice the cadence).",
    ),
)


@click.command()
@health_flags
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def status(crm: str | None, hours: float | None, expected_hours: float | None, form: str) -> None:
    """Show the last run of each entity, its age and health. Exit code 1 when something is unhealthy.

    A success that read all that is new makes an entity healthy again, whatever failed before it.
    """
    from warehouse_pipelines.observability.health import STATUS

    _status(crm, hours, expected_hours, STATUS, form)


@click.command(hidden=True)
@health_flags
@click.option("--frequency", is_flag=True, help="Judge only when the last run began.")
def health(crm: str | None, hours: float | None, expected_hours: float | None, frequency: bool) -> None:
    """Do as `status` does, by one rule: the success rate, or with --frequency the age of the last start."""
    _status(crm, hours, expected_hours, ("started",) if frequency else ("rate",))


def _status(
    crm: str | None, hours: float | None, expected_hours: float | None, rules: Sequence[str], form: str = "text"
) -> None:
    chosen = [source_named(crm)] if crm else list(sources().values())
    if crm:
        chosen[0].require_settings()
    url = database_url()
    from warehouse_pipelines.observability.health import judge

    every = judge(list(sources().values()), url=url, hours=hours, expected_hours=expected_hours, rules=rules)
    found = [one for one in every if crm in (None, one.crm)]
    judged = [one for one in found if one.judged]
    ill = [one for one in judged if not one.healthy]
    if form == "json":
        click.echo(json.dumps([_health(one) for one in found], indent=1))
        sys.exit(WRONG_USE if not judged else 1 if ill else 0)
    from rich.markup import escape
    from rich.table import Table

    table = Table()
    for name in (
        "entity", "last run", "ended as", "seconds", "created", "updated", "failed", "pending", "success", "health",
    ):  # fmt: skip
        table.add_column(name, justify="left" if name in {"entity", "ended as", "health"} else "right")
    for one in found:
        if not one.judged and one.status is None and not one.refusals:
            continue
        verdict = escape("; ".join(one.problems)) or ("healthy" if one.judged else "not configured")
        table.add_row(
            f"{one.crm} {one.sync_type}",
            "never" if one.age is None else f"{short(one.age.total_seconds())} ago",
            f"{one.status or ''}{f', {one.refusals} refused' if one.refusals else ''}",
            "" if one.seconds is None else f"{one.seconds:.1f}",
            *(["", "", ""] if one.status is None else [f"{n:,}" for n in (one.created, one.updated, one.failed)]),
            f"{one.pending:,}" if one.pending else "",
            "" if one.rate is None else f"{one.rate:.0%} of {one.runs}",
            f"[green]{verdict}[/]" if one.judged and one.healthy else f"[red]{verdict}[/]" if one.problems else verdict,
        )
    out().print(table)
    for one in ill:
        if one.last_error:
            click.echo(f"{one.crm} {one.sync_type}, last error: {redaction.redacted(one.last_error)}")
    for one in found:
        if one.refusal:
            click.echo(f"{one.crm} {one.sync_type}, refused since then: {redaction.redacted(one.refusal)}")
    for name, problem in {one.crm: one.settings_problem for one in found if one.settings_problem}.items():
        given_up = f" If it is given up: `warehouse schedule off {name}`." if name in sources() else ""
        click.echo(f"{problem}.{given_up}")
    if absent := sorted({one.crm for one in found if not one.judged}):
        click.echo(f"Not configured, not judged: {', '.join(absent)}")
    if waiting := sum(one.pending for one in found):
        click.echo(f"Pending in the dead letters: {waiting:,}; `warehouse dead-letters list` counts them by rule.")
    for line in _webhooks(chosen, url):
        click.echo(line)
    if not judged:
        raise NotConfigured("No CRM is configured; `warehouse check` names what is missing.")
    click.echo(f"{len(judged) - len(ill)} of {len(judged)} entities are healthy.")
    sys.exit(1 if ill else 0)


def _webhooks(chosen: Sequence["Source"], url: str) -> list[str]:
    """Return what is polled less often because webhooks deliver, and which deliveries were refused."""
    from warehouse_pipelines.loading import webhook_cadence, webhook_inbox
    from warehouse_pipelines.model.describe import every

    with warehouse.session(url) as session:
        slower = [
            f"{source.name} {pace.entity} {every(pace.every)}"
            for source in chosen
            for pace in webhook_cadence.slower(session, source, source.entities)
        ]
        refused = webhook_inbox.refused(session, REFUSED_HOURS)
    told = [f"{row['source']} {row['deliveries']:,} {row['outcome']}" for row in refused]
    lines = [f"Polled less often, because webhooks deliver: {', '.join(slower)}."] if slower else []
    return lines + ([f"Webhooks refused within {REFUSED_HOURS} h: {', '.join(told)}."] if told else [])


def _health(one: "Health") -> dict[str, Any]:
    """Return what ``status --format json`` says of an entity. Times are ISO 8601, durations seconds."""

    def shown(error: str | None) -> str | None:
        return None if error is None else redaction.redacted(error)

    return {
        "crm": one.crm,
        "sync_type": one.sync_type,
        "configured": one.judged,
        "healthy": one.judged and one.healthy,
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
        "last_error": shown(one.last_error),
        "last_error_at": None if one.last_error_at is None else one.last_error_at.isoformat(),
        "refusals": one.refusals,
        "refusal": shown(one.refusal),
    }
