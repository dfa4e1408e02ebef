"""Rows of the office: divisions, users, services, integrations."""

from __future__ import annotations

from warehouse_pipelines.simulators.core import journey
from warehouse_pipelines.simulators.core.population import (
    DIVISIONS,
    words,
)
from warehouse_pipelines.simulators.genius.business import USERS, Business, Row

SERVICES = words("Roofing|Siding|Windows|Gutters|Painting|Insulation", "|")
TITLES = words("Estimator|Production manager|Canvasser|Office|Call center", "|")


class OfficeRows(Business):
    def _division_group(self, number: int) -> Row:
        return {
            "id": number, "region": 1, "group_label": f"Ohio {number}", "default_time_zone_name": "US/Pacific",
            "is_active": 1, "cc_profile_id": f"planted-cc-{number}", "mes_profile_id": f"mes-{number}",
            "mes_profile_key": f"planted-mes-{number}", "paysimple_username": f"office{number}",
            "paysimple_secret": f"planted-paysimple-{number}", **self.times(number, 2),
        }  # fmt: skip

    def _division_region(self, number: int) -> Row:
        return {"id": number, "name": ("Ohio", "Elsewhere")[number - 1], "is_active": int(number == 1)}

    def _division(self, number: int) -> Row:
        label = DIVISIONS[number - 1]
        return {
            "id": number, "group_id": 1, "region_id": 1, "label": label, "abbreviation": label[:3].upper(),
            "is_utility": 0, "is_corp": int(number == 1), "is_omniscient": 0, "is_inactive": 0,
            **self.times(number, 5),
        }  # fmt: skip

    def _user_data(self, number: int) -> Row:
        person = self.population.employee(number)
        hired = self.at(number, USERS, person.random_bytes)
        return {
            "user_id": number, "division_id": 1 + number % len(DIVISIONS), "title_id": 1 + number % len(TITLES),
            "manager_user_id": 1 if number > 1 else None, "first_name": person.first_name,
            "first_name_alt": person.nickname, "last_name": person.last_name,
            "email": journey.work_email(person, number),
            "personal_email": person.email, "birth_date": f"{1950 + person.random_bytes[10] % 50}-06-15",
            "time_zone_name": "US/Pacific", "hired_on": hired, "start_date": hired, "add_user_id": 1,
            "is_inactive": int(number % 6 == 0), "password_hash": f"planted-hash-{number}",
            "user_associations_id": number, **self.times(number, USERS, "add_datetime"),
        }  # fmt: skip

    def _user_title(self, number: int) -> Row:
        title = TITLES[number - 1]
        return {
            "id": number, "title": title, "abbreviation": title[:3], "roles": title.lower(), "type_id": 1,
            "section_id": 1, "sort": number, "is_active": 1, "is_unique_per_division": 0, **self.times(number, 5),
        }  # fmt: skip

    def _users_userassociations(self, number: int) -> Row:
        return {"id": number, "primary_user_id": number, **self.times(number, USERS)}

    def _service(self, number: int) -> Row:
        return {
            "id": number, "label": SERVICES[number - 1], "is_active": 1, "is_lead_required": number % 2,
            "order_number": number, **self.times(number, len(SERVICES)),
        }  # fmt: skip

    def _integration_field(self, number: int) -> Row:
        definition = 1 + number % 3
        value = f"planted-token-{number}" if definition == 3 else f"dialer-{number}"
        return {
            "id": number,
            "definition_id": definition,
            "user_id": number,
            "field_value": value,
            **self.times(number, 6),
        }

    def _integration_field_definition(self, number: int) -> Row:
        key = ("dialer_id", "calendar_id", "api_token")[number - 1]
        return {
            "id": number, "integration_id": 1, "label": key.replace("_", " "), "key_name": key, "is_user": 1,
            "is_division": 0, "input_type": "password" if number == 3 else "text",
        }  # fmt: skip
