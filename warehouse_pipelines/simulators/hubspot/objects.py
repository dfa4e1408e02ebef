"""The object types of the simulated portal: their names, their ids, and how many records each has.

Contacts, companies, deals and line items are standard objects; geniususer, division and zipcode are custom ones under
`2-…` ids that a client has to look up; appointments are either, by setting.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from warehouse_pipelines.simulators.core import journey
from warehouse_pipelines.simulators.core.journey import Journeys
from warehouse_pipelines.simulators.core.population import DIVISIONS, Population
from warehouse_pipelines.simulators.hubspot.formulas import (
    appointment_formula,
    company_formula,
    contact_formula,
    contact_of_deal,
    custom_appointment_formula,
    deal_formula,
    division_formula,
    geniususer_formula,
    line_item_formula,
    zipcode_formula,
)
from warehouse_pipelines.simulators.hubspot.properties import (
    APPOINTMENT,
    COMPANY,
    CONTACT,
    CUSTOM_APPOINTMENT,
    DEAL,
    DIVISION,
    GENIUSUSER,
    LINE_ITEM,
    ZIPCODE,
    Properties,
    Property,
)

PORTAL = 4440001
CUSTOM_IDS = {"geniususers": 1, "divisions": 2, "zipcodes": 3, "custom_appointments": 4}


@dataclass(frozen=True)
class ObjectType:
    name: str  # as the control operations say it
    path_names: tuple[str, ...]  # what a path may call it
    type_id: str
    singular: str
    properties: dict[str, Property]
    default_properties: tuple[str, ...]
    search_text: tuple[str, ...]
    count: int
    first_id: int
    formula: Callable[
        [int, int, int], Properties
    ]  # (number, created, modified) without the three that every record has
    created_property: str = "hs_createdate"
    modified_property: str = "hs_lastmodifieddate"
    custom: bool = False
    can_merge: bool = True
    person_of: Callable[[int], int] | None = None  # whose way sets the times, for what follows people
    lag: int = 0  # how long after the first touch a record is made


def object_types(population: Population, journeys: Journeys, contacts: int, appointment: str) -> dict[str, ObjectType]:
    """The portal's types by the name that the control operations use. `appointment`: standard | custom | both.

    First ids stand just before a power of ten, so that ids of two lengths occur in every portal: text order and numeric
    order differ.
    """
    standard = ("createdate", "hs_lastmodifieddate", "hs_object_id")
    own = ("hs_createdate", "hs_lastmodifieddate", "hs_object_id")
    deals = max(1, contacts // 3)
    appointments = max(1, contacts // 2)

    def custom(name: str, singular: str) -> dict[str, Any]:
        type_id = f"2-{37_000_000 + CUSTOM_IDS[name]}"
        paths = (type_id, f"p{PORTAL}_{singular}", f"p_{singular}")
        return {"name": name, "singular": singular, "type_id": type_id, "path_names": paths, "custom": True}

    types = [
        ObjectType(
            "contacts",
            ("contacts", "contact", "0-1"),
            "0-1",
            "contact",
            CONTACT,
            ("firstname", "lastname", "email", "createdate", "lastmodifieddate", "hs_object_id"),
            ("firstname", "lastname", "email", "phone"),
            contacts,
            journey.HUBSPOT_CONTACT,
            contact_formula(population),
            "createdate",
            "lastmodifieddate",
            person_of=lambda number: number,
            lag=journey.CONTACT,
        ),
        ObjectType(
            "companies",
            ("companies", "company", "0-2"),
            "0-2",
            "company",
            COMPANY,
            ("name", "domain", *standard),
            ("name", "domain", "phone"),
            max(1, contacts // 10),
            999_951,
            company_formula(population),
            "createdate",
        ),
        ObjectType(
            "deals",
            ("deals", "deal", "0-3"),
            "0-3",
            "deal",
            DEAL,
            ("dealname", "amount", "closedate", "pipeline", "dealstage", *standard),
            ("dealname", "description"),
            deals,
            99_999_801,
            deal_formula(population, contact_of_deal),
            "createdate",
            person_of=contact_of_deal,
            lag=journey.VISIT,
        ),
        ObjectType(
            "line_items",
            ("line_items", "line_item", "0-8"),
            "0-8",
            "line_item",
            LINE_ITEM,
            ("quantity", "amount", "price", *standard),
            ("name", "hs_sku"),
            2 * deals,
            999_999_701,
            line_item_formula(population),
            "createdate",
            can_merge=False,
        ),
        ObjectType(
            properties=GENIUSUSER,
            default_properties=own,
            search_text=("name", "email"),
            count=40,
            first_id=9_981,
            formula=geniususer_formula(population),
            **custom("geniususers", "geniususer"),
        ),
        ObjectType(
            properties=DIVISION,
            default_properties=own,
            search_text=("division_name",),
            count=len(DIVISIONS),
            first_id=998,
            formula=division_formula(population),
            **custom("divisions", "division"),
        ),
        ObjectType(
            properties=ZIPCODE,
            default_properties=own,
            search_text=("zipcode", "city"),
            count=250,
            first_id=99_901,
            formula=zipcode_formula(250),
            **custom("zipcodes", "zipcode"),
        ),
    ]
    library = {
        "name": "appointments",
        "path_names": ("appointments", "appointment", "0-421"),
        "singular": "appointment",
    }
    own_type = custom("custom_appointments", "appointment")
    wanted: list[dict[str, Any]] = []
    formula = appointment_formula(population, journeys)
    if appointment in ("standard", "both"):
        standard_type = {"properties": APPOINTMENT, "search_text": ("hs_appointment_name", "email"), "formula": formula}
        wanted.append({**library, **standard_type, "type_id": "0-421", "first_id": journey.HUBSPOT_APPOINTMENT})
    if appointment in ("custom", "both"):
        name = "appointments" if appointment == "custom" else "custom_appointments"
        named: dict[str, Any] = {"properties": CUSTOM_APPOINTMENT, "search_text": ("subject", "email")}
        named["formula"] = custom_appointment_formula(formula)
        wanted.append({**own_type, **named, "name": name, "first_id": 8_000_000_001})
    if not wanted:
        raise ValueError(f"appointment is standard, custom or both, not {appointment!r}")
    way: dict[str, Any] = {"person_of": lambda number: 2 * number, "lag": journey.APPOINTMENT}
    types += [ObjectType(default_properties=own, count=appointments, **way, **more) for more in wanted]
    return {kind.name: kind for kind in types}
