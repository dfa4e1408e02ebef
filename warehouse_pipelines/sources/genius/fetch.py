"""Read a table of Genius: in full, or what changed in the window.

A **full read** walks the primary key, of a long table in ranges side by side (``_sql_ranges``). A **delta** walks
(cursor, key) from the window's begin, inclusive, and has no end: a row whose ``updated_at`` lies in the future
(9999-12-31) is read by every delta, and an edit during the read is read too. A backfill ends with its window. Then the
delta asks for the rows whose ``updated_at`` is NULL or zero, by when they were added: ``modified=updated_at|add_date``
in the row makes both the statement and the column. Rows of one second are told apart by the key. A table whose cursor
column was dropped is read in full each time.

``OVERLAP`` is longer than the hour that occurs twice in autumn, so no row of it is missed, and longer than any
transaction should last, which a late commit needs.

Verified against the simulator only; no live account has been read yet.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, timedelta

from warehouse_pipelines.errors import AnswerChanged, PermissionMissing, RequestRefused
from warehouse_pipelines.model.reading import Page, Pages, Portal, ReadContext, ReadReport, ReadRequest
from warehouse_pipelines.sources._sql import note_absent
from warehouse_pipelines.sources._sql_ranges import in_ranges
from warehouse_pipelines.sources.genius.catalogue import GeniusTable
from warehouse_pipelines.sources.genius.client import GeniusClient, describe_error
from warehouse_pipelines.sources.genius.reader import GeniusReader

PAGE = 5_000
FIRST_DATE = "1000-01-01"
"""The first date that MySQL promises to hold; an older one is ``0000-00-00``, or has a part that is zero."""
OVERLAP = timedelta(minutes=75)

MAY_BE_ABSENT = frozenset({"contact"})
"""Tables that no installation is known to have."""

UNSEEN = frozenset({
    "genius_prospect.status", "genius_user_association.definition_id", "genius_user_association.division_id",
    "genius_user_association.field_value", "genius_user_association.user_id",
})  # fmt: skip
"""Declared columns that no installation is known to have."""


def fetch(request: ReadRequest, context: ReadContext) -> Pages:
    """Yield the rows of one table."""
    with GeniusClient(context) as client:
        table = GeniusTable(client, request.entity)
        if not table.types:
            _require(client, table)
            return ReadReport()
        prove(client, table)
        note_absent(request, context, "Genius", table.absent, UNSEEN, all_read=request.full)
        if request.full:
            yield from _everything(request, client, table)
        elif table.cursor is None:
            for page in _everything(request, client, table):
                yield page._replace(in_window=False)
        else:
            yield from _delta(request, client, table, table.cursor)
        return ReadReport()


def inspect(request: ReadRequest, context: ReadContext) -> Portal:
    """Return the columns of a table that may be asked for, and its first rows; ``check`` names absent columns."""
    with GeniusClient(context) as client:
        table = GeniusTable(client, request.entity)
        if not table.types:
            _require(client, table)
            return Portal({}, already_named=True)
        prove(client, table)
        pages = GeniusReader(client, table, table.keys, request.page_size).pages("TRUE", ())
        records = next(pages, Page(())).records
        return Portal(
            {**table.types, **dict.fromkeys(table.expressions, "text")},
            records,
            reasons=table.absent,
            already_named=True,
        )


def prove(client: GeniusClient, table: GeniusTable) -> None:
    """Leave out each value of another table that the database does not accept: it costs its own column only."""
    looked_up = sorted(table.expressions.keys() - {"field_value"})
    if not looked_up or _refusal(client, table.statement("FALSE", table.keys), [0]) is None:
        return
    for name in looked_up:
        one = f"SELECT {table.expressions[name]} FROM `{table.name}` t WHERE FALSE"  # noqa: S608  (as in `statement`)
        if (reason := _refusal(client, one)) is not None:
            table.leave_out(name, reason)


def _refusal(client: GeniusClient, statement: str, values: Sequence[object] = ()) -> str | None:
    """Return the server's error for a statement that yields no row; None if it accepts the statement."""
    try:
        client.all(statement, values)
    except (RequestRefused, AnswerChanged, PermissionMissing) as error:
        return describe_error(error.__cause__ or error)
    return None


def _everything(request: ReadRequest, client: GeniusClient, table: GeniusTable) -> Iterator[Page]:
    """Yield all rows of a table, those of a long one in ranges of its key."""
    key = f"t.`{table.keys[0]}`"

    def walk(session: GeniusClient, low: int | None, high: int | None) -> Iterator[tuple[int, Page]]:
        reader = GeniusReader(session, table, table.keys, request.page_size)
        reader.last = None if low is None else (low,)
        bound = [] if high is None else [high]
        for page in reader.pages(f"{key} <= %s" if bound else "TRUE", bound):
            yield (reader.last or (0,))[0], page

    def ends() -> tuple[int | None, int | None]:
        ((lowest, highest),) = client.all(f"SELECT MIN({key}), MAX({key}) FROM `{table.name}` t")  # noqa: S608
        return lowest, highest

    pages = table.rows // request.page_size if table.numbered and not request.limit else 0
    yield from in_ranges(client, walk, ends, pages)


def _delta(request: ReadRequest, client: GeniusClient, table: GeniusTable, cursor: str) -> Iterator[Page]:
    """Yield the rows that changed in the window, and those that were added in it and never changed.

    Only a backfill has an end: a row with a change in the future would otherwise never be read.
    """
    added = table.added
    backfill = bool(request.options.get("backfill"))

    def within(name: str) -> tuple[str, list[str]]:
        zone = UTC if table.types[name] == "timestamp" else client.settings.time_zone
        ends = [request.since, request.window.until] if backfill else [request.since]
        local = [moment.astimezone(zone).replace(tzinfo=None).isoformat(" ") for moment in ends]
        return f"t.`{name}` >= %s" + (f" AND t.`{name}` < %s" if backfill else ""), local

    yield from GeniusReader(client, table, [cursor, *table.keys], request.page_size).pages(*within(cursor))
    values: list[str] = []
    never = f"(t.`{cursor}` IS NULL OR t.`{cursor}` < '{FIRST_DATE}')"
    if added is not None:
        condition, values = within(added)
        never += f" AND (t.`{added}` IS NULL OR t.`{added}` < '{FIRST_DATE}' OR ({condition}))"
    yield from GeniusReader(client, table, table.keys, request.page_size).pages(never, values)


def _require(client: GeniusClient, table: GeniusTable) -> None:
    """Raise for a table that shows no columns; return if it is one of ``MAY_BE_ABSENT``."""
    try:
        client.all(f"SELECT 1 FROM `{table.name}` LIMIT 0")  # noqa: S608
    except (AnswerChanged, PermissionMissing):
        # Without a right to a table, MySQL does not tell whether it exists.
        if table.name not in MAY_BE_ABSENT:
            raise
        client.context.note(absent_table=table.name)
        return
    raise AnswerChanged(f"Genius: table {table.name} shows none of its columns to this account; nothing was loaded.")
