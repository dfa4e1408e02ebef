"""``warehouse ask``: the questions of ``unified.answers``, with their SQL and what they find."""

import json
from typing import TYPE_CHECKING

import click

from warehouse_pipelines import warehouse
from warehouse_pipelines.commands.arguments import Misused, unknown
from warehouse_pipelines.commands.console import out
from warehouse_pipelines.local.database import database_url

if TYPE_CHECKING:
    from rich.table import Table

    from warehouse_pipelines.unified.answers import Found


def complete_questions(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a question."""
    from warehouse_pipelines.unified.answers import NAMES

    return [name for name in NAMES if name.startswith(incomplete)]


@click.command()
@click.argument("name", required=False, shell_complete=complete_questions)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def ask(name: str | None, form: str) -> None:
    """Answer a question of the business, with the SQL that does; without NAME, list them. PRINTS PERSONAL DATA.

    The answers are as new as the last run of the job `unify`, or of `warehouse marts`.
    """
    from warehouse_pipelines.unified import answers

    known = answers.answers()
    if name is None:
        for one in known.values():
            click.echo(f"{one.name:<15}{one.question}")
        return
    if name not in known:
        raise Misused(unknown("question", name, [*known]))
    with warehouse.session(database_url()) as session:
        found = answers.ask(session, name)
    if form == "json":
        click.echo(json.dumps([dict(row) for row in found.rows], default=str, indent=1))
        return
    click.echo(f"{known[name].question}\n")
    click.echo("\n".join(f"    {line}" for line in known[name].select.splitlines()))
    show(found)


def show(found: "Found", title: str = "") -> None:
    """Print what was found as a table; a line that wraps can be read, a figure cut off cannot."""
    console = out()
    shown = table(found, title)
    if not found.rows:
        click.echo("\nNothing." if not title else f"\n{title}: nothing.")
        return
    width = console.measure(shown, options=console.options.update(width=1000)).maximum
    console.width = max(console.width, width)
    console.print(shown)


def table(found: "Found", title: str = "") -> "Table":
    """Return what was found as a table for a terminal."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    shown = Table(title=escape(title) or None, title_justify="left", box=box.SIMPLE_HEAD)
    for column in found.columns:
        shown.add_column(column.replace("_", " "), justify="right" if column in found.numbers else "left", no_wrap=True)
    for cells in found.cells():
        shown.add_row(*map(escape, cells))
    return shown
