"""Rows of sales: jobs, their financing, change orders."""

from __future__ import annotations

from datetime import timedelta

from warehouse_pipelines.simulators.core import journey
from warehouse_pipelines.simulators.core.population import (
    words,
)
from warehouse_pipelines.simulators.genius.business import Business, Row, price_of
from warehouse_pipelines.simulators.genius.office_rows import SERVICES

STATUSES = words("New|Sold|In progress|Finished|Cancelled", "|")
REASONS = words("Customer request|Hidden damage|Measured wrong|Price correction", "|")
CHANGED = journey.SALE + 5 * journey.DAY_MS
"""How long after the first touch a job's contract is changed."""


class JobRows(Business):
    def _job(self, number: int) -> Row:
        person = self.person(4 * number)
        times = self.stage(person.number, journey.SALE, "add_date")
        finished, paid = (self.journeys.first(person.number) + lag for lag in (journey.INSTALLED, journey.PAID))
        now = self.ms(self.now)
        cancelled = number % 12 == 5
        status = 5 if cancelled else 4 if finished < now else 3 if number % 2 else 2
        done = status == 4
        return {
            "id": number, "client_cid": number, "prospect_id": journey.genius_prospect(person.number),
            "division_id": 1 + person.place.division, "user_id": journey.genius_user(person.number), "status": status,
            "is_in_progress": int(status == 3), "service_id": 1 + number % len(SERVICES),
            "contract_number": f"C-{number:06}",
            "contract_date": times["add_date"].date(), "contract_amount": price_of(number),
            "job_value": price_of(number), "sales_tax_rate": "0.0725",
            "is_financing": number % 3 == 0, "sold_user_id": journey.genius_user(person.number),
            "cancel_date": (times["add_date"] + timedelta(days=1)).date() if cancelled else None,
            "finish_date": self.moment(finished).date() if done else None,
            "payment_amount": price_of(number) if done and paid < now else None,
            "is_payment_finalized": int(done and paid < now), "is_earned_not_paid": int(done and paid >= now),
            "sold_date": "0000-00-00" if number % 13 == 0 else times["add_date"].date(), "measure_time": "08:15:00",
            "add_user_id": self.user(number), "price_level": "B", "cogs_report_month": "2026-01", **times,
        }  # fmt: skip

    def _job_status(self, number: int) -> Row:
        return {"id": number, "label": STATUSES[number - 1], "is_system": int(number < 3)}

    def _job_financing(self, number: int) -> Row:
        return {
            "job_id": number, "term_id": 1 + number % 4, "financed_amount": f"{4_000 + number * 53 % 30_000}.00",
            "bid_rate": "0.0599", "signed_on": self.moment(self.journeys.after(4 * number, journey.SALE)),
            "is_joint_application": number % 2,
            "applicant": self.person(4 * number).name, "status": number % 3,
        }  # fmt: skip

    def _job_of(self, change_order: int) -> int:
        return 1 + change_order * self.jobs // (self.change_orders + 1)

    def _job_change_order(self, number: int) -> Row:
        job = self._job_of(number)
        person = self.person(4 * job)
        times = self.stage(person.number, CHANGED, "add_date")
        return {
            "id": number, "job_id": job, "number": f"CO-{number}", "status_id": 1 + number % 3,
            "type_id": 1 + number % 2, "effective_date": times["add_date"].date(),
            "total_amount": f"{number * 17 % 9_000 - 500}.{number % 100:02}", "add_user_id": self.user(number),
            "sold_user_id": self.user(number + 3), "sold_date": times["add_date"],
            "reason_id": 1 + number % len(REASONS), "envelope_id": f"{number:08x}-envelope",
            "total_contract_amount": f"{20_000 + number % 5_000}.00", "signer_name": person.name,
            "signer_email": person.email, **times,
        }  # fmt: skip

    def _job_change_order_item(self, number: int) -> Row:
        order = (number + 1) // 2
        return {
            "id": number, "change_order_id": order, "description": SERVICES[number % len(SERVICES)],
            "amount": f"{number * 13 % 3_000}.25", **self.stage(4 * self._job_of(order), CHANGED),
        }  # fmt: skip

    def _job_change_order_reason(self, number: int) -> Row:
        return {"id": number, "label": REASONS[number - 1], "description": f"{REASONS[number - 1]}, in so many words"}

    def _job_change_order_status(self, number: int) -> Row:
        return {"id": number, "label": ("Draft", "Signed", "Void")[number - 1], "is_selectable": int(number < 3)}

    def _job_change_order_type(self, number: int) -> Row:
        return {"id": number, "label": ("Addition", "Deduction")[number - 1]}
