"""What the web service answers: its forms, taken from the WSDL (v9_5 and v13 are alike), and its faults."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from warehouse_pipelines.errors import WarehouseError
from warehouse_pipelines.sources._xml import ended

LIMIT = 1000
"""Contacts that a lookup shows at most; what shows so many may have more."""


class Fault(NamedTuple):
    """A SOAP fault: the name of its detail without ``Fault``, and what the detail says."""

    name: str
    details: dict[str, str]


def fault_in(content: bytes) -> Fault | None:
    """Return the SOAP fault of an answer, None when it is none."""
    if b"faultcode" not in content:
        return None
    name, details = "Server", {}
    try:
        for one in ended(content):
            if one.parent == "detail":
                name = one.name.removesuffix("Fault").removesuffix("Exception")
            elif one.parent.endswith(("Fault", "Exception")):
                details[one.name] = one.text or ""
    except msgspec.DecodeError:
        return None
    return Fault(name, details) if "faultcode" in details else None


def whole(text: str | None) -> int:
    """Return a whole number; raise ``msgspec.ValidationError`` for anything else."""
    try:
        return int(text or "")
    except ValueError:
        raise msgspec.ValidationError("a count that is no number") from None


class CallCounter(NamedTuple):
    """How many operations of a kind are allowed in so many seconds, and how many this user has made."""

    operation: str
    seconds: int
    limit: int
    value: int


def call_counters(content: bytes) -> list[CallCounter]:
    """Read ``getCallCountersState``, where the length of a window comes after its counters."""
    found: list[CallCounter] = []
    states: list[dict[str, str]] = [{}]
    for one in ended(content):
        if one.parent == "callCounterStates":
            states[-1][one.name] = one.text or ""
        elif one.name == "callCounterStates":
            states.append({})
        elif one.name == "timeout":
            found += [
                CallCounter(s.get("operationType", ""), whole(one.text), whole(s.get("limit")), whole(s.get("value")))
                for s in states[:-1]
            ]
            states = [{}]
    return found


def list_sizes(content: bytes) -> list[int]:
    """Read ``getListsInfo``."""
    return [whole(one.text) for one in ended(content) if one.name == "size" and one.parent == "return"]


@dataclass
class Field:
    """A field of the domain."""

    name: str = ""
    type: str = "STRING"
    map_to: str = "None"
    restrictions: dict[str, str] = field(default_factory=dict)


def contact_fields(content: bytes) -> list[Field]:
    """Read ``getContactFields``. Raises ``msgspec.ValidationError`` if none of the fields is ``number1``."""
    found = [Field()]
    restriction: dict[str, str] = {}
    for name, parent, text in ended(content):
        match name, parent:
            case _, "restrictions":
                restriction[name] = text or ""
            case "restrictions", _:
                found[-1].restrictions[restriction.pop("type", "")] = restriction.pop("value", "")
            case "name", "return":
                found[-1].name = text or ""
            case "type", "return":
                found[-1].type = text or "STRING"
            case "mapTo", "return":
                found[-1].map_to = text or "None"
            case "return", _:
                found.append(Field())
    found.pop()
    if not any(one.name == "number1" for one in found):
        raise msgspec.ValidationError(f"{len(found)} contact fields, none of them number1")
    return found


Row = list[str | None]


@dataclass
class Shown:
    """What a lookup shows; ``more`` when there are, or may be, more contacts than these; ``fault`` if it says so."""

    names: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    more: bool = False
    fault: WarehouseError | None = None

    def values(self, name: str | None) -> Iterator[str]:
        """Yield a field's value in each row, empty where there is none."""
        if name is None or name not in self.names:
            return ("" for _ in self.rows)
        place = self.names.index(name)
        return (row[place] or "" for row in self.rows)


def contacts_shown(content: bytes) -> Shown:
    """Read ``getContactRecords``; a record may have fewer values than there are fields, and never more.

    Raises ``msgspec.ValidationError``.
    """
    shown = Shown()
    row: Row = []
    answered = False
    for name, parent, text in ended(content):
        if name == "data":
            row.append(text)
        elif name == "records":
            if len(row) > len(shown.names):
                raise msgspec.ValidationError(f"a record of {len(row)} values for {len(shown.names)} fields")
            shown.rows.append(row + [None] * (len(shown.names) - len(row)))
            row = []
        elif name == "fields" and parent == "return":
            shown.names.append(text or "")
        elif name == "return":
            answered = True
    if not answered:
        raise msgspec.ValidationError("no return")
    shown.more = len(shown.rows) >= LIMIT
    return shown
