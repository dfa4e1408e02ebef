"""Read a table of PipeDesk: the rows that differ from the warehouse's, or all.

No time in the database can be trusted. Half of the tables have none. ``updated_at`` is set by the application, so the
SQL editor, bulk updates and the product's own ``qualify_lead`` leave it as it is; it is NULL in some rows, and a late
commit carries an early one. Hard deletes leave no trace. So there is no cursor, and all tables are read in one way:
``hash_diff``.

Everything is read instead, in order of the key and of a long table in ranges side by side (``_sql_ranges``), where a
diff would cost more or is impossible: the first time, with ``--full`` or ``--force``, after the table or its row in
``entities`` changed (every hash differs then), when too many rows differ, when a key is not written as the warehouse
writes it, when columns are hashed (PipeDesk's server has no key to hash with), and when the table shows no row at all,
which the loader then judges. A diff compares two lists in one order, so it is one walk.

Verified against the simulator only; no live account has been read yet.
"""

import contextlib
from collections.abc import Iterator

from warehouse_pipelines.model.reading import Page, Pages, Portal, ReadContext, ReadReport, ReadRequest
from warehouse_pipelines.sources._sql import note_absent
from warehouse_pipelines.sources._sql_ranges import in_ranges
from warehouse_pipelines.sources.pipedesk.client import PipeDeskClient
from warehouse_pipelines.sources.pipedesk.hash_diff import NotComparable, hash_diff
from warehouse_pipelines.sources.pipedesk.reader import PipeDeskReader

PAGE = 5_000

UNSURE = frozenset({
    "pipedesk.companies.cnpj", "pipedesk.companies.updated_at", "pipedesk.companies.deleted_at",
    "pipedesk.contacts.company_id", "pipedesk.contacts.updated_at", "pipedesk.master_deals.updated_at",
    "pipedesk.master_deals.deleted_at", "pipedesk.users.email",
})  # fmt: skip
"""Columns that only some versions of the product have: no warning where they are absent."""


def fetch(request: ReadRequest, context: ReadContext) -> Pages:
    """Yield the rows that differ from the warehouse's, or all."""
    with PipeDeskClient(context) as client:
        reader = PipeDeskReader(client, request.entity)
        comparable = dict(request.state) == reader.state and not request.entity.local.hashed
        note_absent(request, context, "PipeDesk", reader.absent, UNSURE, all_read=not comparable)
        if comparable:
            with contextlib.suppress(NotComparable):
                changed, deleted = hash_diff(reader, context)
                for start in range(0, len(changed), request.page_size):
                    yield Page(reader.records(changed[start : start + request.page_size]))
                keys = [" ".join(map(str, place)) for place in deleted]
                return ReadReport(changes_only=True, deleted_keys=keys, next_state=reader.state)
        yield from _everything(request, client, reader)
        return ReadReport(next_state=reader.state)


def _everything(request: ReadRequest, client: PipeDeskClient, reader: PipeDeskReader) -> Iterator[Page]:
    """Yield all rows of a table, those of a long one in ranges of its key."""

    def walk(session: PipeDeskClient, low: int | None, high: int | None) -> Iterator[tuple[int, Page]]:
        for rows in reader.walk(reader.record, request.page_size, session, reader.at(low), reader.at(high)):
            yield reader.number(rows[-1][0]) if reader.numbered else 0, Page([record.encode() for _, record in rows])

    pages = reader.rows // request.page_size if reader.numbered and not request.limit else 0
    yield from in_ranges(client, walk, reader.ends, pages)


def inspect(request: ReadRequest, context: ReadContext) -> Portal:
    """Return the columns of a table that may be asked for, and its first rows; ``check`` names absent columns."""
    with PipeDeskClient(context) as client:
        reader = PipeDeskReader(client, request.entity)
        rows = next(reader.walk(reader.record, request.limit), [])
        return Portal(reader.types, [record.encode() for _, record in rows], reasons=reader.absent, already_named=True)
