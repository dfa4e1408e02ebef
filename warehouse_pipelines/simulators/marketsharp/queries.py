"""Which records a query of the simulated MarketSharp finds, and in which order; where a navigation leads."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from warehouse_pipelines.simulators.core.wire import Request
from warehouse_pipelines.simulators.marketsharp.filter_syntax import COMPARISONS, BadQueryError, Moment, Parser, Test
from warehouse_pipelines.simulators.marketsharp.formulas import record_of
from warehouse_pipelines.simulators.marketsharp.office import Office
from warehouse_pipelines.simulators.marketsharp.record_store import RecordStore
from warehouse_pipelines.simulators.marketsharp.sets import (
    ALIGNED,
    BOOLEAN,
    DATETIME,
    INT,
    NAVIGATION,
    SETS,
    STRING,
    SUBSETS,
)
from warehouse_pipelines.simulators.marketsharp.settings import MarketSharpSettings


class Queries:
    """Queries over the records of an office."""

    def __init__(self, office: Office, settings: MarketSharpSettings, zone: ZoneInfo) -> None:
        self.office, self.settings, self.zone = office, settings, zone

    def literal(self, text: str) -> int:
        """A literal of a time as the database would compare it."""
        if not re.fullmatch(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,7})?)?)?", text):
            raise BadQueryError(f"Unrecognized 'Edm.DateTime' literal 'datetime'{text}''.")
        wall = datetime.fromisoformat(text[:26])
        if self.settings.literal_zone:
            there = wall.replace(tzinfo=ZoneInfo(self.settings.literal_zone))
            wall = there.astimezone(self.zone).replace(tzinfo=None)
        return round(wall.replace(tzinfo=UTC).timestamp() * 1000)

    def _value(self, store: RecordStore, number: int, path: str) -> Any:
        name, _, rest = path.partition("/")
        if rest:
            if name not in NAVIGATION.get(store.name, {}):
                raise BadQueryError(f"No property '{name}' exists in type '{store.shape.title}'.")
            there, numbers, _ = self.linked(store.name, number, name)
            return self._value(self.office.store(there), numbers[0], rest) if numbers else None
        if name not in store.shape.properties:
            raise BadQueryError(f"No property '{name}' exists in type '{store.shape.title}' at position 0.")
        if name == "lastUpdate":
            return self.office.time_of(store, number)
        if name == store.shape.key:
            return store.id_of(number)
        value = record_of(self.office, store, number).get(name)
        return "" if value is None and store.shape.properties[name] == STRING else value

    def _passes(self, test: Test, store: RecordStore, number: int) -> bool:
        match test.word:
            case "and":
                return self._passes(test.left, store, number) and self._passes(test.right, store, number)
            case "or":
                return self._passes(test.left, store, number) or self._passes(test.right, store, number)
            case "not":
                return not self._passes(test.left, store, number)
        value = self._value(store, number, test.left)
        if test.word not in ("eq", "ne") and (value is None or test.right is None):
            return False
        try:
            return COMPARISONS[test.word](value, test.right)
        except TypeError:
            raise BadQueryError(f"Operator '{test.word}' incompatible with operand types.") from None

    def _check(self, test: Test, store: RecordStore) -> None:
        """Refuse a comparison of different types, whether or not there is a record to compare."""
        if test.word in ("and", "or", "not"):
            for part in filter(None, (test.left, test.right)):
                self._check(part, store)
            return
        *steps, name = test.left.split("/")
        shape = store.shape
        for step in steps:
            if step not in NAVIGATION.get(store.name, {}) or f"{step}/" in self.settings.absent.split():
                raise BadQueryError(f"No property '{step}' exists in type '{shape.title}'.")
            shape = SETS[NAVIGATION[store.name][step].to]
        if name not in shape.properties:
            raise BadQueryError(f"No property '{name}' exists in type '{shape.title}' at position 0.")
        given = shape.properties[name]
        forms: dict[str, tuple[type, ...]] = {
            DATETIME: (Moment,), STRING: (str,), BOOLEAN: (bool,), INT: (int,)
        }  # fmt: skip
        right = test.right
        if right is not None and (type(right) not in forms.get(given, (int, float))):
            raise BadQueryError(f"Operator '{test.word}' incompatible with operand types '{given}' and another.")

    def _low(self, test: Test | None, name: str) -> Any:
        """A value that the property is at least, in all that passes; None when there is none."""
        if test is None or test.word == "not":
            return None
        if test.word in ("and", "or"):
            ends = [self._low(part, name) for part in (test.left, test.right)]
            if test.word == "or":
                return None if None in ends else min(ends)
            return max((end for end in ends if end is not None), default=None)
        return test.right if test.left == name and test.word in ("eq", "ge", "gt") else None

    def matching(self, request: Request, name: str) -> Iterator[int]:
        """The numbers that pass the filter and follow the token, in order."""
        store = self.office.store(name)
        key = store.shape.key
        text = request.first("$filter")
        test = Parser(text, self.literal).parse() if text else None
        if test:
            self._check(test, store)
        order = [part.split() for part in request.first("$orderby", key).split(",")]
        by = [part[0] for part in order]
        if any(part[1:] not in ([], ["asc"]) for part in order) or by not in ([key], ["lastUpdate", key]):
            # The service sorts by anything; its clients ask for these.
            raise BadQueryError(f"The simulator does not sort by '{request.first('$orderby')}'.")
        if by[0] == "lastUpdate" and not store.shape.times:
            raise BadQueryError(f"No property 'lastUpdate' exists in type '{store.shape.title}' at position 0.")
        token = request.first("$skiptoken")
        if by[0] == "lastUpdate":
            numbers = store.in_order(self._low(test, "lastUpdate"))
        else:
            numbers = self._by_id(store, self._low(test, key))
        passed = not token
        for number in numbers:
            if not passed:
                passed = str(store.id_of(number)) == token
                continue
            if name in SUBSETS and self.office.kind_of(number) != SUBSETS[name]:
                continue
            if test is None or self._passes(test, store, number):
                yield number

    def _by_id(self, store: RecordStore, low: Any) -> Iterator[int]:
        rows = store.by_id()
        if self.settings.ordered_by == "guid" and not store.numbered:
            rows = sorted(rows, key=lambda row: row[0].split("-")[::-1])
        elif low is not None:
            rows = rows[bisect_left(rows, (low, -1)) :]
        return (number for _, number in rows)

    def linked(self, name: str, number: int, step: str) -> tuple[str, list[int], bool]:
        """Where a step of navigation leads: the set, the numbers, and whether they are shown as a list."""
        to, by, many = NAVIGATION[name][step]
        store, other = self.office.store(name), self.office.store(to)
        if to in ALIGNED and name in ALIGNED:
            found = number if number not in other.deleted else None
            return to, [] if found is None else [found], many and self.settings.expanded_lists
        value = record_of(self.office, store, number).get(by)
        found = None if value in (None, "") else other.find(value)
        return to, [] if found is None else [found], many
