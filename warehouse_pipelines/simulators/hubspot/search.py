"""POST .../search of the simulated portal: filters, one sort, offset paging up to a wall, over an index that may lag.

Conditions on the modified time and on the id are arithmetic, so the window-and-keyset query of an incremental sync
costs the same whatever the number of records. Any other condition is evaluated record by record.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatch
from typing import Any

from warehouse_pipelines.simulators.core.population import words
from warehouse_pipelines.simulators.core.timeline import Window
from warehouse_pipelines.simulators.hubspot.store import Store

MAX_GROUPS, MAX_PER_GROUP, MAX_FILTERS = 5, 6, 18
MAX_LIMIT = 200
WALL = 10_000
OPERATORS = words(
    "EQ NEQ LT LTE GT GTE BETWEEN IN NOT_IN HAS_PROPERTY NOT_HAS_PROPERTY CONTAINS_TOKEN NOT_CONTAINS_TOKEN"
)
ORDERING = {"EQ", "LT", "LTE", "GT", "GTE", "BETWEEN"}


class SearchError(Exception):
    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Found:
    total: int
    numbers: list[int]
    next_after: str | None


def to_ms(value: Any) -> int:
    """Milliseconds since 1970 as text, or ISO 8601."""
    text = str(value)
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise SearchError(f"{text} was not a valid long.", "INVALID_LONG") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000 + 0.0001)


class Search:
    """One query over one store. `neighbours(target_name, number)` gives the ids that a record is associated with."""

    def __init__(
        self,
        store: Store,
        body: dict[str, Any],
        *,
        id_order: str,
        pages: str,
        neighbours: Callable[[str, int], set[str]],
    ) -> None:
        self._store = store
        self._text_ids = id_order == "text"
        self._pages = pages
        self._neighbours = neighbours
        self._groups = _checked_groups(body, store.known)
        self._query = str(body.get("query") or "").lower()
        self.limit = _checked_limit(body)
        self._after = _checked_after(body, self.limit)
        self._sort, self._descending = _checked_sort(body, store.known)

    def run(self) -> Found:
        total, page = self._answer()
        start, limit = self._after, self.limit
        # Ghost places: positions that the cursor counts and that hold no record, as live portals are believed to have.
        if self._pages == "empty":
            start, held = (0, 0) if start < limit else (start - limit, limit)
            numbers = page(start, held)
            more = (held == 0 and total > 0) or start + held < total
        elif self._pages == "short":
            held = max(1, limit // 2)
            start = start // max(1, limit) * held
            numbers = page(start, held)
            more = start + held < total
        else:
            numbers = page(start, limit)
            more = start + limit < total
        return Found(total, numbers, str(self._after + limit) if more else None)

    def _answer(self) -> tuple[int, Callable[[int, int], list[int]]]:
        windows = [self._window(group) for group in self._groups]
        by_time = self._sort == self._store.kind.modified_property
        if len(windows) == 1 and not windows[0][1] and not self._query and (by_time or self._orders_by_number()):
            window = windows[0][0]
            return len(window), lambda offset, limit: window.page(
                offset, limit, by_time=by_time, descending=self._descending
            )
        found: set[int] = set()
        for window, rest in windows:
            found.update(self._matching(window.numbers(), rest))
        ordered = sorted(found, key=self._sort_key(), reverse=self._descending)
        return len(ordered), lambda offset, limit: ordered[offset : offset + limit]

    def _orders_by_number(self) -> bool:
        return self._sort == "hs_object_id" and not self._text_ids

    def _sort_key(self) -> Callable[[int], Any]:
        store = self._store
        if self._sort == "hs_object_id":
            return store.id_of if self._text_ids else lambda number: number
        if self._sort == store.kind.modified_property:
            return lambda number: (store.indexed_row(number).modified, number)

        def key(number: int) -> tuple[Any, ...]:
            value = store.properties(number, store.indexed_row(number)).get(self._sort)
            return (value is None or value == "", *self._comparable(self._sort, value or "0"))

        return key

    def _window(self, group: list[dict[str, Any]]) -> tuple[Window, list[dict[str, Any]]]:
        """The part of a group that is arithmetic, and the rest of its conditions."""
        low: int | None = None
        high: int | None = None
        first, last = 0, self._store.count + self._store.created
        rest = []
        for condition in group:
            name, operator = condition["propertyName"], condition["operator"]
            if operator not in ORDERING:
                rest.append(condition)
            elif name == self._store.kind.modified_property:
                least, most = _bounds(condition, to_ms)
                low = least if low is None or (least is not None and least > low) else low
                high = most if high is None or (most is not None and most < high) else high
            elif name == "hs_object_id" and not self._text_ids:
                least, most = _bounds(condition, _to_int)
                first = max(first, least - self._store.kind.first_id) if least is not None else first
                last = min(last, most - self._store.kind.first_id) if most is not None else last
            else:
                rest.append(condition)
        window = self._store.index.window(low, high)
        if first > 0 or last < self._store.count + self._store.created:
            window = window.narrowed(first, last)
        return window, rest

    def _matching(self, numbers: list[int], rest: list[dict[str, Any]]) -> list[int]:
        if not rest and not self._query:
            return numbers
        store = self._store
        if all(condition["propertyName"] == "hs_object_id" for condition in rest) and not self._query:
            return [n for n in numbers if all(self._holds(c, n, {"hs_object_id": store.id_of(n)}) for c in rest)]
        found = []
        for number in numbers:
            values = store.properties(number, store.indexed_row(number))
            if self._query and not any(
                self._query in (values.get(name) or "").lower() for name in store.kind.search_text
            ):
                continue
            if all(self._holds(condition, number, values) for condition in rest):
                found.append(number)
        return found

    def _holds(self, condition: dict[str, Any], number: int, values: dict[str, str | None]) -> bool:
        name, operator = str(condition["propertyName"]), str(condition["operator"])
        if name.startswith("associations."):
            ids = self._neighbours(name.removeprefix("associations."), number)
            wanted = {str(value) for value in condition.get("values") or [condition.get("value")]}
            return bool(ids & wanted) if operator in ("EQ", "IN") else not ids & wanted
        value = values.get(name)
        if operator in ("HAS_PROPERTY", "NOT_HAS_PROPERTY"):
            return (value not in (None, "")) == (operator == "HAS_PROPERTY")
        if value is None or value == "":
            return operator in ("NEQ", "NOT_IN", "NOT_CONTAINS_TOKEN")
        return self._compares(name, operator, value, condition)

    def _compares(self, name: str, operator: str, value: str, condition: dict[str, Any]) -> bool:
        if operator.endswith("CONTAINS_TOKEN"):
            tokens = re.split(r"[^\w]+", value.lower())
            pattern = str(condition.get("value", "")).lower()
            hit = any(fnmatch(token, pattern) for token in tokens) or fnmatch(value.lower(), pattern)
            return hit == (operator == "CONTAINS_TOKEN")
        if operator in ("IN", "NOT_IN"):
            # Text is indexed in lower case and the values of IN are not folded: a capital letter never matches.
            folded = value.lower() if self._type_of(name) == "string" else value
            return (folded in {str(item) for item in condition["values"]}) == (operator == "IN")
        mine = self._comparable(name, value)
        other = self._comparable(name, str(condition["value"]))
        match operator:
            case "EQ":
                return mine == other
            case "NEQ":
                return mine != other
            case "LT":
                return mine < other
            case "LTE":
                return mine <= other
            case "GT":
                return mine > other
            case "GTE":
                return mine >= other
            case _:
                return other <= mine <= self._comparable(name, str(condition["highValue"]))

    def _type_of(self, name: str) -> str:
        found = self._store.definitions.get(name)
        return found.type if found else "string"

    def _comparable(self, name: str, value: str) -> tuple[Any, ...]:
        kind = self._type_of(name)
        if name == "hs_object_id":
            return (value,) if self._text_ids else (_to_int(value),)
        if kind == "number":
            try:
                return (float(value),)
            except ValueError:
                return (float("inf"),)
        if kind in ("date", "datetime"):
            return (to_ms(value),)
        return (value.lower() if kind == "string" else value,)


def _to_int(value: Any) -> int:
    text = str(value)
    if not re.fullmatch(r"-?\d+", text):
        raise SearchError(f"{text} was not a valid long.", "INVALID_LONG")
    return int(text)


def _bounds(condition: dict[str, Any], read: Callable[[Any], int]) -> tuple[int | None, int | None]:
    """The smallest and the largest whole number that a condition admits."""
    value = read(condition["value"])
    match condition["operator"]:
        case "EQ":
            return value, value
        case "GT":
            return value + 1, None
        case "GTE":
            return value, None
        case "LT":
            return None, value - 1
        case "LTE":
            return None, value
        case _:
            return value, read(condition["highValue"])


def _checked_groups(body: dict[str, Any], known: Set[str]) -> list[list[dict[str, Any]]]:
    groups = body.get("filterGroups") or []
    if not groups and body.get("filters"):
        groups = [{"filters": body["filters"]}]
    filters = [list(group.get("filters") or []) for group in groups]
    if len(filters) > MAX_GROUPS:
        raise SearchError(f"Number of filter groups exceeds the maximum of {MAX_GROUPS}")
    if any(len(group) > MAX_PER_GROUP for group in filters) or sum(map(len, filters)) > MAX_FILTERS:
        raise SearchError(f"At most {MAX_PER_GROUP} filters per group and {MAX_FILTERS} in all")
    for condition in (condition for group in filters for condition in group):
        name, operator = condition.get("propertyName"), condition.get("operator")
        if operator not in OPERATORS:
            raise SearchError(f"Invalid operator: {operator}")
        if not (name in known or str(name).startswith("associations.")):
            raise SearchError(f"There was a problem with the request: {name}", "PROPERTY_DOESNT_EXIST")
        if operator in ("IN", "NOT_IN") and not isinstance(condition.get("values"), list):
            raise SearchError(f"{operator} needs a list of values")
        if operator == "BETWEEN" and ("value" not in condition or "highValue" not in condition):
            raise SearchError("BETWEEN needs value and highValue")
        if operator in ORDERING | {"NEQ"} and condition.get("value") in (None, ""):
            raise SearchError(f"{operator} needs a value")
    return filters or [[]]


def _checked_limit(body: dict[str, Any]) -> int:
    limit = body.get("limit", 10)
    if not isinstance(limit, int) or not 0 <= limit <= MAX_LIMIT:
        raise SearchError(f"Invalid limit {limit}: the maximum is {MAX_LIMIT}", "INVALID_INTEGER")
    return limit


def _checked_after(body: dict[str, Any], limit: int) -> int:
    after = str(body.get("after") or "0")
    if not after.isdigit():
        raise SearchError(f"Invalid after {after}", "INVALID_INTEGER")
    if int(after) + limit > WALL:
        raise SearchError(f"The search is limited to {WALL} results; {after} lies beyond them")
    return int(after)


def _checked_sort(body: dict[str, Any], known: Set[str]) -> tuple[str, bool]:
    sorts = body.get("sorts") or []
    if len(sorts) > 1:
        raise SearchError("Only one sort is supported")
    if not sorts:
        return "hs_object_id", False
    sort = sorts[0] if isinstance(sorts[0], dict) else {"propertyName": sorts[0]}
    name = str(sort.get("propertyName"))
    if name not in known:
        raise SearchError(f"There was a problem with the request: {name}", "PROPERTY_DOESNT_EXIST")
    return name, str(sort.get("direction", "ASCENDING")).upper().startswith("DESC")
