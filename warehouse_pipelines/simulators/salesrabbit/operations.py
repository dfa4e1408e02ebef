"""What a test does to the simulated SalesRabbit behind the client's back, and the truth that it compares with."""

from __future__ import annotations

import time
from typing import Any

from warehouse_pipelines.simulators.core.population import Population
from warehouse_pipelines.simulators.core.simulator import Simulator, operation
from warehouse_pipelines.simulators.salesrabbit.crew import FIRST_LEAD, FIRST_USER, STATUSES, Crew, time_text
from warehouse_pipelines.simulators.salesrabbit.settings import SalesRabbitSettings


class SalesRabbitOperations(Simulator):
    settings_type = SalesRabbitSettings
    settings: SalesRabbitSettings

    def __init__(self, population: Population, settings: SalesRabbitSettings) -> None:
        super().__init__(population, settings)
        started = time.time()
        self._ahead = (settings.now or started) - started
        self.crew = Crew(population, settings, self.now())

    def now(self) -> int:
        return int(time.time() + self._ahead)

    def _living(self, key: int | str) -> int:
        number = self.crew.number_of(key)
        if number is None or number in self.crew.deleted:
            raise ValueError(f"no lead {key}")
        return number

    @operation
    def create_lead(self, status: str = "Not Home", **fields: Any) -> int:
        """Somebody is knocked at for the first time, now."""
        number = self.crew.count + self.crew.added
        self.crew.added += 1
        at = self.now()
        self.crew.created[number] = at
        self.crew.events[number] = [(at, status_place(status))]
        self.crew.changes[number] = fields
        self.crew.leads.place(number, at)
        return FIRST_LEAD + number

    @operation
    def edit_lead(self, id: int | str, *, at: int | None = None, **fields: Any) -> None:
        """Change fields of a lead; `at` is the second that dateModified becomes, now if not given."""
        number = self._living(id)
        self.crew.changes.setdefault(number, {}).update(fields)
        self.crew.leads.place(number, self.now() if at is None else at)

    @operation
    def set_status(self, id: int | str, status: str) -> None:
        number, at = self._living(id), self.now()
        self.crew.events[number] = [*self.crew.events_of(number), (at, status_place(status))]
        self.crew.leads.place(number, at)

    @operation
    def delete_lead(self, id: int | str) -> None:
        """Out of the lists, or shown there with deletedAt, as the setting `deleted` says."""
        number = self._living(id)
        self.crew.deleted[number] = self.crew.leads.time_of(number)
        if self.settings.deleted == "hidden":
            self.crew.leads.place(number, None)
            return
        self.crew.changes.setdefault(number, {})["deletedAt"] = time_text(self.now())
        if self.settings.deleting_modifies:
            self.crew.leads.place(number, self.now())

    @operation
    def restore_lead(self, id: int | str) -> None:
        number = self.crew.number_of(id)
        if number is None or number not in self.crew.deleted:
            raise ValueError(f"no deleted lead {id}")
        self.crew.changes.get(number, {}).pop("deletedAt", None)
        self.crew.leads.place(number, self.crew.deleted.pop(number))

    @operation
    def create_user(self, **fields: Any) -> int:
        user = self.crew.new_user(max((user["id"] for user in self.crew.users), default=FIRST_USER) - FIRST_USER + 1)
        now = time_text(self.now())
        self.crew.users.append({**user, "dateCreated": now, "dateModified": now, **fields})
        return int(user["id"])

    @operation
    def edit_user(self, id: int, **fields: Any) -> None:
        self._row(id).update({"dateModified": time_text(self.now()), **fields})

    @operation
    def remove_user(self, id: int) -> dict[str, Any]:
        """Returns the user, as `add_user` takes it."""
        user = self._row(id)
        self.crew.users.remove(user)
        return user

    @operation
    def add_user(self, user: dict[str, Any]) -> None:
        self.crew.users.append(user)

    def _row(self, id: int) -> dict[str, Any]:
        for user in self.crew.users:
            if user["id"] == int(id):
                return user
        raise ValueError(f"no user {id}")

    @operation
    def ids(self, name: str) -> list[int]:
        """The ids of what is not deleted, leads in the order of their modification."""
        if name == "users":
            return [user["id"] for user in self.crew.users]
        window = self.crew.leads.window(None, None)
        numbers = window.page(0, len(window), by_time=True)
        return [FIRST_LEAD + number for number in numbers if number not in self.crew.deleted]

    @operation
    def record(self, name: str, id: int) -> Any:
        """A user, a lead, or the status history of a lead."""
        if name == "users":
            return self._row(id)
        number = self.crew.number_of(id)
        if number is None:
            raise ValueError(f"no lead {id}")
        return self.crew.lead(number) if name == "leads" else self.crew.history(number)

    @operation
    def counts(self) -> dict[str, int]:
        leads = self.ids("leads")
        events = sum(len(self.crew.events_of(lead - FIRST_LEAD)) for lead in leads)
        return {"leads": len(leads), "users": len(self.crew.users), "lead_status_histories": events}


def status_place(status: str) -> int:
    for place, (_, name, _abbreviation) in enumerate(STATUSES):
        if name == status:
            return place
    raise ValueError(f"no status {status!r}; there are {', '.join(name for _, name, _ in STATUSES)}")
