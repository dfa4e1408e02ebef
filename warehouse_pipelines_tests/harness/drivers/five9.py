"""Five9, as the battery sees it."""

from datetime import datetime

from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.simulators.five9.simulator import Five9
from warehouse_pipelines_tests.harness.drivers.driver import Key


class Five9Driver:
    """One list of contacts, all with a contactID."""

    def __init__(self, simulator: Five9) -> None:
        self.simulator = simulator

    def prepare(self, entity: Entity) -> None:
        for _ in range(2):
            self.create(entity)

    def keys(self, entity: Entity) -> set[Key]:
        return {(key,) for key in self.simulator.ids()}

    def edit(self, entity: Entity) -> tuple[Key, str, str] | None:
        key = self.simulator.ids()[-1]
        self.simulator.edit(key, {"city": "edited over there"})
        return (key,), "city", "edited over there"

    def create(self, entity: Entity) -> Key | None:
        return (self.simulator.create(),)

    def delete(self, entity: Entity) -> Key:
        key = self.simulator.ids()[-1]
        self.simulator.delete(key)
        return (key,)

    def bring_back(self, entity: Entity, key: Key) -> None:
        self.simulator.restore(key[0])

    def empty(self, entity: Entity) -> None:
        for key in self.simulator.ids():
            self.simulator.delete(key)

    def path(self, entity: Entity) -> str:
        return f"/{entity.path}"

    @classmethod
    def bad_column(cls, entity: Entity, what: str) -> str | None:
        return "created_date"

    def corrupt(self, entity: Entity, what: str) -> None:
        self.simulator.set_fault("malformed", path=self.path(entity), times=1, what=what)

    def bounds(self, entity: Entity) -> list[datetime]:
        return []

    def fixed_size(self, entity: Entity) -> bool:
        return True


DRIVER = Five9Driver
