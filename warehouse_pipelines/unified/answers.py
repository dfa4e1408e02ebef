"""Questions that the business asks, each with a view that answers it: ``warehouse ask``.

A question is the first line of ``sql/views/answers.<name>.sql``, and what follows is the SELECT of the view
``answers.<name>``, at most five lines, from the marts.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from psycopg import sql

from warehouse_pipelines.settings import sql_folder

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

NAMES = (
    "timeline", "journey", "funnel", "roi", "calls", "reps", "change_orders", "zips", "duplicates", "follow_up",
    "relationships", "quality",
)  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """A question and the SELECT that answers it."""

    name: str
    question: str
    select: str


@dataclass(frozen=True)
class Found:
    """What the view holds now: the names of its columns, and its rows in their order."""

    columns: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]

    def cells(self) -> list[list[str]]:
        """Return the rows as texts."""
        return [[text(row[name]) for name in self.columns] for row in self.rows]

    @property
    def numbers(self) -> frozenset[str]:
        """The columns that hold nothing but numbers."""
        return frozenset(
            name
            for name in self.columns
            if (given := [row[name] for row in self.rows if row[name] is not None])
            and all(isinstance(value, (int, float, Decimal)) and not isinstance(value, bool) for value in given)
        )


@functools.cache
def answers() -> Mapping[str, Answer]:
    """Return the questions by name. Raises ``FileNotFoundError`` when a file is missing; a test asks for each."""
    found = {}
    for name in NAMES:
        path = sql_folder() / "views" / f"answers.{name}.sql"
        question, _, select = path.read_text(encoding="utf-8").partition("\n")
        found[name] = Answer(name, question.removeprefix("-- "), select.strip())
    return found


def ask(session: "Session", name: str) -> Found:
    """Return what the view ``answers.<name>`` holds. Raises ``psycopg.Error``, when it is not there among others."""
    cursor = session.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier("answers", name)))
    rows = cursor.fetchall()
    return Found(tuple(column.name for column in cursor.description or ()), tuple(rows))


def text(value: Any) -> str:
    """Return a value as people read it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, Decimal)):
        return f"{value:,}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(text, value))
    return str(value)
