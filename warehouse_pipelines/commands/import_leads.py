"""``warehouse import``: a CSV or Excel file of leads into the CRM, the list of such imports, and how to undo one."""

import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from warehouse_pipelines import warehouse
from warehouse_pipelines.commands.console import err, out
from warehouse_pipelines.local.database import database_url

if TYPE_CHECKING:
    from rich.table import Table

    from warehouse_pipelines.unified.lead_import.columns import ColumnMap
    from warehouse_pipelines.unified.lead_import.preview import Preview
    from warehouse_pipelines.unified.lead_import.table_file import LeadFile

PARTIAL, CANCELLED = 3, 130


@click.group("import")
def import_group() -> None:
    """Import files of leads, list the imports, undo one. docs/import-leads.md says more."""


@import_group.command("leads")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--map", "maps", multiple=True, metavar='"HEADER=FIELD"',
              help="What a column is; FIELD `ignore` leaves it out. Repeat it for several.")  # fmt: skip
@click.option("--preview", "only_preview", is_flag=True, help="Show which column goes where, and import nothing.")
@click.option("--sheet", help="The sheet of a workbook that has several.")
@click.option("--encoding", help="How a text is encoded, where that is not seen.")
@click.option("--header-row", type=click.IntRange(1), help="The row that has the headers, where it is not found.")
@click.option("--no-header", is_flag=True, help='There are no headers: columns are called "Column 1" and so on.')
@click.option("--source", default="import", show_default=True, help="The source of leads whose row names none.")
@click.option("--overwrite", is_flag=True, help="Where the file and a lead differ, take the file's value.")
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False),
              help="Where the report goes; otherwise beside FILE.")  # fmt: skip
def leads(
    file: Path,
    maps: tuple[str, ...],
    only_preview: bool,
    sheet: str | None,
    encoding: str | None,
    header_row: int | None,
    no_header: bool,
    source: str,
    overwrite: bool,
    report: Path | None,
) -> None:
    """Import FILE, a CSV or Excel file, into crm.leads.

    The first lines show which column goes where. A row whose person is there already adds what is missing. An import
    that was broken off goes on where it was by the same command; a file that was imported changes nothing.
    """
    from getpass import getuser

    from warehouse_pipelines import settings
    from warehouse_pipelines.unified.lead_import import columns, run
    from warehouse_pipelines.unified.lead_import import preview as previews
    from warehouse_pipelines.unified.lead_import import report as reports
    from warehouse_pipelines.unified.lead_import.opening import open_file

    opened = open_file(file, sheet=sheet, encoding=encoding)
    mapping = columns.mapped(opened, maps, header_row=header_row, no_header=no_header)
    _show_preview(opened, mapping, previews.preview(opened, mapping))
    if only_preview:
        return
    organization_id = settings.settings().crm_organization_id
    options = run.Options(organization_id, getuser(), source.strip() or "import", overwrite)
    rows_read = 0

    def progress(rows: int) -> None:
        nonlocal rows_read
        rows_read = rows
        if err().is_terminal:
            click.echo(f"\rrow {rows:,}", err=True, nl=False)

    with warehouse.session(database_url()) as session:
        try:
            with _stoppable():
                done = run.import_file(session, opened, mapping, options, progress=progress)
        except KeyboardInterrupt:
            click.echo(f"\nCancelled after row {rows_read:,}. The same command goes on from there.", err=True)
            sys.exit(CANCELLED)
        if err().is_terminal:
            click.echo("\r", err=True, nl=False)
        path = report or reports.default_path(file, done.id)
        telling = reports.telling(session, organization_id, done.id)
        if done.already_at is None or report:
            reports.write(session, organization_id, done.id, path)
    if done.already_at is not None:
        when = f"{done.already_at:%Y-%m-%d %H:%M} UTC"
        out().print(f"This file was imported on {when}, as {str(done.id)[:8]}; nothing was changed.", soft_wrap=True)
    else:
        _show_outcome(done, telling)
    if done.already_at is None or report:
        out().print(f"Each row is in {path}", soft_wrap=True, highlight=False, markup=False)
    out().print(f"To undo it: warehouse import undo {str(done.id)[:8]}", highlight=False)
    sys.exit(PARTIAL if (done.refused or done.unread) and done.already_at is None else 0)


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Let SIGTERM end the block as ctrl-c does."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _show_preview(file: "LeadFile", mapping: "ColumnMap", found: "Preview") -> None:
    from rich.markup import escape

    console = out()
    where = f"headers in row {mapping.header_row}" if mapping.header_row else "no headers"
    console.print(f"{file.path.name}: {file.about.form}; {where}", soft_wrap=True, markup=False, highlight=False)
    for remark in file.about.remarks:
        console.print(f"Note: {remark}.", soft_wrap=True, markup=False, highlight=False)
    table = _table("column", "header", "goes to", "filled", "for example")
    for column in mapping.columns:
        goes = column.field or f"[yellow]left out: {escape(column.why)}[/]"
        filled = f"{found.filled[column.place]:,} of {found.rows_looked_at:,}"
        table.add_row(
            str(column.place), escape(column.header), goes, filled, escape(found.examples.get(column.place, ""))
        )
    console.print(table)
    used = [column for column in mapping.columns if column.field]
    rows = _table("row", *(str(column.field) for column in used), "remark")
    for number, cells, said in found.rows:
        rows.add_row(str(number), *map(escape, cells), escape(said))
    console.print(rows)
    looked = f"the first {found.rows_looked_at:,} rows" if found.more else f"{found.rows_looked_at:,} rows"
    if found.unread:
        console.print(f"What is below cannot be read: {found.unread}", soft_wrap=True, markup=False, highlight=False)
    for said, count in found.refused.most_common(5):
        console.print(f"Of {looked} {count:,} will be refused: {said}.", soft_wrap=True, markup=False, highlight=False)
    for said, count in found.remarks.most_common(5):
        console.print(f"Of {looked} {count:,}: {said}.", soft_wrap=True, markup=False, highlight=False)


def _table(*names: str) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for name in names:
        table.add_column(name, justify="right" if name in {"row", "rows", "first row", "column", "filled"} else "left")
    return table


def _show_outcome(done: Any, telling: list[dict[str, Any]]) -> None:
    from rich.markup import escape

    console = out()
    if done.resumed_after:
        console.print(f"Continued after row {done.resumed_after:,}; the figures are of the whole file.")
    table = _table("created", "updated", "duplicates", "refused")
    table.add_row(*(f"{count:,}" for count in (done.created, done.updated, done.duplicates, done.refused)))
    console.print(table)
    if done.unread:
        row, why = done.unread
        said = f"Row {row:,} and all below it were not read: {why} The same command tries again from there."
        console.print(said, soft_wrap=True, markup=False, highlight=False)
    if telling:
        rows = _table("rows", "outcome", "first row", "its lead", "remarks")
        for row in telling:
            same = f" (as row {row['same_as_row']})" if row["same_as_row"] else ""
            lead = f"{row['lead_id'] or ''}{same}"
            said = escape("; ".join(row["remarks"]))
            rows.add_row(f"{row['rows']:,}", row["outcome"], str(row["first_row"]), lead, said)
        console.print(rows)


@import_group.command("list")
def list_imports() -> None:
    """List the newest imports: what came of them, and the id to undo them by."""
    from rich.markup import escape

    from warehouse_pipelines import settings
    from warehouse_pipelines.unified.lead_import import undo as undoing

    with warehouse.session(database_url()) as session:
        found = undoing.imports(session, settings.settings().crm_organization_id)
    if not found:
        click.echo("Nothing was imported yet.")
        return
    table = _table("id", "file", "status", "begun", "by", "rows read", "created", "updated", "duplicates", "refused")
    for row in found:
        name = f"{row['file_name']} ({row['sheet']})" if row["sheet"] else row["file_name"]
        status = "unfinished" if row["status"] == "running" else row["status"]
        counts = (f"{row[count]:,}" for count in ("rows_read", "created", "updated", "duplicates", "refused"))
        begun = f"{row['started_at']:%Y-%m-%d %H:%M}"
        table.add_row(row["id"][:8], escape(name), status, begun, escape(row["started_by"]), *counts)
    out().print(table)


@import_group.command()
@click.argument("id_", metavar="ID")
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False), help="Write what was done, row by row.")
def undo(id_: str, report: Path | None) -> None:
    """Undo the import of this ID, or of these first characters of it.

    Leads that it made are deleted, and fields that it changed are put back, unless somebody worked on them since. What
    was left is said. The do-not-call list is never shortened.
    """
    from getpass import getuser

    from warehouse_pipelines import settings
    from warehouse_pipelines.unified.lead_import import report as reports
    from warehouse_pipelines.unified.lead_import import undo as undoing

    organization_id = settings.settings().crm_organization_id
    with warehouse.session(database_url()) as session:
        found = undoing.find(session, organization_id, id_)
        done = undoing.undo(session, organization_id, found["id"], by=getuser())
        if report:
            reports.write(session, organization_id, done.id, report)
    console = out()
    console.print(
        f"Undone: {done.deleted:,} leads deleted, {done.put_back:,} put back, {done.partly:,} put back in part.",
        highlight=False,
    )
    for why, count in sorted(done.left.items()):
        console.print(f"Left as it is, {count:,}: {why}.", soft_wrap=True, highlight=False, markup=False)
    if report:
        console.print(f"Each row is in {report}", soft_wrap=True, highlight=False, markup=False)
