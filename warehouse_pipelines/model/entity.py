"""The vocabulary of the project: a source has entities, an entity has columns.

A file under ``sources/`` is a table of ``Entity`` rows and one ``fetch``. Everything else is derived from the
rows: table and indexes, dlt resource, asset, jobs, schedule, checks, most of the tests, and
``docs/entities.md``. When an entity is read is said in its ``cadence``, how a deletion is known in its ``deletes``; the
defaults of both fit a small list that is read in full every hour.

A row may name things; it may not compute. A word that two vendors need becomes a field here. A word that one vendor
needs is a line of Python in its ``fetch``, unless something else than the source acts on it: the loader, Dagster, or
the columns of the installation.

A wrong row raises ``ValueError`` at import and says what is wrong with it.
"""

import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, cast

from warehouse_pipelines.model.cadence import Cadence
from warehouse_pipelines.model.deletes import Deletes
from warehouse_pipelines.model.rules import KINDS, Kind, Rule, Severity

if TYPE_CHECKING:
    from psycopg import sql


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

    @property
    def members(self) -> tuple[str, ...]:
        """Every member of the record that the value is read from: the parts of all of its places."""
        return tuple(member for parts in self.parts for member in parts)


def columns(**names_by_kind: str) -> Mapping[str, Column]:
    """Return the columns of a table, written as names grouped by kind.

    A value that is nested, or named otherwise by the vendor, is written ``name=path``, and ``name=path|path`` where it
    may be in several places; ``name=first+last`` joins texts. Raises ``ValueError`` for a kind that there is not, a
    name declared twice, and a join of other kinds than text.

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

EDITED_AT = "source_edited_at"
"""The column of when others than the warehouse last edited a record, in tables of records that it writes to itself.

A merge fills it where that is not ``source_updated_at``, which the warehouse's own write moves. It is null elsewhere.
"""


@dataclass(frozen=True, kw_only=True)
class Local:
    """What this installation's ``config/columns.toml`` made of an entity; see ``column_config``.

    ``renamed`` has the declared name by the new one, ``dropped`` the columns as they were declared. ``hashed`` columns
    are among the entity's columns and hold a hash, or nothing. ``impersonal`` are those of ``added`` that say nothing
    of a person.
    """

    added: tuple[str, ...] = ()
    impersonal: frozenset[str] = frozenset()
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
    ``columns``      the columns of the table, by name; ``columns()`` writes them
    ``cursor``       the column a delta asks by; without one the table is read in full every time
    ``state_based``  the vendor tells what changed since a ``state`` that the last good run left (``ReadRequest.state``)
    ``edited``       the column that grows with every edit, by which only newer wins, where it is not the cursor
    ``cadence``      when it is read, and how much of it
    ``deletes``      how a deleted record is known, beside being absent from a full read
    ``parent``       table whose living keys are asked for one by one (HubSpot's associations); Dagster has it
                     upstream, so that it is loaded first
    ``page_size``    records per request, where this entity's requests are not as large as its source's
    ``expected``     columns that a header must have, or nothing is loaded (Google Sheets); an installation can
                     neither drop nor rename them
    ``custom``       path of the object whose undeclared members are kept in ``custom_properties``
    ``written_back`` members of ``custom`` that the warehouse itself writes at the vendor (``outbound``), and those by
                     which the vendor notes a write: a change of these alone is no edit (``source_edited_at``)
    ``index``        columns to index besides the key, the cursor, the ``refs`` and the numbers in E.164, which always
                     are; ``deleted_at`` may be one
    ``refs``         columns that should be found in the key of another table, or in a column of it where
                     ``table(column)`` says so; of the same type (``require_joinable``), checked, not enforced
    ``rules``        what a record must satisfy
    ``change_log``   whether what changes in its rows is kept in ``orchestration.change_log`` (``loading.change_log``)
    ``severity``     what a value that cannot be read as its kind leads to, by column or kind, where it differs
                     from ``rules.KINDS``; no vendor needs it today, and tests and benchmarks reject records by it
    ``local``        what this installation changed in the columns, never part of a row
    ``declared_table``  in the copy for a further account, the table of the first one, never part of a row

    Raises ``ValueError`` that names the table and everything that is wrong with the row.
    """

    name: str
    table: str
    about: str
    path: str
    key: str
    columns: Mapping[str, Column]
    cursor: str | None = None
    state_based: bool = False
    edited: str | None = None
    cadence: Cadence = field(default_factory=Cadence)
    deletes: Deletes = field(default_factory=Deletes)
    parent: str | None = None
    page_size: int | None = None
    expected: str = ""
    custom: str | None = None
    written_back: tuple[str, ...] = ()
    index: str = ""
    refs: Mapping[str, str] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    change_log: bool = False
    severity: Mapping[str, Severity] = field(default_factory=dict)
    local: Local = Local()
    declared_table: str = ""

    def __post_init__(self) -> None:
        wrong = []
        for what, name in (("name", self.name), *(("table", part) for part in self.table.split("."))):
            if not _NAME.fullmatch(name) or len(name) > 50:
                wrong.append(f"{what} {name!r} is not snake_case of at most 50 characters")
        if bad := sorted(name for name in self.columns if not _NAME.fullmatch(name) or len(name) > 58):
            wrong.append(f"not snake_case, or too long: {', '.join(bad)}")
        if clash := sorted(
            (BOOKKEEPING.keys() | SOURCE_TIMES.keys() | {"custom_properties", EDITED_AT}) & self.columns.keys()
        ):
            wrong.append(f"columns that every table has anyway: {', '.join(clash)}")
        used = [
            *self.keys,
            *(set(self.index.split()) - {"deleted_at"}),
            *self.expected.split(),
            *self.refs,
            *self.deletes.deleted_values,
            *(rule.column for rule in self.rules),
        ]
        used += [name for name in (self.cursor, self.edited, self.deletes.merged_keys) if name]
        if unknown := sorted(set(used) - self.columns.keys() - set(self.e164)):
            wrong.append(f"not among the columns: {', '.join(unknown)}")
        if not self.keys:
            wrong.append("no key")
        if self.written_back and not (self.custom and "source_updated_at" in self.source_times):
            wrong.append("written_back without custom, or without a time of the last edit")
        if self.state_based and self.cursor:
            wrong.append("state_based and a cursor")
        if self.cursor and self.cursor in self.columns and self.columns[self.cursor].kind != "timestamptz":
            wrong.append(f"the cursor {self.cursor!r} is not a timestamptz")
        if not self.cursor:
            wrong += [f"{word} without a cursor" for word in self.cadence.by_cursor]
            if self.deletes.by_window:
                wrong.append("by_window without a cursor")
        elif not self.cadence.full_every and not self.cadence.never_full:
            wrong.append(
                "a cursor without full_every: a record deleted before the window is never noticed; say in its cadence "
                "how often everything is read, or in never_full why it is not"
            )
        if strange := sorted(self.severity.keys() - self.columns.keys() - KINDS.keys()):
            wrong.append(f"severity of something that is neither a column nor a kind: {', '.join(strange)}")
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
    def table_name(self) -> str:
        """The table's name without its schema."""
        return self.table.rpartition(".")[2]

    @property
    def identifier(self) -> "sql.Identifier":
        """The table in SQL."""
        from psycopg import sql

        return sql.Identifier(self.schema, self.table_name)

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
    def edit_times(self) -> tuple[str, ...]:
        """The columns of which the first that is filled says when somebody last edited the record at the vendor."""
        return tuple(name for name in (EDITED_AT, "source_updated_at") if name in self.pg_types)

    @cached_property
    def edits(self) -> frozenset[str]:
        """The columns of which a change is an edit by somebody: no times of it, and none of ``written_back``."""
        ours = {f"{self.custom}.{name}" for name in self.written_back}
        times = {self.source_times.get("source_updated_at")}
        return frozenset(
            name for name, column in self.columns.items() if name not in times and not ours.issuperset(column.members)
        )

    @property
    def version(self) -> str | None:
        """The column that grows with every edit, by which only newer wins; None where no column does."""
        return self.edited or (None if self.cadence.lookback else self.cursor)

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
        edited = {EDITED_AT: "timestamptz"} if self.written_back else {}
        return {**own, **dict.fromkeys(self.e164, "text"), **custom, **times, **edited, **BOOKKEEPING}

    @cached_property
    def hash_seed(self) -> int:
        """What the hash of a record depends on beside the record: ``hashtextextended(record, hash_seed)``."""
        declared: tuple[object, ...] = (sorted(self.columns.items()), self.custom, sorted(self.e164))
        if self.local.hashed or self.local.dropped:
            declared += (sorted(self.local.hashed), sorted(self.local.dropped.items()))
        return zlib.crc32(repr(declared).encode())

    def full_due(self, now: datetime) -> datetime:
        """Return when a full read last fell due, which is once in each ``full_every``.

        The moment depends on the table's name alone: tables fall due all over the period, whenever they were first
        loaded, and a read that fails stays due.
        """
        assert self.cadence.full_every is not None  # noqa: S101  (asked by the caller)
        period = int(self.cadence.full_every.total_seconds())
        phase = zlib.crc32(self.table.encode()) % period
        return now - timedelta(seconds=(now.timestamp() - phase) % period)

    @property
    def unseen_for(self) -> timedelta | None:
        """How long a record that is deleted without a trace may still stand here; None where it stands for ever."""
        cadence = self.cadence
        if not self.cursor:
            return cadence.every
        return cadence.every + cadence.full_every if cadence.full_every else None

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
