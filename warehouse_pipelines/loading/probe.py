"""A probe: a sync that commits only if nothing is new, and leaves no row otherwise.

Most syncs find nothing new. A run of Dagster for such a one takes three times the processor time of the sync, and 40 kB
of events; a probe takes neither. It is a whole sync, with its lease, its completeness and its row in the history, so
the watermark moves and whoever asks how old a table is finds that it was read.

What a probe costs where it finds something is a call or two, as the run after it asks the vendor again; no history has
these. So only what found nothing the last time is probed, and no probe reads everything that a delta would not.
"""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from warehouse_pipelines.errors import masked
from warehouse_pipelines.loading.options import PROBE, Options, Result
from warehouse_pipelines.loading.sync import PROBE_RECORDS, PROBE_SECONDS, SomethingNew, sync
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.queries import query

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

log = logging.getLogger("warehouse")


def candidates(session: "Session", source: Source, entities: Sequence[Entity]) -> list[Entity]:
    """Return those of a CRM's entities that are likely to have nothing new."""
    asked = {
        "crm": source.name,
        "entities": [entity.name for entity in entities],
        "most_records": PROBE_RECORDS,
        "most_seconds": PROBE_SECONDS / 2,
    }
    found = {row["entity"] for row in session.execute(query("probe_candidates"), asked)}
    return [entity for entity in entities if entity.name in found]


def probe(source: Source, entity: Entity, *, url: str) -> Result | None:
    """Sync an entity if that changes nothing. Return None, and leave no row, if it does or cannot be done.

    Whatever went wrong is told by the run that follows, which meets it too.
    """
    try:
        return sync(source, entity, Options(), PROBE, url=url)
    except SomethingNew:
        return None
    except Exception as error:
        log.info("%s %s is left to a run: %s: %s", source.name, entity.name, type(error).__name__, masked(str(error)))
        return None
