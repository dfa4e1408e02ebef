"""Steps of a migration that take long on a large table, each so that readers and loads go on meanwhile.

A revision changes the catalog in the transaction of all revisions (``migrate``) and names here what remains::

    steps = (
        online.Index("idx_call_agent", "public.callrail_call", "(agent_email)"),
        online.Backfill("fill agent", "public.callrail_call", "agent = lower(t.agent_email)", "t.agent IS NULL"),
        online.NotNull("public.callrail_call", "agent"),
    )

They run in this order after that transaction, each by itself, and ``orchestration.migration_step`` has what was done:
a migration that was killed goes on there. No ``upgrade()`` may need what a step makes; what does is a step itself.

What blocks whom, in PostgreSQL: an index that is built CONCURRENTLY, VALIDATE CONSTRAINT and a batch of a backfill let
others read and write. ADD CONSTRAINT … NOT VALID and SET NOT NULL keep others out for a moment, the latter because a
valid CHECK already proves it. Whoever waits for such a lock keeps out all that come later, so nothing here waits
longer than ``LOCK_TIMEOUT``: it gives way, lets them pass and tries again.
"""

import functools
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from psycopg import errors, sql

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import DatabaseUnavailable

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

log = logging.getLogger("warehouse")

LOCK_TIMEOUT = "800ms"
"""Below ``deadlock_timeout``, so that in a deadlock with a load the migration gives way and not the load."""

BATCH = 5_000

Result = TypeVar("Result")


class Step(Protocol):
    """Something that is done to a table while others use it. ``run`` may be repeated after it was killed."""

    @property
    def name(self) -> str: ...
    @property
    def table(self) -> str: ...
    def run(self, session: "Session", progress: "Progress") -> None: ...


class Progress:
    """How far a step has come, kept in ``orchestration.migration_step``."""

    def __init__(self, session: "Session", revision: str, step: str) -> None:
        self._session, self._names = session, [revision, step]

    def position(self) -> str | None:
        """Return the key up to which it was done; None at the start."""
        asked = "SELECT position FROM orchestration.migration_step WHERE revision = %s AND step = %s"
        position: str | None = warehouse.value(self._session, asked, self._names)
        return position

    def move(self, position: str) -> None:
        """Write it, in the transaction of the rows that it is about."""
        self._session.execute(
            "UPDATE orchestration.migration_step SET position = %s WHERE revision = %s AND step = %s",
            [position, *self._names],
        )


@dataclass(frozen=True)
class Index:
    """An index, ``what`` being all that follows the table in CREATE INDEX; an invalid one of its name is replaced.

    A build that failed or was killed leaves an invalid index, which costs each write and answers no question.
    """

    index: str
    table: str
    what: str
    unique: bool = False

    @property
    def name(self) -> str:
        """The name in the progress table and in messages."""
        return f"index {self.index}"

    def run(self, session: "Session", progress: Progress | None = None) -> None:
        """Build it."""
        schema = self.table.split(".")[0]
        identifier = sql.Identifier(schema, self.index)
        found = session.execute(
            "SELECT indisvalid AS valid FROM pg_index WHERE indexrelid = to_regclass(%s)",
            [identifier.as_string()],
        ).fetchone()
        if found and found["valid"]:
            return
        session.execute("SET lock_timeout = 0")  # a wait that keeps nobody out, as these locks let others pass
        if found:
            log.warning("The index %s is invalid, as a build that was ended leaves it; it is built anew.", self.index)
            session.execute(sql.SQL("DROP INDEX CONCURRENTLY {}").format(identifier))
        session.execute(
            sql.SQL("CREATE {}INDEX CONCURRENTLY {} ON {} {}").format(
                sql.SQL("UNIQUE " if self.unique else ""), sql.Identifier(self.index), _table(self.table),
                sql.SQL(self.what),
            )
        )  # fmt: skip


@dataclass(frozen=True)
class Validate:
    """A constraint that the revision added NOT VALID: new rows obey it already, those that are there are read."""

    table: str
    constraint: str

    @property
    def name(self) -> str:
        """The name in the progress table and in messages."""
        return f"constraint {self.constraint}"

    def run(self, session: "Session", progress: Progress) -> None:
        """Read the rows. Raises ``psycopg.errors.CheckViolation`` or ``ForeignKeyViolation``."""
        statement = sql.SQL("ALTER TABLE {} VALIDATE CONSTRAINT {}").format(
            _table(self.table), sql.Identifier(self.constraint)
        )
        patiently(session, f"Reading {self.table}", lambda: session.execute(statement))


@dataclass(frozen=True)
class NotNull:
    """NOT NULL of a column that has rows: a CHECK that is not valid, the rows read, and then what it proves."""

    table: str
    column: str

    @property
    def name(self) -> str:
        """The name in the progress table and in messages."""
        return f"NOT NULL {self.table}.{self.column}"

    def run(self, session: "Session", progress: Progress) -> None:
        """Add it. Raises ``psycopg.errors.CheckViolation`` when a row has no value."""
        table, column = _table(self.table), sql.Identifier(self.column)
        check = f"{self.table.rpartition('.')[2]}_{self.column}_proof"[:63]
        constraint = sql.Identifier(check)
        row = session.execute(
            "SELECT attnotnull AS done, EXISTS (SELECT FROM pg_constraint WHERE conrelid = attrelid AND conname = %s)"
            " AS begun FROM pg_attribute WHERE attrelid = %s::regclass AND attname = %s",
            [check, table.as_string(), self.column],
        ).fetchone()
        if row is None or row["done"]:
            return
        if not row["begun"]:
            added = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} CHECK ({} IS NOT NULL) NOT VALID").format(
                table, constraint, column
            )
            patiently(session, f"Changing {self.table}", lambda: session.execute(added))
        Validate(self.table, check).run(session, progress)
        proved = sql.SQL("ALTER TABLE {} ALTER COLUMN {} SET NOT NULL, DROP CONSTRAINT {}").format(
            table, column, constraint
        )
        patiently(session, f"Changing {self.table}", lambda: session.execute(proved))


@dataclass(frozen=True)
class Backfill:
    """Values for the rows that are there: ``assignments`` of the rows ``t`` that are ``wanted``, batch by batch.

    A batch is one transaction of at most ``BATCH`` rows in the order of the primary key, which is one column. Rows that
    are written meanwhile behind its position must have their value from whoever writes them, or by a DEFAULT.
    """

    name: str
    table: str
    assignments: str
    wanted: str = "true"
    batch: int = BATCH

    def run(self, session: "Session", progress: Progress) -> None:
        """Fill them, from where it was left. Raises ``ValueError`` for a table whose key has several columns."""
        table = _table(self.table)
        key = session.execute(
            "SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type FROM pg_index AS i"
            " JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)"
            " WHERE i.indrelid = %s::regclass AND i.indisprimary",
            [table.as_string()],
        ).fetchall()
        if len(key) != 1:
            raise ValueError(f"{self.table} has no primary key of one column to fill it by")
        # A table is never walked: each batch begins in the key's index where the last one ended.
        statement = sql.SQL("""
            WITH batch AS MATERIALIZED (
                SELECT {key} AS key FROM {table} WHERE %(position)s::{type} IS NULL OR {key} > %(position)s::{type}
                ORDER BY {key} LIMIT %(batch)s
            ), filled AS (
                UPDATE {table} AS t SET {assignments}
                WHERE t.{key} = ANY(ARRAY(SELECT key FROM batch)) AND ({wanted})
            ) SELECT (array_agg(key ORDER BY key DESC))[1]::text AS last, count(*) AS rows FROM batch
        """).format(
            key=sql.Identifier(key[0]["name"]), type=sql.SQL(key[0]["type"]), table=table,
            assignments=_given(self.assignments), wanted=_given(self.wanted),
        )  # fmt: skip

        def fill(position: str | None) -> dict[str, Any]:
            with session.transaction():
                session.execute("SET LOCAL enable_seqscan = off; SET LOCAL jit = off")
                [row] = session.execute(statement, {"position": position, "batch": self.batch})
                if row["last"] is not None:
                    progress.move(row["last"])
                return row

        position, done = progress.position(), 0
        logged_at = time.monotonic()
        while True:
            row = patiently(session, f"Filling {self.table}", functools.partial(fill, position))
            done += row["rows"]
            if row["rows"] < self.batch:
                return
            position = row["last"]
            if time.monotonic() - logged_at > 30:
                logged_at = time.monotonic()
                log.info("%s: %s rows", self.name, f"{done:,}")


def run(session: "Session", steps: Sequence[tuple[str, Step]]) -> list[str]:
    """Run the steps that are not done, each after its revision, and return a line for each.

    The session commits by itself. Raises ``psycopg.Error`` for rows that do not obey; what was done stays.
    """
    lines = []
    for revision, step in steps:
        session.execute(
            "INSERT INTO orchestration.migration_step (revision, step) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            [revision, step.name],
        )
        log.info("%s of %s: begun", step.name, step.table)
        step.run(session, Progress(session, revision, step.name))
        session.execute(
            "UPDATE orchestration.migration_step SET finished_at = now() WHERE revision = %s AND step = %s",
            [revision, step.name],
        )
        lines.append(step.name)
    return lines


def patiently(session: "Session | None", doing: str, work: Callable[[], Result], *, seconds: float = 3_600.0) -> Result:
    """Return what ``work`` returns, tried until no lock is missing; it waits for none longer than ``LOCK_TIMEOUT``.

    ``work`` must leave nothing behind when it raises. Raises ``DatabaseUnavailable`` after so many ``seconds``.
    """
    began, pause, logged = time.monotonic(), 0.2, False
    while True:
        if session is not None:
            session.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
        try:
            return work()
        except (errors.LockNotAvailable, errors.DeadlockDetected) as error:
            if time.monotonic() - began > seconds:
                raise DatabaseUnavailable(
                    f"{doing}: others held the lock for {seconds:.0f} s. Migrate again when no load is running."
                ) from error
        if not logged:
            logged = True
            log.warning("%s: somebody uses it; the migration lets others pass and tries again.", doing)
        time.sleep(pause)
        pause = min(5.0, pause * 1.5)


def _given(text: str) -> sql.Composable:
    """Return SQL of a revision, for a statement with parameters, where % means a parameter."""
    return sql.SQL(text.replace("%", "%%"))


def _table(name: str) -> sql.Identifier:
    return sql.Identifier(*name.split("."))
