"""What Arrivy delivers: one event about one object, with its members in capitals."""

import msgspec

from warehouse_pipelines.model.webhook import Change, Delivery, Events, UnreadableDelivery

BY_KEY = {"TASK": "tasks", "BOOKING": "bookings"}
WHOLE = {"ENTITY": "entities", "GROUP": "groups", "TEMPLATE": "templates"}


class Event(msgspec.Struct, rename="upper"):
    """The members of an event that say what it touches."""

    object_type: str = "TASK"
    object_id: int | str | None = None
    event_id: int | str | None = None


_decode = msgspec.json.Decoder(Event | list[Event]).decode


def read(delivery: Delivery, account: str = "") -> Events:
    """Return what was touched; an array of events is read too, though one is documented.

    Raises ``UnreadableDelivery``.
    """
    try:
        found = _decode(delivery.body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableDelivery(f"Arrivy delivered no event: {type(error).__name__}") from None
    events = found if isinstance(found, list) else [found]
    changes = []
    for one in events:
        kind = one.object_type.upper()
        if kind in BY_KEY:
            key = str(one.object_id) if str(one.object_id).isdigit() else None
            changes.append(Change("arrivy", BY_KEY[kind], key))
        elif kind in WHOLE:
            changes.append(Change("arrivy", WHOLE[kind]))
    return Events([str(one.event_id) for one in events if one.event_id is not None], changes)
