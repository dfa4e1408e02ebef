"""CallRail, as the battery sees it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.simulators.callrail.fields import LISTINGS
from warehouse_pipelines.simulators.callrail.simulator import CallRail
from warehouse_pipelines_tests.harness.drivers.driver import Key


class CallRailDriver:
    """Lists that stand still, and lists by date."""

    def __init__(self, simulator: CallRail) -> None:
        self.simulator = simulator

    def _name(self, entity: Entity) -> str:
        return entity.path.removesuffix(".json")

    def _rows(self, entity: Entity) -> list[dict[str, Any]]:
        return self.simulator.fixed[self._name(entity)]

    def prepare(self, entity: Entity) -> None:
        if entity.name == "accounts":
            self.simulator.configure(accounts=3)
        elif self._name(entity) in LISTINGS:
            for _ in range(2):
                self.create(entity)

    def keys(self, entity: Entity) -> set[Key]:
        return {(key,) for key in self.simulator.ids("accounts" if entity.name == "accounts" else self._name(entity))}

    def edit(self, entity: Entity) -> tuple[Key, str, str] | None:
        if entity.name == "accounts":
            return None
        key = self.simulator.ids(self._name(entity))[-1]
        new = "edited over there"
        match entity.name:
            case "calls":
                self.simulator.edit_call(key, note=new)
                return (key,), "note", new
            case "form_submissions":
                self.simulator.edit_form(key, note=new)
                return (key,), "note", new
            case "text_messages":
                store = self.simulator.stores["text-messages"]
                number = store.find(key)
                assert number is not None
                store.changes.setdefault(number, {}).update(lead_status=new)
                return (key,), "lead_status", new
            case _:
                self._rows(entity)[-1].update(name=new)
                return (key,), "name", new

    def create(self, entity: Entity) -> Key | None:
        match entity.name:
            case "accounts":
                before = self.keys(entity)
                self.simulator.configure(accounts=len(before) + 1)
                return (self.keys(entity) - before).pop()
            case "calls":
                return (self.simulator.add_call(),)
            case "form_submissions":
                return (self.simulator.add_form(),)
            case "text_messages":
                minute = datetime.now(UTC) - timedelta(minutes=1)
                return (self.simulator.add_conversation(at=minute.isoformat(timespec="milliseconds")),)
            case _:
                row = dict(self._rows(entity)[-1])
                row["id"] = row["id"] + 1 if isinstance(row["id"], int) else f"{row['id'][:-4]}beef"
                self._rows(entity).append(row)
                return (str(row["id"]),)

    def delete(self, entity: Entity) -> Key:
        if entity.name == "accounts":
            before = self.keys(entity)
            self.simulator.configure(accounts=len(before) - 1)
            return (before - self.keys(entity)).pop()
        key = self.simulator.ids(self._name(entity))[-1]
        if self._name(entity) in LISTINGS:
            store = self.simulator.stores[self._name(entity)]
            number = store.find(key)
            assert number is not None
            store.remove(number)
            self._removed: Any = number
        else:
            self._removed = self._rows(entity).pop()
        return (key,)

    def bring_back(self, entity: Entity, key: Key) -> None:
        if entity.name == "accounts":
            self.simulator.configure(accounts=len(self.keys(entity)) + 1)
        elif self._name(entity) in LISTINGS:
            store = self.simulator.stores[self._name(entity)]
            store.deleted.remove(self._removed)
            store.timeline.place(self._removed, store.time_of(self._removed))
        else:
            self._rows(entity).append(self._removed)

    def empty(self, entity: Entity) -> None:
        if entity.name == "accounts":
            self.simulator.configure(accounts=0)
        elif self._name(entity) in LISTINGS:
            while self.keys(entity):
                self.delete(entity)
        else:
            self._rows(entity).clear()

    def path(self, entity: Entity) -> str:
        return f"/{entity.path}"

    @classmethod
    def bad_column(cls, entity: Entity, what: str) -> str | None:
        return entity.cursor or "created_at"

    def corrupt(self, entity: Entity, what: str) -> None:
        path = entity.columns[entity.cursor or "created_at"].path
        asked = int(entity.name == "accounts")  # for the first time to learn whose the key is
        self.simulator.set_fault("malformed", path=self.path(entity), after=asked, times=1, what=what, property=path)

    def bounds(self, entity: Entity) -> list[datetime]:
        return [
            datetime.fromisoformat(entry["query"]["start_date"][0])
            for entry in self.simulator.requests()["log"]
            if "start_date" in entry["query"]
        ]

    def fixed_size(self, entity: Entity) -> bool:
        return False


DRIVER = CallRailDriver
