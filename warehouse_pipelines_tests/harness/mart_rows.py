"""Marts in tests: run them, read them, and compare them with marts that were computed from nothing."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from psycopg import sql

from warehouse_pipelines.unified import marts
from warehouse_pipelines.unified.marts.rows import MARTS

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

Row = dict[str, Any]


def rows(session: "Session", name: str) -> list[Row]:
    """Return the rows of a mart by its key."""
    mart = next(mart for mart in MARTS if mart.name == name)
    order = sql.SQL(", ").join(map(sql.Identifier, mart.keys))
    return session.execute(
        sql.SQL("SELECT * FROM {} ORDER BY {}").format(sql.Identifier("marts", name), order)
    ).fetchall()


def settle(session: "Session") -> None:
    """Let what was committed lie before the next position: rows are stamped with the start of their transaction."""
    session.execute("UPDATE marts.position SET read_until = read_until - interval '1 minute'")


def assert_as_from_nothing(session: "Session", names: Sequence[str] = ()) -> None:
    """Assert that the marts are what a run of everything makes of them, and that it has nothing to write.

    ``names`` are those that a test ran; without, all of them.
    """
    before = {mart.name: rows(session, mart.name) for mart in MARTS if mart.name in names or not names}
    done = marts.run(session, names, full=True)
    for name, found in before.items():
        assert rows(session, name) == found, name
    assert {one.name: (one.inserted, one.updated, one.deleted) for one in done} == dict.fromkeys(before, (0, 0, 0))
