"""Rows of visits: appointments, their outcomes, quotes."""

from __future__ import annotations

from datetime import timedelta

from warehouse_pipelines.simulators.core import journey
from warehouse_pipelines.simulators.core.population import (
    marketsharp_id,
    words,
)
from warehouse_pipelines.simulators.genius.business import Business, Row, address_of, price_of
from warehouse_pipelines.simulators.genius.office_rows import SERVICES

OUTCOMES = words("Sold|Follow up|No sale|Not home|Cancelled", "|")


class VisitRows(Business):
    def _appointment_type(self, number: int) -> Row:
        return {"id": number, "label": ("Estimate", "Follow up", "Service")[number - 1], "is_active": 1}

    def _appointment_outcome_type(self, number: int) -> Row:
        label = ("Good", "Open", "Bad")[number - 1]
        return {"id": number, "label": label, "sort_idx": number, "is_active": 1, **self.times(number, 3)}

    def _appointment_outcome(self, number: int) -> Row:
        label = OUTCOMES[number - 1]
        kind = (1, 2, 3, 2, 3)[number - 1]
        return {"id": number, "type_id": kind, "label": label, "is_active": 1, **self.times(number, 5)}

    def _appointment(self, number: int) -> Row:
        person = self.person(2 * number)
        prospect = journey.genius_prospect(person.number)
        times = self.stage(person.number, journey.APPOINTMENT, "add_date")
        visit = self.visit(person.number)
        sold = journey.sold(person.number)
        done = sold or (visit < self.now and number % 5 != 0)
        return {
            "id": number, "prospect_id": prospect, "prospect_source_id": prospect,
            "user_id": journey.genius_user(person.number), "type_id": 1 + number % 3,
            "date": visit.date(), "time": f"{visit:%H:%M:00}",
            "duration": "26:00:00" if number % 11 == 0 else "01:30:00", **address_of(person),
            "email": person.email, "notes": "ring twice" if number % 7 == 0 else None, "add_user_id": self.user(number),
            "assign_date": times["add_date"], "spouses_present": number % 3, "is_complete": int(done),
            "complete_outcome_id": (1 if sold else 2 + number // 2 % (len(OUTCOMES) - 1)) if done else None,
            "complete_date": visit + timedelta(hours=2) if done and not sold else visit if done else None,
            "complete_user_id": journey.genius_user(person.number) if done else None,
            "marketsharp_id": marketsharp_id(number, "Appointments").upper() if number % 3 == 0 else None,
            "third_party_source_id": self.prospects + number, **times,
        }  # fmt: skip

    def _appointment_to_service(self, number: int) -> Row:
        times = self.stage(2 * number, journey.APPOINTMENT)
        return {"appointment_id": number, "service_id": 1 + number % len(SERVICES), **times}

    def _quote(self, number: int) -> Row:
        # Every job has one, and one in six visits without a sale.
        job = number - number // 4
        appointment = 6 * (number // 4) - 1 if number % 4 == 0 else 2 * job
        times = self.stage(2 * appointment, journey.VISIT + journey.HOUR_MS, "add_date")
        return {
            "id": number, "prospect_id": journey.genius_prospect(2 * appointment), "appointment_id": appointment,
            "job_id": job if number % 4 else None, "service_id": 1 + number % len(SERVICES),
            "label": SERVICES[number % len(SERVICES)], "description": "as measured",
            "amount": price_of(job) if number % 4 else f"{4_000 + number * 37 % 40_000}.{number % 100:02}",
            "expire_date": (times["add_date"] + timedelta(days=30)).date(), "status_id": number % 4,
            "add_user_id": self.user(number), **times,
        }  # fmt: skip
