"""The formulas of the simulated Arrivy: from a number to a task or a booking.

The customer of task `i` is person `i` of the population, under a name and a number that are not always written as in
the other systems. Times are UTC without saying so; what the caller once gave is echoed beside them with its offset.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from warehouse_pipelines.simulators.arrivy.company import TEMPLATES, TITLES, TYPES, Company
from warehouse_pipelines.simulators.arrivy.record_store import HOUR_MS, UNSCHEDULED, RecordStore, id_of, utc
from warehouse_pipelines.simulators.core import journey
from warehouse_pipelines.simulators.core.population import spell_phone

ZONE = ZoneInfo("America/New_York")


def original(ms: int | None) -> str | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, ZONE).isoformat(timespec="seconds")


def _common(company: Company, store: RecordStore, number: int, random_bytes: bytes) -> dict[str, Any]:
    """What tasks and bookings share."""
    person = company.population.person(store.person_of(number)).told("arrivy")
    start = store.time_of(number)
    minutes = 60 + 30 * (random_bytes[0] % 5)
    end = None if start is None else start + minutes * 60_000
    template = TEMPLATES[number % len(TEMPLATES)]
    return {
        "id": id_of(store.name, number),
        "url_safe_id": f"agx{number:08d}",
        "owner": company.owner,
        "created_by": id_of("entities", number % 3),
        "updated_by": id_of("entities", number % 5),
        "title": f"{template} {person.last_name}",
        "details": ("", "Ring twice.\nThe dog is friendly.", "Park in the street")[random_bytes[1] % 3],
        # The appointment in Genius that it was made from.
        "external_id": f"HG-{person.number // 2}" if random_bytes[2] < 200 and journey.visited(person.number) else None,
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
        "unscheduled": store.kind_of(number) == UNSCHEDULED,
        "entity_ids": [id_of("entities", random_bytes[3] % 14), id_of("entities", random_bytes[4] % 14)][
            : 1 + random_bytes[5] % 2
        ],
        "crew_ids": [],
        "resource_ids": [],
        "group_id": company.groups[person.place.division]["id"],
        "customer_id": id_of("customers", person.number),
        "customer_first_name": person.nickname if random_bytes[6] % 3 == 0 else person.first_name,
        "customer_last_name": person.last_name.upper() if random_bytes[6] % 5 == 0 else person.last_name,
        "customer_company_name": None,
        "customer_email": person.email.upper() if random_bytes[7] % 6 == 0 else person.email,
        "customer_phone": spell_phone(person.phone, random_bytes[8]) if random_bytes[9] % 4 == 0 else None,
        "customer_mobile_number": spell_phone(person.phone, random_bytes[8]),
        "customer_address_line_1": person.street,
        "customer_address_line_2": "",
        "customer_city": person.place.city,
        "customer_state": "OH",
        "customer_zipcode": person.place.zip,
        "customer_country": "USA",
        "customer_exact_location": {"lat": person.place.latitude, "lng": person.place.longitude},
        "customer_timezone": ZONE.key,
        "customer_notes": None,
        "extra_fields": {"Roof": ("shingle", "metal", "slate")[random_bytes[10] % 3], "Year built": person.year_built},
        "items": [],
        "files": [],
        "rating": None if random_bytes[11] % 4 else 1 + random_bytes[12] % 5,
        "created": utc(store.created_of(number)),
        "updated": utc(store.updated_of(number)),
    }


def _status_at(company: Company, at: int | None, now: int, random_bytes: bytes) -> int:
    if at is None or at > now + HOUR_MS:
        return random_bytes[13] % 2
    return 2 + random_bytes[13] % 2 if at > now - HOUR_MS else (4, 4, 4, 4, 5, 6, 8)[random_bytes[13] % 7]


def task(company: Company, number: int, now: int) -> dict[str, Any]:
    random_bytes = company.population.random_bytes("task", number)
    status = _status_at(company, company.tasks.time_of(number), now, random_bytes)
    booking = number * 5 // 9 if number % 4 != 3 and number * 5 // 9 < company.bookings.dated else None
    return {
        **_common(company, company.tasks, number, random_bytes),
        "status": TYPES[status],
        "status_title": TITLES[status],
        "booking_id": None if booking is None else id_of("bookings", booking),
        "due_datetime": None,
        "self_scheduling": False,
        "number_of_workers_required": 1 + random_bytes[14] % 2,
        "worker_ids": [],
        "travel_time": None,
        "outbound_sms_count": random_bytes[15] % 4,
        "inbound_sms_count": random_bytes[16] % 2,
        "outbound_email_count": random_bytes[17] % 3,
        "inbound_email_count": 0,
        "forms": [],
        "series_id": None,
        **_changed(company, company.tasks, number),
    }


def booking(company: Company, number: int, now: int) -> dict[str, Any]:
    random_bytes = company.population.random_bytes("booking", number)
    person = company.population.person(company.bookings.person_of(number))
    status = _status_at(company, company.bookings.time_of(number), now, random_bytes)
    return {
        **_common(company, company.bookings, number, random_bytes),
        "status": TYPES[status],
        "status_id": status + 1,
        "task_type": "TASK",
        "customer_name": person.name,
        "customer_address": f"{person.street}, {person.place.city}, OH {person.place.zip}",
        "is_recurring": False,
        "is_all_day": False,
        "duration_estimate": 60 + 30 * (random_bytes[0] % 5),
        "actual_start_datetime": None,
        "actual_end_datetime": None,
        "custom_fields": {},
        **_changed(company, company.bookings, number),
    }


def _changed(company: Company, store: RecordStore, number: int) -> dict[str, Any]:
    return {name: value for name, value in store.changes.get(number, {}).items() if name != "was"}
