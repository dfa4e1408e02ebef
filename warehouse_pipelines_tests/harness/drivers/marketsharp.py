"""MarketSharp, as the battery sees it."""

import re
from collections import Counter
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.simulators.marketsharp.simulator import MarketSharp
from warehouse_pipelines_tests.harness.drivers.driver import Key

NEW = "edited over there"


class MarketSharpDriver:
    """Entity sets; ``data`` is the inquiries."""

    def __init__(self, simulator: MarketSharp) -> None:
        self.simulator = simulator

    def _set(self, entity: Entity) -> str:
        return entity.path.partition("?")[0]

    def prepare(self, entity: Entity) -> None:
        for _ in range(2):
            self.create(entity)

    def keys(self, entity: Entity) -> set[Key]:
        name = self._set(entity)
        ids = self.simulator.ids(name)
        return {(key,) for key in ids if self.simulator.record(name, key).get("isActive") is not False}

    def edit(self, entity: Entity) -> tuple[Key, str, str] | None:
        name = self._set(entity)
        key = self.simulator.recent(name)
        if entity.name == "data":
            contacts = {one: self.simulator.record(name, one)["contactId"] for one in self.simulator.ids(name)}
            inquiries = Counter(contacts.values())
            key, contact = next(pair for pair in contacts.items() if inquiries[pair[1]] == 1)
            self.simulator.edit("Contacts", contact, {"firstName": "", "lastName": NEW})
            return (key,), "customer_name", NEW
        texts = ("name", "note", "notes", "title", "line2", "contact_type", "home_phone", "is_active")
        column = next(one for one in texts if one in entity.columns)
        if column == "is_active":  # product interests have nothing else but keys, a price and a time
            self.simulator.edit(name, key, {"productTypeId": NEW.replace(" ", "-")})
            return (key,), "product_type_id", NEW.replace(" ", "-")
        self.simulator.edit(name, key, {entity.columns[column].path: NEW})
        return (key,), column, NEW

    def create(self, entity: Entity) -> Key | None:
        return (self.simulator.create(self._set(entity)),)

    def delete(self, entity: Entity) -> Key:
        key = self.simulator.recent(self._set(entity))
        if entity.deletes.flag:
            self.simulator.edit(self._set(entity), key, {"isActive": False})
        else:
            self.simulator.delete(self._set(entity), key)
        return (key,)

    def bring_back(self, entity: Entity, key: Key) -> None:
        if entity.deletes.flag:
            self.simulator.edit(self._set(entity), key[0], {"isActive": True})
        else:
            self.simulator.restore(self._set(entity), key[0])

    def empty(self, entity: Entity) -> None:
        for key in self.simulator.ids(self._set(entity)):
            self.simulator.delete(self._set(entity), key)

    def path(self, entity: Entity) -> str:
        return f"/{self._set(entity)}"

    @classmethod
    def bad_column(cls, entity: Entity, what: str) -> str | None:
        column = entity.cursor or ("is_active" if "is_active" in entity.columns else None)
        if column is None and what == "bad_date":
            return None  # texts only: every value can be read
        return column or entity.keys[0]

    def corrupt(self, entity: Entity, what: str) -> None:
        column = self.bad_column(entity, what)
        path = entity.columns[column or entity.keys[0]].paths[-1].rpartition(".")[2]
        self.simulator.set_fault(
            "malformed", path=self.path(entity), times=1, what=what, property=None if what == "missing_id" else path
        )

    def bounds(self, entity: Entity) -> list[datetime]:
        zone = ZoneInfo(self.simulator.settings.time_zone)
        filters = [entry["query"].get("$filter", [""])[0] for entry in self.simulator.requests()["log"]]
        found = [re.match(r"(?:Contact/)?lastUpdate ge datetime'([^']+)'", one) for one in filters]
        return [datetime.fromisoformat(one[1]).replace(tzinfo=zone).astimezone(UTC) for one in found if one]

    def fixed_size(self, entity: Entity) -> bool:
        return False


DRIVER = MarketSharpDriver
