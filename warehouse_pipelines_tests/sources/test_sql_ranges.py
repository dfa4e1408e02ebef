"""A table in ranges of its key: each row is read, whatever the database makes of a range or of another session."""

import random
import threading
import time
from bisect import bisect_right, insort
from collections.abc import Callable, Iterator

import pytest

from warehouse_pipelines.errors import CursorStuck, RequestRefused, VendorUnavailable
from warehouse_pipelines.model.reading import Page, ReadContext
from warehouse_pipelines.sources._sql import SqlClient
from warehouse_pipelines.sources._sql_ranges import PAGES, SESSIONS, in_ranges

SIZE = 10


class Table:
    """A table; ``between`` is called before each answer."""

    def __init__(self, keys: list[int], *, sessions: int = 9) -> None:
        self.keys, self.sessions = keys, sessions
        self.open = self.peak = self.opened = self.calls = self.open_at_one_walk = 0
        self.between: Callable[[], None] = lambda: None
        self.lock = threading.Lock()

    def page(self, low: int | None, high: int | None) -> list[int]:
        with self.lock:
            self.calls += 1
            self.between()
            begin = 0 if low is None else bisect_right(self.keys, low)
            end = len(self.keys) if high is None else bisect_right(self.keys, high)
            return self.keys[begin : min(end, begin + SIZE)]

    def ends(self) -> tuple[int | None, int | None]:
        self.calls += 1
        return (self.keys[0], self.keys[-1]) if self.keys else (None, None)


class Session(SqlClient):
    """Its ``_connection`` is the lock that a thread holds while it waits for an answer."""

    title = "Table"
    table: Table

    def beside(self) -> "Session":
        return session(self.table, self.context)

    def open(self) -> None:
        with self.table.lock:
            if self._connection is not None:
                return
            if self.table.open >= self.table.sessions:
                raise VendorUnavailable("too many connections")
            self.table.open, self._connection = self.table.open + 1, threading.Lock()
            self.table.opened += 1
            self.table.peak = max(self.table.peak, self.table.open)

    def close(self) -> None:
        if self._connection is not None:
            assert not self._connection.locked(), "closed while another thread waits for its answer"
            self.table.open -= 1
        self._connection = None


def session(table: Table, context: ReadContext) -> Session:
    made = Session(context)
    made.table = table
    return made


def walk(client: Session, low: int | None, high: int | None) -> Iterator[tuple[int, Page]]:
    at = low
    client.open()
    if low is None and high is None:
        client.table.open_at_one_walk = client.table.open
    while True:
        with client._connection:
            keys = client.table.page(at, high)
        if any(at is not None and key <= at for key in keys):
            raise client.rows_again("table")
        if keys:
            at = keys[-1]
            time.sleep(0.0002)  # or one session has read its range before another one begins
            yield at, Page([str(key).encode() for key in keys])
        if len(keys) < SIZE:
            return


def read(table: Table, *, rows: int | None = None) -> tuple[list[int], ReadContext]:
    context = ReadContext()
    context.pace.begin_with(8)
    with session(table, context) as client:
        client.open()
        pages = (len(table.keys) if rows is None else rows) // SIZE
        found = [int(record) for page in in_ranges(client, walk, table.ends, pages) for record in page.records]
    return found, context


@pytest.mark.parametrize("step", [1, 1_000, 2**100], ids=["dense", "sparse", "as-uuids"])
def test_each_row_comes_once_at_hardly_a_statement_more(step: int) -> None:
    table = Table([step * n for n in range(1, SESSIONS * PAGES * SIZE + 6)])
    found, context = read(table)
    assert sorted(found) == table.keys
    assert table.calls <= 1.02 * (SESSIONS * PAGES + 1) + 1  # each range ends with a page that is not full
    assert (table.peak, table.open) == (SESSIONS, 0)
    assert not context.noted


def test_a_table_that_is_not_long_is_read_in_one_walk() -> None:
    table = Table(list(range(SESSIONS * PAGES * SIZE - 1)))
    assert read(table)[0] == table.keys
    assert (table.calls, table.peak) == (SESSIONS * PAGES, 1)


@pytest.mark.parametrize("rows", [0, 10**9])
@pytest.mark.parametrize("keys", [[], [7], list(range(-40, 25)), [*range(900), *range(10**9, 10**9 + 90)]])
def test_what_the_catalogue_says_wrongly_loses_nothing(keys: list[int], rows: int) -> None:
    assert sorted(read(Table(keys), rows=rows)[0]) == keys


def test_an_account_without_another_session_is_read_in_one_walk_on_the_one_that_it_has() -> None:
    table = Table(list(range(1, SESSIONS * PAGES * SIZE + 1)), sessions=1)
    found, context = read(table)
    assert found == table.keys
    assert (table.peak, table.open_at_one_walk) == (1, 1)
    assert not context.noted


def test_the_session_of_the_read_stays_open_for_the_first_range() -> None:
    """Another run would take the place of one that is closed meanwhile."""
    table = Table(list(range(1, SESSIONS * PAGES * SIZE + 1)))
    read(table)
    assert table.opened == SESSIONS


def test_an_error_of_one_range_closes_no_session_that_another_thread_uses() -> None:
    hanging = threading.Event()

    class Broken(Table):
        def page(self, low: int | None, high: int | None) -> list[int]:
            if high is None:
                raise RequestRefused("400")
            hanging.wait(10)
            return super().page(low, high)

    table = Broken(list(range(1, SESSIONS * PAGES * SIZE + 1)))
    with pytest.raises(RequestRefused):
        read(table)
    hanging.set()


class WithoutBegin(Table):
    """What stands between here and the database drops a condition."""

    def page(self, low: int | None, high: int | None) -> list[int]:
        return super().page(low if high is None else None, high)


class WithoutEnd(Table):
    def page(self, low: int | None, high: int | None) -> list[int]:
        return super().page(low, None)


@pytest.mark.parametrize("kind", [WithoutBegin, WithoutEnd])
def test_ranges_that_are_answered_otherwise_are_given_up(kind: type[Table]) -> None:
    table = kind(list(range(1, SESSIONS * PAGES * SIZE + 1)))
    found, context = read(table)
    assert set(found) == set(table.keys)
    assert context.noted == {"key_ranges_given_up": True}
    assert (table.open_at_one_walk, table.open) == (1, 0), "the sessions of the ranges are closed before"


def test_rows_that_come_again_in_one_walk_too_are_an_error() -> None:
    class Again(Table):
        def page(self, low: int | None, high: int | None) -> list[int]:
            return super().page(None, high)

    with pytest.raises(CursorStuck):
        read(Again(list(range(1, SESSIONS * PAGES * SIZE + 1))))


@pytest.mark.parametrize("seed", range(6))
def test_what_is_there_all_the_time_is_read_once_whatever_happens_meanwhile(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  (the same each time)
    table = Table(sorted(chance.sample(range(10**6), SESSIONS * PAGES * SIZE)))
    always = set(table.keys)

    def change() -> None:
        if chance.random() < 0.5:
            always.discard(table.keys.pop(chance.randrange(len(table.keys))))
        else:
            insort(table.keys, 10**6 + chance.randrange(10**6) if chance.random() < 0.5 else -chance.randrange(10**6))

    table.between = change
    found, _ = read(table)
    assert always <= set(found)
    assert len(found) == len(set(found))
