"""What a vendor delivers, and which records it says were touched.

    def read(delivery: Delivery) -> Events: ...

A vendor's ``webhooks.py`` reads the deliveries of that vendor. An event only says which records to read, so what else
it says is not used: a ``Change`` with a key is read by key, one without asks for a delta of the entity.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple


class Delivery(NamedTuple):
    """One request of a vendor. The names of ``headers`` are in lower case; ``url`` is the one that it called."""

    headers: Mapping[str, str]
    body: bytes
    url: str = ""
    method: str = "POST"


class Change(NamedTuple):
    """A record that was touched; without a ``key`` some record of the entity, which a delta finds.

    With ``if_read`` it may be another entity's record: the delta is left out where the entity was never read, because
    the vendor's account may lack it.
    """

    crm: str
    entity: str
    key: str | None = None
    if_read: bool = False


class Events(NamedTuple):
    """What a delivery says: the vendor's ids of its events, and the records that they touch."""

    ids: Sequence[str] = ()
    changes: Iterable[Change] = ()


class UnreadableDelivery(Exception):
    """A delivery has another form than the vendor documents; the message has nothing of what it holds."""
