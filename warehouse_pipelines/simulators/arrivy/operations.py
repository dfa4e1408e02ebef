"""What a test does to the simulated Arrivy behind the client's back, and the truth that it compares with."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

import msgspec

from warehouse_pipelines.simulators.arrivy.company import Company
from warehouse_pipelines.simulators.arrivy.formulas import booking, task
from warehouse_pipelines.simulators.arrivy.record_store import (
    SCHEDULED,
    UNSCHEDULED,
    RecordStore,
    id_of,
    number_of,
    utc,
)
from warehouse_pipelines.simulators.arrivy.settings import ArrivySettings
from warehouse_pipelines.simulators.core.population import Population
from warehouse_pipelines.simulators.core.simulator import Simulator, operation
from warehouse_pipelines.simulators.core.webhooks import Event, Message

FIXED = ("entities", "groups", "statuses", "templates")


class ArrivyOperations(Simulator):
    settings_type = ArrivySettings
    settings: ArrivySettings

    def __init__(self, population: Population, settings: ArrivySettings) -> None:
        super().__init__(population, settings)
        started = time.time()
        self._ahead = (settings.now or started) - started
        self.company = Company(population, settings.contacts, self.now_ms())
        self.stores: dict[str, RecordStore] = {"tasks": self.company.tasks, "bookings": self.company.bookings}
        self.formulas: dict[str, Callable[[int, int], dict[str, Any]]] = {
            "tasks": lambda number, now: task(self.company, number, now),
            "bookings": lambda number, now: booking(self.company, number, now),
        }
        self._deleted: dict[str, dict[str, Any]] = {}
        self._event_ids = itertools.count(1)

    def now_ms(self) -> int:
        return int((time.time() + self._ahead) * 1000)

    def _number(self, path: str, object_id: int | str) -> int:
        number = self.stores[path].find(str(object_id))
        if number is None:
            raise ValueError(f"nothing with the id {object_id} in {path}")
        return number

    def _row(self, path: str, object_id: int | str) -> dict[str, Any]:
        rows: list[dict[str, Any]] = getattr(self.company, path)
        for row in rows:
            if str(row["id"]) == str(object_id):
                return row
        raise ValueError(f"nothing with the id {object_id} in {path}")

    def _at(self, at: str | int | None) -> int | None:
        return at if isinstance(at, int) else moment(at or "")

    @operation
    def create(
        self,
        path: str,
        at: str | int | None = None,
        kind: str = SCHEDULED,
        fields: Mapping[str, Any] = MappingProxyType({}),
    ) -> str:
        """A new record; a task or a booking begins at `at`, by default tomorrow, or is of another `kind`."""
        now = self.now_ms()
        if path not in self.stores:
            return str(self.company.add_row(path, fields, now)["id"])
        store = self.stores[path]
        start = (self._at(at) or now + 86_400_000) if kind == SCHEDULED else None
        number = store.add(now, start, kind)
        store.changes[number] = dict(fields)
        self._note(path, id_of(path, number), "TASK_CREATED")
        return str(id_of(path, number))

    def _note(self, path: str, object_id: int | str, kind: str) -> None:
        """Note what the vendor delivers; of other lists than tasks and bookings it delivers nothing."""
        now = utc(self.now_ms())
        self.outbox.note(
            {
                "EVENT_ID": next(self._event_ids),
                "EVENT_TYPE": kind,
                "EVENT_SUB_TYPE": None,
                "EVENT_TIME": f"{now}Z",
                "OBJECT_ID": int(object_id),
                "OBJECT_TYPE": {"tasks": "TASK", "bookings": "BOOKING"}[path],
                "REPORTER_NAME": "Office",
                "MESSAGE": "invented",
                "OBJECT_FIELDS": {},
            }
        )

    def signed(self, events: Sequence[Event], url: str) -> Message:
        headers = {"Content-Type": "application/json", "X-Webhook-Secret": self.settings.webhook_secret}
        return Message(msgspec.json.encode(events[0]), headers)

    @operation
    def edit(self, path: str, id: int | str, fields: Mapping[str, Any], quietly: bool = False) -> None:
        """Change fields; `updated` moves, unless it is done `quietly`."""
        if path in self.stores:
            store, number = self.stores[path], self._number(path, id)
            store.changes.setdefault(number, {}).update(fields)
            if not quietly:
                store.updated[number] = self.now_ms()
            self._note(path, id, "TASK_STATUS")
        else:
            row = self._row(path, id)
            row.update({**fields, **({} if quietly else {"updated": utc(self.now_ms())})})

    @operation
    def reschedule(self, path: str, id: int | str, at: str | int | None = None, kind: str = UNSCHEDULED) -> None:
        """Move a task or a booking to another time, or take its time away."""
        store, number = self.stores[path], self._number(path, id)
        store.place(number, self._at(at), kind)
        store.updated[number] = self.now_ms()
        self._note(path, id, "TASK_RESCHEDULED")

    @operation
    def delete(self, path: str, id: int | str) -> None:
        """Hard: no list and no single answer has it any more."""
        if path in self.stores:
            self.stores[path].remove(self._number(path, id))
            self._note(path, id, "TASK_DELETED")
        else:
            row = self._row(path, id)
            getattr(self.company, path).remove(row)
            self._deleted[str(id)] = row

    @operation
    def restore(self, path: str, id: int | str) -> None:
        if path in self.stores:
            self.stores[path].restore(number_of(path, int(id)))
        else:
            getattr(self.company, path).append(self._deleted.pop(str(id)))

    @operation
    def counts(self) -> dict[str, int]:
        """The truth: what a client that asks for everything should hold."""
        lists = {path: len(store) for path, store in self.stores.items()}
        return lists | {path: len(getattr(self.company, path)) for path in FIXED}

    @operation
    def ids(self, path: str, kind: str | None = None) -> list[str]:
        """The ids of a list, the oldest first; of tasks and bookings perhaps those of a kind only."""
        if path not in self.stores:
            return [str(row["id"]) for row in getattr(self.company, path)]
        store = self.stores[path]
        return [str(id_of(path, n)) for n in store.numbers() if kind in (None, store.kind_of(n))]

    @operation
    def record(self, path: str, id: int | str) -> dict[str, Any]:
        if path not in self.stores:
            return self._row(path, id)
        return self.formulas[path](self._number(path, id), self.now_ms())


def moment(text: str) -> int | None:
    """ISO 8601 with an offset, or with Z, in milliseconds; None for nothing."""
    if not text:
        return None
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"no offset: {text!r}")
    return round(at.timestamp() * 1000)
