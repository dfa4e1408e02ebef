"""How the deliveries of each vendor are read, by the name in its address ``/webhooks/<name>``.

LeadConduit and Google say nothing of the record: LeadConduit's recipient sends what its customer chose, so the feed is
asked for what is new; Google's notification has no body, and its own list of changes is asked.
"""

from collections.abc import Callable, Mapping

from warehouse_pipelines.model.webhook import Change, Delivery, Events
from warehouse_pipelines.sources.arrivy import webhooks as arrivy
from warehouse_pipelines.sources.callrail import webhooks as callrail
from warehouse_pipelines.sources.hubspot import webhooks as hubspot
from warehouse_pipelines.sources.hubspot.entities import OBJECT_ENTITIES, PAIR_ENTITIES


def leadconduit(delivery: Delivery, account: str = "") -> Events:
    """Return that there is news in the feed."""
    return Events((), [Change("leadconduit", "events"), Change("leadconduit", "leads")])


def google(delivery: Delivery, account: str = "") -> Events:
    """Return which of Google's services has news, by the address that the notification names."""
    headers = delivery.headers
    state, watched = headers.get("x-goog-resource-state", ""), headers.get("x-goog-resource-uri", "")
    ids = [f"{headers.get('x-goog-channel-id', '')} {headers.get('x-goog-message-number', '')}"]
    if state == "sync":  # the channel says that it is there
        return Events(ids)
    if "/calendar/" in watched:
        return Events(ids, [Change("gcalendar", "events")])
    if "/drive/" in watched:
        return Events(ids, [Change("gdrive", "files"), Change("gdrive", "folders")])
    return Events(ids)


READERS: Mapping[str, Callable[[Delivery, str], Events]] = {
    "hubspot": hubspot.read,
    "callrail": callrail.read,
    "arrivy": arrivy.read,
    "leadconduit": leadconduit,
    "google": google,
}

DELIVERED_ENTITIES: Mapping[str, tuple[str, ...]] = {
    "hubspot": tuple(one.name for one in (*OBJECT_ENTITIES, *PAIR_ENTITIES)),
    "callrail": (*callrail.BY_PREFIX.values(),),
    "arrivy": (*arrivy.BY_KEY.values(), *arrivy.WHOLE.values()),
    "leadconduit": ("events", "leads"),
    "gcalendar": ("events",),
    "gdrive": ("files", "folders"),
}
"""The entities of each CRM that its deliveries may tell of."""
