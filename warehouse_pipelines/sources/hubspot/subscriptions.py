"""The webhook subscriptions of a HubSpot app, by the API of version 3: ``/webhooks/v3/{appId}``.

Only an app of a developer account has this API, with the developer API key in the address, as HubSpot's specification
says; a private app is subscribed by hand, up to 1,000 events, and an app of the developer platform in its project. All
portals that have installed the app deliver to its one address. Whether an OAuth token of the developer account works
instead, as the specification also says, is unconfirmed.

An event of a changed property names one property, so each property that a column is read from has its own subscription.
"""

import msgspec
from pydantic import SecretStr

from warehouse_pipelines.errors import RequestRefused
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import ReadContext
from warehouse_pipelines.settings import FromEnvironment
from warehouse_pipelines.sources._http import Client

UNTOLD = frozenset(
    (
        "hs_object_id", "createdate", "hs_createdate", "lastmodifieddate", "hs_lastmodifieddate",
        "hs_merged_object_ids", "num_unique_conversion_events",
    )
)  # fmt: skip
"""Properties that change with every edit, or only with events of their own: HubSpot tells of none of them."""

CONCURRENT = 10
"""Deliveries at a time; HubSpot's own default."""


class AppSettings(FromEnvironment, env_prefix="HUBSPOT_"):
    """The app whose subscriptions are managed, and the key of its developer account."""

    app_id: int
    developer_key: SecretStr
    base_url: str = "https://api.hubapi.com"


class Subscription(msgspec.Struct, rename="camel", omit_defaults=True):
    """One event that is delivered; without ``active`` it is paused."""

    event_type: str
    property_name: str | None = None
    object_type_id: str | None = None
    active: bool = False
    id: str | int | None = None

    @property
    def what(self) -> tuple[str, str, str]:
        """What it subscribes to."""
        return self.event_type, self.object_type_id or "", self.property_name or ""


class _Throttling(msgspec.Struct, rename="camel"):
    max_concurrent_requests: int = CONCURRENT
    period: str = "SECONDLY"


class _Target(msgspec.Struct, rename="camel"):
    target_url: str
    throttling: _Throttling = msgspec.field(default_factory=_Throttling)


class _Listed(msgspec.Struct):
    results: list[Subscription]


def wanted(entity: Entity, kind: str, type_id: str | None) -> list[Subscription]:
    """Return what tells of an entity's records: ``kind`` is ``contact``, or ``object`` with the id of its type."""
    events = ["creation", "deletion", "merge", "restore", "associationChange"]
    found = [Subscription(f"{kind}.{event}", object_type_id=type_id, active=True) for event in events]
    if kind == "contact":
        found.append(Subscription("contact.privacyDeletion", active=True))
    members = {member for column in entity.columns.values() for member in column.members}
    properties = {one.removeprefix("properties.") for one in members if one.startswith("properties.")}
    return found + [
        Subscription(f"{kind}.propertyChange", property_name=name, object_type_id=type_id, active=True)
        for name in sorted(properties - UNTOLD)
    ]


class App:
    """The app at HubSpot; every method raises as ``Client.request`` does."""

    def __init__(self, settings: AppSettings) -> None:
        self._path = f"/webhooks/v3/{settings.app_id}"
        self._key = {"hapikey": settings.developer_key.get_secret_value()}
        self._client = Client(
            ReadContext(), title="HubSpot", base_url=settings.base_url, headers={}, renew="HUBSPOT_DEVELOPER_KEY"
        )

    def target(self) -> str | None:
        """Return the address that it delivers to; None where none is set."""
        try:
            return self._client.get(f"{self._path}/settings", _Target, params=self._key).target_url
        except RequestRefused as refused:
            if refused.status == 404:
                return None
            raise

    def deliver_to(self, address: str) -> None:
        """Set the address."""
        body = _Target(address)
        self._client.request("PUT", f"{self._path}/settings", _Target, params=self._key, body=body)

    def deliver_nowhere(self) -> None:
        """Take the address away; subscriptions that are left pause."""
        self._delete(f"{self._path}/settings")

    def subscriptions(self) -> list[Subscription]:
        """Return what it subscribes to."""
        return self._client.get(f"{self._path}/subscriptions", _Listed, params=self._key).results

    def subscribe(self, one: Subscription) -> None:
        """Subscribe to an event. Raises ``RequestRefused`` for what HubSpot cannot tell of."""
        self._client.request("POST", f"{self._path}/subscriptions", Subscription, params=self._key, body=one)

    def resume(self, one: Subscription) -> None:
        """Have a paused subscription deliver."""
        path = f"{self._path}/subscriptions/{one.id}"
        self._client.request("PATCH", path, Subscription, params=self._key, body={"active": True})

    def unsubscribe(self, one: Subscription) -> None:
        """Delete a subscription."""
        self._delete(f"{self._path}/subscriptions/{one.id}")

    def _delete(self, path: str) -> None:
        try:
            self._client.send("DELETE", path, lambda answer: None, params=self._key)
        except RequestRefused as refused:
            if refused.status != 404:
                raise
