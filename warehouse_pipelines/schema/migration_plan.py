"""What ``warehouse migrate`` would do to which tables, what it would lock, and for how long. Nothing is changed.

The schema is copied without its rows into an embedded PostgreSQL of its own, in a temporary folder, and migrated there.
So it is PostgreSQL that says which locks are taken, which tables are rewritten and which are read: nothing is guessed
from the text of a statement, and no lock is taken in the warehouse that a load or a reader would wait for (``pg_dump``
reads the catalog, with the locks of a reader). How large the tables are is asked of the warehouse.

Seconds are estimated from rows by ``SCAN``, ``INDEX`` and ``REWRITE``, which say where they were measured. A lock that
is taken in the transaction is held to its end, so its time is that of all that comes after it in the transaction.
"""

import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from psycopg import sql

from warehouse_pipelines import warehouse
from warehouse_pipelines.queries import query
from warehouse_pipelines.schema import backup, dump_programs, migrate, online, remade_views
from warehouse_pipelines.settings import sql_folder

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

SCAN, INDEX, REWRITE = 1_000_000, 400_000, 60_000
"""Rows a second: read, entered into one index, written again with its documents; for rows of about 1 kB."""

SMALL = 10_000
"""Tables of fewer rows are named in one line: whatever is done to them takes a moment."""

WEAK = ("AccessShareLock", "RowShareLock", "RowExclusiveLock")
"""What readers and writers take themselves; they wait for none of these."""

BLOCKS = {
    "ShareUpdateExclusiveLock": "readers and writers go on",
    "ShareLock": "writers wait",
    "ShareRowExclusiveLock": "writers wait",
    "ExclusiveLock": "writers wait",
    "AccessExclusiveLock": "readers and writers wait",
}

COPIED = (
    "orchestration.alembic_version", "orchestration.migration_step", "orchestration.sync_schedule",
    "orchestration.source_table",
)  # fmt: skip
"""Tables whose rows a migration compares; those of ``sql/defaults`` are copied too. None of them has personal data."""


@dataclass(frozen=True)
class Effect:
    """What a stage of a migration does to a table that was there before it."""

    table: str
    lock: str = ""
    rewritten: bool = False
    scans: int = 0
    indexes: tuple[str, ...] = ()
    written: bool = False

    @property
    def is_long(self) -> bool:
        """Whether it takes longer, the more rows the table has."""
        return bool(self.rewritten or self.scans or self.indexes)


@dataclass(frozen=True)
class Stage:
    """One stage of the transaction: the lines it printed, and its seconds on the copy, which has no rows."""

    lines: tuple[str, ...]
    effects: tuple[Effect, ...]
    seconds: float


@dataclass(frozen=True)
class Size:
    """How large a table of the warehouse is."""

    rows: int = 0
    bytes: int = 0
    indexes: int = 0


@dataclass(frozen=True)
class Plan:
    """What would be done in the transaction, and after it: the steps of ``online``."""

    stages: tuple[Stage, ...]
    after: tuple[online.Step, ...]
    sizes: dict[str, Size] = field(default_factory=dict)

    def lines(self) -> Iterator[str]:
        """Yield what to print."""
        if not self.stages and not self.after:
            yield "Nothing to do."
            return
        yield "In one transaction, which gives way to others and tries again rather than wait for a lock:"
        for place, stage in enumerate(self.stages):
            yield f"  {'; '.join(stage.lines)}"
            small: dict[str, list[str]] = {}
            for effect in stage.effects:
                if self.sizes.get(effect.table, Size()).rows < SMALL:
                    small.setdefault(BLOCKS.get(effect.lock, "readers and writers go on"), []).append(effect.table)
                else:
                    yield f"    {effect.table} ({self._size(effect.table)}): {self._describe(place, effect)}"
            for what, names in sorted(small.items()):
                held = _duration(self.held_seconds(place))
                yield f"    of less than {SMALL:,} rows, {what} about {held}: {', '.join(names)}"
        if not self.stages:
            yield "  nothing"
        if self.after:
            yield "Then, one after the other, while readers and writers go on:"
        for step in self.after:
            rows = self.sizes.get(step.table, Size()).rows
            match step:
                case online.Index():
                    seconds = 2 * rows / SCAN + rows / INDEX
                case online.Backfill():
                    seconds = rows / REWRITE
                case _:
                    seconds = rows / SCAN
            yield f"  {step.name}: {step.table} ({self._size(step.table)}), about {_duration(seconds)}"
        yield (
            f"Estimated from rows: {SCAN:,} read, {INDEX:,} entered into an index and {REWRITE:,} rewritten a second. "
            "Try a copy of the warehouse where a lock of minutes would matter."
        )

    def held_seconds(self, place: int) -> float:
        """Return how long a lock is held that the stage at this place takes: to the end of the transaction."""
        return sum(stage.seconds + sum(map(self._work, stage.effects)) for stage in self.stages[place:])

    def _work(self, effect: Effect) -> float:
        size = self.sizes.get(effect.table, Size())
        seconds = size.rows * (effect.scans / SCAN + len(effect.indexes) / INDEX)
        if effect.rewritten:
            seconds += size.rows * (1 / REWRITE + size.indexes / INDEX)
        return seconds

    def _describe(self, place: int, effect: Effect) -> str:
        words = []
        if effect.rewritten:
            words.append("rewritten")
        if effect.indexes:
            words.append(f"indexes built: {', '.join(effect.indexes)}")
        if effect.scans and not (effect.rewritten or effect.indexes):
            words.append("rows changed" if effect.written else "rows read")
        elif effect.written and not effect.scans:
            words.append("some rows changed")
        what = f" ({', '.join(words)}: {_duration(self._work(effect))})" if words else ""
        if effect.lock in BLOCKS:
            name = _sql_name(effect.lock)
            return f"{name}, {BLOCKS[effect.lock]} about {_duration(self.held_seconds(place))}{what}"
        return f"no lock that readers or writers wait for{what}"

    def _size(self, table: str) -> str:
        size = self.sizes.get(table, Size())
        return f"{size.rows:,} rows, {size.bytes / 2**20:,.0f} MB"


def _duration(seconds: float) -> str:
    return f"{seconds / 60:,.0f} min" if seconds >= 120 else f"{max(seconds, 0.1):,.1f} s"


def _sql_name(lock: str) -> str:
    """Return a lock as LOCK TABLE spells it."""
    return "".join(f" {one}" if one.isupper() else one for one in lock.removesuffix("Lock")).strip().upper()


class EffectRecorder:
    """Notes what each stage of a migration did, as ``migrate`` calls it in its transaction."""

    def __init__(self) -> None:
        self.stages: list[Stage] = []
        self._began = time.monotonic()
        self._tables: dict[int, str] = {}
        self._files: dict[int, int] = {}
        self._indexes: dict[int, dict[str, str]] = {}
        self._locks: dict[int, str] = {}
        self._scans: dict[int, int] = {}
        self._writes: dict[int, int] = {}

    def __call__(self, connection: sa.Connection, lines: Sequence[str]) -> None:
        """Note what changed since the last call."""
        took = time.monotonic() - self._began
        effects = []
        seen: list[tuple[int, str, int, dict[str, str], str, int, int]] = [
            (row.oid, row.name, row.file, row.indexes, row.lock, row.scans, row.writes)
            for row in connection.execute(sa.text(query("migration_effects")))
        ]
        for oid, _, file, indexes, lock, scans, writes in seen:
            if oid not in self._tables:
                continue
            made = sorted(indexes[one] for one in indexes.keys() - self._indexes[oid].keys())
            rewritten = file != self._files[oid]
            effect = Effect(
                self._tables[oid],
                lock if lock != self._locks.get(oid, "") and lock not in WEAK else "",
                rewritten,
                0 if rewritten or made else scans - self._scans[oid],
                () if rewritten else tuple(made),
                writes > self._writes[oid] or (lock == "RowExclusiveLock" and self._locks.get(oid, "") != lock),
            )
            if effect.lock or effect.is_long:
                effects.append(effect)
        for oid, name, file, indexes, lock, scans, writes in seen:
            self._tables[oid], self._files[oid], self._indexes[oid] = name, file, indexes
            self._locks[oid], self._scans[oid], self._writes[oid] = lock, scans, writes
        if lines or effects:
            self.stages.append(Stage(tuple(lines), tuple(effects), took))
        self._began = time.monotonic()


def plan(url: str) -> Plan:
    """Return what a migration of the database at ``url`` would do.

    Raises ``NotConfigured`` without a PostgreSQL of its own or a ``pg_dump`` as new as the server, ``WrongUse`` when
    the schema cannot be copied, ``DatabaseUnavailable``, and what ``migrate`` raises.
    """
    from warehouse_pipelines.local.postgres import Server

    with tempfile.TemporaryDirectory(prefix="warehouse-plan-") as folder:
        server = Server(Path(folder) / "server", durable=False)
        try:
            return plan_on(url, server.start())
        finally:
            warehouse.close_kept()
            if server.home.exists():
                server.stop("immediate")


def plan_on(url: str, copy: str) -> Plan:
    """Return the plan of ``url`` by an empty database at ``copy``, whose user is a superuser. Raises as ``plan``."""
    with warehouse.session(url) as session:
        migrate.require_utf8(session)
    with warehouse.session(url) as session, tempfile.TemporaryDirectory(prefix="warehouse-plan-") as folder:
        _copy(session, url, copy, Path(folder) / "schema.dump")
        sizes = sizes_of(session)
    return Plan(*_recorded(copy), sizes)


def sizes_of(session: "Session") -> dict[str, Size]:
    """Return how large the tables are, by name."""
    rows = session.execute(query("migration_sizes"))
    return {row["name"]: Size(row["rows"], row["bytes"], row["indexes"]) for row in rows}


def _recorded(url: str) -> tuple[tuple[Stage, ...], tuple[online.Step, ...]]:
    """Migrate the copy; return the stages of the transaction, and what would come after it."""
    recorder = EffectRecorder()
    migrate.upgrade(url, recorder, largest=None)
    revisions, indexes = migrate.remaining(url)
    return tuple(stage for stage in recorder.stages if stage.lines), (*(step for _, step in revisions), *indexes)


def _copy(session: "Session", url: str, copy: str, dump: Path) -> None:
    """Copy the schema, the roles that it names, ours with their memberships, and the rows that a migration compares."""
    server = session.info.server_version // 10_000
    words = ["--format=custom", "--schema-only", f"--file={dump}"]
    dump_programs.dump(url, server, words, "Planning: reading the schema")
    roles = {row["role"] for row in session.execute(query("backup_roles"))}
    roles |= {row["role"] for row in session.execute("SELECT DISTINCT pg_get_userbyid(relowner) AS role FROM pg_class")}
    with warehouse.session(copy) as made:
        known = {row["rolname"] for row in made.execute("SELECT rolname FROM pg_roles")}
        for role in roles - known - {*remade_views.OURS}:
            made.execute(sql.SQL("CREATE ROLE {} SUPERUSER").format(sql.Identifier(role)))
        backup.make_roles(made, tuple(remade_views.OURS))
        for row in session.execute(query("role_memberships"), {"roles": [*remade_views.OURS]}):
            made.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(row["role"]), sql.Identifier(row["member"])))
        dump_programs.load(dump, copy, "Planning: copying the schema")
        made.execute("SET session_replication_role = replica")
        for table in _compared():
            _copy_rows(session, made, table)


def _compared() -> list[str]:
    files = sorted((sql_folder() / "defaults").glob("*.sql"))
    return [
        *COPIED,
        *dict.fromkeys(name for file in files for name in re.findall(r"INSERT INTO ([\w.]+)", file.read_text())),
    ]


def _copy_rows(source: "Session", target: "Session", table: str) -> None:
    columns = [
        sql.Identifier(row["name"])
        for row in source.execute(
            "SELECT attname AS name FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0"
            " AND NOT attisdropped AND attgenerated = '' ORDER BY attnum",
            [table],
        )
    ]
    if not columns:
        return
    what = sql.SQL("{} ({})").format(sql.Identifier(*table.split(".")), sql.SQL(", ").join(columns))
    with (
        source.cursor() as reading,
        target.cursor() as writing,
        reading.copy(sql.SQL("COPY {} TO STDOUT").format(what)) as rows,
        writing.copy(sql.SQL("COPY {} FROM STDIN").format(what)) as made,
    ):
        for block in rows:
            made.write(block)
