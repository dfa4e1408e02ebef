"""A record beside the columns that it should fill: which value each column reads, and which of them it cannot read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from warehouse_pipelines.loading.record_paths import ANY, first_filled, follow, is_empty
from warehouse_pipelines.model import validate
from warehouse_pipelines.model.column_texts import meaning
from warehouse_pipelines.model.entity import Column, Entity
from warehouse_pipelines.model.rules import KINDS
from warehouse_pipelines.model.validate import Unreadable

LONGEST = 300
"""Characters of a value that are shown in the table; the whole record stands below it."""


@dataclass(frozen=True)
class ColumnCheck:
    """What a column finds in a record. ``problem`` says why it cannot be loaded from it, empty where it can."""

    name: str
    kind: str
    path: str
    meaning: str
    is_key: bool
    value: str
    problem: str
    refused: bool


def check(entity: Entity, payload: str, stage: str, rule: str, message: str) -> list[ColumnCheck]:
    """Return what each column finds, those that refused the record and then those with a problem first."""
    try:
        record = ANY.decode(payload)
    except (msgspec.DecodeError, RecursionError):
        return []
    if not isinstance(record, Mapping):
        return []
    named = _named(entity, stage, rule, message)
    found = [_check(entity, name, column, record, message if name in named else "")
             for name, column in entity.columns.items()]  # fmt: skip
    return sorted(found, key=lambda one: (not one.refused, not one.problem, not one.is_key))


def _named(entity: Entity, stage: str, rule: str, message: str) -> set[str]:
    """Return the columns that the reason names: of a rule its column, else the one that the message is about."""
    if stage == "validate":
        return {one.column for one in entity.rules if one.name == rule}
    first = message.partition(":")[0] if ":" in message else message.partition(" ")[0]
    return {first} & entity.columns.keys() or {name for name in entity.columns if f'"{name}"' in message}


def _check(entity: Entity, name: str, column: Column, record: Any, refused: str) -> ColumnCheck:
    value = _value(column, record)
    problem = refused
    if not problem:
        try:
            validate.READERS[column.kind](value)
        except Unreadable as error:
            problem = f"{error}; the column is null"
    shown = "" if is_empty(value) else value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return ColumnCheck(
        name, KINDS[column.kind].pg_type, column.path, meaning(entity, name), name in entity.keys,
        shown[:LONGEST], problem, bool(refused),
    )  # fmt: skip


def _value(column: Column, record: Any) -> Any:
    """Return what the column reads: the first of its places that is filled, its parts joined."""
    places = []
    for parts in column.parts:
        values = [follow(record, part) for part in parts]
        filled = [str(value).strip() for value in values if not is_empty(value)]
        places.append(values[0] if len(parts) == 1 else " ".join(filled) or None)
    return first_filled(*places)
