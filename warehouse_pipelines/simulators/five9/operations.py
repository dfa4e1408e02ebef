"""What a test does to the simulated Five9 behind the client's back; a contact goes by the contactID of `unique`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from warehouse_pipelines.simulators.core.population import Population
from warehouse_pipelines.simulators.core.simulator import Simulator, operation
from warehouse_pipelines.simulators.five9.domain import FIRST_ID, LISTS, MODIFIED, Domain, Field
from warehouse_pipelines.simulators.five9.lookups import Lookups
from warehouse_pipelines.simulators.five9.settings import Five9Settings


class Five9Operations(Simulator):
    settings_type = Five9Settings
    settings: Five9Settings

    def __init__(self, population: Population, settings: Five9Settings) -> None:
        super().__init__(population, settings)
        started = time.time()
        self._ahead = (settings.now or started) - started
        self.domain = Domain(population, settings, self.now_ms())
        self.lookups = Lookups(self.domain)
        self._spent: list[tuple[float, int]] = []
        self._failing: list[dict[str, Any]] = []
        self._sessions: set[str] = set()

    def now_ms(self) -> int:
        return int((time.time() + self._ahead) * 1000)

    @operation
    def configure(self, **settings: Any) -> dict[str, Any]:
        self.domain.computed.clear()
        return super().configure(**settings)

    def _place(self, id: str) -> int:
        number = int(id) - FIRST_ID
        if not 0 <= number < self.domain.count + self.domain.added or number in self.domain.deleted:
            raise ValueError(f"no contact {id}")
        return number

    @operation
    def create(self, fields: dict[str, str | None] | None = None) -> str:
        """A new contact; names are those of the domain."""
        number = self.domain.count + self.domain.added
        self.domain.added += 1
        now = self.domain.local(self.now_ms())
        born = {"number1": f"937{2_000_000 + number}", "first_name": "Newly", "last_name": f"Made{number}"}
        self.domain.changes[number] = {**born, "sys_created_date": now, MODIFIED: now, **(fields or {})}
        self.lookups.moved.add(number)
        return str(FIRST_ID + number)

    @operation
    def edit(self, id: str, fields: dict[str, str | None]) -> None:
        number = self._place(id)
        self.domain.changes.setdefault(number, {}).update({MODIFIED: self.domain.local(self.now_ms()), **fields})
        if "number1" in fields:
            self.lookups.moved.add(number)

    @operation
    def delete(self, id: str) -> None:
        """Delete it without a trace."""
        self.domain.deleted.add(self._place(id))

    @operation
    def restore(self, id: str) -> None:
        self.domain.deleted.discard(int(id) - FIRST_ID)

    @operation
    def add_field(self, name: str, type: str = "STRING", restrictions: Sequence[tuple[str, str]] = ()) -> None:
        self.domain.computed.clear()
        self.domain.fields.append(Field(name, type, restrictions=tuple((kind, value) for kind, value in restrictions)))

    @operation
    def remove_field(self, name: str) -> None:
        self.domain.computed.clear()
        self.domain.fields = [each for each in self.domain.fields if each.name != name]

    @operation
    def set_soap_fault(
        self, fault: str, times: int = 1, operation: str = "", message: str = "told to", **more: Any
    ) -> None:
        """Answer with a fault: its name without `Fault`, perhaps only to one operation."""
        self._failing.append({"fault": fault, "times": times, "operation": operation, "message": message, "more": more})

    @operation
    def spend(self, requests: int) -> None:
        """The same user has made so many requests in the last minute."""
        self._spent.append((time.monotonic(), requests))

    @operation
    def close_sessions(self) -> None:
        self._sessions.clear()

    @operation
    def list_sizes(self) -> dict[str, int]:
        """How many contacts each dialing list has; a contact is in one or two of them."""
        sizes = dict.fromkeys(LISTS, 0)
        for place, name in enumerate(LISTS[:3]):
            sizes[name] = len(range(place, self.domain.count, 3)) - sum(
                n % 3 == place and n < self.domain.count for n in self.domain.deleted
            )
        sizes["Everybody"] = self.domain.count + self.domain.added - len(self.domain.deleted)
        return sizes

    @operation
    def counts(self) -> dict[str, int]:
        """The truth: what a client that asks for everything should hold."""
        return {"contacts": self.domain.count + self.domain.added - len(self.domain.deleted)}

    @operation
    def ids(self) -> list[str]:
        return [str(FIRST_ID + number) for number in self.domain.living()]

    @operation
    def record(self, id: str) -> dict[str, str | None]:
        return self.domain.contact(self._place(id))
