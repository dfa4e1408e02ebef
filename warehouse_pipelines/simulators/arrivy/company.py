"""The simulated Arrivy company: its crews, groups, statuses and templates, its tasks and bookings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from warehouse_pipelines.simulators.arrivy.record_store import RecordStore, id_of, utc
from warehouse_pipelines.simulators.core import journey
from warehouse_pipelines.simulators.core.journey import Journeys
from warehouse_pipelines.simulators.core.population import DIVISIONS, Population, spell_phone, words

TEMPLATES = words("Appointment|Roof measure|Installation|Service call|Final inspection", "|")
TYPES = words("NOTSTARTED CONFIRMED ENROUTE STARTED COMPLETE EXCEPTION CANCELLED RESCHEDULED CUSTOM")
TITLES = words("Not started|Confirmed|On our way|Started|Complete|Exception|Cancelled|Rescheduled|Demo sold", "|")


class Company:
    """What stands still, and the formulas of what does not."""

    def __init__(self, population: Population, contacts: int, now: int) -> None:
        self.population = population
        self.contacts = contacts
        self.owner = id_of("entities", 1_000_000)
        self.groups = [self._group(number) for number in range(len(DIVISIONS) + 1)]
        self.entities = [self._entity(number) for number in range(14)]
        self.statuses = [self._status(number) for number in range(len(TYPES))]
        self.templates = [self._template(number) for number in range(len(TEMPLATES))]
        way = Journeys(population, contacts, now)
        self.tasks = RecordStore(
            "tasks", population.seed, max(2, contacts * 3 // 5 + 7), now, way, self._person_of_task
        )
        self.bookings = RecordStore(
            "bookings", population.seed + 1, max(2, contacts // 3 + 3), now, way, self._person_of_booking
        )

    def _person_of_booking(self, number: int) -> int:
        """Who bought, and some who did not."""
        return min(journey.buyer(number), self.contacts)

    def _person_of_task(self, number: int) -> int:
        """Nine tasks are of five bookings."""
        return self._person_of_booking(number * 5 // 9)

    def _group(self, number: int) -> dict[str, Any]:
        name = DIVISIONS[number] if number < len(DIVISIONS) else "Default"
        return {
            "id": id_of("groups", number),
            "url_safe_id": f"ahg{number:05d}",
            "owner": self.owner,
            "name": name,
            "description": f"Crews of {name}",
            "email": f"{name.lower()}@crew.example.com",
            "phone": f"+1937229{number:04d}",
            "mobile_number": None,
            "emergency": "",
            "website": "https://www.example.test",
            "address_line_1": f"{100 + number} Depot Rd",
            "address_line_2": "",
            "city": name,
            "state": "OH",
            "country": "USA",
            "zipcode": f"4540{number}",
            "exact_location": {"lat": 39.7 + number / 10, "lng": -84.1},
            "timezone": "America/New_York",
            "is_default": name == "Default",
            "is_disabled": False,
            "is_implicit": False,
            "territory_ids": None,
            "social_links": {},
            "extra_fields": None,
            "created": "2024-01-05T15:00:00",
            "updated": "2024-02-05T15:00:00",
        }

    def _entity(self, number: int) -> dict[str, Any]:
        person = self.population.employee(1 + number)
        return {
            "id": id_of("entities", number),
            "owner": self.owner,
            "name": f"{person.nickname} {person.last_name}",
            "username": f"crew{number}",
            "type": ("Scheduler", "Crew", "Crew", "Vehicle")[number % 4],
            "email": f"crew{number}@crew.example.com",
            "phone": spell_phone(person.phone, number),
            "details": None,
            "extra_fields": {"badge": str(100 + number)} if number % 3 else None,
            "group_id": self.groups[number % len(DIVISIONS)]["id"],
            "additional_group_ids": [],
            "image_id": None,
            "image_path": None,
            "external_id": f"HR-{number}" if number % 2 else None,
            "color": ("#0b5394", "#38761d", "#990000")[number % 3],
            "is_disabled": number == 13,
            "can_turnoff_location": True,
            "user_type": "CREW",
            "permission": ("ADMIN", "SCHEDULER", "FIELDCREW", "LIMITEDACCESS")[number % 4],
            "invite_status": "ACCEPTED",
            "skill_ids": [],
            "lastreading": {"lat": 39.75, "lng": -84.19, "time": "2025-06-01T12:00:00"} if number % 2 else None,
            "address_line_1": person.street,
            "city": person.place.city,
            "state": "OH",
            "zipcode": person.place.zip,
            "country": "USA",
            "created": "2024-01-08T15:00:00",
            "updated": "2024-03-08T15:00:00",
            "joined_datetime": "2024-01-09T15:00:00",
        }

    def _status(self, number: int) -> dict[str, Any]:
        return {
            "id": id_of("statuses", number),
            "title": TITLES[number],
            "type": TYPES[number],
            "type_id": number + 1,
            "description": f"The crew reports: {TITLES[number].lower()}",
            "color": "#cccccc",
            "order": number,
            "is_active": True,
            "visible_to_customer": number != 5,
            "require_signature": TYPES[number] == "COMPLETE",
            "require_rating": False,
            "created": "2024-01-06T15:00:00",
            "updated": "2024-01-06T15:00:00",
        }

    def _template(self, number: int) -> dict[str, Any]:
        return {
            "id": id_of("templates", number),
            "name": TEMPLATES[number % len(TEMPLATES)],
            "type": "TASK",
            "description": None,
            "extra_fields": [],
            "is_default": number == 0,
            "created": "2024-01-07T15:00:00",
            "updated": "2024-01-07T15:00:00",
        }

    def add_row(self, name: str, fields: Mapping[str, Any], now: int) -> dict[str, Any]:
        rows: list[dict[str, Any]] = getattr(self, name)
        number = next(n for n in range(1000) if all(row["id"] != id_of(name, n) for row in rows))
        formulas: dict[str, Callable[[int], dict[str, Any]]] = {
            "groups": lambda n: self._group(len(DIVISIONS)) | {"id": id_of("groups", n), "is_default": False},
            "entities": self._entity,
            "statuses": lambda n: self._status(n % len(TYPES)) | {"id": id_of("statuses", n), "order": n},
            "templates": self._template,
        }
        row = formulas[name](number) | {"created": utc(now), "updated": utc(now), **fields}
        rows.append(row)
        return row
