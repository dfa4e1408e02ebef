"""Which entities are polled less often, because their webhooks deliver (``Cadence.with_webhooks``).

Webhooks of an entity deliver when one was worked off within ``DELIVERED_WITHIN`` and, within two of the longer
cadences, polls were the first to find no more than ``LOST`` of the changes. Both are asked for at each tick. So where
deliveries stop, the next poll finds what they would have told, and from the tick after it the entity is polled at its
usual cadence: what was lost is late by one longer cadence, once. A night without changes says nothing against the
webhooks.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from warehouse_pipelines.model.describe import duration, every
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.queries import query

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

DELIVERED_WITHIN = timedelta(days=1)
LOST = 0.1


class WebhookCadence(NamedTuple):
    """An entity whose webhooks deliver: how often it is polled, and how long ago it last was."""

    entity: str
    polled: timedelta
    every: timedelta
    usually: timedelta

    @property
    def is_due(self) -> bool:
        """Whether it is to be polled now. A run begins later than its tick, so half a cadence is overlooked."""
        return self.polled >= self.every - self.usually / 2

    @property
    def reason(self) -> str:
        """Why a tick leaves it out."""
        ago = duration(timedelta(minutes=max(1, self.polled // timedelta(minutes=1))))
        return f"its webhooks deliver, so it is polled {every(self.every)} (last {ago} ago)"


def slower(session: "Session", source: Source, entities: Sequence[Entity]) -> list[WebhookCadence]:
    """Return those of a CRM's entities that are polled less often now."""
    able = {entity.name: entity.cadence for entity in entities if entity.cadence.with_webhooks}
    if not able:
        return []
    asked = {
        "crm": source.name,
        "entities": list(able),
        "spans": [2 * longer.total_seconds() for one in able.values() if (longer := one.with_webhooks)],
        "within": DELIVERED_WITHIN.total_seconds(),
    }
    found = []
    for row in session.execute(query("webhook_cadence"), asked).fetchall():
        longer, usually = able[row["entity"]].with_webhooks, able[row["entity"]].every
        lost = row["only_polled"] / row["changes"] if row["changes"] else 0.0
        if longer and row["told_seconds"] is not None and row["polled_seconds"] is not None and lost <= LOST:
            polled = timedelta(seconds=row["polled_seconds"])
            found.append(WebhookCadence(row["entity"], polled, longer, usually))
    return found
