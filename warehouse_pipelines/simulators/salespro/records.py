"""The invented SalesPro: the tables that the vendor shares, filled from the population.

Customer `i` is person `i`, whom HubSpot knows as a contact. Every fifth estimate is a second one for the customer
before it, and the customer table has a row for each estimate. Values are held as Athena prints them: decimals with
their places, booleans as true and false, times without a zone and with milliseconds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from warehouse_pipelines.simulators.core import journey
from warehouse_pipelines.simulators.core.journey import Journeys, salespro_id
from warehouse_pipelines.simulators.core.population import DIVISIONS, Population, spell_phone

_TEXTS = "string"
_MONEY = "decimal(12,2)"
_FLAG = "boolean"
_TIME = "timestamp"

Row = dict[str, Any]


def _columns(**names_by_type: str) -> dict[str, str]:
    return {name: type_ for type_, names in names_by_type.items() for name in names.split()}


COLUMNS: dict[str, dict[str, str]] = {
    "credit_applications": {
        **_columns(string="leap_credit_app_id company_id company_name sales_rep_id customer_id"),
        **_columns(string="credit_app_vendor credit_app_vendor_id"),
        "credit_app_amount": _MONEY,
        **_columns(string="credit_app_status credit_app_note", timestamp="created_at updated_at"),
    },
    "customer": _columns(
        string="""
            customer_id estimate_id company_id company_name customer_first_name customer_last_name crm_source
            crm_source_id
        """,
        timestamp="created_at updated_at",
    ),
    "estimate": {
        **_columns(
            string="""
                estimate_id company_id company_name office_id office_name sales_rep_id sales_rep_first_name
                sales_rep_last_name customer_id customer_first_name customer_last_name street_address city state
                zip_code
            """
        ),
        "sale_amount": _MONEY,
        "is_sale": _FLAG,
        "job_type": _TEXTS,
        "finance_amount": _MONEY,
        "bank_name": _TEXTS,
        "loan_name": _TEXTS,
        "down_payment": _MONEY,
        "has_credit_app": _FLAG,
        "document_count": "bigint",
        **_columns(timestamp="created_at updated_at"),
    },
    "lead_results": _columns(string="estimate_id company_id lead_results", timestamp="created_at"),
    "office": {
        **_columns(string="office_id name company_id company_name"),
        "can_search_all_estimates": _FLAG,
        "last_edit_user": _TEXTS,
        **_columns(timestamp="created_at updated_at last_edit_date"),
    },
    "user": {
        **_columns(string="user_object_id username first_name last_name email phone_number"),
        **_columns(
            boolean="""
                is_active is_manager is_available_to_call can_activate_users can_change_settings
                can_submit_credit_apps disable_change_company
            """
        ),
        **_columns(string="company_id selected_office"),
        "allowed_offices": "array<string>",
        **_columns(string="identifier license_number"),
        **_columns(timestamp="created_at updated_at last_login_date deactivated_date"),
    },
}
"""The columns of each table with their types as the catalogue (Hive) spells them."""

KEYS = {
    "credit_applications": "leap_credit_app_id",
    "customer": "customer_id",
    "estimate": "estimate_id",
    "lead_results": "estimate_id",
    "office": "office_id",
    "user": "user_object_id",
}

USERS = 12
COMPANY = ("cmp0001", "Invented Home Improvement")
JOBS = ("-Roofing", "-Gutters and/or Guards", "-Siding", "-Windows", "-Solar")
NOTES = (
    "Both homeowners were present.\nThey want to think it over.",
    'Said "maybe in spring", then asked for the price again',
    "Roof is 20 years old, leaks above the kitchen; gutters too",
    "Zwei Angebote verglichen – señor Ibañez ☂ prefers ours",
    "C:\\photos\\front.jpg, C:\\photos\\back.jpg",
)


def moment(ms: int) -> str:
    """A time as Athena prints it."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.") + f"{ms % 1000:03d}"


class Records:
    """Every table as a formula of the row's number."""

    def __init__(self, population: Population, contacts: int, now_ms: int) -> None:
        self.population = population
        self.estimates = max(2, contacts // 2)
        self._journeys = Journeys(population, contacts, now_ms)
        self._end = now_ms - journey.HOUR_MS

    def rows(self, table: str) -> Iterator[Row]:
        formulas: dict[str, tuple[int, Callable[[int], Row | None]]] = {
            "credit_applications": (self.estimates, self._credit_application),
            "customer": (self.estimates, self._customer),
            "estimate": (self.estimates, self._estimate),
            "lead_results": (self.estimates, self._lead_result),
            "office": (len(DIVISIONS), self._office),
            "user": (USERS, self._user),
        }
        count, formula = formulas[table]
        made = range(count) if table in ("office", "user") else filter(self._made, range(count))
        return (row for row in map(formula, made) if row is not None)

    def _made(self, estimate: int) -> bool:
        """Whether the visit is over."""
        return self._created(estimate) <= self._end

    def _customer_number(self, estimate: int) -> int:
        """The customer of an estimate, who is person ``2 n``; every fifth has one more of the customer before."""
        return estimate - 1 if estimate % 5 == 4 else estimate

    def _created(self, estimate: int) -> int:
        return self._journeys.visit(2 * estimate) + journey.HOUR_MS

    def _times(self, subject: str, number: int) -> tuple[str, str]:
        created = self._created(number)
        random_bytes = self.population.random_bytes(subject, number)
        updated = (
            created
            if random_bytes[0] < 60
            else min(self._end, created + (random_bytes[1] * 256 + random_bytes[2]) * 20_011)
        )
        return moment(created), moment(updated)

    def _company(self) -> Row:
        return {"company_id": COMPANY[0], "company_name": COMPANY[1]}

    def _customer(self, number: int) -> Row:
        customer = self._customer_number(number)
        person = self.population.person(2 * customer).told("salespro")
        contact = journey.hubspot_contact(person.number)
        random_bytes = self.population.random_bytes("salespro customer", customer)
        created, updated = self._times("estimate", number)
        known = random_bytes[3] < 230 and contact is not None
        return {
            "customer_id": salespro_id("cus", self.population.seed, customer),
            "estimate_id": salespro_id("est", self.population.seed, number),
            **self._company(),
            "customer_first_name": person.nickname if random_bytes[4] % 3 == 0 else person.first_name,
            "customer_last_name": person.last_name.upper() if random_bytes[4] % 5 == 0 else person.last_name,
            "crm_source": "hubspot" if known else None,
            "crm_source_id": contact if known else None,
            "created_at": created,
            "updated_at": updated,
        }

    def _estimate(self, number: int) -> Row:
        customer = self._customer(number)
        person = self.population.person(2 * self._customer_number(number)).told("salespro")
        random_bytes = self.population.random_bytes("estimate", number)
        seller = self.population.employee(1 + random_bytes[5] % USERS)
        office = person.place.division
        sold = journey.sold(person.number) and number % 5 != 4
        # What Genius writes into the contract of the same job.
        amount = 5_000 + person.number // 4 * 91 % 60_000 if sold else 4_900 + random_bytes[7] * 97 + random_bytes[8]
        financed = sold and random_bytes[9] < 120
        return {
            "estimate_id": customer["estimate_id"],
            **self._company(),
            "office_id": f"off{office + 1:04d}",
            "office_name": DIVISIONS[office],
            "sales_rep_id": f"usr{random_bytes[5] % USERS + 1:07d}",
            "sales_rep_first_name": seller.first_name,
            "sales_rep_last_name": seller.last_name,
            "customer_id": customer["customer_id"],
            "customer_first_name": customer["customer_first_name"],
            "customer_last_name": customer["customer_last_name"],
            "street_address": person.street,
            "city": person.place.city,
            "state": "OH" if random_bytes[10] < 200 else "",
            "zip_code": person.place.zip,
            "sale_amount": f"{amount}.10"
            if sold
            else f"{amount}.{random_bytes[11] % 100:02d}"
            if random_bytes[12] < 240
            else None,
            "is_sale": str(sold).lower(),
            "job_type": JOBS[random_bytes[13] % 5].lstrip("-"),
            "finance_amount": f"{amount * 3 // 4}.00" if financed else None,
            "bank_name": "First Invented Bank" if financed else None,
            "loan_name": "120 months, no payment until spring" if financed else "",
            "down_payment": f"{amount // 10}.50" if sold else "0.00",
            "has_credit_app": str(number % 3 == 0).lower(),
            "document_count": random_bytes[14] % 6,
            "created_at": customer["created_at"],
            "updated_at": customer["updated_at"],
        }

    def _credit_application(self, number: int) -> Row | None:
        if number % 3:
            return None
        random_bytes = self.population.random_bytes("credit", number)
        created, updated = self._times("credit", number)
        return {
            "leap_credit_app_id": salespro_id("cra", self.population.seed, number),
            **self._company(),
            "sales_rep_id": f"usr{random_bytes[5] % USERS + 1:07d}",
            "customer_id": salespro_id("cus", self.population.seed, self._customer_number(number)),
            "credit_app_vendor": ("Lender One", 'The "Other" Lender')[random_bytes[6] & 1],
            "credit_app_vendor_id": f"{random_bytes[7]}-{random_bytes[8]}",
            "credit_app_amount": f"{1000 + random_bytes[9] * 100}.00",
            "credit_app_status": ("Approved", "Declined", "Pending", "Expired")[random_bytes[10] & 3],
            "credit_app_note": (None, "", "co-applicant, second income")[random_bytes[11] % 3],
            "created_at": created,
            "updated_at": updated,
        }

    def _lead_result(self, number: int) -> Row | None:
        if number % 10 == 9:
            return None
        created, _ = self._times("estimate", number)
        random_bytes = self.population.random_bytes("result", number)
        price = f"${1_000 + random_bytes[5] * 211:,}.{random_bytes[6] % 100:02d}"
        sold = journey.sold(2 * self._customer_number(number)) and number % 5 != 4
        result = "[HRE] Demo Sold" if sold else ("Demo - Not Sold", "[CC] Rescheduled")[random_bytes[7] & 1]
        answers = [
            ("Appointment Result", result),
            ("Result Reason - Demo Not Sold (objection)", ("-Undecided", "", "-Price")[random_bytes[8] % 3]),
            ("Both Homeowners Present?", ("Yes", "No", "")[random_bytes[9] % 3]),
            ("One Year Price", price),
            ("Last Price Offered", "$0.00"),
            ("Preferred Payment ", ("", "Cash", "Finance")[random_bytes[10] % 3]),
            ("Customer's Final Price Commitment", price),
            ("Notes", NOTES[random_bytes[11] % 5]),
        ]
        if number % 3 == 0:
            for place in range(1, 2 + number % 4):
                answers.append((f"Job Type {place}", JOBS[(number + place) % 5]))
                answers.append((f"Job Type {place} Amount", f"${place * 1_250:,}.00"))
        else:
            answers += [("Job Type", JOBS[number % 5]), ("Job Size", price)]
        return self.lead_result(salespro_id("est", self.population.seed, number), created, answers)

    def lead_result(self, estimate_id: str, created_at: str, answers: list[tuple[str, str]]) -> Row:
        listed = [{"title": title, "value": value} for title, value in answers]
        return {
            "estimate_id": estimate_id,
            "company_id": COMPANY[0],
            "lead_results": json.dumps(listed, ensure_ascii=False),
            "created_at": created_at,
        }

    def _office(self, number: int) -> Row:
        at = moment(self._created(0))
        return {
            "office_id": f"off{number + 1:04d}",
            "name": DIVISIONS[number],
            **self._company(),
            "can_search_all_estimates": str(number == 0).lower(),
            "last_edit_user": f"usr{1:07d}",
            "created_at": at,
            "updated_at": at,
            "last_edit_date": at if number % 2 else None,
        }

    def _user(self, number: int) -> Row:
        person = self.population.employee(1 + number)
        at = moment(self._created(0))
        left = number == USERS - 1
        flags = {name: "false" for name, type_ in COLUMNS["user"].items() if type_ == _FLAG}
        return {
            "user_object_id": f"usr{number + 1:07d}",
            "username": f"user{number}@crew.example.com",
            "first_name": person.first_name,
            "last_name": person.last_name,
            "email": f"user{number}@crew.example.com",
            "phone_number": spell_phone(person.phone, number),
            **flags,
            "is_active": str(not left).lower(),
            "is_manager": str(number < 2).lower(),
            "company_id": COMPANY[0],
            "selected_office": f"off{number % len(DIVISIONS) + 1:04d}",
            "allowed_offices": json.dumps([f"off{place + 1:04d}" for place in range(1 + number % 3)]),
            "identifier": None,
            "license_number": "" if number % 2 else f"OH-{number:05d}",
            "created_at": at,
            "updated_at": at,
            "last_login_date": None if left else at,
            "deactivated_date": at if left else None,
        }
