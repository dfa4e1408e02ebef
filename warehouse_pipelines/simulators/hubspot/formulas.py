"""The formulas of the simulated portal: from the number of a record to its properties.

Values are what the vendor sends: text or null, with its harmless habits at a low rate: `""` for an empty number, dates
without a fraction or as milliseconds, a leading `;`, bare line feeds, telephone numbers in every spelling. Nothing here
is malformed; that takes a fault.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from warehouse_pipelines.simulators.core import journey
from warehouse_pipelines.simulators.core.journey import DAY_MS, Journeys
from warehouse_pipelines.simulators.core.population import (
    DIVISIONS,
    PLACES,
    Population,
    marketsharp_id,
    misspell,
    spell_phone,
)
from warehouse_pipelines.simulators.hubspot.answers import day, iso
from warehouse_pipelines.simulators.hubspot.lookups import STAGES, owner_of
from warehouse_pipelines.simulators.hubspot.properties import CUSTOM_APPOINTMENT_NAMES, OPTIONS, Properties

_encode = msgspec.json.Encoder().encode

TERMS = (
    "roof repair near me",
    "gutter guards cost",
    "new windows dayton",
    "bathroom remodel",
    "hail damage roof",
    "",
    "siding",
)
PETS = ("Biscuit", "Rex", "Luna", "Pickles", "Sir Barks", "Mittens", "Olive", "Tank")
PRODUCTS = (
    "Shingles, architectural",
    "Gutter guard",
    "Double-hung window",
    "Vinyl siding",
    "Walk-in tub",
    "Entry door",
)


def contact_formula(population: Population) -> Callable[[int, int, int], Properties]:
    def contact(number: int, created: int, modified: int) -> Properties:
        double = journey.is_double(number)
        person = population.person(journey.original(number)).told("hubspot double" if double else "hubspot")
        # A second contact of the same person was typed by somebody else, under another address.
        random_bytes = population.random_bytes("double", number) if double else person.random_bytes
        place = person.place
        kind = random_bytes[9]
        email = person.email.replace("@", ".home@") if double else person.email
        prospect = None if double else journey.genius_prospect(number)
        salesrabbit = None if double else str(journey.salesrabbit_lead(number))
        marketsharp = None if double else marketsharp_id(number)
        division = DIVISIONS[place.division]
        sourced = created - random_bytes[10] * 6_000
        phone = spell_phone(person.phone, random_bytes[11])
        sourced_text = iso(sourced)
        return {
            "address": person.street,
            "adgroupid": str(70_000_000 + kind * 131),
            "associatedcompanyid": None,
            "best_hours": "after 17:00" if kind & 1 else "mornings",
            "campaign_name": f"{division} roofs {2020 + kind % 6}",
            "city": place.city,
            "comments": f"Called back.\nLeft word with {person.nickname}." if kind < 60 else "",
            "country": "US",
            "division": division,
            "division_id": str(place.division + 1),
            "email": email if random_bytes[12] > 12 and not person.family_email else None,  # no two have the same
            "firstname": person.nickname if double or random_bytes[27] < 40 else person.first_name,
            "gutter_feet": str(random_bytes[13]) if kind & 2 else "",
            "hoa_approval": ("true", "false", "", "false")[kind & 3],
            "hs_analytics_num_visits": str(kind % 9),
            "hs_analytics_source_data_1": TERMS[random_bytes[14] % 7],
            "hubspot_owner_id": owner_of(person.number),
            "hs_email_domain": email.partition("@")[2],
            "hs_latest_source": OPTIONS["hs_latest_source"][random_bytes[15] & 3],
            "hs_latest_source_timestamp": sourced_text,
            "lastname": misspell(person.last_name, random_bytes[28]),
            "last_storm_date": day(created - DAY_MS * random_bytes[16]),
            "lead_address1": person.street.upper(),
            "lead_city": place.city,
            "lead_cost": f"{random_bytes[17]}.{random_bytes[18] % 100:02d}" if random_bytes[18] > 15 else "",
            "lead_division": str(place.division + 1),
            "lead_id": str(number) if number and not double else None,
            "lead_is_dnc": "1" if person.do_not_call and kind < 200 else "0",
            "lead_notes": f"{person.year_built} house, {1 + kind % 3} stories\ndog: {PETS[random_bytes[19] & 7]}",
            "lead_phone1": person.phone[2:],
            "lead_rating": str(kind % 5),
            "lead_prospect_id": None if prospect is None else str(prospect),
            "lead_salesrabbit_lead_id": salesrabbit if kind & 4 else None,
            "lead_salesrabbit_lead_id_new": salesrabbit if kind & 4 and kind & 1 else None,
            "lead_source": str(random_bytes[19] & 7),
            "lead_sourced_on": str(sourced) if random_bytes[21] < 4 else sourced_text,
            "lead_state": "OH",
            "lead_status": str(1 + kind % 12),
            "lead_year_built": str(person.year_built),
            "lead_zip": place.zip,
            "lifecyclestage": OPTIONS["lifecyclestage"][
                3 if journey.sold(number) else 2 if prospect else random_bytes[22] & 1
            ],
            "marketsharp_id": marketsharp.upper() if marketsharp and kind & 8 else None,
            "original_lead_source": person.source,
            "hge_primary_source": person.source,
            "pet_name": PETS[random_bytes[19] & 7],
            "phone": phone,
            "price": f"{random_bytes[23] * 97}.00" if kind & 16 else None,
            "prospect_id": None if prospect is None else str(prospect),
            "prospect_marketsharp_id": marketsharp if prospect and kind & 8 else None,
            "reference_code": journey.reference(number),
            "roof_age_years": str(random_bytes[24] % 60),
            "sales_rabbit_lead_id": salesrabbit if kind & 4 and kind & 2 else None,
            "roof_features": (";skylight;chimney", "solar", "chimney;valley", "")[random_bytes[25] & 3],
            "search_terms": TERMS[random_bytes[14] % 7],
            "siding_color": ("white", "sage", "grey", "brick")[random_bytes[26] & 3],
            "state": "OH" if kind & 32 else "Ohio",
            "stories": str(1 + kind % 3),
            "tier": "ABC"[kind % 3],
            "vendorleadid": f"V{number:08d}",
            "zip": place.zip,
        }

    return contact


def company_formula(population: Population) -> Callable[[int, int, int], Properties]:
    def company(number: int, created: int, modified: int) -> Properties:
        owner = population.person(number * 10)
        place = owner.place
        name = f"{owner.last_name} {('Roofing', 'Builders', 'Homes', 'Property Co.')[owner.random_bytes[13] & 3]}"
        return {
            "name": name,
            "domain": f"company{number}.example.test",
            "phone": spell_phone(owner.phone, owner.random_bytes[14]),
            "address": owner.street,
            "city": place.city,
            "state": "OH",
            "zip": place.zip,
            "country": "United States",
            "industry": "CONSTRUCTION",
            "annualrevenue": str(owner.random_bytes[15] * 10_000) if owner.random_bytes[15] & 1 else "",
            "numberofemployees": str(owner.random_bytes[16]),
            "crew_count": str(owner.random_bytes[17] % 9),
            "lifecyclestage": "customer",
            "hubspot_owner_id": owner_of(owner.number),
        }

    return company


def deal_formula(population: Population, contact_of: Callable[[int], int]) -> Callable[[int, int, int], Properties]:
    def deal(number: int, created: int, modified: int) -> Properties:
        person = population.person(contact_of(number))
        random_bytes = population.random_bytes("deal", number)
        won = journey.sold(person.number)
        stage = "closedwon" if won else STAGES[(0, 1, 2, 4)[random_bytes[0] & 3]][0]
        closed = stage.startswith("closed")
        return {
            "dealname": f"{person.last_name} - {PRODUCTS[random_bytes[1] % 6]}",
            "amount": f"{random_bytes[2] * 130 + random_bytes[3]}.{random_bytes[4] % 100:02d}"
            if random_bytes[4] > 10
            else "",
            "closedate": iso(modified)
            if closed
            else iso(created + random_bytes[5] * DAY_MS)
            if random_bytes[5] > 40
            else None,
            "hs_closed_won_date": iso(modified) if won else None,
            "dealstage": stage,
            "dealtype": OPTIONS["dealtype"][random_bytes[6] & 1],
            "pipeline": "default",
            "description": f"Quote for {person.street}\n{person.place.city}, OH",
            "division": DIVISIONS[person.place.division],
            "priority": ("low", "medium", "high", None)[random_bytes[7] & 3],
            "hubspot_owner_id": owner_of(person.number),
            "deal_currency_code": "USD",
            "hs_is_closed": "true" if closed else "false",
            "hs_is_closed_won": "true" if stage == "closedwon" else "false",
            "install_date": day(created + 60 * DAY_MS),
            "roof_sqft": str(900 + random_bytes[9] * 7),
            "permit_number": f"OH-{number:06d}",
        }

    return deal


def line_item_formula(population: Population) -> Callable[[int, int, int], Properties]:
    def line_item(number: int, created: int, modified: int) -> Properties:
        random_bytes = population.random_bytes("line_item", number)
        quantity = 1 + random_bytes[0] % 40
        cents = 500 + random_bytes[1] * 111
        return {
            "name": PRODUCTS[random_bytes[2] % 6],
            "quantity": str(quantity),
            "price": f"{cents // 100}.{cents % 100:02d}",
            "amount": f"{quantity * cents // 100}.{quantity * cents % 100:02d}",
            "discount": "" if random_bytes[3] > 40 else str(random_bytes[3]),
            "hs_product_id": str(64_000 + random_bytes[2] % 6),
            "hs_sku": f"SKU-{random_bytes[2] % 6:03d}",
            "hs_line_item_currency_code": "USD",
            "warehouse_bin": f"{'ABCD'[random_bytes[4] & 3]}{random_bytes[5]}",
        }

    return line_item


def appointment_formula(population: Population, journeys: Journeys) -> Callable[[int, int, int], Properties]:
    def appointment(number: int, created: int, modified: int) -> Properties:
        person = population.person(2 * number).told("hubspot appointment")
        random_bytes = population.random_bytes("appointment", number)
        place = person.place
        start = journeys.visit(person.number)
        start -= start % 900_000
        sold = journey.sold(person.number)
        done = sold or start < journeys.now
        prospect = journey.genius_prospect(person.number)
        return {
            "appointment_id": str(500_000 + number),
            "genius_appointment_id": str(number) if number else "",
            "prospect_id": None if prospect is None else str(prospect),
            "user_id": str(journey.genius_user(person.number)),
            "salespro_customer_id": journey.salespro_id("cus", population.seed, number) if done else None,
            "salespro_estimate_id": journey.salespro_id("est", population.seed, number) if done else None,
            "hs_appointment_name": f"{person.name} - {PRODUCTS[random_bytes[2] % 6]}",
            "hs_appointment_start": iso(start),
            "hs_appointment_end": iso(start + 5_400_000),
            "hs_appointment_status": "COMPLETED" if done else "SCHEDULED",
            "hs_duration": "5400000",
            "duration": "90" if random_bytes[3] > 20 else "",
            "hs_pipeline": "default",
            "hs_pipeline_stage": "2" if done else "1",
            "attendees": _encode([{"name": person.name, "email": person.email}]).decode()
            if random_bytes[10] & 1
            else "",
            "first_name": person.first_name,
            "last_name": person.last_name,
            "email": person.email,
            "phone1": spell_phone(person.phone, random_bytes[4]),
            "phone2": "",
            "address1": person.street,
            "city": place.city,
            "state": "OH",
            "zip": place.zip,
            "date": day(start),
            "time": iso(start)[11:19],
            "appointment_status": "Complete" if done else "Set",
            "appointment_confirmed": "Yes" if random_bytes[5] & 1 else "No",
            "is_complete": "true" if done else "false",
            "complete_date": iso(start + 5_400_000) if done else None,
            "complete_outcome_id": str(random_bytes[6] % 14) if done else "",
            "confirm_date": iso(start - DAY_MS),
            "add_date": iso(created),
            "set_date": day(created),
            "add_user_id": str(random_bytes[7]),
            "division": DIVISIONS[place.division],
            "division_id": str(place.division + 1),
            "primary_source": person.source,
            "secondary_source": None,
            "hscontact_id": journey.hubspot_contact(person.number),
            "marketing_task_id": str(random_bytes[9]),
            "spouses_present": str(random_bytes[10] & 1),
            "year_built": str(person.year_built),
            "notes": f"Two owners.\nGate code {random_bytes[11]}.",
            "salespro_result": ("Sale" if sold else "No sale") if done else "",
            "salespro_last_price_offered": f"${random_bytes[13] * 101:,}",
            "type_id": str(1 + random_bytes[14] % 4),
            "type_id_text": "Estimate",
            "hubspot_owner_id": owner_of(person.number),
            "hs_all_owner_ids": f";{owner_of(person.number)};{owner_of(person.number + 1)}",
            "ladder_length_feet": str(16 + random_bytes[16] % 24),
        }

    return appointment


def custom_appointment_formula(
    standard: Callable[[int, int, int], Properties],
) -> Callable[[int, int, int], Properties]:
    def appointment(number: int, created: int, modified: int) -> Properties:
        values = standard(number, created, modified)
        del values["hs_duration"]
        return {CUSTOM_APPOINTMENT_NAMES.get(name, name): value for name, value in values.items()}

    return appointment


def geniususer_formula(population: Population) -> Callable[[int, int, int], Properties]:
    def geniususer(number: int, created: int, modified: int) -> Properties:
        random_bytes = population.random_bytes("geniususer", number)
        person = population.employee(1 + number)
        division = (1 + number) % len(DIVISIONS)
        return {
            "user_id": str(1 + number),
            "name": person.name,
            "firstname": person.first_name,
            "lastname": person.last_name,
            "email": journey.work_email(person, 1 + number),
            "division": DIVISIONS[division],
            "division_name": DIVISIONS[division],
            "division_id": str(division + 1),
            "job_title": ("Canvasser", "Estimator", "Installer", "Manager")[random_bytes[1] & 3],
            "title_id": str(1 + random_bytes[1] % 4),
            "user_account_type": "Standard",
            "user_status_inactive": "1" if random_bytes[2] < 30 else "0",
            "is_active": "false" if random_bytes[2] < 30 else "true",
            "arrivy_user_id": str(80_000 + number),
            "truck_number": f"T{number:02d}",
        }

    return geniususer


def division_formula(population: Population) -> Callable[[int, int, int], Properties]:
    def division(number: int, created: int, modified: int) -> Properties:
        name = DIVISIONS[number % len(DIVISIONS)]
        place = next(place for place in PLACES if place.city == name)
        manager = population.person(number)
        return {
            "division_name": name,
            "division_label": f"{name}, OH",
            "division_code": name[:3].upper(),
            "status": "active",
            "region": "Ohio",
            "manager_name": manager.name,
            "manager_email": f"manager.{name.lower()}@example.com",
            "phone": f"({place.area_code}) 226-{number:04d}",
            "address1": manager.street,
            "address2": "",
            "city": name,
            "state": "OH",
            "zip": place.zip,
        }

    return division


def zipcode_formula(count: int) -> Callable[[int, int, int], Properties]:
    def zipcode(number: int, created: int, modified: int) -> Properties:
        place = PLACES[number % len(PLACES)]
        return {
            "zipcode": f"{43001 + number * (45999 - 43001) // count:05d}",
            "city": place.city,
            "county": place.county,
            "state": "OH",
            "division": DIVISIONS[place.division],
        }

    return zipcode


def contact_of_deal(deal: int) -> int:
    """Every third contact has a deal, and some of them two: all who bought, and one in twelve who did not."""
    return journey.buyer(deal - 1 if deal % 10 == 9 else deal)
