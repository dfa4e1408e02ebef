"""The language of `$filter`, as far as the service is asked in it: comparisons, `and`, `or`, `not`, one navigation."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple


class BadQueryError(Exception):
    """What the service cannot read, or has not."""


class Test(NamedTuple):
    """A node of a filter: `and`, `or`, `not`, or a comparison of a property with a value."""

    word: str
    left: Any
    right: Any = None


_TOKEN = re.compile(r"\s*(datetime'[^']*'|'(?:[^']|'')*'|-?\d+(?:\.\d+)?[mMlLdf]?|[A-Za-z_][\w/]*|[(),])")
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
}


class Parser:
    """A `$filter`, by descent."""

    def __init__(self, text: str, literal: Callable[[str], int]) -> None:
        self._literal = literal
        self._tokens: list[str] = []
        place = 0
        while place < len(text.rstrip()):
            if not (found := _TOKEN.match(text, place)):
                raise BadQueryError(f"Syntax error at position {place}.")
            self._tokens.append(found[1])
            place = found.end()

    def parse(self) -> Test:
        tree = self._any()
        if self._tokens:
            raise BadQueryError(f"Syntax error at '{self._tokens[0]}'.")
        return tree

    def _next(self) -> str:
        if not self._tokens:
            raise BadQueryError("Expression expected.")
        return self._tokens.pop(0)

    def _takes(self, word: str) -> bool:
        if self._tokens and self._tokens[0] == word:
            self._tokens.pop(0)
            return True
        return False

    def _any(self) -> Test:
        tree = self._all()
        while self._takes("or"):
            tree = Test("or", tree, self._all())
        return tree

    def _all(self) -> Test:
        tree = self._one()
        while self._takes("and"):
            tree = Test("and", tree, self._one())
        return tree

    def _one(self) -> Test:
        if self._takes("not"):
            return Test("not", self._one())
        if self._takes("("):
            tree = self._any()
            if not self._takes(")"):
                raise BadQueryError("')' expected.")
            return tree
        name = self._next()
        if not re.fullmatch(r"[A-Za-z_][\w/]*", name):
            raise BadQueryError(f"A property expected, not '{name}'.")
        if not self._tokens or self._tokens[0] not in COMPARISONS:
            return Test("eq", name, True)
        word = self._next()
        return Test(word, name, self._value(self._next()))

    def _value(self, token: str) -> Any:
        if token.startswith("datetime'"):
            return Moment(self._literal(token[9:-1]))
        if token.startswith("'"):
            return token[1:-1].replace("''", "'")
        if token in ("true", "false", "null"):
            return {"true": True, "false": False, "null": None}[token]
        try:
            return float(token.rstrip("mMlLdf")) if "." in token else int(token.rstrip("mMlLdf"))
        except ValueError:
            raise BadQueryError(f"'{token}' is no literal.") from None


class Moment(int):
    """A literal of a time, in milliseconds; a property of another type cannot be compared with it."""
