"""The events of the simulated LeadConduit, and the formula from a number to an event.

Lead `i` is person `2 i` of the population, as that person filled in a form. Each base lead passed a filter and two
recipients before its `source` event, so the feed is four times as long; a million events are not held.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from warehouse_pipelines.simulators.core import journey
from warehouse_pipelines.simulators.core.journey import Journeys
from warehouse_pipelines.simulators.core.population import SOURCES, Population, spell_phone
from warehouse_pipelines.simulators.core.timeline import Timeline
from warehouse_pipelines.simulators.leadconduit.settings import LeadConduitSettings

STEPS = ("filter", "recipient", "recipient", "source")
STEP_MS = 300
MACHINE = "940df5a34a"
FLOWS = ("Web leads", "Call center", "Partner leads")


class Feed:
    """The leads and their events; ``now`` in milliseconds."""

    def __init__(self, population: Population, settings: LeadConduitSettings, now: int) -> None:
        self.population, self.settings = population, settings
        self.base_leads = settings.contacts // 2
        self._journeys = Journeys(population, settings.contacts, now)
        self._start = self._journeys.first(0) // 1000 * 1000
        self.count = self.base_leads * len(STEPS)
        self.timeline = Timeline(self.count, lambda number: self.base_started(number) + STEP_MS)
        self.more: dict[int, dict[str, Any]] = {}  # by number: what was added to the feed
        self.leads = self.base_leads
        self.purged: set[int] = set()

    def base_started(self, number: int) -> int:
        lead, step = divmod(number, len(STEPS))
        return self._journeys.after(2 * lead, journey.FORM) + step * STEP_MS

    def id_of(self, number: int) -> str:
        """Seconds of the creation, who made it, and a counter: an id of BSON."""
        time_of = self.more[number]["created"] if number in self.more else self.base_started(number) + STEP_MS
        return f"{time_of // 1000:08x}{MACHINE}{number:06x}"

    def lead_id(self, lead: int) -> str:
        return f"{self._start // 1000 + lead:08x}{MACHINE}8{lead:05x}"

    def number_of(self, event_id: str) -> int | None:
        try:
            return int(event_id[18:], 16) if len(event_id) == 24 else None
        except ValueError:
            return None

    def event(self, number: int) -> dict[str, Any]:
        if number in self.more:
            added = self.more[number]
            lead, kind, started, changes = added["lead"], added["type"], added["started"], added["changes"]
            fields, step = added["fields"], len(STEPS) - 1
        else:
            lead, step = divmod(number, len(STEPS))
            kind, started, changes, fields = STEPS[step], self.base_started(number), {}, {}
        person = self.population.person(2 * lead)
        outcome = ("continue" if kind == "filter" else "success") if person.random_bytes[18] > 40 else "failure"
        if kind == "filter" and outcome == "failure":
            outcome = "skip"
        event = {
            "id": self.id_of(number),
            "type": kind,
            "outcome": outcome,
            "reason": "Duplicate lead" if outcome == "failure" else "",
            "module_id": "leadconduit-default.inbound" if kind == "source" else f"leadconduit-custom.step{step}",
            "vars": {
                "submission": {"timestamp": _text(started - step * STEP_MS), "ip": f"203.0.113.{lead % 250}"},
                "account": {"id": f"{1:024x}", "name": "Invented Home Improvement"},
                "flow": {"id": f"{10 + lead % 3:024x}", "name": FLOWS[lead % 3]},
                "source": {"id": f"{20 + SOURCES.index(person.source):024x}", "name": person.source},
                "random": person.random_bytes[17] % 100,
                "lead": {"id": self.lead_id(lead), **self._fields(lead), **fields},
            },
            "host": "app",
            "start_timestamp": started,
            "end_timestamp": started + STEP_MS,
            "ms": STEP_MS,
            "wait_ms": 200,
            "overhead_ms": 100,
            "lag_ms": 3,
            "total_ms": STEP_MS + 3,
            "handler_version": "2.1.0",
            "version": "2.19.0",
            "cap_reached": False,
            "cost": 0 if kind != "recipient" else 1.25,
            "purchase_price": 0,
            "firehose": {},
        }
        return {**event, **changes}

    def _fields(self, lead: int) -> dict[str, Any]:
        person = self.population.person(2 * lead).told("leadconduit")
        typed = {"plain": 0, "objects": 1 + lead % 2}.get(self.settings.typed, lead % 3)
        number = spell_phone(person.phone, person.random_bytes[16])
        domain = person.email.partition("@")[2]
        host, _, tld = domain.partition(".")
        email: Any = person.email.upper() if lead % 5 == 0 else person.email
        phone: Any = number
        postal: Any = person.place.zip
        if typed:
            user = person.email.partition("@")[0]
            email = {"raw": email, "user": user, "domain": domain, "host": host, "tld": tld, "valid": True}
            phone = {"raw": number, "valid": True, "area": person.phone[2:5], "country_code": "US", "type": None}
            postal = {"raw": postal, "zip": postal, "country_code": "US", "valid": True}
        if typed == 2:
            email["normal"], phone["normal"], postal["normal"] = person.email, person.phone[2:], person.place.zip
        return {
            "first_name": person.first_name if lead % 4 else person.nickname,
            "last_name": person.last_name,
            "email": email,
            "phone_1": phone,
            "postal_code": postal,
            "address_1": person.street,
            "city": person.place.city,
            "state": "OH",
            "reference": journey.reference(2 * lead),
            "salesrabbit_lead_id_hge": str(journey.salesrabbit_lead(2 * lead)) if lead % 2 else "",
        }

    def numbers_of_lead(self, lead: int) -> list[int]:
        base = range(lead * len(STEPS), (lead + 1) * len(STEPS)) if lead < self.base_leads else ()
        return [*base, *(number for number, added in self.more.items() if added["lead"] == lead)]


def _text(ms: int) -> str:
    text = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
