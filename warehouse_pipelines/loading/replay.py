"""Load dead letters again, after a fix or when their vendor can no longer be asked for them.

``replay`` sends them through the same coercion and merge as a run does, with a history row of its own of mode
``replay``: what loads is ``resolved``, what fails again keeps its status and counts one attempt more. No vendor is
asked, so none need be configured.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import WarehouseError
from warehouse_pipelines.loading.dead_letters import pending
from warehouse_pipelines.loading.options import Options, Purpose, Result
from warehouse_pipelines.loading.sync import sync
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import Page, Pages, ReadContext, ReadReport, ReadRequest
from warehouse_pipelines.model.source import Source


def replay(
    sources: Sequence[Source], *, url: str, crm: str | None = None, entity: str | None = None, waived: bool = False
) -> Iterator[tuple[Source, Entity, Result | WarehouseError]]:
    """Load the pending dead letters again, of all or of one CRM or entity; with ``waived`` those as well.

    Yields what came of each entity that had any: its result, or the error by which its run failed. The others go on.

    Raises ``DatabaseUnavailable`` when the warehouse cannot be asked which there are.
    """
    for source in sources:
        for row in source.entities:
            if crm not in (None, source.name) or entity not in (None, row.name):
                continue
            ids = pending(url, source, row, waived=waived)
            if not ids:
                continue
            again = replace(source, fetch=DeadLetterReader(url, ids))
            came: Result | WarehouseError
            try:
                came = sync(again, row, Options(), Purpose.replay(ids), url=url)
            except WarehouseError as error:
                came = error
            yield source, row, came


class DeadLetterReader:
    """A ``fetch`` that reads dead letters instead of asking the vendor."""

    def __init__(self, url: str, ids: Sequence[int]) -> None:
        self._url, self._ids = url, ids

    def __call__(self, request: ReadRequest, context: ReadContext) -> Pages:
        with warehouse.session(self._url) as connection:
            for start in range(0, len(self._ids), 1000):
                rows = connection.execute(
                    "SELECT CASE jsonb_typeof(payload) WHEN 'string' THEN payload #>> '{}' ELSE payload::text END text"
                    " FROM orchestration.dead_letter WHERE id = ANY(%s) ORDER BY id",
                    [list(self._ids[start : start + 1000])],
                ).fetchall()
                yield Page([str(row["text"]).encode() for row in rows], in_window=False)
        return ReadReport()
