"""``warehouse retention``: how long each kind of data is kept, what is due, and to remove it now."""

from typing import TYPE_CHECKING

import click

from warehouse_pipelines import warehouse
from warehouse_pipelines.commands.arguments import Misused, Stop, sources, unknown
from warehouse_pipelines.commands.console import out
from warehouse_pipelines.local.database import database_url

if TYPE_CHECKING:
    from warehouse_pipelines.loading.retention import Amount


@click.group()
def retention() -> None:
    """Show and remove what is past its age. The ages are orchestration.retention_policy."""


@retention.command()
def plan() -> None:
    """List each kind of data with its age, its rows, and how many of them are due; nothing is removed.

    Rows of tables are counted exactly, which reads them.
    """
    from rich.filesize import decimal
    from rich.table import Table

    from warehouse_pipelines.loading import retention as program

    with warehouse.session(database_url()) as session:
        amounts: list[Amount] = program.plan(session, list(sources().values()))
    amounts += _of_dagster(database_url())
    table = Table()
    for name in ("kind", "kept", "rows", "due", "oldest", "size", "last run", "what it is"):
        table.add_column(name, justify="right" if name in ("rows", "due", "size") else "left")
    for one in sorted(amounts, key=lambda one: one.policy.kind):
        policy = one.policy
        table.add_row(
            policy.kind,
            "for ever" if policy.keep_days is None else f"{policy.keep_days:,} days",
            f"{one.rows:,}",
            f"{one.due:,}",
            f"{one.oldest:%Y-%m-%d}" if one.oldest else "",
            "" if one.bytes is None else decimal(one.bytes),
            f"{policy.last_run:%Y-%m-%d %H:%M}" if policy.last_run else "never",
            policy.problem or policy.about,
        )
    out().print(table, markup=False)


def _of_dagster(url: str) -> "list[Amount]":
    """Return how the runs of Dagster stand."""
    import dagster as dg

    from warehouse_pipelines.local import dagster_home
    from warehouse_pipelines.orchestration import dagster_maintenance

    dagster_home.prepare()
    with dg.DagsterInstance.get() as instance:
        return dagster_maintenance.amounts(instance, url)


@retention.command()
@click.argument("kinds", nargs=-1)
def run(kinds: tuple[str, ...]) -> None:
    """Remove what is due, of all KINDS or of those that are named. Dagster does it every night.

    May be stopped at any point: what was removed is, and the next run goes on.
    """
    from warehouse_pipelines.loading import retention as program

    with warehouse.session(database_url()) as session:
        there = program.policies(session)
        for kind in kinds:
            if kind not in there:
                raise Misused(unknown("kind", kind, [*there]))
        done = [(one.kind, one.removed, one.problem) for one in program.run(
            session, list(sources().values()), only=kinds)]  # fmt: skip
    if not kinds or set(kinds) & set(program.DAGSTER):
        done.append(("dagster runs", _prune_dagster(database_url()), None))
    for kind, removed, problem in done:
        click.echo(f"{kind}: {removed:,} removed{f'; {problem}' if problem else ''}")
    if problems := [problem for _, _, problem in done if problem]:
        raise Stop(f"{len(problems)} kinds were not looked through to the end.")


def _prune_dagster(url: str) -> int:
    import dagster as dg

    from warehouse_pipelines.local import dagster_home
    from warehouse_pipelines.orchestration import dagster_maintenance

    dagster_home.prepare()
    with dg.DagsterInstance.get() as instance:
        return dagster_maintenance.prune(instance, dagster_maintenance.ages(url))["runs_deleted"]


@retention.command()
@click.argument("kind")
@click.argument("days")
def keep(kind: str, days: str) -> None:
    """Keep a KIND for so many DAYS, or `forever`."""
    from warehouse_pipelines.loading import retention as program

    number = int(days) if days.isdecimal() else 0
    if days != "forever" and not 1 <= number <= 36_500:
        raise Misused(f"{days!r} is no number of days from 1 to 36500, and not forever.")
    with warehouse.session(database_url()) as session:
        if not program.keep(session, kind, None if days == "forever" else number):
            raise Misused(unknown("kind", kind, [*program.policies(session)]))
    click.echo(f"{kind}: kept {'for ever' if days == 'forever' else f'{number:,} days'}")
