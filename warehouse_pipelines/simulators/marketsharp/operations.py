"""What a test does to the simulated MarketSharp behind the client's back, and the truth that it compares with."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

from warehouse_pipelines.simulators.core.population import Population
from warehouse_pipelines.simulators.core.simulator import Simulator, operation
from warehouse_pipelines.simulators.marketsharp.formulas import record_of
from warehouse_pipelines.simulators.marketsharp.office import KINDS, Office
from warehouse_pipelines.simulators.marketsharp.record_store import Record, RecordStore
from warehouse_pipelines.simulators.marketsharp.sets import ALIGNED, SETS, SUBSETS
from warehouse_pipelines.simulators.marketsharp.settings import MarketSharpSettings


class MarketSharpOperations(Simulator):
    settings_type = MarketSharpSettings
    settings: MarketSharpSettings

    def __init__(self, population: Population, settings: MarketSharpSettings) -> None:
        super().__init__(population, settings)
        started = time.time()
        self._ahead = (settings.now or started) - started
        self.zone = ZoneInfo(settings.time_zone)
        self.office = Office(population, settings.contacts, self.now_ms(), settings.company)

    def now_ms(self) -> int:
        """What the wall clock shows, as if it were UTC."""
        wall = datetime.fromtimestamp(time.time() + self._ahead, self.zone).replace(tzinfo=UTC)
        return int(wall.timestamp() * 1000)

    def _find(self, name: str, id: int | str) -> tuple[RecordStore, int]:
        store = self.office.store(name)
        number = store.find(int(id) if store.numbered else str(id))
        if number is None:
            raise ValueError(f"nothing with the id {id} in {name}")
        return store, number

    def _set(self, name: str, number: int, fields: Mapping[str, Any]) -> None:
        store = self.office.store(name)
        if unknown := set(fields) - set(store.shape.properties):
            raise ValueError(f"{name} has no {', '.join(sorted(unknown))}")
        store.changes.setdefault(number, {}).update(fields)

    @operation
    def create(self, path: str, fields: Mapping[str, Any] = MappingProxyType({})) -> str:
        """A new record, now. A contact comes with an address and a phone record, and is of the subset's kind."""
        now = self.now_ms()
        kind = SUBSETS.get(path)
        base = "Contacts" if kind else path
        for each in ALIGNED if base in ALIGNED else (base,):
            number = self.office.store(each).add(now)
        if kind:
            self.office.store(base).changes[number] = {"@kind": kind}
        self._set(base, number, fields)
        return str(self.office.store(base).id_of(number))

    @operation
    def edit(
        self, path: str, id: int | str, fields: Mapping[str, Any], quietly: bool = False, at: int | None = None
    ) -> None:
        """Change properties; lastUpdate becomes `at` (a wall clock in milliseconds), now if not given, or stays."""
        store, number = self._find(path, id)
        self._set(path, number, fields)
        if not quietly:
            store.timeline.place(number, self.now_ms() if at is None else at)

    @operation
    def touch(self, path: str, ids: list[str], at: int | None = None) -> None:
        """Give many records the same lastUpdate, as an import does."""
        at = self.now_ms() if at is None else at
        for id in ids:
            store, number = self._find(path, id)
            store.timeline.place(number, at)

    @operation
    def become(self, id: str, kind: str) -> None:
        """A lead becomes a prospect, or a customer."""
        if kind not in KINDS:
            raise ValueError(f"no kind {kind!r}; there are {', '.join(KINDS)}")
        store, number = self._find("Contacts", id)
        store.changes.setdefault(number, {})["@kind"] = kind
        store.timeline.place(number, self.now_ms())

    @operation
    def delete(self, path: str, id: int | str) -> None:
        """For good; `edit` with isActive false is how most things are deleted."""
        store, number = self._find(path, id)
        store.remove(number)

    @operation
    def restore(self, path: str, id: int | str) -> None:
        store = self.office.store(path)
        number = next((one for one in store.deleted if str(store.id_of(one)) == str(id)), None)
        if number is None:
            raise ValueError(f"nothing deleted with the id {id} in {path}")
        store.restore(number)

    @operation
    def ids(self, path: str) -> list[str]:
        """The ids of what is there, active or not, in their order."""
        store = self.office.store(path)
        rows = ((key, number) for key, number in store.by_id())
        if path in SUBSETS:
            rows = ((key, number) for key, number in rows if self.office.kind_of(number) == SUBSETS[path])
        return [str(key) for key, _ in rows]

    @operation
    def recent(self, path: str) -> str:
        """The id of the record that changed last."""
        found = [self._find(path, id) for id in self.ids(path)]
        store, number = max(found, key=lambda one: (self.office.time_of(*one), one[1]))
        return str(store.id_of(number))

    @operation
    def record(self, path: str, id: int | str) -> Record:
        store, number = self._find(path, id)
        return record_of(self.office, store, number)

    @operation
    def counts(self) -> dict[str, int]:
        return {name: len(self.ids(name)) for name in SETS}
