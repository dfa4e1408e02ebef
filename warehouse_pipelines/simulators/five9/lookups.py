"""Which contacts of the simulated Five9 a lookup finds; an index makes those by number quick."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Sequence

from warehouse_pipelines.simulators.five9.domain import Domain

Test = Callable[[str | None], bool]


class Lookups:
    """Lookups over a domain; the index is built at the first one."""

    def __init__(self, domain: Domain) -> None:
        self._domain = domain
        self.moved: set[int] = set()
        """Contacts that the index does not know, since their number1 was changed."""
        self._index: list[str] = []
        self._places: list[int] = []
        self._odd: list[int] = []
        self._unnumbered: list[int] = []
        self._indexed = False

    def _build_index(self) -> None:
        keyed = []
        for number in range(self._domain.count):
            number1 = self._domain.number1(number)
            if number1 is None:
                self._unnumbered.append(number)
            else:
                keyed.append((number1, number))
                if not number1.isdigit():
                    self._odd.append(number)
        keyed.sort()
        self._index = [number1 for number1, _ in keyed]
        self._places = [number for _, number in keyed]
        self._indexed = True

    def find(self, criteria: list[tuple[str, str]]) -> list[int]:
        """The contacts that match all criteria; those whose number1 never changed are found by an index."""
        if not self._indexed:
            self._build_index()
        first = next((value for name, value in criteria if name == "number1"), None)
        plain, settled = self._candidates(first)
        rest = [each for each in criteria if not (settled and each == ("number1", first))]
        untouched = [n for n in plain if n not in self._domain.deleted and n not in self.moved]
        if rest:
            untouched = self._matching(untouched, rest)
        return untouched + self._matching(sorted(n for n in self.moved if n not in self._domain.deleted), criteria)

    def _matching(self, numbers: list[int], criteria: list[tuple[str, str]]) -> list[int]:
        tests = [(name, self._test(pattern)) for name, pattern in criteria]
        value = self._domain.value
        return [number for number in numbers if all(test(value(number, name)) for name, test in tests)]

    def _candidates(self, value: str | None) -> tuple[Sequence[int], bool]:
        """Base contacts that may match a criterion on number1, and whether they surely do."""
        if value is None:
            return range(self._domain.count), False
        if not value:
            return (self._unnumbered if self._domain.settings.empty_value == "matches" else []), True
        prefix, wildcard, tail = value.partition("%")
        if value == "%":
            everything = self._domain.settings.bare_wildcard == "everything"
            found = range(self._domain.count) if everything else self._places
            return ([] if self._domain.settings.bare_wildcard == "nothing" else found), True
        if not prefix:
            odd = any(not (c.isdigit() or c == "%") for c in value)
            return (self._odd if odd else self._places), False
        stop = f"{prefix}\uffff" if wildcard else f"{prefix}\0"
        return self._places[bisect_left(self._index, prefix) : bisect_left(self._index, stop)], not tail

    def _test(self, pattern: str) -> Test:
        """Return whether a value matches a pattern, as a function: a lookup may look at each contact."""
        settings = self._domain.settings
        if not pattern:
            return lambda value: not value and settings.empty_value == "matches"
        if pattern == "%" and settings.bare_wildcard != "filled":
            return lambda value: settings.bare_wildcard == "everything"
        if not settings.leading_wildcard and pattern.startswith("%") and pattern != "%":
            return lambda value: bool(value) and value == pattern
        form = ".*".join(re.escape(part) for part in pattern.split("%"))
        matches = re.compile(form, re.IGNORECASE | re.DOTALL).fullmatch
        return lambda value: bool(value) and matches(value or "") is not None
