"""``warehouse erase`` and ``warehouse export-person``: what the law lets a person ask for."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from warehouse_pipelines import warehouse
from warehouse_pipelines.commands.arguments import Misused, options
from warehouse_pipelines.commands.console import out
from warehouse_pipelines.local.database import database_url
from warehouse_pipelines.observability import logs

if TYPE_CHECKING:
    from warehouse_pipelines.unified.erasing.erasure import Certificate
    from warehouse_pipelines.unified.erasing.subject import By
    from warehouse_pipelines.warehouse import Session

whom = options(
    click.option("--email", help="Who has this e-mail address."),
    click.option("--phone", help="Who has this phone number."),
    click.option("--person", metavar="ID", help="The person of this id (identity.person)."),
)


def _asked(email: str | None, phone: str | None, person: str | None) -> "tuple[By, str] | None":
    all_: list[tuple[By, str | None]] = [("email", email), ("phone", phone), ("person", person)]
    given = [(by, value) for by, value in all_ if value]
    if len(given) > 1:
        raise Misused("Give one of --email, --phone and --person.")
    return given[0] if given else None


def _one_person(session: "Session", by: "By", value: str) -> list[Any]:
    """Return the id of the person that is meant, in a list; none when identity knows nobody."""
    from warehouse_pipelines.unified.erasing.subject import persons

    found = persons(session, by, value)
    if len(found) > 1:
        lines = [
            f"  {row['person_id']}  {row['kind']}, {row['display_name'] or 'without a name'}, "
            f"{row['record_count']} records in {', '.join(row['source_tables'])}"
            for row in found
        ]
        raise Misused("Several persons have it; say which by --person:\n" + "\n".join(lines))
    return [row["person_id"] for row in found]


@click.command()
@whom
@click.option("--yes", is_flag=True, help="Do it. Without it the plan is shown and nothing is changed.")
@click.option("--proposals", is_flag=True, help="List the records that their vendor deleted for good.")
@click.option("--force", is_flag=True, help="Erase the proposals though they are many.")
@click.option("--dismiss", metavar="TABLE:KEY", help="Decide against a proposal.")
@click.option("--by", "who", help="Who erases, for the certificate (default: the user of this machine).")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def erase(
    email: str | None, phone: str | None, person: str | None, yes: bool, proposals: bool, force: bool,
    dismiss: str | None, who: str | None, form: str,
) -> None:  # fmt: skip
    """Erase a person from every table, log and list; without --yes show the plan.

    Amounts, times and statuses stay, and so does the block on calls to the number. Later syncs do not bring the person
    back. See docs/erasure.md for what it does not reach, such as backups.

    \b
    warehouse erase --email jo@example.com            the plan
    warehouse erase --email jo@example.com --yes      the erasure, and its certificate
    warehouse erase --proposals                       records that their vendor deleted for good
    warehouse erase --proposals --yes                 erase them all, unless they are many: then with --force
    """
    from getpass import getuser

    from warehouse_pipelines.commands.runner import require_database
    from warehouse_pipelines.unified.erasing import erasure
    from warehouse_pipelines.unified.erasing import proposals as erasure_proposals
    from warehouse_pipelines.unified.erasing.files import places

    logs.configure()
    asked = _asked(email, phone, person)
    if [asked is not None, proposals, dismiss is not None].count(True) != 1:
        raise Misused("Say whom: give one of --email, --phone, --person, --proposals and --dismiss.")
    url, by_whom = database_url(), who or getuser()
    require_database(url)
    with warehouse.session(url) as session:
        if dismiss is not None:
            erasure_proposals.dismiss(session, dismiss, by_whom)
            click.echo(f"Dismissed the proposal of {dismiss}.")
        elif proposals:
            erasure_proposals.find(session)
            _show_proposals(erasure_proposals.waiting(session), form)
            if yes:
                for done in erasure_proposals.erase_all(session, by=by_whom, places=places(), force=force):
                    _show(done, form, done_=True)
        elif asked is not None:
            ids = _one_person(session, *asked)
            if yes:
                _show(erasure.erase(session, *asked, ids, erased_by=by_whom, places=places()), form, done_=True)
            else:
                _show(erasure.plan(session, *asked, ids, places()), form, done_=False)


def _show_proposals(found: list[dict[str, Any]], form: str) -> None:
    if form == "json":
        click.echo(json.dumps(found, indent=1, default=str))
        return
    if not found:
        click.echo("There are no proposals.")
    for row in found:
        of = f"person {row['person_id']}, {row['record_count']} records" if row["person_id"] else "no person"
        click.echo(f"{row['source_table']}:{row['source_key']}  {row['found_at']:%Y-%m-%d}  {of}: {row['reason']}")


SAID: Mapping[str, str] = {
    "empty": "emptied", "delete": "deleted", "replace": "[erased] in its place", "erase": "erased",
    "hash": "number kept as a hash",
}  # fmt: skip


def _show(done: "Certificate", form: str, *, done_: bool) -> None:
    if form == "json":
        from dataclasses import asdict

        click.echo(json.dumps({**asdict(done), "rows": done.rows, "done": done_}, indent=1, default=str))
        return
    if done.nothing:
        click.echo("There is nothing of this person.")
        return
    from rich.table import Table

    table = Table("table", "what", "columns")
    table.add_column("rows", justify="right")
    for part in done.parts:
        names = ", ".join(part.columns[:6]) + (f" and {len(part.columns) - 6} more" if len(part.columns) > 6 else "")
        table.add_row(part.table, SAID[part.action], names or "all", f"{part.rows:,}")
    for file in done.files:
        table.add_row(file.path, file.done, "lines", f"{file.found:,}")
    out().print(table, markup=False)
    if done.shared:
        click.echo(f"{done.shared} addresses or numbers are others' too, and stay with them.")
    for left in done.left:
        click.echo(f"{'Left' if done_ else 'Would be left'}: {left.rows} rows of {left.table}: {left.why}.")
    if done_:
        still = "something is left, see above" if any(one.why != "another person's" for one in done.left) else "nothing"
        click.echo(
            f"Erased: {done.rows:,} rows. Searched again: {still}. Certificate {done.number} (identity.erasure)."
        )
    else:
        click.echo(f"The plan: {done.rows:,} rows. Nothing was changed; the same with --yes does it.")


@click.command("export-person")
@whom
@click.option("--output", "target", type=click.Path(path_type=Path), help="A new file (default: standard output).")
def export_person(email: str | None, phone: str | None, person: str | None, target: Path | None) -> None:
    """Export all that is known of a person as JSON. THIS PRINTS PERSONAL DATA.

    A file is readable by its owner only, and is not overwritten if it is there.
    """
    from warehouse_pipelines.commands.runner import require_database
    from warehouse_pipelines.unified.erasing import export

    logs.configure()
    asked = _asked(email, phone, person)
    if asked is None:
        raise Misused("Say whom: give one of --email, --phone and --person.")
    url = database_url()
    require_database(url)
    with warehouse.session(url) as session:
        document = export.person(session, *asked, _one_person(session, *asked))
    if not any(document[part] for part in ("persons", "records", "leads", "do_not_call", "elsewhere")):
        raise Misused("There is nothing of this person.")
    text = json.dumps(document, indent=1, default=str, ensure_ascii=False)
    if target is None:
        sys.stdout.write(f"{text}\n")
        return
    try:
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(f"{text}\n")
    except FileExistsError:
        raise Misused(f"{target} is there already; name a new file.") from None
    click.echo(f"Written to {target}.")
