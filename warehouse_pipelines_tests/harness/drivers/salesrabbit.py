"""SalesRabbit, as the battery sees it."""

from datetime import datetime
from typing import Any

from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.simulators.salesrabbit.simulator import SalesRabbit
from warehouse_pipelines.sources.salesrabbit import FILTERS
from warehouse_pipelines_tests.harness.drivers.driver import Key

DATES = {"leads": "dateModified", "users": "dateModified", "lead_status_histories": "leadModified"}


class SalesRabbitDriver:
    """Leads, each with a history of its own, and users."""

    def __init__(self, simulator: SalesRabbit) -> None:
        self.simulator = simulator

    def prepare(self, entity: Entity) -> None:
        for _ in range(2):
            self.create(entity)

    def keys(self, entity: Entity) -> set[Key]:
        if entity.name == "lead_status_histories":
            return {key for lead in self.simulator.ids("leads") for key in self._events(lead)}
        return {(str(key),) for key in self.simulator.ids(entity.name)}

    def _events(self, lead: int) -> list[Key]:
        history = self.simulator.record("history", lead)
        return [(f"{lead}/{event['id']}/{event['statusUpdated']}",) for event in history]

    def edit(self, entity: Entity) -> tuple[Key, str, str] | None:
        if entity.name == "lead_status_histories":
            return None
        key = self.simulator.ids(entity.name)[-1]
        if entity.name == "leads":
            self.simulator.edit_lead(key, notes="edited over there")
            return (str(key),), "notes", "edited over there"
        self.simulator.edit_user(key, role="edited over there")
        return (str(key),), "role", "edited over there"

    def create(self, entity: Entity) -> Key | None:
        if entity.name == "users":
            return (str(self.simulator.create_user()),)
        lead = self.simulator.create_lead()
        return (str(lead),) if entity.name == "leads" else self._events(lead)[0]

    def delete(self, entity: Entity) -> Key:
        key = self.simulator.ids("users" if entity.name == "users" else "leads")[-1]
        if entity.name == "users":
            self._removed: Any = self.simulator.remove_user(key)
            return (str(key),)
        events, self._removed = self._events(key), key
        self.simulator.delete_lead(key)
        return (str(key),) if entity.name == "leads" else events[0]

    def bring_back(self, entity: Entity, key: Key) -> None:
        if entity.name == "users":
            self.simulator.add_user(self._removed)
        else:
            self.simulator.restore_lead(self._removed)

    def empty(self, entity: Entity) -> None:
        self.simulator.crew.users.clear()
        for lead in self.simulator.ids("leads"):
            self.simulator.delete_lead(lead)

    def path(self, entity: Entity) -> str:
        return f"/{entity.path}"

    @classmethod
    def bad_column(cls, entity: Entity, what: str) -> str | None:
        return next(name for name, column in entity.columns.items() if column.path == DATES[entity.name])

    def corrupt(self, entity: Entity, what: str) -> None:
        path = DATES[entity.name]
        self.simulator.set_fault("malformed", path=self.path(entity), times=1, what=what, property=path)

    def bounds(self, entity: Entity) -> list[datetime]:
        header = FILTERS[entity.path].lower()
        asked = [entry["conditions"].get(header) for entry in self.simulator.requests()["log"]]
        return [datetime.fromisoformat(bound) for bound in asked if bound]

    def fixed_size(self, entity: Entity) -> bool:
        return entity.name == "lead_status_histories"


DRIVER = SalesRabbitDriver
