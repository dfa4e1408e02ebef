"""Subscribe a HubSpot app to what tells of the objects that are kept here, list what it has, and end it.

What is there already stays. An app that delivers to another address is left alone: somebody else's program listens
there, and an app has one address only.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from pydantic import ValidationError

from warehouse_pipelines.errors import ActionNeeded, NotConfigured, RequestRefused, WrongUse
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import ReadContext, ReadRequest, Window
from warehouse_pipelines.serving.public_address import public_address
from warehouse_pipelines.sources.hubspot.entities import OBJECT_ENTITIES
from warehouse_pipelines.sources.hubspot.reader import HubSpotReader
from warehouse_pipelines.sources.hubspot.source import HUBSPOT
from warehouse_pipelines.sources.hubspot.subscriptions import App, AppSettings, Subscription, wanted
from warehouse_pipelines.sources.hubspot.webhooks import PLURAL

KINDS = {plural: kind for kind, plural in PLURAL.items()}
NAME = "hubspot"


def register() -> list[str]:
    """Set the address, subscribe to what is missing, resume what is paused; return a line for each thing done.

    Raises ``NotConfigured``, ``WrongUse`` for an app that delivers elsewhere, and as the client of HubSpot does.
    """
    app, address, lines = _app(), public_address(NAME), []
    target = app.target()
    if target not in (None, address):
        raise WrongUse(
            f"the app delivers to {target}, and an app has one address: take another app, or remove that address at "
            "HubSpot first. Nothing was changed."
        )
    if target is None:
        app.deliver_to(address)
        lines.append(f"hubspot: deliveries go to {address}")
    known = {one.what: one for one in app.subscriptions()}
    for entity in OBJECT_ENTITIES:
        try:
            asked = list(_wanted(entity))
        except ActionNeeded as error:
            lines.append(f"hubspot {entity.name}: not subscribed: {error}")
            continue
        made = resumed = 0
        refused: list[str] = []
        for one in asked:
            found = known.get(one.what)
            try:
                if found is None:
                    app.subscribe(one)
                    made += 1
                elif not found.active:
                    app.resume(found)
                    resumed += 1
            except RequestRefused:
                refused.append(one.property_name or one.event_type)
        if made or resumed:
            lines.append(f"hubspot {entity.name}: {made} events subscribed, {resumed} resumed")
        if refused:
            lines.append(f"hubspot {entity.name}: HubSpot refused {', '.join(refused)}; polls find these changes")
    return lines


def rows() -> tuple[str | None, list[Subscription]]:
    """Return the address that the app delivers to, and its subscriptions."""
    app = _app()
    return app.target(), sorted(app.subscriptions(), key=lambda one: one.what)


def remove() -> int:
    """End the subscriptions of what is kept here, and the address when no others are left; returns how many ended.

    Raises ``WrongUse`` for an app that delivers elsewhere.
    """
    app, address = _app(), public_address(NAME)
    target = app.target()
    if target not in (None, address):
        raise WrongUse(f"the app delivers to {target} and not to {address}; its subscriptions are somebody else's")
    ours, others = [], 0
    kinds = (*KINDS.values(), "object")
    for one in app.subscriptions():
        if one.event_type.partition(".")[0] in kinds:
            ours.append(one)
        else:
            others += 1
    for one in ours:
        app.unsubscribe(one)
    if target and not others:
        app.deliver_nowhere()
    return len(ours)


def is_set_up() -> bool:
    """Return whether there is an app whose subscriptions can be asked for."""
    try:
        AppSettings()
    except ValidationError:
        return False
    return True


def _app() -> App:
    try:
        return App(AppSettings())
    except ValidationError:
        raise NotConfigured(
            "HubSpot's subscriptions are made with HUBSPOT_APP_ID and HUBSPOT_DEVELOPER_KEY, the app's number and the "
            "API key of its developer account. A private app has no such API: docs/webhooks.md says what to set up."
        ) from None


def _wanted(entity: Entity) -> Iterator[Subscription]:
    """Yield what tells of an entity. Raises ``ActionNeeded`` for a custom object that the portal has not."""
    entity = HUBSPOT.configured(entity)
    kind = KINDS.get(entity.name)
    type_id = None
    if kind is None:
        reader = HubSpotReader(ReadRequest(entity=entity, window=Window(None, datetime.now(UTC))), ReadContext())
        kind, type_id = "object", reader.object_type
    yield from wanted(entity, kind, type_id)
