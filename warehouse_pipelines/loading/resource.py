"""From a vendor's pages to Arrow tables of typed columns, and a dlt resource (``dlt_source``) bound to a run.

The window is ``dlt.sources.incremental`` on the cursor: with both of its ends given dlt keeps no state, which is right,
because the cursor is kept by ``orchestration.sync_history`` and commits with the data. Records outside of the window's
question (``Page.in_window``) carry no ``WINDOW_COLUMN`` and pass.
"""

import itertools
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from warehouse_pipelines.model.reading import Extraction, Json, Page
from warehouse_pipelines.model.source import Source

if TYPE_CHECKING:
    import pyarrow as pa
    from dlt.extract import DltResource

    from warehouse_pipelines.loading.coerce import Coercer

CHUNK = 5_000
"""Records of a batch: 2,000 to 5,000 load fastest and keep the memory flat (evidence: loading, chunk size)."""

CHUNK_BYTES = 32 * 2**20

WINDOW_COLUMN = "_cursor"

END = datetime.max.replace(tzinfo=UTC)
"""The end of a window without one, which belongs to it: vendors write 9999-12-31 for "never", and that is a record too.
"""


def tables(crm: Source, extraction: Extraction, coercer: "Coercer") -> Iterator["pa.Table"]:
    """Yield what the vendor answers as tables of typed columns, with ``WINDOW_COLUMN`` if there is a cursor."""
    for records, in_window in chunks(crm.fetch(extraction), extraction):
        table = coercer.table(records)
        if cursor := extraction.entity.cursor:
            import pyarrow as pa

            asked = table[cursor] if in_window else pa.nulls(table.num_rows, table[cursor].type)
            table = table.append_column(WINDOW_COLUMN, asked)
        yield table


def bound(unread: "DltResource", extraction: Extraction, coercer: "Coercer", end: datetime | None) -> "DltResource":
    """Return the resource bound to its run, with the window as dlt's incremental; ``end`` None leaves it open.

    A delta leaves it open: a record that was edited after its page was asked for is newer than the window, and welcome.
    """
    read = unread((extraction, coercer))
    if extraction.entity.cursor:
        import dlt

        window: Any = dlt.sources.incremental(
            WINDOW_COLUMN,
            initial_value=extraction.since,
            end_value=end or END,
            range_end="open" if end else "closed",
            on_cursor_value_missing="include",
            primary_key=(),
        )
        read.apply_hints(incremental=window)
    return read


def chunks(pages: Iterable[Page], extraction: Extraction) -> Iterator[tuple[list[Json], bool]]:
    """Gather pages into batches of about ``CHUNK`` records that were asked for in the same way, ``limit`` in all.

    A page beyond the safety limit is left out; a page without records counts as one, or many of them had no end.
    """
    left = extraction.limit or None
    counted = 0
    gathered: list[Json] = []
    size = 0
    asked = True
    first = True
    for page in pages:
        if first:
            first = False
            extraction.answered()
        if extraction.safety_limit and counted >= extraction.safety_limit:
            extraction.endless = True
            break
        if gathered and (page.in_window != asked or len(gathered) >= CHUNK or size >= CHUNK_BYTES):
            yield gathered, asked
            gathered, size = [], 0
        asked = page.in_window
        records = list(itertools.islice(page.records, left))
        gathered += records
        counted += max(1, len(records))
        size += sum(len(memoryview(record)) for record in records)
        if left is not None:
            left -= len(records)
            if not left:
                break
    if first:
        extraction.answered()
    if gathered:
        yield gathered, asked
