"""Read a long table in two ranges of its key side by side, where the key is one column of whole numbers.

The first range has no begin and the second one no end, so each key lies in one of them. The database cuts them, each
page must lie in its range, and the reader of the table raises ``CursorStuck`` for rows out of order. If either does not
hold, ranges are given up: the table is read in one walk from its begin, and rows that are read twice are merged by key.
The rows of both walks count as processed and towards ``WAREHOUSE_SAFETY_LIMIT``: they have been loaded by then.

The first range is read on the session of the read, the second on one beside it. If the database does not open that one,
because the account has no more, the table is read in one walk. Each session is touched, and closed, by the thread that
reads its range. A range costs a statement that is not full, and the ends of the key another one; so a range has at
least ``PAGES`` pages, by what the catalogue says of the number of rows.
"""

import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

from warehouse_pipelines.errors import CursorStuck, WarehouseError
from warehouse_pipelines.model.reading import Page
from warehouse_pipelines.sources._in_flight import side_by_side
from warehouse_pipelines.sources._sql import SqlClient

C = TypeVar("C", bound=SqlClient)

Walk = Callable[[C, int | None, int | None], Iterator[tuple[int, Page]]]
"""Yields the pages of the rows above a key and up to another one, each with its last key."""

SESSIONS = 2
"""Of one read. Three runs may read a database at a time, and an account may have five sessions."""

PAGES = 50


def in_ranges(
    client: C, walk: Walk[C], ends: Callable[[], tuple[int | None, int | None]], pages: int
) -> Iterator[Page]:
    """Yield the pages of a table of about so many ``pages``; ``ends`` returns its lowest and its highest key."""
    lowest, highest = ends() if pages >= SESSIONS * PAGES else (None, None)
    second = None if lowest is None or lowest == highest else _beside(client)
    if lowest is None or highest is None or second is None:
        yield from (page for _, page in walk(client, None, None))
        return
    cut = (lowest + highest) // SESSIONS
    given_up = threading.Event()

    def range_pages(session: C, low: int | None, high: int | None) -> Iterator[Page]:
        with session:
            try:
                for last, page in walk(session, low, high):
                    if (low is not None and last <= low) or (high is not None and last > high):
                        given_up.set()
                    if given_up.is_set():
                        return
                    yield page
            except CursorStuck:
                given_up.set()

    readers = [range_pages(client.hand_over(), None, cut), range_pages(second, cut, None)]
    yield from side_by_side(client.context, readers, SESSIONS)
    if given_up.is_set():
        client.context.note(key_ranges_given_up=True)
        yield from (page for _, page in walk(client, None, None))


def _beside(client: C) -> C | None:
    """Return a client with a session beside the other one's; None if the database opens no more."""
    second = client.beside()
    try:
        second.open()
    except WarehouseError:
        return None
    return second
