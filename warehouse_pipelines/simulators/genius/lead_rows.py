"""Rows of those who turned up: leads, prospects, and what brought them."""

from __future__ import annotations

from warehouse_pipelines.simulators.core import journey
from warehouse_pipelines.simulators.core.population import (
    SOURCES,
    marketsharp_id,
    misspell,
    spell_phone,
)
from warehouse_pipelines.simulators.genius.business import Business, Row, address_of


class LeadRows(Business):
    def _third_party_source_type(self, number: int) -> Row:
        return {"id": number, "label": ("hubspot", "leap")[number - 1]}

    def _third_party_source(self, number: int) -> Row:
        if number > self.prospects:
            theirs = journey.hubspot_appointment(2 * (number - self.prospects))
        else:
            theirs = journey.hubspot_contact(journey.of_genius_prospect(number))
        return {
            "id": number,
            "third_party_source_type_id": 2 if theirs is None else 1,
            "third_party_id": theirs or f"LEAP-{number}",
        }

    def _lead(self, number: int) -> Row:
        person = self.person(number).told("genius lead")
        source, surname = 1 + SOURCES.index(person.source), misspell(person.last_name, person.random_bytes[21])
        times = self.stage(number, journey.LEAD, "added_on")
        consents = person.consents
        return {
            "lead_id": number, "contact": None if number % 4 else number, "division": 1 + person.place.division,
            "first_name": person.nickname,
            "last_name": person.last_name.upper() if person.random_bytes[11] < 60 else surname,
            **address_of(person), "cdyne_county": person.place.county,
            "email": person.email if person.random_bytes[12] > 40 else None,
            "phone1": spell_phone(person.phone, person.random_bytes[13]), "type1": 1, "source": source,
            "source_notes": "met at the door" if number % 5 == 0 else None, "year_built": str(person.year_built),
            "notes": "Wants “new” windows — José called 😀" if number % 9 == 0 else None,
            "status": number % 4, "substatus": number % 3, "added_by": journey.genius_user(number + 1),
            "agent_id": str(journey.genius_user(number)) if number % 200 else "not assigned",
            "lead_cost": 12.5 if number % 2 else None,
            "added_by_latitude": f"{person.place.latitude:.7f}", "added_by_longitude": f"{person.place.longitude:.7f}",
            "carpentry_followup_notes": "Fenêtre façade, 25 £" if number % 10 == 0 else None,
            "is_dnc": int(person.do_not_call and person.random_bytes[14] < 200), "marketing_source": source,
            "prospect_id": journey.genius_prospect(number),
            "salesrabbit_lead_id": journey.salesrabbit_lead(number) if person.source == "Canvassing" else None,
            "is_express_consent": int(consents), "express_consent_source": 1 if consents else None,
            "express_consent_set_on": times["added_on"] if consents else None, **times,
        }  # fmt: skip

    def _prospect(self, number: int) -> Row:
        person = self.person(journey.of_genius_prospect(number))
        return {
            "id": number, "division_id": 1 + person.place.division, "user_id": journey.genius_user(person.number),
            "first_name": person.first_name, "last_name": person.last_name, **address_of(person),
            "county": person.place.county, "year_built": person.year_built,
            "phone1": spell_phone(person.phone, person.random_bytes[15]), "email": person.email, "is_address_valid": 1,
            "add_user_id": self.user(number), "third_party_source_id": number,
            "marketsharp_id": marketsharp_id(person.number).upper() if number % 3 == 0 else None,
            **self.stage(person.number, journey.LEAD + journey.HOUR_MS, "add_date"),
        }  # fmt: skip

    def _prospect_source(self, number: int) -> Row:
        person = self.person(journey.of_genius_prospect(number))
        times = self.stage(person.number, journey.LEAD + journey.HOUR_MS, "add_date")
        return {
            "id": number, "prospect_id": number, "marketing_source_id": 1 + SOURCES.index(person.source),
            "source_date": times["add_date"], "add_user_id": self.user(number), "source_user_id": self.user(number + 1),
            **times,
        }  # fmt: skip

    def _marketing_source_type(self, number: int) -> Row:
        label = ("Field", "Online", "Print")[number - 1]
        return {"id": number, "label": label, "is_active": 1, "list_order": number, **self.times(number, 3)}

    def _marketing_source(self, number: int) -> Row:
        kind = 2 if SOURCES[number - 1] in ("Google Ads", "Facebook", "Web form") else 1 + number % 2 * 2
        return {
            "id": number, "type_id": kind, "label": SOURCES[number - 1], "start_date": "2020-01-01",
            "end_date": "0000-00-00" if number % 3 == 0 else None, "is_active": 1, "is_allow_lead_modification": 0,
            "add_user_id": 1, **self.times(number, len(SOURCES), "add_date"),
        }  # fmt: skip

    def _marketsharp_source(self, number: int) -> Row:
        name = SOURCES[number - 1]
        return {
            "id": number,
            "marketsharp_id": f"ms-{number}",
            "source_name": name,
            "inactive": 0,
            **self.times(number, 4),
        }

    def _marketsharp_marketing_source_map(self, number: int) -> Row:
        return {"marketsharp_id": f"ms-{number}", "marketing_source_id": number, **self.times(number, 4)}

    def _marketsharp_contacts(self, number: int) -> Row:
        person = self.person(number).told("marketsharp")
        return {
            "id": number, "external_id": f"c-{number}", "first_name": person.first_name, "last_name": person.last_name,
            "email": person.email, "phone": spell_phone(person.phone, person.random_bytes[16]),
            "address_1": person.street,
            "city": person.place.city, "state": "OH", "zip": person.place.zip, "lead_status": "New", "active": 1,
            **self.times(number, self.leads // 10),
        }  # fmt: skip

    def _marketsharp_appointments(self, number: int) -> Row:
        times = self.times(number, self.leads // 20)
        return {
            "id": number, "external_id": f"a-{number}", "contact_id": f"c-{number}",
            "appointment_date": times["created_at"].date(), "appointment_time": "10:00:00", "salesperson_id": 1,
            "appointment_status": "Set", "active": 1, **times,
        }  # fmt: skip
