"""The records of one object type: a formula, what was changed over it, and two views of time.

`rows` is the truth, served by list and read. The search index is a second view that may lag behind: every write is
queued for it and becomes visible when its time has come, or when a held index is released.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from functools import lru_cache

import msgspec

from warehouse_pipelines.simulators.core.journey import DAY_MS, Journeys
from warehouse_pipelines.simulators.core.timeline import Timeline, spread
from warehouse_pipelines.simulators.hubspot.answers import iso
from warehouse_pipelines.simulators.hubspot.objects import PORTAL, ObjectType
from warehouse_pipelines.simulators.hubspot.properties import Properties, Property

EDITED = 5 * DAY_MS
"""How long after a record of a person was made it was last edited, at most."""
_GOLDEN = 0x9E3779B97F4A7C15
_encode = msgspec.json.Encoder().encode


def _chance(number: int, salt: int) -> int:
    mixed = (number + salt) * _GOLDEN & 0xFFFFFFFFFFFFFFFF
    return (mixed ^ mixed >> 31) * _GOLDEN >> 16 & 0xFFFFFFFFFFFF


@dataclass(frozen=True, slots=True)
class Row:
    created: int
    modified: int
    changes: Properties = field(default_factory=dict)
    state: str = "live"  # live | archived | erased
    archived_at: int | None = None
    merged_into: int | None = None


@dataclass(frozen=True)
class Projection:
    """The properties that a request wants: those that the formula fills, and the JSON of those that are always null."""

    names: tuple[str, ...]
    filled: tuple[str, ...]
    nulls: bytes


class Store:
    """The records of an object type between ``start`` and ``end``, and what search sees of them."""

    def __init__(
        self,
        kind: ObjectType,
        *,
        start: int,
        end: int,
        seed: int,
        extra_properties: Mapping[str, Property],
        journeys: Journeys,
    ) -> None:
        self.kind = kind
        self.count = kind.count
        self.created = 0
        self.rows: dict[int, Row] = {}
        self._living: set[int] = set()
        """Those of ``rows``, so that what was archived costs nothing."""
        self.definitions = {**kind.properties, **extra_properties}
        self._journeys = journeys
        self.base_modified = (
            spread(kind.count, start, end, lambda number: _chance(number, seed))
            if kind.person_of is None
            else lambda number: journeys.after(self._person(number), kind.lag + EDITED)
        )
        self._delay_salt = seed + 17
        self.index = Timeline(kind.count, self.base_modified)
        self.indexed: dict[int, Row] = {}
        self._pending: deque[tuple[float, int, Row]] = deque()
        own = {"hs_object_id", kind.created_property, kind.modified_property}
        self._always = tuple(sorted(own))
        self._filled = frozenset(kind.formula(0, 0, 0)) | own
        self.projection = lru_cache(maxsize=64)(self._projection)

    @property
    def known(self) -> Set[str]:
        """The names of the properties that the portal has for this type."""
        return self.definitions.keys()

    def define(self, name: str, definition: Property | None) -> None:
        """Give the type a property, replace its definition, or take it away; values stay, unseen without it."""
        if definition is None:
            self.definitions.pop(name, None)
        else:
            self.definitions[name] = definition
        self.projection.cache_clear()

    def id_of(self, number: int) -> str:
        return str(self.kind.first_id + number)

    def number_of(self, object_id: str | int) -> int | None:
        """The number of an id that exists or once existed."""
        text = str(object_id)
        if not text.isdigit():
            return None
        number = int(text) - self.kind.first_id
        return number if 0 <= number < self.count + self.created else None

    def row(self, number: int) -> Row:
        return self.rows.get(number) or self._base_row(number)

    def _person(self, number: int) -> int:
        assert self.kind.person_of is not None  # noqa: S101  (asked for kinds that have it)
        return self.kind.person_of(number)

    def _base_row(self, number: int) -> Row:
        modified = self.base_modified(number)
        if self.kind.person_of is not None:
            return Row(self._journeys.after(self._person(number), self.kind.lag), modified)
        return Row(modified - _chance(number, self._delay_salt) % (30 * DAY_MS), modified)

    def is_live(self, number: int) -> bool:
        row = self.rows.get(number)
        return row.state == "live" if row else 0 <= number < self.count

    def write(self, number: int, row: Row, visible_at: float) -> None:
        self.rows[number] = row
        (self._living.add if row.state == "live" else self._living.discard)(number)
        self._pending.append((visible_at, number, row))

    def create(self, changes: Properties, at: int, visible_at: float) -> int:
        number = self.count + self.created
        self.created += 1
        self.write(number, Row(at, at, changes), visible_at)
        return number

    def settle_index(self, now: float, *, everything: bool = False) -> None:
        """Let the index see what was written before now."""
        while self._pending and (everything or self._pending[0][0] <= now):
            _, number, row = self._pending.popleft()
            self.indexed[number] = row
            self.index.place(number, row.modified if row.state == "live" else None)

    def indexed_row(self, number: int) -> Row:
        return self.indexed.get(number) or self._base_row(number)

    def live_after(self, number: int) -> Iterator[int]:
        for candidate in range(max(0, number + 1), self.count):
            row = self.rows.get(candidate)
            if row is None or row.state == "live":
                yield candidate
        yield from sorted(made for made in self._living if made > number and made >= self.count)

    def having(self, name: str) -> dict[str, int]:
        """The live records by the value of a property; of several that have it the first."""
        numbers = self.live_after(-1) if name in self._filled else sorted(self._living)
        found: dict[str, int] = {}
        for number in numbers:
            value = self.properties(number, self.row(number)).get(name)
            if value:
                found.setdefault(value, number)
        return found

    def archived(self) -> list[int]:
        return sorted(number for number, row in self.rows.items() if row.state == "archived")

    def live_count(self) -> int:
        return self.count + self.created - sum(row.state != "live" for row in self.rows.values())

    def properties(self, number: int, row: Row) -> Properties:
        kind = self.kind
        values = kind.formula(number, row.created, row.modified) if number < self.count else {}
        values["hs_object_id"] = self.id_of(number)
        values[kind.created_property] = iso(row.created)
        values[kind.modified_property] = iso(row.modified)
        if row.changes:
            values.update(row.changes)
        return values

    def _projection(self, names: tuple[str, ...]) -> Projection:
        """A property that does not exist is ignored without a word."""
        wanted = sorted((set(names or self.kind.default_properties) & self.known) | set(self._always))
        filled = tuple(name for name in wanted if name in self._filled)
        nulls = "".join(f',"{name}":null' for name in wanted if name not in self._filled)
        return Projection(tuple(wanted), filled, nulls.encode())

    def render(self, number: int, row: Row, projection: Projection, associations: bytes = b"") -> bytes:
        values = self.properties(number, row)
        if row.changes or number >= self.count:
            get = values.get
            body = _encode({name: get(name) for name in projection.names})
        else:
            body = _encode({name: values[name] for name in projection.filled})[:-1] + projection.nulls + b"}"
        object_id = self.kind.first_id + number
        state = b"false"
        if row.state == "archived" and row.archived_at is not None:
            state = b'true,"archivedAt":"%b"' % iso(row.archived_at).encode()
        return b'{"id":"%d","properties":%b,"createdAt":"%b","updatedAt":"%b","archived":%b,"url":"%b"%b}' % (
            object_id,
            body,
            (values[self.kind.created_property] or "").encode(),
            (values[self.kind.modified_property] or "").encode(),
            state,
            f"https://app.hubspot.com/contacts/{PORTAL}/record/{self.kind.type_id}/{object_id}".encode(),
            associations,
        )

    def edited(self, number: int, properties: Properties, modified: int) -> Row:
        row = self.row(number)
        return replace(row, changes={**row.changes, **properties}, modified=modified)
