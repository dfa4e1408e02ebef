"""``warehouse outbound``: what is written back to vendors, as a plan that is shown, applied, verified, undone."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from warehouse_pipelines import warehouse
from warehouse_pipelines.commands.arguments import Misused, unknown
from warehouse_pipelines.commands.console import out
from warehouse_pipelines.local.database import database_url
from warehouse_pipelines.observability import logs

if TYPE_CHECKING:
    from warehouse_pipelines.outbound.ledger import Item, Plan
    from warehouse_pipelines.outbound.target import Target
    from warehouse_pipelines.outbound.undoing import Verdict

SHOWN = 20
PARTIAL = 3
"""Exit code where some records were not written, or do not hold."""


def complete_targets(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a target."""
    from warehouse_pipelines.outbound.targets import BY_NAME

    return [name for name in BY_NAME if name.startswith(incomplete)]


def _target(name: str) -> "Target":
    from warehouse_pipelines.commands.arguments import source_named
    from warehouse_pipelines.outbound.targets import BY_NAME

    if name not in BY_NAME:
        raise Misused(unknown("target", name, [*BY_NAME]))
    source_named(BY_NAME[name].crm).require_settings()
    return BY_NAME[name]


def _plan_of(named: str, *, sent: bool = False) -> "tuple[Target, Plan]":
    """Return a plan by its number, or the newest of a target, and that target."""
    from warehouse_pipelines.outbound import ledger

    if not ledger.is_number(named):
        _target(named)
    with warehouse.session(database_url()) as session:
        plan = ledger.plan(session, named, sent=sent)
    return _target(plan.target), plan


def me() -> str:
    from getpass import getuser

    return getuser()


@click.group()
def outbound() -> None:
    """Write back to vendors: plan, apply, verify, undo. Nothing is written without --yes."""
    logs.configure()


@outbound.command("list")
def list_() -> None:
    """List the targets, and the newest plans."""
    from rich.table import Table

    from warehouse_pipelines.outbound import ledger
    from warehouse_pipelines.outbound.targets import TARGETS

    table = Table("target", "what is written")
    for target in TARGETS:
        table.add_row(target.name, target.about)
    out().print(table)
    with warehouse.session(database_url()) as session:
        plans = ledger.plans(session)
    shown = Table("plan", "target", "status", "records")
    for plan in plans:
        target_ = plan.target if plan.undoes is None else f"{plan.target}, undoes {plan.undoes}"
        shown.add_row(str(plan.plan_id), target_, plan.status, counts(plan))
    if plans:
        out().print(shown)


def counts(plan: "Plan") -> str:
    words = [f"{number} {status}" for status, number in sorted(plan.statuses.items())]
    return ", ".join([*words, f"{plan.unchanged} unchanged"])


@outbound.command()
@click.argument("target", shell_complete=complete_targets)
@click.option("--yes", is_flag=True, help="Make it. Without it what is lacking is listed.")
def prepare(target: str, yes: bool) -> None:
    """Make the object, the properties and the associations that TARGET needs at its vendor."""
    from warehouse_pipelines.outbound.run import connected

    with connected(database_url(), _target(target)) as at_work:
        lines = at_work.prepare() if yes else at_work.partner.lacking()
    if not lines:
        click.echo("Nothing is lacking.")
        return
    click.echo("\n".join(f"{'made' if yes else 'lacking'}: {line}" for line in lines))
    if not yes:
        click.echo("Nothing was made; repeat with --yes.")


@outbound.command()
@click.argument("target", shell_complete=complete_targets)
@click.option("--show", default=SHOWN, type=click.IntRange(0), show_default=True, metavar="N", help="Records to print.")
def plan(target: str, show: int) -> None:
    """Compare what TARGET would write with what the vendor has, and write down the plan. PRINTS PERSONAL DATA."""
    from warehouse_pipelines.outbound import ledger
    from warehouse_pipelines.outbound.run import connected

    url = database_url()
    with connected(url, _target(target)) as at_work:
        made = at_work.plan(me())
    with warehouse.session(url) as session:
        items = ledger.items(session, made.plan_id, limit=show)
    show_plan(made, items)
    if made.changes:
        click.echo(f"\nNothing was written. `warehouse outbound apply {made.plan_id} --yes` does it.")


def show_plan(plan: "Plan", items: "Sequence[Item]") -> None:
    """Print a plan: how many, then record by record what was and what will be."""
    counted = {action: plan.actions.get(action, 0) for action in ("create", "update", "archive")}
    refused = sum(plan.statuses.get(one, 0) for one in ("refused", "withheld", "moved"))
    counted["update"] -= refused
    words = [f"{number} to {action}" for action, number in counted.items()]
    click.echo(
        f"Plan {plan.plan_id} of {plan.target}: {', '.join(words)}, {plan.unchanged} unchanged, {refused} refused; "
        f"{plan.kept} field(s) stay as people left them."
    )
    for item in items:
        where = item.object_id or "new"
        click.echo(f"\n{item.action} {item.source_key} ({where})" + (f": {item.reason}" if item.reason else ""))
        for name, change in item.fields.items() if item.action != "archive" else ():
            click.echo(f"    {name}: {change.old or '-'} -> {change.new or '-'}")
    if left := sum(plan.statuses.values()) - len(items):
        click.echo(f"\n... and {left} more; --show N of `warehouse outbound` prints them.")


@outbound.command()
@click.argument("plan", metavar="PLAN|TARGET", shell_complete=complete_targets)
@click.option("--yes", is_flag=True, help="Do it. Without it is told what would be done.")
@click.option("--force", is_flag=True, help="Change more records than is allowed without.")
@click.option(
    "--allow-archive", default=0, type=click.IntRange(0), metavar="N", help="Archive up to N records at the vendor."
)
@click.pass_context
def apply(ctx: click.Context, plan: str, yes: bool, force: bool, allow_archive: int) -> None:
    """Send a plan, given by its number or by its target, whose newest it is then; go on with one that was ended."""
    from warehouse_pipelines.outbound import applying
    from warehouse_pipelines.outbound.run import connected

    target, found = _plan_of(plan)
    if not yes:
        click.echo(f"Plan {found.plan_id} of {target.name} would write {found.changes} record(s); repeat with --yes.")
        if why := applying.refusal(target, found, force=force):
            click.echo(f"It would be refused: {why}")
        return
    with connected(database_url(), target) as at_work:
        done = at_work.apply(found, me(), force=force, allow_archive=allow_archive)
    tell_outcome(ctx, done)


def tell_outcome(ctx: click.Context, done: "Plan") -> None:
    click.echo(f"Plan {done.plan_id} of {done.target} is {done.status}: {counts(done)}.")
    if done.status == "partial":
        click.echo("What was not written stands in reverse_etl.plan_item with its reason.")
        ctx.exit(PARTIAL)


def _broken(verdict: "Verdict") -> str:
    """Return why what was written does not hold."""
    if verdict.record is None:
        return "the vendor has it no more"
    changed = [name for name in verdict.changed if name not in verdict.lacking]
    told = {"changed since": changed, "not as it was sent": verdict.lacking}
    return (
        "; ".join(f"{what}: {', '.join(names)}" for what, names in told.items() if names) or "the vendor has it still"
    )


@outbound.command()
@click.argument("plan", metavar="PLAN|TARGET", shell_complete=complete_targets)
@click.pass_context
def verify(ctx: click.Context, plan: str) -> None:
    """Read back what a plan wrote, and say what the vendor has now."""
    from warehouse_pipelines.outbound.run import connected

    target, found = _plan_of(plan, sent=True)
    with connected(database_url(), target) as at_work:
        verdicts = at_work.verify(found)
    broken = [one for one in verdicts if not one.holds]
    click.echo(f"Plan {found.plan_id} of {target.name}: {len(verdicts) - len(broken)} of {len(verdicts)} hold.")
    for one in broken[:SHOWN]:
        click.echo(f"    {one.receipt.object_id} ({one.receipt.source_key}): {_broken(one)}")
    if broken:
        ctx.exit(PARTIAL)


@outbound.command()
@click.argument("plan", metavar="PLAN|TARGET", shell_complete=complete_targets)
@click.option("--yes", is_flag=True, help="Do it. Without it the plan of the undo is shown.")
@click.option("--show", default=SHOWN, type=click.IntRange(0), show_default=True, metavar="N", help="Records to print.")
@click.option(
    "--give-up", is_flag=True, help="Leave what an undo that was ended has not taken back. Acts at once, without --yes."
)
@click.pass_context
def undo(ctx: click.Context, plan: str, yes: bool, show: int, give_up: bool) -> None:
    """Restore what a plan changed, unless somebody changed it since. PRINTS PERSONAL DATA."""
    from warehouse_pipelines.outbound import ledger
    from warehouse_pipelines.outbound.run import connected

    target, found = _plan_of(plan, sent=True)
    with connected(database_url(), target) as at_work:
        if give_up:
            left = at_work.give_up_undo(found, me())
            click.echo(f"Plan {left.plan_id}, the undo of plan {found.plan_id}, is {left.status}: {counts(left)}.")
            return
        made = at_work.plan_undo(found, me())
        show_plan(made, ledger.items(at_work.session, made.plan_id, limit=show))
        if not yes:
            click.echo(f"\nNothing was written. `warehouse outbound undo {found.plan_id} --yes` does it.")
            return
        done = at_work.apply(made, me())
    tell_outcome(ctx, done)
