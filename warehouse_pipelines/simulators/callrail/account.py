"""The simulated CallRail account: its companies, trackers, users and tags, and the stores of what happens in time."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from warehouse_pipelines.simulators.callrail.record_store import RecordStore, masked
from warehouse_pipelines.simulators.core import journey
from warehouse_pipelines.simulators.core.journey import DAY_MS, Journeys
from warehouse_pipelines.simulators.core.population import Population


class Account:
    """One account with companies in two time zones, and who and what belongs to them."""

    def __init__(self, population: Population, contacts: int, now: int) -> None:
        self.population = population
        self.contacts = contacts
        seed = self.seed = population.seed
        self.id = masked("ACC", seed, 0)
        zones = (("Dayton Roofs", "America/New_York"), ("Lakeside Exteriors", "America/Chicago"))
        names = (*zones, ("Closed Branch", "America/New_York"))
        self.companies = [
            {
                "id": masked("COM", seed, number),
                "name": name,
                "status": "disabled" if name.startswith("Closed") else "active",
                "time_zone": zone,
                "created_at": f"2024-0{number + 1}-10T15:00:00.000Z",
                "disabled_at": "2025-06-01T12:00:00.000Z" if name.startswith("Closed") else None,
                "dni_active": number == 0,
                "script_url": f"//cdn.example.test/companies/{1000 + number}/swap.js",
                "callscore_enabled": False,
                "lead_scoring_enabled": True,
                "swap_exclude_jquery": None,
                "swap_ppc_override": None,
                "swap_landing_override": None,
                "swap_cookie_duration": 6,
                "swap_cookie_duration_unit": "months",
                "callscribe_enabled": number == 0,
                "keyword_spotting_enabled": False,
                "form_capture": True,
            }
            for number, (name, zone) in enumerate(names)
        ]
        self.zones = [ZoneInfo(str(company["time_zone"])) for company in self.companies]
        self.zone = self.zones[0]
        self.trackers = [self._tracker(number) for number in range(12)]
        self.users = [self._user(number) for number in range(8)]
        self.tags: list[dict[str, Any]] = [
            self._tag(number, name, None if number % 2 else str(self.companies[number % 2]["id"]))
            for number, name in enumerate(("quote", "roof", "gutters", "spam?", "call back", "existing customer"))
        ]
        # Less than twenty-four months, so that nothing lies behind the 25 that can be asked for.
        way = Journeys(population, contacts, now)
        self.calls = RecordStore("CAL", seed, max(1, contacts // 2), lambda n: way.after(2 * n, journey.CALL))
        self.forms = RecordStore("FOR", seed + 1, max(1, contacts // 5), lambda n: way.after(5 * n, journey.FORM))
        self.conversations = RecordStore(
            "SCI", seed + 2, max(1, contacts // 10), lambda n: way.after(10 * n, 2 * DAY_MS)
        )
        self.more_messages: dict[int, list[dict[str, Any]]] = {}

    def describe(self, number: int) -> dict[str, Any]:
        return {
            "id": self.id if number == 0 else masked("ACC", self.seed, number),
            "name": "Invented Home Improvement" if number == 0 else f"Empty account {number}",
            "outbound_recording_enabled": True,
            "inbound_recording_enabled": True,
            "hipaa_account": False,
            "created_at": "2024-02-10 03:43:50 -0500",
            "numeric_id": 227_000_000 + number,
        }

    def _tracker(self, number: int) -> dict[str, Any]:
        company = self.companies[number % 3]
        session = number % 4 == 0
        kinds = ("all", "direct", "offline", "google_my_business", "google_ad_extension", "facebook_all", "bing_all")
        disabled = number == 11
        return {
            "id": masked("TRK", self.seed, number),
            "name": f"{kinds[number % 7].replace('_', ' ').capitalize()} pool {number}",
            "type": "session" if session else "source",
            "status": "disabled" if disabled else "active",
            "destination_number": f"+1937226{number:04d}",
            "tracking_numbers": [f"+1937227{number:04d}"] + ([f"+1937228{number:04d}"] if session else []),
            "whisper_message": "Call from the website" if number % 2 else None,
            "sms_supported": True,
            "sms_enabled": number % 2 == 0,
            "company": {"id": company["id"], "name": company["name"]},
            "call_flow": {
                "type": "basic",
                "recording_enabled": True,
                "destination_number": f"+1937226{number:04d}",
                "greeting_text": None,
                "greeting_recording_url": None,
            },
            "source": {"type": kinds[number % 7]},
            "created_at": f"2024-03-{number + 1:02d}T14:00:00.000Z",
            "disabled_at": "2025-09-01T12:00:00.000Z" if disabled else None,
            "campaign_name": f"Campaign {number % 5}",
            "swap_targets": [],
        }

    def _user(self, number: int) -> dict[str, Any]:
        person = self.population.employee(1 + number)
        company = self.companies[number % 2]
        return {
            "id": masked("USR", self.seed, number),
            "email": f"user{number}@crew.example.com",
            "first_name": person.first_name,
            "last_name": person.last_name,
            "name": person.name,
            "role": ("admin", "manager", "reporting", "notification")[number % 4],
            "accepted": number % 5 != 4,
            "created_at": f"2024-04-{number + 1:02d}T14:00:00.000Z",
            "companies": [{"id": company["id"], "name": company["name"]}],
        }

    def _tag(self, number: int, name: str, company_id: str | None) -> dict[str, Any]:
        return {
            "id": 41 + number,
            "name": name,
            "tag_level": "company" if company_id else "account",
            "color": ("blue1", "green2", "red1", "gray1")[number % 4],
            "background_color": ("dbe9ff", "e2f5e1", "ffe0e0", "eeeeee")[number % 4],
            "company_id": company_id,
            "status": "enabled",
            "disabled": False,
            "created_at": f"2024-05-{number % 28 + 1:02d}T14:00:00.000Z",
        }

    def tag_named(self, name: str, company_id: str) -> dict[str, Any]:
        """Writing an unknown tag name to a call creates a company tag."""
        for tag in self.tags:
            if tag["name"] == name:
                return tag
        self.tags.append(self._tag(len(self.tags), name, company_id))
        return self.tags[-1]
