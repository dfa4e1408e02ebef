"""What a mart is: a table of the schema ``marts`` and the SELECT of ``sql/marts`` that fills it, declared as a row.

A wrong row raises ``ValueError`` at import and says what is wrong with it.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from warehouse_pipelines.model.accounts import per_account
from warehouse_pipelines.settings import sql_folder
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines.unified.marts.accounts import EACH, for_all

Scope = Literal["persons", "hours", "records", "sums", "pairs", "everything", "activities"]


@dataclass(frozen=True, kw_only=True)
class Check:
    """What must hold of a mart: a SELECT that returns a row for each fault, and nothing when all is well.

    ``about``     what holds, in a sentence
    ``blocking``  whether what is built on the mart waits until it holds
    """

    name: str
    about: str
    faults: str
    blocking: bool = False


@dataclass(frozen=True, kw_only=True)
class Mart:
    """One table of the schema ``marts``.

    ``name``    the table, and ``sql/marts/<name>.sql``
    ``about``   a sentence for the catalogue, and ``grain`` what one row is
    ``key``     the columns of the primary key
    ``reads``   the tables that the SELECT reads, as their assets are named; those of all accounts are added
    ``checks``  what must hold of it, beside its key
    ``scope``   what a run computes again:
                ``persons``     the people who changed: the SELECT joins ``mart_person`` (person_id), and the table has
                                a column ``person_id``. It reads identity, crm and marts, and of the sources only tables
                                that are activities, because a change there is one of their person
                ``hours``       the hours of the day, of the months, in which an activity or a row of a mart that it
                                reads changed, and all rows when something else did: the SELECT joins ``mart_hour``
                                (begins_at, ends_at), and the table has columns ``month`` and ``hour``
                ``records``     the records of sources that changed, or that went to somebody else (``lifecycle``)
                ``sums``        what the rows of the mart ``sums_of`` that were written add to its sums, or take from
                                them: all of its values are sums of these rows, and a row of which all are zero is none
                ``pairs``       the pairs of people who changed, or have to do with those (``related``)
                ``everything``  all rows, when something that it reads changed: for small tables
                ``activities``  the rows that changed; the timeline's own
    ``touched``  of the scope ``persons``: there is a SELECT of further people who changed since a time, in
                ``sql/marts/<name>_touched.sql``, because it reads sources that are no activities
    ``sums_of``  of the scope ``sums``: the mart whose rows are summed; its SELECT reads it ``AS j``, with ``{weight}``
                for the 1 that a row counts
    ``ratios``  columns that are computed of its sums
    ``nobody``  it has rows whose ``person_id`` is null too, which are few, and computed with those of anybody
    ``ages``    its rows depend on the time, so it is computed in each hour of a run although nothing changed
    """

    name: str
    about: str
    grain: str
    key: str
    reads: tuple[str, ...]
    scope: Scope
    touched: bool = False
    sums_of: str = ""
    ratios: Mapping[str, str] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()
    nobody: bool = False
    ages: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "reads", tuple(dict.fromkeys(per_account(self.reads, SOURCES))))
        wrong = []
        if not self.key.split():
            wrong.append("no key")
        if not self.reads:
            wrong.append("it reads nothing")
        if self.table in self.reads:
            wrong.append("it reads itself")
        if len({check.name for check in self.checks}) < len(self.checks):
            wrong.append("two checks have one name")
        if self.nobody and self.scope != "persons":
            wrong.append("nobody without the scope persons")
        if self.touched and self.scope != "persons":
            wrong.append("touched without the scope persons")
        if bool(self.sums_of) != (self.scope == "sums") or (self.sums_of and f"marts.{self.sums_of}" not in self.reads):
            wrong.append("the scope sums and a mart that it reads come together")
        if self.ages and self.scope != "everything":
            wrong.append("ages without the scope everything")
        if wrong:
            raise ValueError(f"mart {self.name}: {'; '.join(wrong)}")

    @property
    def table(self) -> str:
        """The table with its schema, which is what its asset is called."""
        return f"marts.{self.name}"

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns of the primary key."""
        return tuple(self.key.split())

    @property
    def reads_of_persons(self) -> list[str]:
        """The marts whose rows of a person make it compute the person again.

        The timeline always does: a change in a source that is read is one of an activity.
        """
        return ["activity_timeline", *(table.removeprefix("marts.") for table in self.reads if "marts." in table)]

    @functools.cached_property
    def select(self) -> str:
        """The SELECT for all accounts, without the lines that say what it is. Raises ``FileNotFoundError``."""
        text = select_of(self.name)
        if self.ratios:
            ratios = ", ".join(f"{ratio} AS {name}" for name, ratio in self.ratios.items())
            text = f"SELECT s.*, {ratios} FROM (\n{text}) AS s"  # noqa: S608
        return text


def select_of(name: str, parts: Mapping[str, str] | None = None) -> str:
    """Return the SELECT of a file of ``sql/marts`` for all accounts, with ``parts`` in their places.

    Raises ``FileNotFoundError``.
    """
    lines = (sql_folder() / "marts" / f"{name}.sql").read_text(encoding="utf-8").splitlines()
    while lines and lines[0].startswith("--") and lines[0] != EACH:
        del lines[0]
    text = "\n".join(lines)
    for place, part in (parts or {}).items():
        text = text.replace(place, part)
    return for_all(f"{text}\n")


@dataclass
class Summary:
    """What a run did with a mart: rows by what became of them, and the seconds it took.

    ``full``     everything was computed
    ``persons``  people who were computed again, where the mart is one of persons
    """

    name: str
    full: bool = False
    persons: int = 0
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    seconds: float = 0.0
