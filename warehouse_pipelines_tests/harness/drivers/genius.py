"""Genius, as the battery sees it."""

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.simulators.genius.simulator import Genius
from warehouse_pipelines_tests.harness.drivers.driver import Key


class GeniusDriver:
    """Tables of a database; what happens to them happens by SQL."""

    def __init__(self, simulator: Genius) -> None:
        self.simulator = simulator

    def prepare(self, entity: Entity) -> None:
        if entity.name == "contacts":
            self.simulator.add_contact_table()
        for _ in range(2):
            self.create(entity)

    def keys(self, entity: Entity) -> set[Key]:
        return {tuple(key) for key in self.simulator.keys(entity.path)}

    def _last(self, entity: Entity) -> list[str]:
        return self.simulator.keys(entity.path)[-1]

    def edit(self, entity: Entity) -> tuple[Key, str, str] | None:
        texts = [
            (name, column.path)
            for name, column in entity.columns.items()
            if column.kind == "text"
            and name not in entity.keys
            and "char" in self.simulator.type_of(entity.path, column.path)
        ]
        if not texts:
            return None
        key = self._last(entity)
        column, path = next((one for one in texts if one[0] in ("label", "notes")), texts[0])
        self.simulator.edit(entity.path, key, True, **{path: "edited"})
        return tuple(key), column, "edited"

    def create(self, entity: Entity) -> Key | None:
        return tuple(self.simulator.create(entity.path))

    def delete(self, entity: Entity) -> Key:
        key = self._last(entity)
        self.simulator.remove(entity.path, key)
        return tuple(key)

    def bring_back(self, entity: Entity, key: Key) -> None:
        self.simulator.restore(entity.path, key)

    def empty(self, entity: Entity) -> None:
        self.simulator.empty(entity.path)

    def path(self, entity: Entity) -> str:
        return f"/{entity.path}"

    @classmethod
    def bad_column(cls, entity: Entity, what: str) -> str | None:
        if what != "bad_date":
            return None  # a key is never NULL, and a statement that asks for what follows a key would not find it
        numbers = (
            name
            for name, (kind, path) in entity.columns.items()
            if kind in ("integer", "numeric", "boolean")
            and name not in entity.keys
            and Genius.type_of(entity.path, path)
        )
        return next(numbers, None)

    def corrupt(self, entity: Entity, what: str) -> None:
        # Zero dates are warned of, so a number is corrupted.
        if column := self.bad_column(entity, what):
            path = entity.columns[column].path.split("|")[0]
            self.simulator.set_fault("malformed", path=self.path(entity), what="bad_number", property=path)

    def bounds(self, entity: Entity) -> list[datetime]:
        zone = ZoneInfo(self.simulator.settings.zone)
        statements = [entry["body"] for entry in self.simulator.requests()["log"] if entry["path"] == self.path(entity)]
        found = [re.search(r"WHERE t.`updated_at` >= '([^']+)'", one) for one in statements]
        if not any(found) and statements:
            return [datetime.min.replace(tzinfo=UTC)]
        return [datetime.fromisoformat(one[1]).replace(tzinfo=zone).astimezone(UTC) for one in found if one]

    def fixed_size(self, entity: Entity) -> bool:
        return False


DRIVER = GeniusDriver
