"""The vocabulary of the project: a source has entities, an entity has columns.

A file under ``sources/`` is a table of ``Entity`` rows and one ``fetch``. Everything else is derived from the
rows: table and indexes, dlt resource, asset, jobs, schedule, checks, most of the tests, and
``docs/entities.md``. A row may name things; it may not compute. A word that two vendors need becomes a field
here, a word that one vendor needs is a line of Python in its ``fetch``.

A wrong row raises ``ValueError`` at import and says what is wrong with it.
"""

import re
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any, Literal, NamedTuple, Protocol, cast

from pydantic import ValidationError
from pydantic_settings import BaseSettings

from warehouse_pipelines.errors import NotConfigured, WrongUse
from warehouse_pipelines.model.rules import KINDS, Kind, Rule, Severity
from warehouse_pipelines.settings import hash_key

Json = bytes
"""One record as the vendor sent it, in JSON."""


class TooLarge(bytes):
    """What stands for a record that is too large to be read: the members of its key in JSON, as far as they are known.

    It becomes a dead letter of this payload, and the records beside it are loaded.
    """


class Page(NamedTuple):
    """Records of one answer.

    ``in_window`` is False for records that were not asked for by the cursor's window (an archived list, the
    restored), which the window's filter must therefore let pass.
    """

    records: Sequence[Json]
    in_window: bool = True


class Window(NamedTuple):
    """What one run asks for: ``since`` <= cursor < ``until``, in UTC; ``since`` is None when all is read."""

    since: datetime | None
    until: datetime


class Column(NamedTuple):
    """A column: its kind (``rules.KINDS``) and the path of its value in the record, dots between members.

    Where the vendor has more than one place for a value, ``|`` stands between their paths: the first that is there and
    not empty is taken. A text that the vendor keeps in parts has ``+`` between theirs: those that are there and not
    empty are joined by a space.
    """

    kind: Kind
    path: str

    @property
    def paths(self) -> tuple[str, ...]:
        """The places of the value, the preferred one first."""
        return tuple(self.path.split("|"))

    @property
    def parts(self) -> tuple[tuple[str, ...], ...]:
        """The parts of the value in each of its places."""
        return tuple(tuple(path.split("+")) for path in self.paths)


def columns(**names_by_kind: str) -> Mapping[str, Column]:
    """Return the columns of a table, written as names grouped by kind.

    A value that is nested, or named otherwise by the vendor, is written ``name=path``, and ``name=path|path`` where it
    may be in several places; ``name=first+last`` joins texts.

    >>> columns(text="id city=city|address.city")
    {'id': Column(kind='text', path='id'), 'city': Column(kind='text', path='city|address.city')}
    """
    declared: dict[str, Column] = {}
    for kind, names in names_by_kind.items():
        if kind not in KINDS:
            raise ValueError(f"no such kind of column: {kind!r}; there are {', '.join(KINDS)}")
        for name, _, path in (word.partition("=") for word in names.split()):
            if name in declared:
                raise ValueError(f"column {name!r} is declared twice")
            if "+" in path and kind != "text":
                raise ValueError(f"column {name!r} joins parts, and only texts can be joined")
            declared[name] = Column(cast(Kind, kind), path or name)
    return declared


BOOKKEEPING: Mapping[str, str] = {
    "raw_data": "jsonb NOT NULL",
    "archived": "boolean NOT NULL DEFAULT false",
    "deleted_at": "timestamptz",
    "delete_reason": "text",
    "sync_hash": "bigint",
    "sync_created_at": "timestamptz NOT NULL DEFAULT now()",
    "sync_updated_at": "timestamptz NOT NULL DEFAULT now()",
}
"""The columns that every table has beside its own, with their PostgreSQL type.

``delete_reason`` says what is known of a row that is ``archived``:

    archived            the vendor itself calls it deleted, by a flag, a list or a log; it may still have and restore it
    merged into <key>   another record absorbed it
    erased              the vendor has it no more, not even among the deleted records that it lists: a deletion for
                        good, such as one for the sake of privacy
    missing             a full read, or the vendor's list of changes, shows it no more; this vendor does not say why

``sync_hash`` is the hash of the record and of its declaration: equal means nothing to compare.
"""

SOURCE_TIMES: Mapping[str, tuple[str, ...]] = {
    "source_created_at": (
        "created_at", "createdate", "hs_createdate", "created", "created_date", "created_date_utc", "date_created",
        "add_date", "add_datetime", "added_at", "start_timestamp", "submitted_at", "status_updated",
    ),
    "source_updated_at": (
        "lastmodifieddate", "hs_lastmodifieddate", "modified", "last_modified", "date_modified", "last_modified_date",
        "last_update", "last_update_utc", "updated_at", "updated", "modified_at", "last_event_at", "last_message_at",
    ),
}  # fmt: skip
"""When a record was created and last edited at the vendor, under one pair of names for all tables.

Each is generated by PostgreSQL from the first of these columns that the table has, if it has one.
"""


@dataclass(frozen=True, kw_only=True)
class Local:
    """What this installation's ``config/columns.toml`` made of an entity; see ``column_config``.

    ``renamed`` has the declared name by the new one, ``dropped`` the columns as they were declared. ``hashed`` columns
    are among the entity's columns and hold a hash, or nothing.
    """

    added: tuple[str, ...] = ()
    mapped: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    hashed: frozenset[str] = frozenset()
    dropped: Mapping[str, Column] = field(default_factory=dict)


_NAME = re.compile(r"[a-z][a-z0-9_]*")
DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Entity:
    """One table of one source.

    ``name``         the ``sync_type``: what it is called in jobs, in sync_history and on the command line
    ``table``        the table it fills, in full, so that a search for the table finds this row
    ``about``        one sentence for the catalogue
    ``path``         what ``fetch`` asks the vendor for; its meaning is the source's own
    ``key``          the columns of the primary key
    ``records``      the name of the list in the answer, where it is not ``name``
    ``cursor``       the column an incremental run asks by; without one the table is read whole every time
    ``overlap``      how far before the last high-water mark the next run begins: the vendor's lag, and clocks
    ``lookback``     a trailing stretch to read again, for vendors whose cursor is not moved by edits
    ``lookahead``    how far beyond now a window reaches, for a cursor that is a schedule
    ``whole_every``  once in this time a delta becomes a read of everything, at a moment of the table's own
                     (``whole_due``): what is deleted without a trace, and edits that do not move the cursor
    ``never_whole``  why an entity with a cursor has no ``whole_every``, in words: deletions there are never noticed
    ``edited``       the column that grows with every edit, by which only newer wins, where it is not the cursor
    ``retention``    how far back the vendor can be asked; older rows are kept and never counted as missing
    ``days_since``   for entities that can be asked by date: its month is the first partition of their backfill job;
                     a backfill may ask for older days by date
    ``missing``      when a row that was not found counts as deleted: after a read of ``everything``, or also
                     after a read of the ``window`` that its cursor lies in
    ``by_state``     the vendor tells what changed since a ``state`` that the last good run left (``Extraction.state``)
    ``archived``     path of the vendor's own deleted flag, ``path=word`` where it is one word among others;
                     ``archived_at`` path of its time, which by itself is a flag
    ``gone``         what columns say in a row that a whole read did not find, where the vendor has a word for it
    ``merged``       column that lists the keys this record absorbed, with ``;`` between them
    ``custom``       path of the object whose undeclared members are kept in ``custom_properties``
    ``page_size``    records per request, where this entity's requests are not as large as its source's
    ``parent``       table whose live keys are asked for one by one (associations); it is upstream in the lineage
    ``expected``     columns whose names a header must have (a sheet, a file), or nothing is loaded
    ``index``        columns to index besides the key, the cursor, the ``refs`` and the numbers in E.164, which always
                     are; ``deleted_at`` may be one
    ``refs``         columns that should be found in the key of another table, or in a column of it where
                     ``table(column)`` says so; of the same type (``require_joinable``), checked, not enforced
    ``rules``        what a record must satisfy
    ``severity``     what a value that cannot be read as its kind leads to, by column or kind, where it differs
                     from ``rules.KINDS``
    ``every``        cadence of the schedule
    ``local``        what this installation changed in the columns, never part of a row
    """

    name: str
    table: str
    about: str
    path: str
    key: str
    columns: Mapping[str, Column]
    records: str | None = None
    cursor: str | None = None
    overlap: timedelta = timedelta(0)
    lookback: timedelta = timedelta(0)
    lookahead: timedelta = timedelta(0)
    whole_every: timedelta | None = None
    never_whole: str = ""
    edited: str | None = None
    retention: timedelta | None = None
    days_since: date | None = None
    missing: Literal["everything", "window"] = "everything"
    by_state: bool = False
    archived: str | None = None
    archived_at: str | None = None
    gone: Mapping[str, str] = field(default_factory=dict)
    merged: str | None = None
    custom: str | None = None
    page_size: int | None = None
    parent: str | None = None
    expected: str = ""
    index: str = ""
    refs: Mapping[str, str] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    severity: Mapping[str, Severity] = field(default_factory=dict)
    every: timedelta = timedelta(hours=1)
    local: Local = Local()

    def __post_init__(self) -> None:
        wrong = []
        for what, name in (("name", self.name), *(("table", part) for part in self.table.split("."))):
            if not _NAME.fullmatch(name) or len(name) > 50:
                wrong.append(f"{what} {name!r} is not snake_case of at most 50 characters")
        if bad := sorted(name for name in self.columns if not _NAME.fullmatch(name) or len(name) > 58):
            wrong.append(f"not snake_case, or too long: {', '.join(bad)}")
        if clash := sorted((BOOKKEEPING.keys() | SOURCE_TIMES.keys() | {"custom_properties"}) & self.columns.keys()):
            wrong.append(f"columns that every table has anyway: {', '.join(clash)}")
        used = [
            *self.keys,
            *(set(self.index.split()) - {"deleted_at"}),
            *self.expected.split(),
            *self.refs,
            *self.gone,
            *(rule.column for rule in self.rules),
        ]
        used += [name for name in (self.cursor, self.edited, self.merged) if name]
        if unknown := sorted(set(used) - self.columns.keys() - set(self.e164)):
            wrong.append(f"not among the columns: {', '.join(unknown)}")
        if not self.keys:
            wrong.append("no key")
        if self.by_state and self.cursor:
            wrong.append("by_state and a cursor")
        if self.cursor and self.cursor in self.columns and self.columns[self.cursor].kind != "timestamptz":
            wrong.append(f"the cursor {self.cursor!r} is not a timestamptz")
        if not self.cursor:
            for word in ("overlap", "lookback", "lookahead", "whole_every", "never_whole", "retention", "days_since"):
                if getattr(self, word):
                    wrong.append(f"{word} without a cursor")
            if self.missing == "window":
                wrong.append("missing='window' without a cursor")
        elif self.whole_every and self.never_whole:
            wrong.append("whole_every, and why there is none")
        elif not self.whole_every and not self.never_whole:
            wrong.append(
                "a cursor without whole_every: a record deleted before the window is never noticed; say how often "
                "everything is read, or in never_whole why it is not"
            )
        if strange := sorted(self.severity.keys() - self.columns.keys() - KINDS.keys()):
            wrong.append(f"severity of something that is neither a column nor a kind: {', '.join(strange)}")
        if self.every < timedelta(minutes=5):
            wrong.append("a cadence under five minutes")
        if wrong:
            raise ValueError(f"{self.table}: {'; '.join(wrong)}")

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns of the primary key."""
        return tuple(self.key.split())

    @property
    def schema(self) -> str:
        """The PostgreSQL schema of the table."""
        return self.table.rpartition(".")[0] or "public"

    @property
    def flag(self) -> str | None:
        """The column of the bookkeeping that the vendor's deleted flag fills, if it has one."""
        return "archived" if self.archived else "deleted_at" if self.archived_at else None

    @property
    def table_name(self) -> str:
        """The table's name without its schema."""
        return self.table.rpartition(".")[2]

    @cached_property
    def e164(self) -> Mapping[str, str]:
        """For each phone column the column beside it that holds the number in E.164, by the latter's name."""
        return {f"{name}_e164": name for name, column in self.columns.items() if column.kind == "phone"}

    @cached_property
    def source_times(self) -> Mapping[str, str]:
        """Of the names of ``SOURCE_TIMES`` those that the table has, each with the vendor's own column.

        A column counts by its declared name, and one that the installation added does not: what a table has already
        been given is not defined anew.
        """
        times = {
            self.local.renamed.get(name, name): name
            for name, column in self.columns.items()
            if column.kind == "timestamptz" and name not in self.local.added
        }
        found = {name: next((times[one] for one in ours if one in times), "") for name, ours in SOURCE_TIMES.items()}
        return {name: column for name, column in found.items() if column}

    @property
    def version(self) -> str | None:
        """The column that grows with every edit, by which only newer wins; None where no column does."""
        return self.edited or (None if self.lookback else self.cursor)

    @cached_property
    def indexes(self) -> tuple[str, ...]:
        """The columns that get an index of their own, the key apart."""
        names = [*self.index.split(), *([self.cursor] if self.cursor else [])]
        return tuple(name for name in dict.fromkeys((*names, *self.refs, *self.e164)) if name != self.keys[0])

    @cached_property
    def sparse(self) -> frozenset[str]:
        """Those of ``indexes`` that leave out NULL: by which rows are joined, and which many rows do not have."""
        asked_for = {*self.index.split(), self.cursor}
        return frozenset(name for name in (*self.refs, *self.e164) if name not in asked_for)

    @cached_property
    def pg_types(self) -> Mapping[str, str]:
        """Every column of the table, in order, with its PostgreSQL type and constraints."""
        own = {name: KINDS[column.kind].pg_type for name, column in self.columns.items()}
        for name in self.keys:
            own[name] += " NOT NULL"
        custom = {"custom_properties": "jsonb"} if self.custom else {}
        times = {
            name: f"timestamptz GENERATED ALWAYS AS ({column}) STORED" for name, column in self.source_times.items()
        }
        return {**own, **dict.fromkeys(self.e164, "text"), **custom, **times, **BOOKKEEPING}

    @cached_property
    def seed(self) -> int:
        """What the hash of a record depends on beside the record: ``hashtextextended(record, seed)``."""
        declared: tuple[object, ...] = (sorted(self.columns.items()), self.custom, sorted(self.e164))
        if self.local.hashed or self.local.dropped:
            declared += (sorted(self.local.hashed), sorted(self.local.dropped.items()))
        return zlib.crc32(repr(declared).encode())

    def whole_due(self, now: datetime) -> datetime:
        """Return when a read of everything last fell due, which is once in each ``whole_every``.

        The moment depends on the table's name alone: tables fall due all over the period, whenever they were first
        loaded, and a read that fails stays due.
        """
        assert self.whole_every is not None  # noqa: S101  (asked by the caller)
        period = int(self.whole_every.total_seconds())
        phase = zlib.crc32(self.table.encode()) % period
        return now - timedelta(seconds=(now.timestamp() - phase) % period)

    @property
    def unseen_for(self) -> timedelta | None:
        """How long a record that is deleted without a trace may still stand here; None where it stands for ever."""
        if not self.cursor:
            return self.every
        return self.every + self.whole_every if self.whole_every else None

    def severity_of(self, column: str) -> Severity:
        """What a value of ``column`` that cannot be read as its kind leads to; a key is always ``reject``."""
        if column in self.keys:
            return "reject"
        kind = self.columns[column].kind
        return self.severity.get(column) or self.severity.get(kind) or KINDS[kind].severity


def target(ref: str, by_table: Mapping[str, Entity]) -> tuple[Entity, str]:
    """Return the entity and the column that a value of ``Entity.refs`` means. Raises ``ValueError``."""
    table, _, column = ref.removesuffix(")").partition("(")
    if table not in by_table:
        raise ValueError(f"refers to {table}, a table of no entity")
    other = by_table[table]
    if column and column not in other.pg_types:
        raise ValueError(f"refers to {table}({column}), which has no such column")
    if not column and len(other.keys) > 1:
        raise ValueError(f"refers to {table}, whose key are {' and '.join(other.keys)}: name one, {table}(column)")
    return other, column or other.keys[0]


def require_joinable(entities: Iterable[Entity]) -> None:
    """Raise ``ValueError``, naming them all, when some ``refs`` cannot be joined, or not by an index."""
    by_table = {entity.table: entity for entity in entities}
    wrong = []
    for entity in by_table.values():
        for column, ref in entity.refs.items():
            try:
                other, found = target(ref, by_table)
            except ValueError as error:
                wrong.append(f"{entity.table}.{column} {error}")
                continue
            here, there = (one.pg_types[name].split(" ")[0] for one, name in ((entity, column), (other, found)))
            if here != there:
                wrong.append(f"{entity.table}.{column} is {here} and {other.table}.{found} is {there}")
            if found != other.keys[0] and found not in other.indexes:
                wrong.append(f"{entity.table}.{column} refers to {other.table}.{found}, which has no index")
    if wrong:
        raise ValueError(f"cannot be joined: {'; '.join(wrong)}")


class Budget(NamedTuple):
    """At most ``requests`` in any ``seconds`` for one credential, over all runs; ``name`` tells budgets apart."""

    name: str
    requests: int
    seconds: float


class Known(Protocol):
    """What the warehouse already holds, for a ``fetch`` whose vendor cannot be asked."""

    def keys(self, table: str) -> Iterator[str]:
        """Yield the keys of the living rows of ``table``, in order."""

    def archived(self, table: str, since: datetime) -> set[str]:
        """Return the keys of the rows that became ``archived`` in the vendor's words at ``since`` or later."""

    def records(self, table: str, keys: Sequence[str], key: str = "id") -> dict[str, Json]:
        """Return the stored records of these ``keys``, for a vendor that sends changes and not the whole.

        ``key`` names the column, or several with blanks between them, as then each of ``keys`` has.
        """

    def hashes(self, entity: Entity) -> Iterator[tuple[tuple[str, ...], int]]:
        """Yield key and ``sync_hash`` of the rows that the vendor had when they were last read, in order of the key."""

    def filled(self, entity: Entity, columns: Sequence[str]) -> set[str]:
        """Return those of these columns that have a value in any living row."""


class NothingKnown:
    """What an empty warehouse holds: for ``Source.check``, and for a first read."""

    def keys(self, table: str) -> Iterator[str]:
        """Yield nothing."""
        return iter(())

    def archived(self, table: str, since: datetime) -> set[str]:
        """Return nothing."""
        return set()

    def records(self, table: str, keys: Sequence[str], key: str = "id") -> dict[str, Json]:
        """Return nothing."""
        return {}

    def hashes(self, entity: Entity) -> Iterator[tuple[tuple[str, ...], int]]:
        """Yield nothing."""
        return iter(())

    def filled(self, entity: Entity, columns: Sequence[str]) -> set[str]:
        """Return nothing."""
        return set()


@dataclass(kw_only=True)
class Extraction:
    """One reading of one entity: what is asked, what is known, and what was noticed on the way.

    ``limit``     stop after so many records, 0 for no limit; the loader enforces it, a ``fetch`` may use it
    ``safety_limit`` give a read up that still goes on after so many records, 0 for never; ``endless`` then says so
    ``options``   the vendor's own flags of this run
    ``take``      waits for the shared budget of a credential; raises ``BudgetSpent``
    ``cancelled`` set when the run is stopped; a wait must end with it
    ``state``     what the last good run of this entity left: page tokens, versions. Empty before there was one, and for
                  a run that must read everything (``--full``, ``--force``, ``--start-date``, backfills, replays)
    ``next_state`` what this run leaves, kept with its data when the run is good, complete and not a dry one; a
                  ``fetch`` that is in ``doubt`` leaves it only if the next run may go on from it
    ``calls`` and ``waited_seconds`` count requests and the time spent on them, waits included
    ``reported``  how many records the vendor says the asked window has; ``trusted`` when its notes say that the
                  figure can be believed, so that a difference makes the run partial
    ``answered``  called once, when the first page is there or there is none: what is ``reported`` then can be said
    ``unchanged`` set by a ``fetch`` that proved that nothing changed and therefore read nothing: nothing is missing
    ``changes_only`` set by a ``fetch`` that reads what changed since its ``state`` and nothing else: nothing is missing
    ``gone``      keys, with blanks between the parts, of rows that a ``fetch`` of ``changes_only`` proved to be gone;
                  they are tombstoned like what a read of everything did not find, in ``doubt`` too
    ``reads_deleted`` set by a ``fetch`` whose read of everything includes what the vendor lists as deleted: a row that
                  it did not find is ``erased`` then, not only ``missing``
    ``erased``    keys of rows that the vendor listed as deleted, and does not list any more though it should
    ``doubt``     set by a ``fetch`` that cannot prove that it read all it was asked for: the run is partial for this
                  reason, and buries nothing but ``gone``
    ``absent``    columns that the warehouse has values of and the source has no place for any more, as its own
                  catalogue says; their values are kept, and the run in which that begins is partial
    ``measured``  figures of the vendor's own for the metrics, by name; ``Source.measures`` are there from the start
    ``noticed``   anything else that belongs into the history row
    """

    entity: Entity
    window: Window
    known: Known = field(default_factory=NothingKnown)
    page_size: int = 100
    limit: int = 0
    safety_limit: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    take: Callable[[str, Budget], None] = lambda credential, budget: None
    cancelled: threading.Event = field(default_factory=threading.Event)
    state: Mapping[str, str] = field(default_factory=dict)
    next_state: Mapping[str, str] | None = None
    calls: int = 0
    waited_seconds: float = 0.0
    reported: int | None = None
    trusted: bool = False
    answered: Callable[[], None] = lambda: None
    unchanged: bool = False
    changes_only: bool = False
    gone: list[str] = field(default_factory=list)
    reads_deleted: bool = False
    erased: list[str] = field(default_factory=list)
    endless: bool = False
    doubt: str | None = None
    absent: set[str] = field(default_factory=set)
    measured: Counter[str] = field(default_factory=Counter)
    noticed: dict[str, Any] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether everything is read."""
        return self.window.since is None

    @property
    def since(self) -> datetime:
        """The window's begin, as a time that can be compared; the year 1 when all is read."""
        return self.window.since or datetime.min.replace(tzinfo=UTC)


Fetch = Callable[[Extraction], Iterable[Page]]


class Portal(NamedTuple):
    """What a vendor has of one entity (``Source.inspect``).

    ``has`` is the vendor's own list of what a record may have, types by path; None where only ``records`` tell.
    ``remarks`` are what else is to know, and ``reasons`` why a column has no place, where more is known than that.
    ``told`` says that ``Source.check`` has named the declared columns without a place already.
    """

    has: Mapping[str, str] | None = None
    records: Sequence[Json] = ()
    remarks: Sequence[str] = ()
    reasons: Mapping[str, str] = {}
    told: bool = False


Inspect = Callable[[Extraction], Portal | None]


@dataclass(frozen=True, kw_only=True)
class Flag:
    """A flag of ``sync`` that one vendor has beside those of all; its value is in ``Extraction.options``.

    ``name``        as Python spells it: ``booking_status`` is ``--booking-status``
    ``help``        what it does, for ``--help``
    ``type``        what is given with it; a number goes from 1 to ``most``
    ``entities``    the entities that it concerns, all of them when empty
    ``narrows``     whether fewer records are read with it, so that the run neither moves the cursor nor buries a row
    ``stands_for``  the flag of all vendors that this is an old spelling of; the command line alone knows it
    """

    name: str
    help: str
    type: Literal["text", "number", "switch"] = "text"
    most: int | None = None
    entities: tuple[str, ...] = ()
    narrows: bool = False
    stands_for: str | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"flag {self.name!r} is not snake_case")

    @property
    def spelled(self) -> str:
        """The flag as the command line has it."""
        return f"--{self.name.replace('_', '-')}"

    def concerns(self, entity: Entity) -> bool:
        """Return whether the flag means anything to ``entity``."""
        return not self.entities or entity.name in self.entities

    def read(self, value: Any) -> Any:
        """Return ``value`` if it can be used; raise ``WrongUse`` if not."""
        forms = {"text": (str, "a text"), "number": (int, "a number from 1"), "switch": (bool, "true or false")}
        form, wanted = forms[self.type]
        good = type(value) is form and value != ""
        if self.type == "number":
            good = good and 1 <= value <= (self.most or value)
            wanted += f" to {self.most}" if self.most else ""
        if not good:
            raise WrongUse(f"{self.name} is {value!r}; it must be {wanted}")
        return value


@dataclass(frozen=True, kw_only=True)
class Source:
    """A vendor: how to ask it for pages, and what there is to ask for.

    ``settings``   its settings; a field without a default must be set before the source counts as configured
    ``check``      asks the vendor for the cheapest thing that proves the credential; returns what to print
    ``page_size``  records per request unless ``--batch-size`` says otherwise
    ``pool``       how many steps may read this vendor at a time, over all runs
    ``flags``      what ``sync`` offers for this vendor alone
    ``mirrored``   its tables have triggers and foreign keys of their own, for the rows that are made here; they neither
                   rewrite nor refuse what the vendor says. CHECK, NOT NULL and unique indexes hold. Rows without a
                   ``sync_hash`` are those that were made here, and of no vendor's concern
    ``measures``   names of figures that the metrics of every run have, 0 where nothing was measured
    ``inspect``    asks the vendor, in a request or few, what it has of the entity of the extraction, and so many
                   records as its ``limit`` says; raises as ``fetch`` does where that would fail. Without it, or where
                   it returns None, the first records of ``fetch`` tell
    ``place``      the path of what the vendor calls by this name, for a column of this kind (``column_config``)
    ``as_configured``  returns an entity with the columns that this installation's settings give it, read when a run
                   begins; raises ``NotConfigured`` for a setting that cannot be used
    """

    name: str
    title: str
    transport: Literal["api", "database", "file", "query"]
    settings: type[BaseSettings]
    fetch: Fetch
    check: Callable[[], str]
    entities: tuple[Entity, ...]
    page_size: int = 100
    pool: int = 3
    flags: tuple[Flag, ...] = ()
    mirrored: bool = False
    measures: tuple[str, ...] = ()
    inspect: Inspect | None = None
    place: Callable[[str, Kind], str] = lambda name, kind: name
    as_configured: Callable[[Entity], Entity] = lambda entity: entity

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9]{1,50}", self.name):
            raise ValueError(f"source {self.name!r}: a name is lower case letters and digits only")
        for what in ("name", "table"):
            names = [getattr(entity, what) for entity in self.entities]
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"source {self.name!r}: {what} declared twice: {', '.join(twice)}")
        meant = {name for flag in self.flags for name in flag.entities}
        if unknown := sorted(meant - {entity.name for entity in self.entities}):
            raise ValueError(f"source {self.name!r}: flags for entities that it has not: {', '.join(unknown)}")

    def flags_for(self, entity: Entity, given: Mapping[str, Any]) -> dict[Flag, Any]:
        """Return those of the ``given`` values that concern ``entity``; raise ``WrongUse`` for what is no flag."""
        flags = {flag.name: flag for flag in self.flags if not flag.stands_for}
        if unknown := sorted(given.keys() - flags.keys()):
            there = f"it has {', '.join(flags)}" if flags else "it has none"
            raise WrongUse(f"{self.title} has no flag {', '.join(unknown)} of its own; {there}")
        return {flags[name]: flags[name].read(value) for name, value in given.items() if flags[name].concerns(entity)}

    def missing_settings(self) -> list[str]:
        """Return the names of all settings that are missing or unusable, as they are spelt in the environment."""
        return sorted(self.wrong_settings())

    def wrong_settings(self) -> dict[str, str]:
        """Return what is wrong with a setting, by its name, without its value; nothing where it is missing."""
        try:
            self.settings()
        except ValidationError as error:
            prefix = self.settings.model_config.get("env_prefix", "")
            return {
                f"{prefix}{'_'.join(map(str, wrong['loc']))}".upper(): ""
                if wrong["type"] == "missing"
                else wrong["msg"].removeprefix("Value error, ")
                for wrong in error.errors(include_input=False)
            }
        return {}

    def settings_problem(self) -> str | None:
        """Return one sentence that names all settings that are missing or unusable; None when there are none."""
        wrong = self.wrong_settings()
        if not wrong:
            return None
        missing = sorted(name for name, problem in wrong.items() if not problem)
        said = [f"set {', '.join(missing)}"] if missing else []
        said += [f"{name} cannot be used ({problem})" for name, problem in sorted(wrong.items()) if problem]
        return f"{self.title} is not configured: {'; '.join(said)}, in the environment or in .env"

    def require_settings(self) -> None:
        """Raise ``NotConfigured``, naming all that is missing at once, and what cannot be used."""
        if problem := self.settings_problem():
            raise NotConfigured(problem)
        if any(entity.local.hashed for entity in self.entities):
            hash_key()
        for entity in self.entities[:1]:  # whichever is asked for, the whole setting is read
            self.as_configured(entity)
