"""What the simulated portal holds, and how it changes: records, who belongs to whom, owners and pipelines.

What the notes could not confirm is a setting, with the stricter reading as its default.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from warehouse_pipelines.simulators.core.journey import DAY_MS, Journeys
from warehouse_pipelines.simulators.core.population import Population
from warehouse_pipelines.simulators.hubspot.answers import Refusal
from warehouse_pipelines.simulators.hubspot.associations import Associations
from warehouse_pipelines.simulators.hubspot.lookups import Lookups
from warehouse_pipelines.simulators.hubspot.objects import PORTAL, ObjectType, object_types
from warehouse_pipelines.simulators.hubspot.properties import Property
from warehouse_pipelines.simulators.hubspot.store import Row, Store


@dataclass
class HubSpotSettings:
    token: str = "simulated-hubspot-token"  # noqa: S105  (nobody's key)
    contacts: int = 1000  # fixed at start
    appointment: str = "standard"  # fixed at start: standard | custom | both
    portal_id: int = PORTAL  # whose account it says it is
    extra_properties: int = 0  # fixed at start: so many more property definitions of contacts, with long names
    now: float | None = None  # fixed at start: seconds since 1970; the base ends an hour before
    url_limit: int = 8_000
    burst: int | None = None  # requests in 10 seconds
    daily: int | None = None
    searches_per_second: int | None = None
    retry_after_seconds: int | None = None  # on the limits' own 429; not promised by the vendor
    missing_scopes: list[str] = field(default_factory=list)  # names of objects
    index_lag_seconds: float = 0.0
    search_shows: str = "indexed"  # indexed | current: which values a search answers with
    id_order: str = "numeric"  # numeric | text
    search_pages: str = "full"  # full | short | empty: short or empty pages that have a next one
    search_total_cut: bool = False  # whether total stops at 10,000
    search_body_limit: int = 3_000
    search_body_counts: str = "all"  # all | filters: what those characters count
    client_secret: str = "simulated-hubspot-secret"  # noqa: S105  (nobody's: what deliveries are signed with)
    app_id: int = 4_440_009  # of the app whose subscriptions are made by API
    developer_key: str = "simulated-developer-key"  # nobody's
    untold_properties: list[str] = field(default_factory=list)  # that cannot be subscribed to
    public_url: str = ""  # what the address of a delivery is called by, where that is not where it is sent
    merged_read: str = "survivor"  # survivor | missing: what an absorbed id answers with
    restore_bumps: bool = False
    association_page: int = 500
    multi_status: bool = False  # whether a batch with a bad record is done in part (207), or refused as a whole
    refused_values: list[str] = field(default_factory=list)  # that no property may have, as an admin's rule says
    phones_as: str = "sent"  # sent | national: how a phone number is kept that is written


class Portal:
    """What is true at this HubSpot, whoever asks: what requests and operations read and change."""

    def __init__(self, population: Population, settings: HubSpotSettings) -> None:
        self.settings = settings
        started = time.time()
        self._ahead = (settings.now or started) - started
        end = int((started + self._ahead - 3600) * 1000)
        self._journeys = journeys = Journeys(population, settings.contacts, end + 3_600_000)
        kinds = object_types(population, journeys, settings.contacts, settings.appointment)
        extra = {f"intake_questionnaire_{n:04d}_how_did_the_homeowner_answer" for n in range(settings.extra_properties)}
        extra_properties = {name: Property(name, "string", "textarea", custom=True) for name in sorted(extra)}
        self.stores = {
            name: Store(
                kind,
                start=end - 3 * 365 * DAY_MS,
                end=end,
                seed=population.seed * 1000 + place,
                extra_properties=extra_properties if name == "contacts" else {},
                journeys=journeys,
            )
            for place, (name, kind) in enumerate(kinds.items())
        }
        self.associations = Associations(self.stores)
        self.lookups = Lookups(population)
        self.index_is_held = False
        """Whether search sees nothing of what is written."""
        self.paths = {path: store for store in self.stores.values() for path in store.kind.path_names}
        self.made_objects = 0
        """Schemas that clients made."""
        self.on_change: Callable[[str, Store, str, dict[str, Any]], None] = lambda kind, store, object_id, more: None
        """Called with each change: what happened, of which type, to which id, and what else is said of it."""

    def now_ms(self) -> int:
        return int((time.time() + self._ahead) * 1000)

    def named(self, name: str) -> Store:
        if name not in self.stores:
            raise ValueError(f"no object {name!r}; there are {', '.join(self.stores)}")
        return self.stores[name]

    def at_path(self, name: str) -> Store:
        store = self.paths.get(name)
        if store is None:
            raise Refusal(400, "VALIDATION_ERROR", f"Unable to infer object type from: {name}")
        if store.kind.name in self.settings.missing_scopes:
            scope = "custom" if store.kind.custom else store.kind.name
            context = {"requiredGranularScopes": [f"crm.objects.{scope}.read"]}
            message = "This app hasn't been granted all required scopes to make this call."
            errors = [{"message": "One or more of the following scopes are required.", "context": context}]
            raise Refusal(403, "MISSING_SCOPES", message, errors=errors)
        return store

    def number(self, store: Store, object_id: Any) -> int:
        number = store.number_of(object_id)
        if number is None:
            raise ValueError(f"no {store.kind.singular} {object_id}")
        return number

    def live_number(self, store: Store, object_id: Any) -> int:
        number = store.number_of(object_id)
        if number is None or not store.is_live(number):
            raise Refusal(404, "OBJECT_NOT_FOUND", f"no {store.kind.singular} {object_id}")
        return number

    def write(self, store: Store, number: int, row: Row) -> None:
        store.write(number, row, time.monotonic() + self.settings.index_lag_seconds)
        if self.settings.index_lag_seconds <= 0 and not self.index_is_held:
            store.settle_index(time.monotonic(), everything=True)

    def bumped(self, row: Row) -> int:
        return max(self.now_ms(), row.modified + 1)

    def edit(self, store: Store, object_id: Any, properties: dict[str, Any], *, bump: bool) -> int:
        number = self.live_number(store, object_id)
        row = store.row(number)
        texts = {name: None if value is None else str(value) for name, value in properties.items()}
        self.write(store, number, store.edited(number, texts, self.bumped(row) if bump else row.modified))
        for name, value in texts.items():
            self.on_change("propertyChange", store, store.id_of(number), {"propertyName": name, "propertyValue": value})
        return number

    def create(self, store: Store, properties: dict[str, Any]) -> int:
        texts = {name: None if value is None else str(value) for name, value in properties.items()}
        at = self.now_ms()
        number = store.create(texts, at, time.monotonic() + self.settings.index_lag_seconds)
        if self.settings.index_lag_seconds <= 0 and not self.index_is_held:
            store.settle_index(time.monotonic(), everything=True)
        self.on_change("creation", store, store.id_of(number), {})
        return number

    def make_object(self, kind: ObjectType) -> Store:
        """Make a custom object without records, under the next free type id."""
        store = Store(kind, start=0, end=0, seed=0, extra_properties={}, journeys=self._journeys)
        self.made_objects += 1
        self.stores[kind.name] = store
        self.paths |= dict.fromkeys(kind.path_names, store)
        return store

    def archive(self, store: Store, object_id: Any) -> None:
        number = store.number_of(object_id)
        if number is not None and store.is_live(number):
            self.write(store, number, replace(store.row(number), state="archived", archived_at=self.now_ms()))
            self.on_change("deletion", store, store.id_of(number), {})

    def erase(self, store: Store, number: int, merged_into: int | None = None) -> None:
        self.write(store, number, replace(store.row(number), state="erased", merged_into=merged_into))

    def merge(self, store: Store, primary: Any, secondary: Any, *, new_id: bool) -> int:
        if not store.kind.can_merge:
            raise Refusal(400, "VALIDATION_ERROR", f"{store.kind.name} cannot be merged")
        winner, loser = self.live_number(store, primary), self.live_number(store, secondary)
        if winner == loser:
            raise Refusal(400, "VALIDATION_ERROR", "a record cannot be merged with itself")
        kept, lost = store.row(winner), store.row(loser)
        absorbed = [kept.changes.get("hs_merged_object_ids"), lost.changes.get("hs_merged_object_ids"), str(secondary)]
        if new_id:
            absorbed.append(str(primary))
        merged = ";".join(ids for ids in absorbed if ids)
        changes: dict[str, str | None] = {"hs_merged_object_ids": merged}
        if store.kind.name == "contacts":
            at = self.now_ms()
            changes["hs_calculated_merged_vids"] = ";".join(f"{each}:{at}" for each in merged.split(";"))
        survivor = winner
        if new_id:
            survivor = self.create(store, {**store.properties(winner, kept), **changes, "hs_object_id": None})
            row = store.row(survivor)
            own = {store.kind.created_property, store.kind.modified_property, "hs_object_id"}
            kept_changes = {name: value for name, value in row.changes.items() if name not in own}
            self.write(store, survivor, replace(row, changes=kept_changes))
            self.associations.inherit(store.kind.name, winner, survivor)
        else:
            self.write(store, winner, store.edited(winner, changes, self.bumped(kept)))
        self.associations.inherit(store.kind.name, loser, survivor)
        self.erase(store, loser, survivor)
        if new_id:
            self.erase(store, winner, survivor)
        self.on_change("deletion", store, str(secondary), {})
        merge = {"primaryObjectId": int(primary), "mergedObjectIds": [int(secondary)], "numberOfPropertiesMoved": 1}
        new = {"newObjectId": int(store.id_of(survivor))} if new_id else {}
        self.on_change("merge", store, str(primary), {**merge, **new})
        return survivor

    def shown(self, store: Store, number: int) -> Any:
        return msgspec.json.decode(store.render(number, store.row(number), store.projection(tuple(store.known))))
