"""What a word may be, in a table: a whole value of an indexed column, or a part of a text.

Whole values are found anywhere, however large the table. Parts of texts are looked for in so many rows as can be read
in time (``rows.WALKED``), and the page says in how many.
"""

import re
from uuid import UUID

from warehouse_pipelines.model.phones import e164
from warehouse_pipelines.serving.browsing.table import Column, Table

MOST_TEXTS = 40
"""Columns of a table in which parts are looked for."""

TELLING = tuple(
    re.compile(one)
    for one in (
        r"(^|_)(first|last|full|display|company|business)?_?name$|^(first|last)name$", r"email", r"phone",
        r"status|stage|outcome|result|disposition", r"(^|_)(source|campaign|channel|kind|type|title|subject)(_name)?$",
        r"amount|price|revenue|value|total|cost|score", r"city|state|zip|address", r"date|_at$|_on$|_time$|time_",
    )
)  # fmt: skip
"""Names of columns by which people know a row, the most telling first."""


def rank(column: Column) -> int:
    """Return how much a column tells of a row by its name: the less, the more."""
    if column.name.endswith("_id"):
        return len(TELLING) + 1
    return next((place for place, one in enumerate(TELLING) if one.search(column.name)), len(TELLING))


def tries(table: Table, word: str) -> list[tuple[Column, str]]:
    """Return the indexed columns that may hold the word as a whole value, each with the value to ask for."""
    found = []
    number = e164(word) if sum(character.isdigit() for character in word) >= 7 else None
    for column in table.columns:
        if not column.indexed:
            continue
        value = number if number and column.name.endswith("e164") else word
        if column.kind == "text" or (column.kind == "number" and _is_whole(column, word)) or _is_uuid(column, word):
            found.append((column, value))
    return found


def searched(table: Table) -> tuple[Column, ...]:
    """Return the columns in which parts of texts are looked for."""
    texts = [column for column in table.columns if column.kind == "text" and column.name != "delete_reason"]
    return tuple(sorted(texts, key=rank)[:MOST_TEXTS])


def _is_whole(column: Column, word: str) -> bool:
    if not word.isascii() or not word.isdigit():
        return False
    largest = {"smallint": 2**15, "integer": 2**31}.get(column.type, 2**63)
    return int(word[:30]) < largest


def _is_uuid(column: Column, word: str) -> bool:
    if column.kind != "uuid":
        return False
    try:
        UUID(word)
    except ValueError:
        return False
    return True
