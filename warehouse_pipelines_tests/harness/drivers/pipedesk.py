"""PipeDesk, as the battery sees it."""

from datetime import datetime
from typing import Any

from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.simulators.pipedesk.simulator import PipeDesk
from warehouse_pipelines_tests.harness.drivers.driver import Key


class PipeDeskDriver:
    """Tables of a database; what happens to them happens by SQL that leaves no time of an edit."""

    def __init__(self, simulator: PipeDesk) -> None:
        self.simulator = simulator

    def prepare(self, entity: Entity) -> None:
        if entity.deletes.time:
            self.simulator.run(f"UPDATE {self._table(entity)} SET deleted_at = NULL")
        for _ in range(2):
            self.create(entity)

    def _table(self, entity: Entity) -> str:
        return entity.path.split("|")[0]

    def keys(self, entity: Entity) -> set[Key]:
        return {tuple(key) for key in self.simulator.keys(self._table(entity))}

    def _last(self, entity: Entity) -> list[str]:
        return self.simulator.keys(self._table(entity))[-1]

    def edit(self, entity: Entity) -> tuple[Key, str, str] | None:
        edits: dict[str, Any] = {"text": "edited", "integer": 4711, "boolean": None}
        kinds = {kind: name for name, (kind, _) in entity.columns.items() if name not in entity.keys}
        kind = next((one for one in edits if one in kinds), None)
        if kind is None:
            return None
        key = self._last(entity)
        column, value = kinds[kind], "manager" if entity.name == "user_roles" else edits[kind]
        self.simulator.edit(self._table(entity), key, touch=False, **{column: value})
        return tuple(key), column, value

    def create(self, entity: Entity) -> Key | None:
        return tuple(self.simulator.create(self._table(entity)))

    def delete(self, entity: Entity) -> Key:
        key = self._last(entity)
        self.simulator.remove(self._table(entity), key)
        return tuple(key)

    def bring_back(self, entity: Entity, key: Key) -> None:
        self.simulator.restore(self._table(entity), key)

    def empty(self, entity: Entity) -> None:
        self.simulator.empty(self._table(entity))

    def path(self, entity: Entity) -> str:
        return f"/{self._table(entity)}"

    @classmethod
    def bad_column(cls, entity: Entity, what: str) -> str | None:
        if what != "bad_date":
            return None  # a key is never NULL
        typed = ("uuid", "integer", "boolean", "timestamptz")
        own = [name for name, (kind, _) in entity.columns.items() if kind in typed and name not in entity.keys]
        return next(iter(own), None)

    def corrupt(self, entity: Entity, what: str) -> None:
        if column := self.bad_column(entity, what):
            self.simulator.set_fault("malformed", path=self.path(entity), what="bad_number", property=column)

    def bounds(self, entity: Entity) -> list[datetime]:
        return []

    def fixed_size(self, entity: Entity) -> bool:
        return False


DRIVER = PipeDeskDriver
