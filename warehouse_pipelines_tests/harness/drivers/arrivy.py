"""Arrivy, as the battery sees it."""

from datetime import datetime

from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.simulators.arrivy.simulator import Arrivy
from warehouse_pipelines_tests.harness.drivers.driver import Key

PAGED = ("tasks", "bookings", "groups")


class ArrivyDriver:
    """Tasks and bookings, most of them scheduled, and lists that stand still."""

    def __init__(self, simulator: Arrivy) -> None:
        self.simulator = simulator

    def prepare(self, entity: Entity) -> None:
        for _ in range(2):
            self.create(entity)

    def keys(self, entity: Entity) -> set[Key]:
        return {(key,) for key in self.simulator.ids(entity.path)}

    def edit(self, entity: Entity) -> tuple[Key, str, str] | None:
        key = self.simulator.ids(entity.path)[-1]
        self.simulator.edit(entity.path, key, {"description": "edited over there", "details": "edited over there"})
        return (key,), "description" if "description" in entity.columns else "details", "edited over there"

    def create(self, entity: Entity) -> Key | None:
        return (self.simulator.create(entity.path),)

    def delete(self, entity: Entity) -> Key:
        key = self.simulator.ids(entity.path)[-1]
        self.simulator.delete(entity.path, key)
        return (key,)

    def bring_back(self, entity: Entity, key: Key) -> None:
        self.simulator.restore(entity.path, key[0])

    def empty(self, entity: Entity) -> None:
        for key in self.simulator.ids(entity.path):
            self.simulator.delete(entity.path, key)

    def path(self, entity: Entity) -> str:
        return f"/api/{entity.path}"

    @classmethod
    def bad_column(cls, entity: Entity, what: str) -> str | None:
        return entity.cursor or "created"

    def corrupt(self, entity: Entity, what: str) -> None:
        # A list that answers at once is asked for a second page, which is the first again.
        times = 1 if entity.path in PAGED else 2
        self.simulator.set_fault(
            "malformed", path=self.path(entity), times=times, what=what, property=self.bad_column(entity, what)
        )

    def bounds(self, entity: Entity) -> list[datetime]:
        return [
            datetime.fromisoformat(entry["query"]["from"][0])
            for entry in self.simulator.requests()["log"]
            if "from" in entry["query"]
        ]

    def fixed_size(self, entity: Entity) -> bool:
        return entity.path not in PAGED


DRIVER = ArrivyDriver
