"""The simulated Arrivy company: its crews, groups, statuses and templates, and the formulas of its tasks and bookings.

The customer of task `i` is person `i` of the town, under a name and a number that are not always written as in the
other systems. Ids are 64-bit integers, some above 2**53 and odd, so that a float would spoil them. Times are UTC
without saying so; what the caller once gave is echoed beside them with its offset.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from warehouse_pipelines.simulators.core import journey
from warehouse_pipelines.simulators.core.journey import Journeys
from warehouse_pipelines.simulators.core.population import DIVISIONS, Town, spell_phone, words
from warehouse_pipelines.simulators.core.timeline import Timeline, spread

_GOLDEN = 0x9E3779B97F4A7C15
_IDS = 1 << 52
_INVERSE = pow(_GOLDEN, -1, _IDS)
_LOWEST_ID = 5_000_000_000_000_000
SALTS = {name: place * 0x1D3F5A7 for place, name in enumerate(
    ("tasks", "bookings", "entities", "groups", "statuses", "templates", "customers"), start=1)}  # fmt: skip

HALF_HOUR_MS, HOUR_MS, DAY_MS = 1_800_000, 3_600_000, 86_400_000
ZONE = ZoneInfo("America/New_York")
SCHEDULED, UNSCHEDULED, NO_DATETIME = "scheduled", "unscheduled", "no_datetime"
TEMPLATES = words("Appointment|Roof measure|Installation|Service call|Final inspection", "|")
TYPES = words("NOTSTARTED CONFIRMED ENROUTE STARTED COMPLETE EXCEPTION CANCELLED RESCHEDULED CUSTOM")
TITLES = words("Not started|Confirmed|On our way|Started|Complete|Exception|Cancelled|Rescheduled|Demo sold", "|")


def id_of(name: str, number: int) -> int:
    """The id of the `number`-th of a list, between 5.0 and 9.5 times 10**15."""
    return _LOWEST_ID + (number * _GOLDEN + SALTS[name]) % _IDS


def number_of(name: str, object_id: int) -> int:
    return (object_id - _LOWEST_ID - SALTS[name]) * _INVERSE % _IDS


def utc(ms: int | None) -> str | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def original(ms: int | None) -> str | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, ZONE).isoformat(timespec="seconds")


class Shelf:
    """Tasks or bookings: `count` with a time, and behind them some without; numbers grow as records are created."""

    def __init__(
        self, name: str, seed: int, count: int, now: int, way: Journeys, person_of: Callable[[int], int]
    ) -> None:
        self.name, self.seed = name, seed
        self.dated = count
        self.loose = {UNSCHEDULED: count // 20 + 1, NO_DATETIME: count // 40 + 1}
        self.count = count + sum(self.loose.values())
        self.added = 0
        self.gone: set[int] = set()
        self.changes: dict[int, dict[str, Any]] = {}
        self.times: dict[int, int | None] = {}
        self.created: dict[int, int] = {}
        self.updated: dict[int, int] = {}
        dice = lambda n: ((n + seed) * _GOLDEN >> 16) & 0xFFFFFFFF  # noqa: E731
        self._way, self.person_of = way, person_of
        self._base_time: Callable[[int], int] = lambda number: self._at(number) // HALF_HOUR_MS * HALF_HOUR_MS
        self._made: Callable[[int], int] = spread(self.count, now - 712 * DAY_MS, now - HOUR_MS, dice)
        self.timeline = Timeline(count, self._base_time)
        first = count
        self.undated: dict[str, list[int]] = {}
        for kind, many in self.loose.items():
            self.undated[kind] = list(range(first, first + many))
            first += many

    def _at(self, number: int) -> int:
        """When the crew comes: two weeks after the first touch, to those of the last months up to three months ahead.

        Grows with the number.
        """
        first = self._way.first(self.person_of(number))
        return first + max(14 * DAY_MS, 90 * DAY_MS - (self._way.now - first))

    def _base_created(self, number: int) -> int:
        """With the appointment, or for what has no time, whenever."""
        if number >= self.dated:
            return self._made(number)
        return self._way.after(self.person_of(number), journey.APPOINTMENT)

    def find(self, object_id: str) -> int | None:
        if not object_id.isdigit():
            return None
        number = number_of(self.name, int(object_id))
        return number if number < self.count + self.added and number not in self.gone else None

    def time_of(self, number: int) -> int | None:
        if number in self.times:
            return self.times[number]
        return self._base_time(number) if number < self.dated else None

    def created_of(self, number: int) -> int:
        if number in self.created:
            return self.created[number]
        # Those with a time are created before their time, whatever their number.
        return (
            min(self._base_created(number), self._base_time(number))
            if number < self.dated
            else self._base_created(number)
        )

    def updated_of(self, number: int) -> int:
        return self.updated.get(number, self.created_of(number) + HALF_HOUR_MS)

    def kind_of(self, number: int) -> str:
        if self.time_of(number) is not None:
            return SCHEDULED
        return next((kind for kind, numbers in self.undated.items() if _holds(numbers, number)), NO_DATETIME)

    def place(self, number: int, at: int | None, kind: str = UNSCHEDULED) -> None:
        """Give a number a time, or take it away: then it is unscheduled, or simply without a date."""
        self._take_away(number)
        self.times[number] = at
        if at is None:
            insort(self.undated[kind], number)
        else:
            self.timeline.place(number, at)

    def add(self, created: int, at: int | None, kind: str) -> int:
        number = self.count + self.added
        self.added += 1
        self.created[number] = self.updated[number] = created
        self.place(number, at, kind)
        return number

    def remove(self, number: int) -> None:
        self.gone.add(number)
        self.changes.setdefault(number, {})["was"] = self.kind_of(number)
        self._take_away(number)

    def restore(self, number: int) -> None:
        self.gone.remove(number)
        self.place(number, self.time_of(number), self.changes[number].pop("was"))

    def _take_away(self, number: int) -> None:
        for numbers in self.undated.values():
            if _holds(numbers, number):
                del numbers[bisect_left(numbers, number)]
        if number < self.dated or number in self.timeline._moved:
            self.timeline.place(number, None)

    def __len__(self) -> int:
        return self.count + self.added - len(self.gone)

    def numbers(self) -> list[int]:
        return [number for number in range(self.count + self.added) if number not in self.gone]


def _holds(numbers: list[int], number: int) -> bool:
    place = bisect_left(numbers, number)
    return place < len(numbers) and numbers[place] == number


class Company:
    """What stands still, and the formulas of what does not."""

    def __init__(self, town: Town, contacts: int, now: int) -> None:
        self.town = town
        self.contacts = contacts
        self.owner = id_of("entities", 1_000_000)
        self.groups = [self._group(number) for number in range(len(DIVISIONS) + 1)]
        self.entities = [self._entity(number) for number in range(14)]
        self.statuses = [self._status(number) for number in range(len(TYPES))]
        self.templates = [self._template(number) for number in range(len(TEMPLATES))]
        way = Journeys(town, contacts, now)
        self.tasks = Shelf("tasks", town.seed, max(2, contacts * 3 // 5 + 7), now, way, self._person_of_task)
        self.bookings = Shelf("bookings", town.seed + 1, max(2, contacts // 3 + 3), now, way, self._person_of_booking)

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
        person = self.town.employee(1 + number)
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

    def _common(self, shelf: Shelf, number: int, dice: bytes) -> dict[str, Any]:
        """What tasks and bookings share."""
        person = self.town.person(shelf.person_of(number))
        start = shelf.time_of(number)
        minutes = 60 + 30 * (dice[0] % 5)
        end = None if start is None else start + minutes * 60_000
        template = TEMPLATES[number % len(TEMPLATES)]
        return {
            "id": id_of(shelf.name, number),
            "url_safe_id": f"agx{number:08d}",
            "owner": self.owner,
            "created_by": id_of("entities", number % 3),
            "updated_by": id_of("entities", number % 5),
            "title": f"{template} {person.last_name}",
            "details": ("", "Ring twice.\nThe dog is friendly.", "Park in the street")[dice[1] % 3],
            # The appointment in Genius that it was made from.
            "external_id": f"HG-{person.number // 2}" if dice[2] < 200 and journey.visited(person.number) else None,
            "template_id": id_of("templates", number % len(TEMPLATES)),
            "template": template,
            "template_type": "TASK",
            "template_extra_fields": [],
            "start_datetime": utc(start),
            "start_datetime_original_iso_str": original(start),
            "start_datetime_timezone": ZONE.key,
            "end_datetime": utc(end),
            "end_datetime_original_iso_str": original(end),
            "duration": minutes,
            "unscheduled": shelf.kind_of(number) == UNSCHEDULED,
            "entity_ids": [id_of("entities", dice[3] % 14), id_of("entities", dice[4] % 14)][: 1 + dice[5] % 2],
            "crew_ids": [],
            "resource_ids": [],
            "group_id": self.groups[person.place.division]["id"],
            "customer_id": id_of("customers", person.number),
            "customer_first_name": person.nickname if dice[6] % 3 == 0 else person.first_name,
            "customer_last_name": person.last_name.upper() if dice[6] % 5 == 0 else person.last_name,
            "customer_company_name": None,
            "customer_email": person.email.upper() if dice[7] % 6 == 0 else person.email,
            "customer_phone": spell_phone(person.phone, dice[8]) if dice[9] % 4 == 0 else None,
            "customer_mobile_number": spell_phone(person.phone, dice[8]),
            "customer_address_line_1": person.street,
            "customer_address_line_2": "",
            "customer_city": person.place.city,
            "customer_state": "OH",
            "customer_zipcode": person.place.zip,
            "customer_country": "USA",
            "customer_exact_location": {"lat": person.place.latitude, "lng": person.place.longitude},
            "customer_timezone": ZONE.key,
            "customer_notes": None,
            "extra_fields": {"Roof": ("shingle", "metal", "slate")[dice[10] % 3], "Year built": person.year_built},
            "items": [],
            "files": [],
            "rating": None if dice[11] % 4 else 1 + dice[12] % 5,
            "created": utc(shelf.created_of(number)),
            "updated": utc(shelf.updated_of(number)),
        }

    def _status_at(self, at: int | None, now: int, dice: bytes) -> int:
        if at is None or at > now + HOUR_MS:
            return dice[13] % 2
        return 2 + dice[13] % 2 if at > now - HOUR_MS else (4, 4, 4, 4, 5, 6, 8)[dice[13] % 7]

    def task(self, number: int, now: int) -> dict[str, Any]:
        dice = self.town.dice("task", number)
        status = self._status_at(self.tasks.time_of(number), now, dice)
        booking = number * 5 // 9 if number % 4 != 3 and number * 5 // 9 < self.bookings.dated else None
        return {
            **self._common(self.tasks, number, dice),
            "status": TYPES[status],
            "status_title": TITLES[status],
            "booking_id": None if booking is None else id_of("bookings", booking),
            "due_datetime": None,
            "self_scheduling": False,
            "number_of_workers_required": 1 + dice[14] % 2,
            "worker_ids": [],
            "travel_time": None,
            "outbound_sms_count": dice[15] % 4,
            "inbound_sms_count": dice[16] % 2,
            "outbound_email_count": dice[17] % 3,
            "inbound_email_count": 0,
            "forms": [],
            "series_id": None,
            **self._changed(self.tasks, number),
        }

    def booking(self, number: int, now: int) -> dict[str, Any]:
        dice = self.town.dice("booking", number)
        person = self.town.person(self.bookings.person_of(number))
        status = self._status_at(self.bookings.time_of(number), now, dice)
        return {
            **self._common(self.bookings, number, dice),
            "status": TYPES[status],
            "status_id": status + 1,
            "task_type": "TASK",
            "customer_name": person.name,
            "customer_address": f"{person.street}, {person.place.city}, OH {person.place.zip}",
            "is_recurring": False,
            "is_all_day": False,
            "duration_estimate": 60 + 30 * (dice[0] % 5),
            "actual_start_datetime": None,
            "actual_end_datetime": None,
            "custom_fields": {},
            **self._changed(self.bookings, number),
        }

    def _changed(self, shelf: Shelf, number: int) -> dict[str, Any]:
        return {name: value for name, value in shelf.changes.get(number, {}).items() if name != "was"}
