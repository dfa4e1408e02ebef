"""Paths into a record: the tree of the declared ones, and what stands at the end of one."""

from collections.abc import Sequence
from typing import Any

import msgspec

from warehouse_pipelines.model import validate
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.validate import Unreadable

ANY = msgspec.json.Decoder(Any, float_hook=str)
"""Decodes any JSON; a number with a point stays a text, so that no digit is lost."""


class PathNode:
    """A member of the record on the way to declared columns: the columns that are read here, and the members below."""

    def __init__(self) -> None:
        self.columns: list[str] = []
        self.raw = False
        self.below: dict[str, PathNode] = {}


def is_raw(node: PathNode) -> bool:
    """Whether a member is kept in JSON and decoded when it is needed: as jsonb, read in two ways, or a list."""
    return bool(node.raw or (node.below and (node.columns or all(part.isdigit() for part in node.below))))


def leaves(node: PathNode, path: str = "") -> list[tuple[PathNode, str]]:
    """Return the nodes below ``node`` that columns are read from, each with its path."""
    found = []
    for part, child in node.below.items():
        here = f"{path}.{part}" if path else part
        if child.columns:
            found.append((child, here))
        found += leaves(child, here)
    return found


def declared_members(entity: Entity) -> list[str]:
    """Return the members below ``Entity.custom`` that a column reads, so that they are no custom properties."""
    above = f"{entity.custom}."
    members = (member for column in entity.columns.values() for member in column.members)
    return [member.removeprefix(above) for member in members if member.startswith(above)]


def first_filled(*values: Any) -> Any:
    """Return the first value that is neither absent nor null nor empty; the first of all where none is."""
    return next((value for value in values if not is_empty(value)), values[0])


def joined(parts: Sequence[Sequence[Any]]) -> Sequence[Any]:
    """Return the texts of each record joined; None where all are empty."""
    if len(parts) == 1:
        return parts[0]
    return [
        " ".join(str(value).strip() for value in row if not is_empty(value)) or None for row in zip(*parts, strict=True)
    ]


def is_empty(value: Any) -> bool:
    """Whether a value is absent, null or an empty text."""
    if isinstance(value, msgspec.Raw | bytes):
        return bytes(value) in (b"", b"null", b'""')
    return value is None or value == ""


def follow(value: Any, path: str) -> Any:
    """Return the value at ``path``, None where there is no such member."""
    for part in path.split("."):
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def has_member(value: Any, path: list[str]) -> bool:
    """Whether a record has a member, be it null."""
    *above, last = path
    owner = follow(value, ".".join(above)) if above else value
    if isinstance(owner, list):
        return last.isdigit() and int(last) < len(owner)
    return isinstance(owner, dict) and last in owner


def key_parts(entity: Entity, raw: bytes) -> tuple[str, ...] | None:
    """Return the key of a record that could not be decoded as declared, if it can be made out."""
    try:
        record = ANY.decode(raw.decode(errors="replace"))
    except (msgspec.DecodeError, RecursionError):
        return None
    try:
        found = [
            validate.READERS[column.kind](first_filled(*(follow(record, path) for path in column.paths)))
            for column in (entity.columns[key] for key in entity.keys)
        ]
    except Unreadable:
        return None
    return None if any(part in (None, "") for part in found) else tuple(map(str, found))
