"""HubSpot: the properties that columns are read from, as this installation maps them and as the portal has them.

``HUBSPOT_PROPERTY_MAP`` holds entries ``entity.column=property`` with commas or blanks between them; ``|`` stands
between properties of which the first that is not empty is taken, as in the rows:

    HUBSPOT_PROPERTY_MAP=appointments.subject=visit_title, deals.priority=deal_priority|hs_priority

An entry replaces what the row declares. Only the type of the column stays. The columns that a read goes by cannot be
mapped: the key, the cursor, and the list of absorbed records. Rows that are there already are read again with the new
property by the next read of everything (``--full``).

``portal`` asks what ``warehouse check hubspot`` prints. It costs two calls for each object type, its properties and
one record, and one more for each custom one. Sensitive properties are not in the vendor's list and count as lacking.
"""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from warehouse_pipelines.entity import Entity, Extraction, Window
from warehouse_pipelines.errors import ActionNeeded, CredentialRefused, NotConfigured
from warehouse_pipelines.rules import Kind
from warehouse_pipelines.sources.hubspot.fetch import Reader

READABLE: Mapping[Kind, tuple[str, ...]] = {
    "email": ("string",),
    "phone": ("string", "phone_number"),
    "url": ("string",),
    "boolean": ("bool",),
    "integer": ("number",),
    "numeric": ("number",),
    "date": ("date",),
    "timestamptz": ("datetime", "date"),
    "jsonb": ("json", "string", "object_coordinates"),
}
"""The vendor's types whose every value a kind can hold; text and ids hold any."""


def below_properties(names: Iterable[str]) -> str:
    """Return the path of a column that has these properties, the preferred one first."""
    return "|".join(f"properties.{name}" for name in names)


def mapped(entity: Entity, entities: Sequence[Entity], written: str) -> Entity:
    """Return the entity with those columns changed that ``written``, the setting, maps.

    Raises ``NotConfigured`` that names the first entry that cannot be used, whichever entity it is of.
    """
    own = _read(written, entities).get(entity.name)
    if not own:
        return entity
    changed = {name: entity.columns[name]._replace(path=below_properties(names)) for name, names in own.items()}
    return replace(entity, columns={**entity.columns, **changed})


def _read(written: str, entities: Sequence[Entity]) -> dict[str, dict[str, list[str]]]:
    """Return the properties of the mapped columns, by entity and column."""
    by_name = {entity.name: entity for entity in entities}
    found: dict[str, dict[str, list[str]]] = {}
    for entry in re.split(r"[,\s]+", written.strip(", \t\r\n")) if written.strip() else []:
        parts = re.fullmatch(r"(\w+)\.(\w+)=(\w+(?:\|\w+)*)", entry, re.ASCII)
        if parts is None:
            raise _unusable(entry, "is not written entity.column=property")
        name, column, names = parts.groups()
        entity = by_name.get(name)
        if entity is None:
            raise _unusable(entry, f"names no entity that has properties{_instead(name, by_name)}")
        if column not in entity.columns:
            raise _unusable(entry, f"names no column of {entity.table}{_instead(column, entity.columns)}")
        if column in (*entity.keys, entity.cursor, entity.merged):
            raise _unusable(entry, f"maps {column}, by which {entity.table} is read; it cannot be another property")
        if column in found.setdefault(name, {}):
            raise _unusable(entry, f"maps {column} of {name} a second time")
        found[name][column] = names.split("|")
    return found


def _unusable(entry: str, why: str) -> NotConfigured:
    return NotConfigured(
        f"HUBSPOT_PROPERTY_MAP cannot be used: {entry!r} {why}. "
        "Write entity.column=property, with commas between several, for example appointments.subject=visit_title."
    )


def _instead(name: str, there_are: Iterable[str]) -> str:
    """Return what was probably meant, or all there is when that is little."""
    names = [*there_are]
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; there are {', '.join(names)}" if len(names) <= 20 else ""


def portal(entities: Sequence[Entity], settings_map: str) -> str:
    """Return what the portal says to these entities: a line, and one for each thing about their properties to know.

    Raises ``ActionNeeded`` with the same text when an entity could not be read at all.
    """
    lines: list[str] = []
    failing = 0
    for declared in entities:
        entity = mapped(declared, entities, settings_map)
        reader = Reader(Extraction(entity=entity, window=Window(None, datetime.now(UTC))))
        try:
            reader.probe()
            wrong = unreadable(entity, reader.properties)
        except CredentialRefused:
            raise
        except ActionNeeded as error:
            wrong = str(error)
        if wrong:
            failing += 1
            lines.append(f"{entity.name} cannot be read: {wrong}")
        else:
            lines += [f"{entity.name}: {remark}" for remark in remarks(entity, reader.properties)]
    good = len(entities) - failing
    told = "\n  ".join([f"HubSpot answers: the token may read {good} of {len(entities)} object types", *lines])
    if any("HUBSPOT_PROPERTY_MAP" in line for line in lines):
        told += "\n  Columns without a property, or with another type, are loaded; values that do not fit are null."
    if failing:
        raise ActionNeeded(told)
    return told


def unreadable(entity: Entity, has: Mapping[str, str]) -> str | None:
    """Return why an entity cannot be read from a portal that ``has`` these properties, by type; None when it can."""
    (name,) = names_of(entity, entity.cursor or "")
    if name not in has:
        return f"the portal has no property {name}, by which it is asked what changed"
    if has[name] != "datetime":
        return f"the property {name}, by which it is asked what changed, is of type {has[name]} and not datetime"
    return None


def remarks(entity: Entity, has: Mapping[str, str]) -> list[str]:
    """Return what is to know of the columns of an entity in a portal that ``has`` these properties, by type."""
    lacking, other, double = [], [], []
    for column, (kind, _) in entity.columns.items():
        names = names_of(entity, column)
        there = [name for name in names if name in has]
        if names and not there:
            lacking.append(column if names == [column] else f"{column} ({' or '.join(names)})")
        other += [
            f"{'' if name == column else f'{column}: '}{name} is {has[name]}, the column {kind}"
            for name in there
            if has[name] not in READABLE.get(kind, (has[name],))
        ]
        if len(there) > 1:
            double.append(f"{column} ({' before '.join(there)})")
    found = []
    if lacking:
        found.append(f"the portal has no property for {', '.join(lacking)}; HUBSPOT_PROPERTY_MAP may name another")
    if other:
        found.append(f"of another type: {'; '.join(other)}; HUBSPOT_PROPERTY_MAP may name another property")
    if double:
        found.append(
            f"the portal has two properties for {', '.join(double)}; the second shows where the first is empty, "
            "unless HUBSPOT_PROPERTY_MAP names one"
        )
    return found


def names_of(entity: Entity, column: str) -> list[str]:
    """Return the properties that a column is read from, the preferred one first; none for the record's own id."""
    paths = entity.columns[column].paths
    return [path.removeprefix("properties.") for path in paths if path.startswith("properties.")]
