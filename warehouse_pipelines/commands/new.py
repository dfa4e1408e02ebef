"""``warehouse new entity VENDOR/NAME``: write a new entity that works into this checkout, and say what is left to do.

    warehouse new entity demo/widgets && pytest -k demo_widgets

Of a vendor that there is not it writes the vendor too: the source, its simulator, its driver for the battery, and its
page. What is written reads a plain REST API; whoever knows the vendor replaces what is otherwise, and the battery tests
it from the first moment. A vendor that was written so gets a further entity. The others have habits of their own, so
their rows are written by hand.

Everything is checked before the first file is written, and no file that is there is overwritten. The vendor's name is
checked as ``Source`` checks it, and must be a name of Python's too, as a module is called so.
"""

import keyword
import re
from collections.abc import Mapping
from pathlib import Path
from string import Template

import click

from warehouse_pipelines.errors import WrongUse

ROOT = Path(__file__).parents[2]
"""The checkout."""

TEMPLATES = Path(__file__).parent / "templates"
SNAKE_CASE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")

FILES = {
    "source.txt": "warehouse_pipelines/sources/{vendor}.py",
    "simulator.txt": "warehouse_pipelines/simulators/{vendor}.py",
    "driver.txt": "warehouse_pipelines_tests/harness/drivers/{vendor}.py",
    "page.txt": "docs/vendors/{vendor}.md",
}
SOURCES = "warehouse_pipelines/sources/__init__.py"

NEXT = """
What is left to you:
  1. {source}: the vendor's address, columns and habits; docs/vendors/{vendor}.md says them to others.
  2. {simulator}: what the vendor's documentation says, and not what the source does.
  3. Who is in {table}, and what happened there: a row in unified/people_rows.py and in unified/marts/activity_rows.py,
     or in NOT_PEOPLE and NO_ACTIVITIES the reason why there is none. Two tests ask for it.
  4. python -m warehouse_pipelines.commands.docs; the vendor's line in README.md; then `./run test -k {table}`."""


@click.group("new")
def new() -> None:
    """Write new code into this checkout: an entity, and its vendor."""


@new.command("entity")
@click.argument("path", metavar="VENDOR/NAME")
def entity(path: str) -> None:
    """Write a new entity that works, and its vendor where there is none of that name.

    VENDOR is in lower case letters and digits, such as homedepot, and NAME in snake_case. Afterwards
    `pytest -k VENDOR_NAME` tests it.
    """
    words = _words(path)
    written = write(ROOT, words)
    for file in written:
        click.echo(f"wrote {file}")
    click.echo(NEXT.format(
        vendor=words["vendor"], table=words["table"], source=FILES["source.txt"].format(**words),
        simulator=FILES["simulator.txt"].format(**words),
    ))  # fmt: skip


def _words(path: str) -> Mapping[str, str]:
    """Return what stands in the templates. Raises ``WrongUse`` for names that cannot be used."""
    from warehouse_pipelines.model.source import NAME  # which imports pydantic

    vendor, _, name = path.partition("/")
    if (
        not (NAME.fullmatch(vendor) and vendor.isidentifier() and SNAKE_CASE.fullmatch(name))
        or keyword.iskeyword(vendor)
        or keyword.iskeyword(name)
    ):
        raise WrongUse(
            "An entity is written as VENDOR/NAME, VENDOR in lower case letters and digits and NAME in snake_case, such "
            f"as homedepot/store_orders; not {path!r}"
        )
    table = f"{vendor}_{name}"
    if len(table) > 50:
        raise WrongUse(f"The table {table} has a name of more than 50 characters")
    return {
        "vendor": vendor, "VENDOR": vendor.upper(), "Title": vendor.title(), "entity": name, "ENTITY": name.upper(),
        "table": table, "About": name.replace("_", " ").capitalize(),
    }  # fmt: skip


def write(root: Path, words: Mapping[str, str]) -> list[str]:
    """Write the files, and return their names. Raises ``WrongUse`` where they cannot be written."""
    if not (root / "warehouse_pipelines_tests").is_dir():
        raise WrongUse(f"{root} is no checkout of this project: clone it, and run the command there.")
    source = root / FILES["source.txt"].format(**words)
    if source.exists() or (source.parent / words["vendor"]).exists():
        changed = _further_entity(root, words)
    else:
        changed = _vendor(root, words)
    for file, text in changed.items():
        (root / file).write_text(text, encoding="utf-8")
    return list(changed)


def _vendor(root: Path, words: Mapping[str, str]) -> dict[str, str]:
    """Return the files of a new vendor with their texts."""
    row = _filled("row.txt", words).rstrip()
    files = {place.format(**words): _filled(name, {**words, "row": row}) for name, place in FILES.items()}
    if there := [file for file in files if (root / file).exists()]:
        raise WrongUse(f"{', '.join(there)} is there already; take it away, or choose another name")
    listed = (root / SOURCES).read_text(encoding="utf-8")
    imported = f"from warehouse_pipelines.sources.{words['vendor']} import {words['VENDOR']}\n"
    lines = listed.splitlines(keepends=True)
    ours = [place for place, line in enumerate(lines) if line.startswith("from warehouse_pipelines.sources.")]
    place = next((place for place in ours if lines[place] > imported), ours[-1] + 1)
    lines.insert(place, imported)
    end = lines.index(")\n", lines.index("DECLARED: tuple[Source, ...] = (\n"))
    lines.insert(end, f"    {words['VENDOR']},\n")
    return {**files, SOURCES: "".join(lines)}


def _further_entity(root: Path, words: Mapping[str, str]) -> dict[str, str]:
    """Return the source and the simulator with one entity more."""
    source, simulator = (FILES[name].format(**words) for name in ("source.txt", "simulator.txt"))
    if not all((root / file).is_file() for file in (source, simulator)) or "\nROUTES = (" not in (
        text := (root / simulator).read_text(encoding="utf-8")
    ):
        raise WrongUse(
            f"{words['vendor']} is a vendor with habits of its own: write the row by hand (CONTRIBUTING, Add an entity)"
        )
    declared = (root / source).read_text(encoding="utf-8")
    if f'name="{words["entity"]}"' in declared:
        raise WrongUse(f"{words['vendor']} has an entity {words['entity']} already")
    row = _filled("row.txt", words)
    declared = declared.replace(f"\n{words['VENDOR']} = Source(", f"\n{row}\n{words['VENDOR']} = Source(", 1)
    declared = re.sub(r"(    entities=\(.*?),?\),\n", rf"\1, {words['ENTITY']}),\n", declared, count=1)
    text = re.sub(r"(\nROUTES = \(.*?),?\)\n", rf'\1, "{words["entity"]}")\n', text, count=1)
    page = f"docs/vendors/{words['vendor']}.md"
    told = (root / page).read_text(encoding="utf-8")
    told = re.sub(
        r"((?:\| `\w+` \| `GET /\w+` \|\n)+)", rf"\1| `{words['entity']}` | `GET /{words['entity']}` |\n", told
    )
    return {source: declared, simulator: text, page: told}


def _filled(name: str, words: Mapping[str, str]) -> str:
    return Template((TEMPLATES / name).read_text(encoding="utf-8")).substitute(words)
