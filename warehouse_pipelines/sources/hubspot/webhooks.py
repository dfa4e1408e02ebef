"""What HubSpot delivers: an array of events, each of which names an object.

``contact.merge`` names the survivor, the absorbed and perhaps a new id, and all of them are read. Of an association
both ends are named, and the pairs are read as a whole, because no read by key tells which pair went. Of a custom object
only its type id is given, which differs per portal: where a setting names that id the object is read by its id, else
every custom object that was read before is asked for what changed. HubSpot's own appointments have one id in every
portal; where the portal has a custom object for them, these are not kept here (``by_key``). Neither are other objects,
such as tickets.
"""

import functools
from collections.abc import Callable, Iterator

import msgspec
from pydantic import ValidationError

from warehouse_pipelines.model.account_settings import settings_of
from warehouse_pipelines.model.webhook import Change, Delivery, Events, UnreadableDelivery
from warehouse_pipelines.sources.hubspot.entities import OBJECT_ENTITIES, PAIR_ENTITIES
from warehouse_pipelines.sources.hubspot.reader import STANDARD_APPOINTMENT
from warehouse_pipelines.sources.hubspot.settings import Settings

STANDARD = {"0-1": "contact", "0-2": "company", "0-3": "deal", "0-8": "line_item"}
PLURAL = {"contact": "contacts", "company": "companies", "deal": "deals", "line_item": "line_items"}
CUSTOM = {one.path.removeprefix("custom:"): one.name for one in OBJECT_ENTITIES if one.path.startswith("custom:")}


class Event(msgspec.Struct, rename="camel"):
    """The members of an event that say what it touches."""

    subscription_type: str
    event_id: int | str | None = None
    object_id: int | str | None = None
    object_type_id: str = ""
    primary_object_id: int | str | None = None
    merged_object_ids: list[int | str] = []
    new_object_id: int | str | None = None
    association_type: str = ""

    @property
    def object_ids(self) -> list[str]:
        """Every id of an object that the event names, each once."""
        found = (self.object_id, self.primary_object_id, self.new_object_id, *self.merged_object_ids)
        return list(dict.fromkeys(str(one) for one in found if one is not None and str(one).isdigit()))


_decode = msgspec.json.Decoder(list[Event]).decode


def read(delivery: Delivery, account: str = "") -> Events:
    """Return what the events touch, in the portal ``account``. Raises ``UnreadableDelivery``."""
    try:
        events = _decode(delivery.body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableDelivery(f"HubSpot delivered no array of events: {type(error).__name__}") from None
    ids = [str(one.event_id) for one in events if one.event_id is not None]
    named = functools.cache(functools.partial(_custom, settings_of(Settings, account)))  # it reads the settings
    # Whoever only keeps the delivery does not ask which records it touches.
    return Events(ids, (change for one in events for change in _changes(one, named)))


def _changes(event: Event, named: Callable[[str], str | None]) -> Iterator[Change]:
    kind, _, what = event.subscription_type.partition(".")
    if kind == "object":
        kind = STANDARD.get(event.object_type_id, kind)
    elif kind == "appointment":
        kind = "object"
    if what == "associationChange":
        yield from _pairs(event)
    elif kind in PLURAL:
        yield from (Change("hubspot", PLURAL[kind], key) for key in event.object_ids)
    elif kind == "object":
        name = named(event.object_type_id)
        if name:
            yield from (Change("hubspot", name, key) for key in event.object_ids)
        elif not event.object_type_id.startswith("0-"):  # HubSpot's own are no custom objects
            yield from (Change("hubspot", name, if_read=True) for name in CUSTOM.values())


def _custom(form: type[Settings], type_id: str) -> str | None:
    """Return the entity that a setting gives this type id, None where none does."""
    try:
        found = form()
    except ValidationError:  # the token is not set where deliveries are only received
        return None
    if type_id == STANDARD_APPOINTMENT and found.appointment_object == "auto":
        return CUSTOM["appointment"]
    return next((entity for name, entity in CUSTOM.items() if getattr(found, f"{name}_object") == type_id), None)


def _pairs(event: Event) -> Iterator[Change]:
    """Yield the pairs of the objects that an association names, such as ``CONTACT_TO_DEAL`` in either direction."""
    one, _, other = event.association_type.lower().partition("_to_")
    named = {PLURAL.get(side, side) for side in (one, other)}
    for entity in PAIR_ENTITIES:
        sides = {side.removeprefix("custom:") for side in entity.path.split("/")}
        if sides == named or (not event.association_type and event.subscription_type.startswith("object")):
            yield Change("hubspot", entity.name)
