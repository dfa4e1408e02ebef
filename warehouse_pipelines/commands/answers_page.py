"""``docs/answers.md``: each question of ``unified.answers``, its SQL, and what it finds in the demo.

    ./run demo && python -m warehouse_pipelines.commands.docs --answers

Decided: the page is written from a demo and not in a test, because the demo's people turn up in the 700 days before the
day on which it runs: other days give other dates, and who turned up lately has come further or less far. A test holds
what does not depend on the day: the questions, their SQL, the columns of the views, and the change orders, whose
amounts the simulators compute from the seed alone.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from warehouse_pipelines.unified import answers

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

ANSWERS_PAGE = Path(__file__).parents[2] / "docs" / "answers.md"

INTRODUCTION = """# Questions and answers

`warehouse ask` lists these questions, and `warehouse ask NAME` answers one from your own data; each is a view of the
schema `answers`. Below is what they find in the demo, with invented people. Its days end with the day on which the demo
ran: dates differ from day to day, and so do figures of those who turned up lately.

Written by `python -m warehouse_pipelines.commands.docs --answers` from the warehouse of `./run demo`.
"""


@dataclass(frozen=True)
class Shown:
    """A table of the page: the names of its columns, those of numbers among them, and its rows as texts."""

    columns: tuple[str, ...]
    numbers: frozenset[str]
    rows: Sequence[Sequence[str]]


def page(shown: Mapping[str, Shown]) -> str:
    """Return the page with these tables, by question."""
    lines = [INTRODUCTION]
    for answer in answers.answers().values():
        lines += [f"## {answer.name}", "", answer.question, "", "```sql", answer.select, "```", ""]
        table = shown[answer.name]
        lines.append(_line(table.columns))
        lines.append(_line(["--:" if name in table.numbers else "---" for name in table.columns]))
        lines += [*(_line([cell.replace("|", "\\|") for cell in row]) for row in table.rows), ""]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def found(session: "Session") -> Mapping[str, Shown]:
    """Return what the views hold now. Raises ``psycopg.Error``."""
    tables = {name: answers.ask(session, name) for name in answers.NAMES}
    return {name: Shown(table.columns, table.numbers, table.cells()) for name, table in tables.items()}


def written(text: str) -> Mapping[str, Shown]:
    """Return the tables of a page that was written, by the heading above each."""
    tables = {}
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        lines = [line for line in section.splitlines() if line.startswith("| ")]
        cells = [[cell.replace("\\|", "|") for cell in re.split(r" (?<!\\)\| ", line[2:-2])] for line in lines]
        numbers = frozenset(name for name, mark in zip(cells[0], cells[1], strict=True) if mark == "--:")
        tables[section.splitlines()[0]] = Shown(tuple(cells[0]), numbers, cells[2:])
    return tables
