"""Google Calendar, as the battery sees it."""

from datetime import datetime

from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.simulators.google.calendar import CREWS
from warehouse_pipelines.simulators.google.simulator import Google
from warehouse_pipelines_tests.harness.drivers.driver import Key


class CalendarDriver:
    """The calendars of two crews, whose events have the same ids."""

    def __init__(self, simulator: Google) -> None:
        self.simulator = simulator

    def prepare(self, entity: Entity) -> None:
        for _ in range(2):
            self.create(entity)

    def keys(self, entity: Entity) -> set[Key]:
        return {(crew, event_id) for crew in CREWS for event_id in self.simulator.event_ids(crew)}

    def edit(self, entity: Entity) -> tuple[Key, str, str] | None:
        key = CREWS[1], self.simulator.event_ids(CREWS[1])[0]
        self.simulator.edit_event(*key, summary="edited over there")
        return key, "summary", "edited over there"

    def create(self, entity: Entity) -> Key | None:
        return CREWS[0], self.simulator.create_event(CREWS[0], summary="New")

    def delete(self, entity: Entity) -> Key:
        key = CREWS[0], self.simulator.event_ids(CREWS[0])[-1]
        self.simulator.delete_event(*key)
        return key

    def bring_back(self, entity: Entity, key: Key) -> None:
        self.simulator.restore_event(*key)

    def empty(self, entity: Entity) -> None:
        for key in self.keys(entity):
            self.simulator.erase_event(*key)

    def path(self, entity: Entity) -> str:
        return "/events"

    @classmethod
    def bad_column(cls, entity: Entity, what: str) -> str | None:
        return "created_at"

    def corrupt(self, entity: Entity, what: str) -> None:
        self.simulator.set_fault("malformed", path="/events", times=1, what=what, property="created")

    def bounds(self, entity: Entity) -> list[datetime]:
        return []

    def fixed_size(self, entity: Entity) -> bool:
        return False


DRIVER = CalendarDriver
