"""Values as vendors have them: texts or None; and when two of them say the same."""

from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from warehouse_pipelines.loading.erased_values import MARK
from warehouse_pipelines.loading.hash_and_drop import HASH
from warehouse_pipelines.model import phones

Kind = Literal["text", "phone", "number", "bool", "time"]
Value = str | None
Values = dict[str, Value]


def wire(value: Any) -> Value:
    """Return a value of the warehouse as it is sent; an empty text is None."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return str(value).strip() or None


def same(kind: Kind, one: Value, other: Value) -> bool:
    """Return whether two values say the same, however they are written."""
    one, other = (one or "").strip(), (other or "").strip()
    if one == other:
        return True
    if not one or not other:
        return False
    match kind:
        case "phone":
            number = phones.e164(one)
            return number is not None and number == phones.e164(other)
        case "bool":
            return one.lower() == other.lower()
        case "number":
            try:
                return Decimal(one) == Decimal(other)
            except InvalidOperation:
                return False
        case "time":
            return len(one) > len("2026-01-31") < len(other) and _moment(one) == _moment(other)
        case "text":
            return False


def _moment(value: str) -> datetime | str:
    """Return the moment that a text says; a text that says none as it is."""
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return value


def must_stay(value: Value) -> bool:
    """Return whether a value is a hash of this installation or what an erasure left: neither leaves the warehouse."""
    return value is not None and (MARK in value or HASH.fullmatch(value) is not None)


def linked(value: Value) -> set[str]:
    """Return the ids of a link's value."""
    return set(value.split(";")) if value else set()


def link_value(ids: set[str]) -> Value:
    """Return the value of a link to these ids."""
    return ";".join(sorted(ids)) or None
