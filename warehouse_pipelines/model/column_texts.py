"""What columns mean: the one source of texts for the UI's column schema and for ``COMMENT ON COLUMN``.

``text`` says what a value is, in which unit, and where in the vendor's record it comes from. What it is, is written by
hand in ``meanings/``: ``any.toml`` by name of column for all tables, ``<crm>.toml`` by column for all tables of a CRM
and, under the table's full name, for one table. The most particular one counts. ``[kinds]`` of a CRM is added to all
columns of a kind, such as the zone of times that the vendor sends without one. Where nothing is written the name is
read (``column_names``), so that a new row has texts at once.

Add a line to ``meanings/`` where the text that ``python -m warehouse_pipelines.commands.docs`` writes says nothing. A
meaning begins a sentence and has no full stop; ``{thing}`` in it is what a row is. It says a unit and allowed values
only where they are documented. Quote with ``'`` where the text has none: such strings are read eight times as fast.
"""

import functools
import tomllib
from collections.abc import Mapping
from pathlib import Path

from warehouse_pipelines.model.column_names import derived, spoken
from warehouse_pipelines.model.entity import Entity

MEANINGS = Path(__file__).with_name("meanings")

KEPT: Mapping[str, str] = {
    "raw_data": "The record as the vendor sent it, with all that has no column.",
    "archived": "Whether the row is a tombstone: the vendor has the record no more, or calls it deleted.",
    "deleted_at": "Since when the row is a tombstone: the vendor's time where it tells one, else that of the run.",
    "delete_reason": "Why it is a tombstone: `archived`, `merged into <key>`, `erased` or `missing` (entities.md).",
    "sync_hash": "Hash of the record and of its declaration; equal means that nothing changed.",
    "sync_created_at": "When the row was first loaded here.",
    "sync_updated_at": "When the row was last written here; a run that finds nothing changed leaves it.",
    "custom_properties": "Members of the record that have no column of their own, by their names at the vendor.",
    "source_edited_at": "When others than the warehouse last edited the record; null: see `source_updated_at`.",
}
"""The columns that every table has, the one that holds undeclared members, and when a record was edited by others."""


@functools.cache
def written(crm: str) -> Mapping[str, Mapping[str, str]]:
    """Return what is written of a CRM, or of ``any``: by table, and under ``""`` for all of its tables.

    A CRM without a file has nothing written.
    """
    path = MEANINGS / f"{crm}.toml"
    document = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    tables = {name: value for name, value in document.items() if isinstance(value, dict)}
    return {"": {name: value for name, value in document.items() if name not in tables}, **tables}


RENAMED = "Renamed from `{}` (config/columns.toml)."
"""The end of the text of a column that the installation renamed; a migration finds there what a column was called."""

HASHED = "; kept here as a hash of it"
"""What the text of a column says that the installation hashes; a load finds there what it must not store in clear."""

DROPPED = "Not kept here: {} (config/columns.toml)."
"""The end of the text of a table of which the installation drops columns; a load finds there what it must not store."""


def of_table(entity: Entity) -> str:
    """Return what a row of the table is, and which columns are dropped."""
    names = ", ".join(f"`{name}`" for name in sorted(entity.local.dropped))
    return f"{entity.about} {DROPPED.format(names)}".strip() if names else entity.about


def text(entity: Entity, name: str) -> str:
    """Return what a column means, in which unit, where it comes from, and what it was called before a rename."""
    said = _text(entity, name)
    return f"{said} {RENAMED.format(entity.local.renamed[name])}" if name in entity.local.renamed else said


def _text(entity: Entity, name: str) -> str:
    if name in KEPT and name not in entity.columns:
        return KEPT[name]
    if name in entity.e164:
        return f"`{entity.e164[name]}` in E.164, by which numbers of all sources can be joined; null where it is none."
    if name in entity.source_times:
        did = "created" if name == "source_created_at" else "last edited"
        return f"When the record was {did} at the vendor, by one name in all tables: `{entity.source_times[name]}`."
    return f"{meaning(entity, name)}. {origin(entity, name)}"


def meaning(entity: Entity, name: str) -> str:
    """Return the first sentence, without its end."""
    kind = entity.columns[name].kind
    phrase = by_hand(entity, name) or derived(name, kind, thing(entity))
    if note := written(crm(entity)).get("kinds", {}).get(kind):
        phrase += f"; {note}"
    if kind == "phone":
        phrase += f"; `{name}_e164` has it in one form"
    if (ref := entity.refs.get(name)) and f"joins `{ref}" not in phrase:
        phrase += f"; joins `{ref}`"
    if name in entity.local.hashed:
        phrase += HASHED
    if name in entity.keys:
        phrase += "; the key" if len(entity.keys) == 1 else "; part of the key"
    if name == entity.cursor:
        phrase += "; the cursor, by which a delta run asks"
    return phrase


def by_hand(entity: Entity, name: str) -> str | None:
    """Return what is written of the column in its table, else in its CRM, else in all tables, if anything is.

    ``{thing}`` in it is what a row of the table is.
    """
    declared = entity.local.renamed.get(name, name)
    ours = written(crm(entity))
    places = (ours.get(entity.table, {}), ours[""], written("any")[""])
    found = next((place[declared] for place in places if declared in place), None)
    return found.replace("{thing}", thing(entity)) if found else None


def origin(entity: Entity, name: str) -> str:
    """Return where in the vendor's record the value is."""
    return (
        "From "
        + " or, where that is empty, ".join(
            " and ".join(f"`{part}`" for part in parts) for parts in entity.columns[name].parts
        )
        + "."
    )


def crm(entity: Entity) -> str:
    """Return the first word of the table, which is its CRM, or its schema."""
    return entity.schema if entity.schema != "public" else entity.table.partition("_")[0]


def thing(entity: Entity) -> str:
    """Return what a row is, in words: ``form submission``."""
    name = entity.table_name.removeprefix(f"{crm(entity)}_")
    for many, one in (("ies", "y"), ("ses", "s"), ("s", "")):
        if name.endswith(many) and not name.endswith(("ss", "us")):
            return spoken(name.removesuffix(many) + one)
    return spoken(name)
