"""Google Sheets, Calendar and Drive, as the battery sees them."""

from collections import Counter
from datetime import datetime
from typing import Any

from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.simulators.google.calendar import CREWS
from warehouse_pipelines.simulators.google.marketing import LEADS, SPENDS
from warehouse_pipelines.simulators.google.simulator import Google
from warehouse_pipelines.sources.gsheet.rows import row_id
from warehouse_pipelines_tests.harness.vendors.vendor import Key


class SheetsVendor:
    """Two sheets, each the snapshot of a table; the key of a row is a hash of who or what it is about."""

    def __init__(self, simulator: Google) -> None:
        self.simulator = simulator

    def _sheet(self, entity: Entity) -> str:
        return LEADS if entity.name == "marketing_leads" else SPENDS

    def _identified(self, entity: Entity) -> list[tuple[Key, dict[str, Any]]]:
        names = ("First Name", " Last Name", "Email", "Phone")
        if entity.name == "marketing_spends":
            names = ("Date", "Channel", "Campaign")
        seen: Counter[str] = Counter()
        found = []
        for row in self.simulator.table(self._sheet(entity)):
            who = "\x1f".join(str(row.get(name) or "").strip().casefold() for name in names)
            found.append(((str(row_id(self._sheet(entity), 0, who, seen[who])),), row))
            seen[who] += 1
        return found

    def prepare(self, entity: Entity) -> None:
        for _ in range(2):
            self.create(entity)

    def keys(self, entity: Entity) -> set[Key]:
        return {key for key, _ in self._identified(entity)}

    def edit(self, entity: Entity) -> tuple[Key, str, str] | None:
        key, row = self._identified(entity)[-1]
        self.simulator.edit_row(self._sheet(entity), row["row"], Division="edited over there")
        return key, "division", "edited over there"

    def create(self, entity: Entity) -> Key | None:
        count = len(self._identified(entity))
        person: dict[str, Any] = {
            "First Name": "Ana",
            " Last Name": f"New {count}",
            "Email": f"new{count}@example.test",
        }
        spent: dict[str, Any] = {"Channel": "Radio", "Campaign": f"New {count}", "Amount": 12.5}
        cells = person if entity.name == "marketing_leads" else spent
        self.simulator.insert_row(self._sheet(entity), **{"Date": "2026-05-01", **cells})
        return self._identified(entity)[-1][0]

    def delete(self, entity: Entity) -> Key:
        key, row = self._identified(entity)[-1]
        self._gone = row["row"], self.simulator.delete_row(self._sheet(entity), row["row"])
        return key

    def bring_back(self, entity: Entity, key: Key) -> None:
        self.simulator.put_row(self._sheet(entity), *self._gone)

    def empty(self, entity: Entity) -> None:
        self.simulator.clear_rows(self._sheet(entity))

    def path(self, entity: Entity) -> str:
        return "/values/"

    def poison(self, entity: Entity, what: str) -> str | None:
        if what == "missing_id":
            return None
        column = "date" if entity.name == "marketing_leads" else "amount"
        # The first answer is the header.
        self.simulator.set_fault("malformed", path="/values/", after=1, times=1, what=what, property=column.title())
        return column

    def bounds(self, entity: Entity) -> list[datetime]:
        return []

    def fixed_size(self, entity: Entity) -> bool:
        # A stretch ends with the grid, which is smaller than the usual stretch; test_gsheet_fetch has the sizes.
        return True


class CalendarVendor:
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

    def poison(self, entity: Entity, what: str) -> str | None:
        self.simulator.set_fault("malformed", path="/events", times=1, what=what, property="created")
        return "created_at"

    def bounds(self, entity: Entity) -> list[datetime]:
        return []

    def fixed_size(self, entity: Entity) -> bool:
        return False


class DriveVendor:
    """The files and the folders of a service account."""

    def __init__(self, simulator: Google) -> None:
        self.simulator = simulator

    def _folders(self, entity: Entity) -> bool:
        return entity.name == "folders"

    def prepare(self, entity: Entity) -> None:
        for _ in range(2):
            self.create(entity)

    def keys(self, entity: Entity) -> set[Key]:
        return {(file_id,) for file_id in self.simulator.file_ids(folders=self._folders(entity))}

    def edit(self, entity: Entity) -> tuple[Key, str, str] | None:
        key = self.simulator.file_ids(folders=self._folders(entity))[1]
        self.simulator.edit_file(key, name="edited over there")
        return (key,), "name", "edited over there"

    def create(self, entity: Entity) -> Key | None:
        return (self.simulator.create_file(folder=self._folders(entity), name="New"),)

    def delete(self, entity: Entity) -> Key:
        key = self.simulator.file_ids(folders=self._folders(entity))[-1]
        self.simulator.trash_file(key)
        return (key,)

    def bring_back(self, entity: Entity, key: Key) -> None:
        self.simulator.untrash_file(key[0])

    def empty(self, entity: Entity) -> None:
        for key in self.keys(entity):
            self.simulator.forget_file(key[0])

    def path(self, entity: Entity) -> str:
        return "/drive/v3/files"

    def poison(self, entity: Entity, what: str) -> str | None:
        self.simulator.set_fault("malformed", path=self.path(entity), times=1, what=what, property="createdTime")
        return "created_at"

    def bounds(self, entity: Entity) -> list[datetime]:
        return []

    def fixed_size(self, entity: Entity) -> bool:
        return False
