"""What the set-based steps of ``unified`` share: ids in a temporary table, memory for sorts, indexes set aside.

A step works in temporary tables of its transaction, because one statement of all its parts is planned without knowing
how many rows its parts have: with them analysed, the same SQL serves 5 persons and a million.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from psycopg import sql

from warehouse_pipelines import warehouse
from warehouse_pipelines.queries import query

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

MANY = 50_000
"""From so many rows on, a step has memory for its sorts, and sets indexes and foreign keys aside."""


@contextlib.contextmanager
def step(session: "Session", *, memory: str | None = None) -> Iterator[None]:
    """A transaction, or a part of the one that is open. With ``memory`` each sort and hash inside may take so much.

    Without compiling queries: the planner thinks that they cost more than they do, and to compile one takes a second.
    """
    with session.transaction():
        [before] = session.execute("SELECT current_setting('work_mem') AS memory, current_setting('jit') AS jit")
        _set(session, memory, "off")
        yield
        _set(session, before["memory"], before["jit"])


def _set(session: "Session", memory: str | None, jit: str) -> None:
    session.execute(
        "SELECT set_config('jit', %s, true), set_config('work_mem', coalesce(%s, current_setting('work_mem')), true)",
        [jit, memory],
    )


def temporary(session: "Session", name: str, columns: str) -> None:
    """Make an empty temporary table that goes with the transaction; one of that name is dropped."""
    table = sql.Identifier("pg_temp", name)
    session.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(table))
    session.execute(sql.SQL("CREATE TEMP TABLE {} ({}) ON COMMIT DROP").format(sql.Identifier(name), sql.SQL(columns)))


def fill(session: "Session", name: str, rows: Iterable[tuple[Any, ...]]) -> None:
    """Copy ``rows`` into a temporary table."""
    with (
        session.cursor() as cursor,
        cursor.copy(sql.SQL("COPY {} FROM STDIN").format(sql.Identifier("pg_temp", name))) as copy,
    ):
        for row in rows:
            copy.write_row(row)


def analyze(session: "Session", name: str, columns: str = "") -> None:
    """Let the planner know how many rows a temporary table has, and what is in ``columns``, or in all."""
    of = sql.SQL(f"({columns})" if columns else "")
    session.execute(sql.SQL("ANALYZE {} {}").format(sql.Identifier("pg_temp", name), of))


@contextlib.contextmanager
def meanwhile(work: Callable[[], None]) -> Iterator[None]:
    """Let the server do what ``work`` asks while the block computes, which must not ask it anything."""
    with ThreadPoolExecutor(1, "meanwhile") as pool:
        working = pool.submit(work)
        yield
        working.result()


@contextlib.contextmanager
def bare(session: "Session", table: str, *, rows: int) -> Iterator[None]:
    """Drop what PostgreSQL keeps up row by row, write ``rows`` of ``table``'s rows, and make it again.

    These are the indexes that no constraint needs, and the table's foreign keys, which are cheaper to check at once.
    Only from ``MANY`` rows on, and when these are most of the table: that is a first load. Until the transaction ends
    whoever else reads the table waits. Who writes the table in several such blocks puts one around them all.
    """
    again: list[str] = []
    if rows >= MANY and rows > warehouse.value(session, f"SELECT count(*) FROM {table}") / 2:  # noqa: S608
        found = session.execute(query("identity_bare"), {"table": table}).fetchall()
        for one in found:
            session.execute(one["dropped"])
        again = [one["made"] for one in found]
    yield
    for statement in again:
        session.execute(statement)
