"""``warehouse identity`` and ``warehouse feed``: who is who, what waits for a decision, and the leads that follow.

A run is the Dagster job that the UI launches, so the UI shows it. What people decide is written at once; the next run
acts on it, and ``--run`` runs at once.
"""

import json
from collections.abc import Callable
from getpass import getuser
from typing import TYPE_CHECKING, Any

import click

from warehouse_pipelines import warehouse
from warehouse_pipelines.commands.arguments import Stop, options
from warehouse_pipelines.commands.console import out
from warehouse_pipelines.local.database import database_url
from warehouse_pipelines.observability import logs

if TYPE_CHECKING:
    from warehouse_pipelines.unified.identity.decisions import Decision
    from warehouse_pipelines.warehouse import Session

IDENTITY_JOB, FEED_JOB = "resolve_identity_job", "feed_crm_job"
STEPS = {IDENTITY_JOB: "resolve_identity", FEED_JOB: "feed_crm"}

full_option = click.option("--full", is_flag=True, help="Everything again; the result is that of the runs before.")
chosen_form = click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Of the output."
)


@click.group("identity")
def identity_group() -> None:
    """Decide who is who among the records of all CRMs. docs/identity.md explains how."""


@identity_group.command("run")
@full_option
@chosen_form
def run_identity(full: bool, form: str) -> None:
    """Resolve what has changed since the last run, or everything."""
    _show(_run(IDENTITY_JOB, full=full), form)


@click.command()
@full_option
@chosen_form
def feed(full: bool, form: str) -> None:
    """Bring the people into crm.leads, with consent, do-not-call entries, costs and scores."""
    _show(_run(FEED_JOB, full=full), form)


@identity_group.command()
@click.argument("a")
@click.argument("b")
def explain(a: str, b: str) -> None:
    """Say why A and B (each TABLE:KEY, or a person's id) are, or are not, one person. PRINTS PERSONAL DATA."""
    from warehouse_pipelines.unified.identity import explain as explanation

    with warehouse.session(database_url()) as session:
        click.echo(explanation.explain(session, a, b))


@identity_group.command()
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="At most so many pairs.")
@chosen_form
def review(limit: int, form: str) -> None:
    """List the pairs that wait for a decision, the likeliest first. Decide with confirm or reject."""
    from warehouse_pipelines.unified.identity import reviews

    with warehouse.session(database_url()) as session:
        total, waiting = reviews.waiting(session, limit)
    if form == "json":
        click.echo(json.dumps({"waiting": total, "pairs": waiting}, default=str, indent=1))
        return
    if not waiting:
        click.echo("No pair waits for a decision.")
        return
    from rich.table import Table

    shown = Table("A", "B", "score", "why it was not decided", "evidence")
    for pair in waiting:
        shown.add_row(
            f"{pair['a_table']}:{pair['a_key']}",
            f"{pair['b_table']}:{pair['b_key']}",
            f"{pair['score']:.1f}",
            pair["reason"],
            pair["evidence"],
        )
    out().print(shown, markup=False)
    click.echo(f"{total:,} pairs wait" + (f"; these are the first {len(waiting):,}." if total > len(waiting) else "."))


@identity_group.command()
@click.option("--train", is_flag=True, help="Train new weights of the records first, and resolve everything with them.")
def judge(train: bool) -> None:
    """Make people of all records a second time, by Splink and DuckDB, and compare. Exit code 1 when they differ.

    Needs the extra `identity`.
    """
    from warehouse_pipelines.unified.identity import rebuild

    logs.configure()
    with warehouse.session(database_url()) as session:
        if train:
            click.echo(f"Weights: version {rebuild.train(session).version}.")
    if train:
        _show(_run(IDENTITY_JOB, full=True), "text")
    with warehouse.session(database_url()) as session:
        found = rebuild.judge(session)
    click.echo(f"{found.pairs:,} pairs, {found.persons:,} persons, {found.differing:,} groups that one lane alone has.")
    for lane, members in found.differences:
        click.echo(f"- {lane}: {', '.join(':'.join(name) for name in members)}")
    if not found.agrees:
        raise Stop("The two ways of resolving do not agree.")


decided = options(
    click.option("--reason", help="Why; it is kept with the decision."),
    click.option("--by", help="Who decides (default: the user of this machine)."),
    click.option("--run", "at_once", is_flag=True, help="Resolve at once; otherwise the next run acts on it."),
)


@identity_group.command()
@click.argument("a")
@click.argument("b")
@decided
def confirm(a: str, b: str, reason: str | None, by: str | None, at_once: bool) -> None:
    """Decide that A and B are one person. A record is TABLE:KEY, a person its id."""
    from warehouse_pipelines.unified.identity import decisions

    _decide(at_once, lambda session: [decisions.confirm(session, a, b, by=by or getuser(), reason=reason)])


@identity_group.command()
@click.argument("a")
@click.argument("b")
@decided
def reject(a: str, b: str, reason: str | None, by: str | None, at_once: bool) -> None:
    """Decide that A and B are two people. A record is TABLE:KEY, a person its id."""
    from warehouse_pipelines.unified.identity import decisions

    _decide(at_once, lambda session: [decisions.reject(session, a, b, by=by or getuser(), reason=reason)])


@identity_group.command()
@click.argument("record")
@decided
def split(record: str, reason: str | None, by: str | None, at_once: bool) -> None:
    """Decide that RECORD, a TABLE:KEY, is none of those that it is one person with."""
    from warehouse_pipelines.unified.identity import decisions

    _decide(at_once, lambda session: decisions.split(session, record, by=by or getuser(), reason=reason))


@identity_group.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True, type=click.IntRange(1))
@click.option("--run", "at_once", is_flag=True, help="Resolve at once; otherwise the next run acts on it.")
def withdraw(ids: tuple[int, ...], at_once: bool) -> None:
    """Take decisions back. What they joined or kept apart is as if they had not been made."""
    from warehouse_pipelines.unified.identity import decisions

    _decide(at_once, lambda session: decisions.withdraw(session, ids), " is taken back")


def _decide(at_once: bool, decide: "Callable[[Session], list[Decision]]", what: str = "") -> None:
    with warehouse.session(database_url()) as session:
        made = decide(session)
    for one in made:
        verdict = {"same": "one person", "apart": "two people"}[one.verdict]
        click.echo(f"Decision {one.decision_id}{what}: {':'.join(one.a)} and {':'.join(one.b)} are {verdict}.")
    if at_once:
        _show(_run(IDENTITY_JOB, full=False), "text")
    else:
        click.echo("The next run acts on it: `warehouse identity run`.")


def _run(job: str, *, full: bool) -> dict[str, Any]:
    """Run the job in this process and return the summary of its step. Raises ``Stop`` when it fails."""
    from warehouse_pipelines.commands.runner import Runner

    logs.configure()
    runner = Runner(url=database_url())
    try:
        done = runner.execute(job, {"ops": {STEPS[job]: {"config": {"full": full}}}})
    finally:
        runner.close()
    if (why := done.failure()) is not None:
        raise Stop(f"{job} failed: {why}")
    return done.metadata()


def _show(summary: dict[str, Any], form: str) -> None:
    if form == "json":
        click.echo(json.dumps(summary, default=str, indent=1))
        return
    for name, value in summary.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {part}" for key, part in value.items())  # noqa: PLW2901
        click.echo(f"{name.replace('_', ' '):<22}{value:,}" if isinstance(value, int) else f"{name:<22}{value}")
