"""Google Sheets, as the battery sees it."""

from collections import Counter
from datetime import datetime
from typing import Any

from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.simulators.google.marketing import LEADS, SPENDS
from warehouse_pipelines.simulators.google.simulator import Google
from warehouse_pipelines.sources.gsheet.rows import row_id
from warehouse_pipelines_tests.harness.drivers.driver import Key


class SheetsDriver:
    """Two sheets, each the snapshot of a table; the key of a row is a hash of who or what it is about."""

    def __init__(self, simulator: Google) -> None:
        self.simulator = simulator

    def _sheet(self, entity: Entity) -> str:
        return LEADS if entity.name == "marketing_leads" else SPENDS

    def _identified(self, entity: Entity) -> list[tuple[Key, dict[str, Any]]]:
        names: tuple[str, ...] = ("First Name", " Last Name", "Email", "Phone")
        if entity.name == "marketing_spends":
            names = ("Date", "Channel", "Campaign")
        seen: Counter[str] = Counter()
        found: list[tuple[Key, dict[str, Any]]] = []
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
        self._removed = row["row"], self.simulator.delete_row(self._sheet(entity), row["row"])
        return key

    def bring_back(self, entity: Entity, key: Key) -> None:
        self.simulator.put_row(self._sheet(entity), *self._removed)

    def empty(self, entity: Entity) -> None:
        self.simulator.clear_rows(self._sheet(entity))

    def path(self, entity: Entity) -> str:
        return "/values/"

    @classmethod
    def bad_column(cls, entity: Entity, what: str) -> str | None:
        if what == "missing_id":
            return None  # a row has no id over there
        return "date" if entity.name == "marketing_leads" else "amount"

    def corrupt(self, entity: Entity, what: str) -> None:
        column = "Date" if entity.name == "marketing_leads" else "Amount"
        # The first answer is the header.
        self.simulator.set_fault("malformed", path="/values/", after=1, times=1, what=what, property=column)

    def bounds(self, entity: Entity) -> list[datetime]:
        return []

    def fixed_size(self, entity: Entity) -> bool:
        # A stretch ends with the grid, which is smaller than the usual stretch; test_gsheet_fetch has the sizes.
        return True


DRIVER = SheetsDriver
