"""What a test does to the simulated LeadConduit behind the client's back, and the truth that it compares with."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from warehouse_pipelines.simulators.core.population import Population
from warehouse_pipelines.simulators.core.simulator import Simulator, operation
from warehouse_pipelines.simulators.core.webhooks import Event, Message
from warehouse_pipelines.simulators.leadconduit.feed import STEP_MS, Feed
from warehouse_pipelines.simulators.leadconduit.settings import LeadConduitSettings


class LeadConduitOperations(Simulator):
    settings_type = LeadConduitSettings
    settings: LeadConduitSettings

    def __init__(self, population: Population, settings: LeadConduitSettings) -> None:
        super().__init__(population, settings)
        started = time.time()
        self._ahead = (settings.now or started) - started
        self.feed = Feed(population, settings, self.now_ms())

    def now_ms(self) -> int:
        return int((time.time() + self._ahead) * 1000)

    def _lead(self, lead_id: str) -> int:
        lead = int(lead_id[19:], 16)
        if lead >= self.feed.leads:
            raise ValueError(f"no lead {lead_id}")
        return lead

    def _add(self, lead: int, kind: str, started: int | None, fields: dict[str, Any], changes: dict[str, Any]) -> str:
        number = self.feed.count + len(self.feed.more)
        created = self.now_ms()
        self.feed.more[number] = {
            "lead": lead,
            "type": kind,
            "created": created,
            "started": created if started is None else started,
            "fields": fields,
            "changes": changes,
        }
        self.feed.timeline.place(number, created)
        self.outbox.note({"lead_id": self.feed.lead_id(lead), "outcome": fields.get("outcome", "success")})
        return self.feed.id_of(number)

    def signed(self, events: Sequence[Event], url: str) -> Message:
        """What the customer's recipient posts: a form, or whatever else was configured."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return Message(urlencode(events[0]).encode(), {**headers, "X-Webhook-Secret": self.settings.webhook_secret})

    @operation
    def create_lead(self, **fields: Any) -> str:
        """A lead that is refused or accepted at once, without a step; returns its id, not the event's."""
        self.feed.leads += 1
        self._add(self.feed.leads - 1, "source", None, fields, {})
        return self.feed.lead_id(self.feed.leads - 1)

    @operation
    def add_event(
        self, lead_id: str, type: str = "feedback", *, started: int | None = None, fields: Any = None, **changes: Any
    ) -> str:
        """Something more happens to a lead; with `started` in the past, something that is written late."""
        return self._add(self._lead(lead_id), type, started, dict(fields or {}), changes)

    @operation
    def resubmit(self, lead_id: str, **fields: Any) -> str:
        """The lead comes again, with other fields."""
        return self._add(self._lead(lead_id), "source", None, fields, {})

    @operation
    def purge(self, lead_id: str) -> None:
        """A lead's events are removed, because somebody asked for it."""
        lead = self._lead(lead_id)
        self.feed.purged.add(lead)
        for number in self.feed.numbers_of_lead(lead):
            self.feed.timeline.place(number, None)

    @operation
    def unpurge(self, lead_id: str) -> None:
        lead = self._lead(lead_id)
        self.feed.purged.discard(lead)
        for number in self.feed.numbers_of_lead(lead):
            added = self.feed.more.get(number)
            self.feed.timeline.place(number, added["created"] if added else self.feed.base_started(number) + STEP_MS)

    @operation
    def ids(self, name: str) -> list[str]:
        """The ids of `events` in the order of the feed, or of `leads` in the order of their first submission."""
        if name == "leads":
            return [self.feed.lead_id(lead) for lead in range(self.feed.leads) if lead not in self.feed.purged]
        window = self.feed.timeline.window(None, None)
        return [self.feed.id_of(number) for number in window.page(0, len(window), by_time=False)]

    @operation
    def record(self, id: str) -> dict[str, Any]:
        """An event."""
        number = self.feed.number_of(id)
        if number is None:
            raise ValueError(f"no event {id}")
        return self.feed.event(number)

    @operation
    def counts(self) -> dict[str, int]:
        return {"events": len(self.feed.timeline.window(None, None)), "leads": self.feed.leads - len(self.feed.purged)}
