"""What a test does to the simulated portal behind the client's back, and the truth that it compares with."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from warehouse_pipelines.simulators.core.population import Population
from warehouse_pipelines.simulators.core.simulator import operation
from warehouse_pipelines.simulators.hubspot import webhooks
from warehouse_pipelines.simulators.hubspot.lookup_operations import LookupOperations
from warehouse_pipelines.simulators.hubspot.portal import HubSpotSettings, Portal
from warehouse_pipelines.simulators.hubspot.properties import FIELD_TYPES, Property
from warehouse_pipelines.simulators.hubspot.store import Store
from warehouse_pipelines.simulators.hubspot.subscriptions import App


class HubSpotOperations(LookupOperations):
    settings_type = HubSpotSettings
    settings: HubSpotSettings

    def __init__(self, population: Population, settings: HubSpotSettings) -> None:
        super().__init__(population, settings)
        self.portal = Portal(population, settings)
        self.portal.on_change = self._note
        self._event_ids = itertools.count(1)
        self.app = App(settings)

    def _note(self, kind: str, store: Store, object_id: str, more: dict[str, Any]) -> None:
        self.outbox.note(webhooks.event(store.kind, kind, object_id, next(self._event_ids), self.portal.now_ms(), more))

    most_together = webhooks.MOST_TOGETHER

    def signed(self, events: Sequence[webhooks.Event], url: str) -> webhooks.Message:
        return webhooks.signed(events, url, self.settings.client_secret, self.settings.public_url)

    @operation
    def list_subscriptions(self) -> dict[str, Any]:
        """Where the app delivers to, and what it subscribes to."""
        return {"target": self.app.target, "subscriptions": list(self.app.subscriptions.values())}

    @operation
    def edit(self, object: str, id: str, properties: dict[str, Any], bump: bool = True) -> dict[str, Any]:
        """Change properties; without `bump` the modified time stays, as after a change by formula."""
        store = self.portal.named(object)
        result: dict[str, Any] = self.portal.shown(store, self.portal.edit(store, id, properties, bump=bump))
        return result

    @operation
    def create(self, object: str, properties: dict[str, Any] | None = None) -> str:
        store = self.portal.named(object)
        return store.id_of(self.portal.create(store, properties or {}))

    @operation
    def archive(self, object: str, id: str) -> None:
        self.portal.live_number(self.portal.named(object), id)
        self.portal.archive(self.portal.named(object), id)

    @operation
    def restore(self, object: str, id: str) -> None:
        store = self.portal.named(object)
        number = self.portal.number(store, id)
        row = store.row(number)
        if row.state != "archived":
            raise ValueError(f"{object} {id} is not archived")
        modified = self.portal.bumped(row) if self.settings.restore_bumps else row.modified
        self.portal.write(store, number, replace(row, state="live", archived_at=None, modified=modified))
        self.portal.on_change("restore", store, id, {})

    @operation
    def expire(self, object: str, id: str) -> None:
        """Ninety days after archiving: not in the archived list either."""
        store = self.portal.named(object)
        self.portal.erase(store, self.portal.number(store, id))

    @operation
    def merge(self, object: str, primary: str, secondary: str, new_id: bool = False) -> str:
        """The id of the survivor, which is a third one when `new_id` is set."""
        store = self.portal.named(object)
        return store.id_of(self.portal.merge(store, primary, secondary, new_id=new_id))

    @operation
    def gdpr_delete(self, id: str, object: str = "contacts") -> None:
        """Erase a record for good, live or archived: in no list, no search, no batch read and no pair any more."""
        store = self.portal.named(object)
        number = self.portal.number(store, id)
        if store.row(number).state == "erased":
            raise ValueError(f"{object} {id} is erased already")
        self.portal.erase(store, number)
        self.portal.on_change("privacyDeletion", store, id, {})

    @operation
    def define_property(self, object: str, name: str, type: str = "string") -> None:
        """Give an object a property of the customer's own, or the property another type."""
        self.portal.named(object).define(name, Property(name, type, FIELD_TYPES[type], custom=True))

    @operation
    def archive_property(self, object: str, name: str) -> None:
        self.portal.named(object).define(name, None)

    @operation
    def associate(
        self,
        from_object: str,
        from_id: str,
        to_object: str,
        to_id: str,
        type_id: int | None = None,
        bump: bool = False,
    ) -> None:
        source, target = self.portal.named(from_object), self.portal.named(to_object)
        one, other = self.portal.live_number(source, from_id), self.portal.live_number(target, to_id)
        self.portal.associations.join(from_object, one, to_object, other, type_id)
        if bump:
            self.portal.edit(source, from_id, {}, bump=True)

    @operation
    def dissociate(self, from_object: str, from_id: str, to_object: str, to_id: str, bump: bool = False) -> None:
        source, target = self.portal.named(from_object), self.portal.named(to_object)
        self.portal.associations.part(
            from_object, self.portal.number(source, from_id), to_object, self.portal.number(target, to_id)
        )
        if bump:
            self.portal.edit(source, from_id, {}, bump=True)

    @operation
    def bulk_touch(
        self,
        object: str,
        ids: list[str] | None = None,
        count: int | None = None,
        at: int | None = None,
        properties: dict[str, Any] | None = None,
    ) -> int:
        """Give many records one identical modified millisecond, as an import does. Returns that millisecond."""
        store = self.portal.named(object)
        numbers = (
            [self.portal.live_number(store, each) for each in ids] if ids is not None else list(store.live_after(-1))
        )
        at = self.portal.now_ms() if at is None else at
        texts = {name: None if value is None else str(value) for name, value in (properties or {}).items()}
        visible = time.monotonic() + self.settings.index_lag_seconds
        for number in numbers[:count]:
            store.write(number, store.edited(number, texts, at), visible)
        if self.settings.index_lag_seconds <= 0 and not self.portal.index_is_held:
            store.settle_index(time.monotonic(), everything=True)
        return at

    @operation
    def forget_object(self, object: str) -> None:
        """The portal has no such custom object any more, as one in which nobody has made it yet."""
        store = self.portal.stores.pop(self.portal.named(object).kind.name)
        self.portal.paths = {path: each for path, each in self.portal.paths.items() if each is not store}

    @operation
    def hold_index(self) -> None:
        """From now on search sees nothing of what is written."""
        for store in self.portal.stores.values():
            store.settle_index(time.monotonic())
        self.portal.index_is_held = True

    @operation
    def release_index(self) -> None:
        self.portal.index_is_held = False
        for store in self.portal.stores.values():
            store.settle_index(time.monotonic(), everything=True)

    @operation
    def counts(self) -> dict[str, Any]:
        """The truth: how many records of each object live, and how many are archived."""
        live = {name: store.live_count() for name, store in self.portal.stores.items()}
        archived = {name: len(store.archived()) for name, store in self.portal.stores.items()}
        return {"live": live, "archived": archived}

    @operation
    def ids(self, object: str, state: str = "live") -> list[str]:
        store = self.portal.named(object)
        numbers: Iterable[int] = store.live_after(-1) if state == "live" else store.archived()
        return [store.id_of(number) for number in numbers]

    @operation
    def record(self, object: str, id: str) -> dict[str, Any]:
        """A record with every property, whatever its state."""
        store = self.portal.named(object)
        result: dict[str, Any] = self.portal.shown(store, self.portal.number(store, id))
        return result

    @operation
    def pairs(self, from_object: str, to_object: str) -> list[list[str]]:
        """Every association between two objects, as pairs of ids."""
        source, target = self.portal.named(from_object), self.portal.named(to_object)
        return [
            [source.id_of(number), target.id_of(neighbour)]
            for number in source.live_after(-1)
            for neighbour, _ in self.portal.associations.edges(from_object, to_object, number)
        ]
