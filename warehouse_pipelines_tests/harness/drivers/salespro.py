"""SalesPro, as the battery sees it."""

from datetime import UTC, datetime

from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.simulators.salespro.simulator import SalesPro
from warehouse_pipelines.sources.salespro.forms import answered, lines
from warehouse_pipelines_tests.harness.drivers.driver import Key


class SalesProDriver:
    """Tables; the line items are answers in one of them."""

    def __init__(self, simulator: SalesPro) -> None:
        self.simulator = simulator

    def _table(self, entity: Entity) -> str:
        return entity.path.partition("/")[0]

    def _items(self, key: str) -> list[Key]:
        (row,) = self.simulator.rows("lead_results", key)
        return [(key, str(line["number"])) for line in lines(answered(row["lead_results"])) if isinstance(line, dict)]

    def prepare(self, entity: Entity) -> None:
        if entity.cursor:
            for _ in range(2):
                self.create(entity)

    def keys(self, entity: Entity) -> set[Key]:
        keys = self.simulator.ids(self._table(entity))
        if "/" in entity.path:
            return {item for key in keys for item in self._items(key)}
        return {(key,) for key in keys}

    def edit(self, entity: Entity) -> tuple[Key, str, str] | None:
        key = self.simulator.ids(self._table(entity))[-1]
        new = "edited over there"
        match entity.name:
            case "lead_results":
                self.simulator.answers(key, Notes=new)
                return (key,), "notes", new
            case "lead_result_line_items":
                self.simulator.answers(key, **{"Job Type 1": new})
                return (key, "1"), "job_type", new
            case _:
                column = {
                    "credit_applications": "credit_app_note",
                    "customers": "customer_last_name",
                    "estimates": "job_type",
                    "offices": "name",
                    "users": "last_name",
                }[entity.name]
                self.simulator.edit(self._table(entity), key, **{column: new})
                return (key,), column, new

    def create(self, entity: Entity) -> Key | None:
        key = self.simulator.create(self._table(entity))
        return (key, "1") if "/" in entity.path else (key,)

    def delete(self, entity: Entity) -> Key:
        key = self.simulator.ids(self._table(entity))[-1]
        found = self._items(key)[0] if "/" in entity.path else (key,)
        self.simulator.delete(self._table(entity), key)
        return found

    def bring_back(self, entity: Entity, key: Key) -> None:
        self.simulator.restore(self._table(entity), key[0])

    def empty(self, entity: Entity) -> None:
        self.simulator.empty(self._table(entity))

    def path(self, entity: Entity) -> str:
        return f"/{self.simulator.settings.bucket}/"

    @classmethod
    def bad_column(cls, entity: Entity, what: str) -> str | None:
        if "/" in entity.path:
            return None  # a row over there is several items or none
        return "created_at"

    def corrupt(self, entity: Entity, what: str) -> None:
        path = "created_at" if what != "missing_id" else entity.columns[entity.keys[0]].path
        self.simulator.set_fault("malformed", path=self.path(entity), times=1, what=what, property=path)

    def bounds(self, entity: Entity) -> list[datetime]:
        literals = [
            entry["body"]["ExecutionParameters"][0]
            for entry in self.simulator.requests()["log"]
            if entry["path"] == "/StartQueryExecution" and entry["body"].get("ExecutionParameters")
        ]
        return [datetime.fromisoformat(literal.strip("'")).replace(tzinfo=UTC) for literal in literals]

    def fixed_size(self, entity: Entity) -> bool:
        return True


DRIVER = SalesProDriver
