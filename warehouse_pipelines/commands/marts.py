"""``warehouse marts``: bring what the business asks up to date. Runs the Dagster job that the UI launches."""

import json
from typing import Any

import click

from warehouse_pipelines.commands.arguments import Misused, Stop, unknown
from warehouse_pipelines.commands.console import out
from warehouse_pipelines.local.database import database_url
from warehouse_pipelines.observability import logs


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--full", is_flag=True, help="Compute everything again; the result is that of the runs before.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Of the output."
)
def marts(names: tuple[str, ...], full: bool, form: str) -> None:
    """Bring the marts, or those of NAME, up to date with identity, crm and the sources."""
    from warehouse_pipelines.unified.marts.rows import BY_NAME

    for name in names:
        if name not in BY_NAME:
            raise Misused(unknown("mart", name, list(BY_NAME)))
    done = _run(names or tuple(BY_NAME), full=full)
    if form == "json":
        click.echo(json.dumps(done, default=str, indent=1))
        return
    from rich.table import Table

    shown = Table("mart", "rows", "inserted", "updated", "deleted", "seconds")
    for one in done:
        # The rows of a large mart are not counted for this.
        rows = f"{one['rows']:,}" if "rows" in one else f"about {one['estimated_rows']:,}"
        counts = [f"{one[name]:,}" for name in ("inserted", "updated", "deleted")]
        shown.add_row(one["name"], rows, *counts, f"{one['seconds']:.1f}")
    out().print(shown)


def _run(names: tuple[str, ...], *, full: bool) -> list[dict[str, Any]]:
    """Run the job in this process and return what it did with each mart. Raises ``Stop`` when it fails."""
    from warehouse_pipelines.commands.runner import Runner
    from warehouse_pipelines.orchestration.marts import JOB, step_name
    from warehouse_pipelines.unified.marts.rows import BY_NAME

    logs.configure()
    runner = Runner(url=database_url())
    try:
        options = {step_name(BY_NAME[name]): {"config": {"full": full}} for name in names}
        done = runner.execute(JOB, {"ops": options}, [BY_NAME[name].table for name in names])
    finally:
        runner.close()
    if (why := done.failure()) is not None:
        raise Stop(f"{JOB} failed: {why}")
    return done.materializations()
