"""HubSpot: the properties that columns are read from, as this installation maps them and as the portal has them.

``config/columns.toml`` maps them (``column_config``), and so does ``HUBSPOT_PROPERTY_MAP``, whose entries
``entity.column=property`` have commas or blanks between them; ``|`` stands between properties of which the first that
is not empty is taken, as in the rows:

    HUBSPOT_PROPERTY_MAP=appointments.subject=visit_title, deals.priority=deal_priority|hs_priority

An entry replaces what the row, or the file, declares. Only the type of the column stays. Rows that are there already
are read again with the new property by the next read of everything (``--full``).

``inspect`` costs two calls for each object type, its properties and some records, and one more for each custom one.
Sensitive properties are not in the vendor's list and count as lacking.
"""

import functools
import re
import types
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from warehouse_pipelines.errors import AnswerChanged, NotConfigured
from warehouse_pipelines.model.column_config import Change, applied, instead
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import Portal, ReadContext, ReadRequest
from warehouse_pipelines.model.rules import Kind
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.settings import setting_name
from warehouse_pipelines.sources.hubspot.reader import HubSpotReader
from warehouse_pipelines.sources.hubspot.settings import PropertyMap, Settings

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


def mapped(source: Source, entity: Entity, entities: Sequence[Entity], form: type[Settings]) -> Entity:
    """Return the entity with those columns changed that the setting maps, of the account that ``form`` is of.

    Raises ``NotConfigured`` that names the first entry that cannot be used, whichever entity it is of.
    """
    done = entity
    found = _read(_map_of(form)().property_map, entities, setting_name(form, "property_map"))
    for one in entities:
        changed = applied(source, entity if one.name == entity.name else one, found.get(one.name, ()))
        done = changed if one.name == entity.name else done
    return done


@functools.cache
def _map_of(form: type[Settings]) -> type[PropertyMap]:
    """Return the setting alone, of the account that ``form`` is of: a replay goes by it, and needs no token."""
    prefix = form.model_config.get("env_prefix", "")
    return cast(type[PropertyMap], types.new_class("PropertyMap", (PropertyMap,), {"env_prefix": prefix}))


def _read(written: str, entities: Sequence[Entity], setting: str) -> dict[str, list[Change]]:
    """Return what is mapped, by entity."""
    names = [entity.name for entity in entities]
    found: dict[str, list[Change]] = {}
    for entry in re.split(r"[,\s]+", written.strip(", \t\r\n")) if written.strip() else []:
        parts = re.fullmatch(r"(\w+)\.(\w+)=(\w+(?:\|\w+)*)", entry, re.ASCII)
        if parts is None:
            raise NotConfigured(
                f"{_where(setting, entry)} is not written entity.column=property. Write commas between several, "
                "for example appointments.subject=visit_title."
            )
        name, column, properties = parts.groups()
        change = Change("map", column, _where(setting, entry), to=properties)
        if name not in names:
            raise change.refused(f"names no entity that has properties{instead(name, names)}")
        if any(one.column == column for one in found.get(name, ())):
            raise change.refused(f"maps {column} of {name} a second time")
        found.setdefault(name, []).append(change)
    return found


def _where(setting: str, entry: str) -> str:
    return f"{setting} cannot be used: {entry!r}"


def inspect(request: ReadRequest, context: ReadContext) -> Portal | None:
    """Return what the portal has of an object type: its properties, its first records, and remarks about them.

    None for an entity that is no object type: its members are HubSpot's own and not the portal's. Raises
    ``AnswerChanged`` when it could not be asked what changed.
    """
    entity = request.entity
    if entity.parent or entity.cursor is None:
        return None
    reader = HubSpotReader(request, context)
    if why := unreadable(entity, reader.properties):
        raise AnswerChanged(f"HubSpot: {why}")
    has = {f"properties.{name}": type_ for name, type_ in reader.properties.items()}
    records = reader.first(request.limit)
    return Portal({"id": "string", **has}, records, remarks(entity, reader.properties))


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
    other, double = [], []
    for column, (kind, _) in entity.columns.items():
        there = [name for name in names_of(entity, column) if name in has]
        other += [
            f"{'' if name == column else f'{column}: '}{name} is {has[name]}, the column {kind}"
            for name in there
            if has[name] not in READABLE.get(kind, (has[name],)) and column not in entity.local.hashed
        ]
        if len(there) > 1:
            double.append(f"{column} ({' before '.join(there)})")
    found = []
    if other:
        found.append(f"of another type, values that do not fit are null: {'; '.join(other)}")
    if double:
        found.append(
            f"the portal has two properties for {', '.join(double)}; the second shows where the first is empty, "
            "unless `map` names one"
        )
    return found


def names_of(entity: Entity, column: str) -> list[str]:
    """Return the properties that a column is read from, the preferred one first; none for the record's own id."""
    paths = entity.columns[column].paths
    return [path.removeprefix("properties.") for path in paths if path.startswith("properties.")]
