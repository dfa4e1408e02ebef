"""Read a long table in ranges of its key side by side, where the key is one column of whole numbers.

The ranges follow one another from lowest to highest key, the first without a begin and the last without an end, so each
key lies in one of them. The database cuts them, each page must lie in its range, and the reader of the table raises
``CursorStuck`` for rows out of order. If either does not hold, ranges are given up: the table is read in one walk from
its begin, and rows that are read twice are merged by key.

Each range is read on a session of its own, which no other thread touches; the one that was there is closed meanwhile.
The range of a session that the database does not open, because the account has no more, is read when the others are
done. A range costs a statement that is not full, and the ends of the key another one; so a range has at least ``PAGES``
pages, by what the catalogue says of the number of rows.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import TypeVar

from warehouse_pipelines.errors import CursorStuck, WarehouseError
from warehouse_pipelines.model.reading import Page
from warehouse_pipelines.sources._in_flight import side_by_side
from warehouse_pipelines.sources._sql import SqlClient

C = TypeVar("C", bound=SqlClient)

Walk = Callable[[C, int | None, int | None], Iterator[tuple[int, Page]]]
"""Yields the pages of the rows above a key and up to another one, each with its last key."""

MOST = 3
"""Sessions of one read. Three runs may read a database at a time, and its own users need some."""

PAGES = 50


def in_ranges(
    client: C, walk: Walk[C], ends: Callable[[], tuple[int | None, int | None]], pages: int
) -> Iterator[Page]:
    """Yield the pages of a table of about so many ``pages``; ``ends`` returns its lowest and its highest key."""
    number = min(MOST, pages // PAGES)
    lowest, highest = ends() if number > 1 else (None, None)
    if lowest is None or highest is None or highest - lowest < number:
        yield from (page for _, page in walk(client, None, None))
        return
    cuts = [lowest + (highest - lowest) * n // number for n in range(1, number)]
    left: list[tuple[int | None, int | None]] = []

    def apart(low: int | None, high: int | None) -> Iterator[Page]:
        with client.beside() as session:
            try:
                session.open()
            except WarehouseError:
                left.append((low, high))
                return
            yield from _within(session, walk, low, high)

    client.close()
    try:
        ranges = itertools.pairwise([None, *cuts, None])
        yield from side_by_side(client.context, (apart(low, high) for low, high in ranges), MOST)
        for low, high in left:
            yield from _within(client, walk, low, high)
    except CursorStuck:
        client.context.note(key_ranges_given_up=True)
        yield from (page for _, page in walk(client, None, None))


def _within(client: C, walk: Walk[C], low: int | None, high: int | None) -> Iterator[Page]:
    """Yield the pages of a range. Raises ``CursorStuck`` for one that lies elsewhere."""
    for last, page in walk(client, low, high):
        if (low is not None and last <= low) or (high is not None and last > high):
            raise CursorStuck(f"{client.title}: a range of keys was answered with rows of another one.")
        yield page
