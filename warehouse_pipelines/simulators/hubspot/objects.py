"""The object types of the simulated portal: their properties, and the formula from a number to a record.

Contacts, companies, deals and line items are standard objects; geniususer, division and zipcode are custom ones under
`2-…` ids that a client has to look up; appointments are either, by setting. Names of properties are those that deployed
portals of such customers have, many of them empty everywhere, and a dozen that no catalogue knows (`roof_age_years`).

Values are what the vendor sends: text or null, with its harmless habits at a low rate: `""` for an empty number, dates
without a fraction or as milliseconds, a leading `;`, bare line feeds, telephone numbers in every spelling. Nothing here
is malformed; that takes a fault.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import msgspec

from warehouse_pipelines.simulators.core import journey
from warehouse_pipelines.simulators.core.journey import Journeys
from warehouse_pipelines.simulators.core.population import (
    DIVISIONS,
    PLACES,
    Town,
    marketsharp_id,
    misspell,
    spell_phone,
)
from warehouse_pipelines.simulators.hubspot.lookups import STAGES, owner_of

PORTAL = 4440001
DAY_MS = 86_400_000
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  (UTC throughout; the zone would cost a third of the time of a page)

Properties = dict[str, str | None]
_encode = msgspec.json.Encoder().encode


def iso(ms: int) -> str:
    """As HubSpot writes times: milliseconds, or no fraction at all on a whole second."""
    text = (_EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds" if ms % 1000 else "seconds")
    return f"{text}Z"


def day(ms: int) -> str:
    return (_EPOCH + timedelta(milliseconds=ms)).date().isoformat()


@dataclass(frozen=True)
class Property:
    name: str
    type: str
    field_type: str
    custom: bool = False

    def definition(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "label": self.name.replace("_", " ").capitalize(),
            "type": self.type,
            "fieldType": self.field_type,
            "groupName": "contactinformation",
            "description": "",
            "options": [
                {"label": value, "value": value, "displayOrder": place, "hidden": False, "description": ""}
                for place, value in enumerate(OPTIONS.get(self.name, ()))
            ],
            "displayOrder": -1,
            "calculated": False,
            "externalOptions": self.name == "hubspot_owner_id",
            "hasUniqueValue": False,
            "hidden": False,
            "hubspotDefined": not self.custom,
            "formField": False,
            "archived": False,
            "dataSensitivity": "non_sensitive",
            "createdAt": "2026-01-05T00:00:00Z",
            "updatedAt": "2026-01-05T00:00:00Z",
            "modificationMetadata": {
                "archivable": self.custom,
                "readOnlyDefinition": not self.custom,
                "readOnlyValue": self.name.startswith("hs_"),
                "readOnlyOptions": False,
            },
            **({"showCurrencySymbol": True} if self.name in ("amount", "price") else {}),
        }


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


OPTIONS = {
    "lifecyclestage": ("subscriber", "lead", "opportunity", "customer"),
    "dealtype": ("newbusiness", "existingbusiness"),
    "hs_appointment_status": ("SCHEDULED", "COMPLETED", "CANCELED"),
    "roof_features": ("skylight", "chimney", "solar", "valley"),
    "hs_latest_source": ("ORGANIC_SEARCH", "PAID_SEARCH", "OFFLINE", "DIRECT_TRAFFIC"),
}

FIELD_TYPES = {"string": "text", "number": "number", "bool": "booleancheckbox", "enumeration": "select"}
FIELD_TYPES |= {"date": "date", "datetime": "date", "phone_number": "phonenumber"}


def _properties(*, custom: tuple[str, ...] = (), **names: str) -> dict[str, Property]:
    found: dict[str, Property] = {}
    for kind, words in names.items():
        for name in words.split():
            field_type = FIELD_TYPES[kind]
            if name in ("hubspot_owner_id", "roof_features") or (kind == "enumeration" and name.endswith("_ids")):
                field_type = "checkbox" if name != "hubspot_owner_id" else "select"
            elif kind == "string" and "phone" in name:
                field_type = "phonenumber"
            found[name] = Property(name, kind, field_type, name in custom or not name.startswith("hs_"))
    return dict(sorted(found.items()))


HOUSEKEEPING = {
    "number": "hs_object_id ",
    "string": "hs_object_source hs_object_source_detail_1 hs_object_source_id hs_object_source_label ",
    "enumeration": "hubspot_owner_id hs_merged_object_ids hs_all_owner_ids hs_all_team_ids hs_owning_teams ",
    "bool": "hs_read_only hs_was_imported ",
}

CONTACT = _properties(
    number=HOUSEKEEPING["number"]
    + "price lead_added_by lead_agent_id lead_call_screen_viewed_by lead_contact lead_copied_from_id lead_cost "
    "lead_cwp_client lead_dead_by lead_division lead_estimate_confirmed_by lead_express_consent_set_by "
    "lead_express_consent_source lead_express_consent_upload_file_id lead_id lead_invalid_address "
    "lead_is_carpentry_followup lead_is_dnc lead_is_dummy lead_is_estimate_confirmed lead_is_estimate_set "
    "lead_is_express_consent lead_is_express_consent_being_reviewed lead_is_high_potential "
    "lead_is_mobile_lead lead_is_valid_address lead_is_valid_email lead_is_year_built_verified lead_is_zillow "
    "lead_job_type lead_prospect_id lead_rating lead_salesrabbit_lead_id_new lead_source lead_status "
    "lead_substatus lead_type1 lead_type2 lead_type4 lead_with_dm hs_analytics_average_page_views "
    "hs_analytics_num_event_completions hs_analytics_num_page_views hs_analytics_num_visits "
    "hs_analytics_revenue hs_membership_has_accessed_private_content hs_predictivecontactscore_v2 "
    "hs_registered_member hs_prospecting_agent_total_enrolled_count num_conversion_events "
    "num_unique_conversion_events contact_id phone1_type phone2_type num_notes num_contacted_notes "
    "prospect_id prospect_add_user_id prospect_is_address_valid prospect_is_year_built_valid "
    "prospect_phone1_type prospect_phone2_type prospect_user_id prospect_year_built division_id associatedcompanyid "
    "roof_age_years gutter_feet stories window_count dog_count",
    string=HOUSEKEEPING["string"]
    + "address adgroupid ap_leadid campaign_content campaign_name city clickcheck clicktype comments division "
    "email firstname hs_google_click_id lastname lead_salesrabbit_lead_id marketsharp_id "
    "msm_source original_lead_source phone reference_code search_terms state tier trustedform_cert_url "
    "vendorleadid vertical zip lead_added_by_latitude lead_added_by_longitude lead_added_by_supervisor "
    "lead_address1 lead_agent_name lead_cdyne_county lead_city lead_copied_from_on lead_import_source "
    "lead_notes lead_phone1 lead_phone2 lead_phone3 lead_source_notes lead_state lead_year_built lead_zip "
    "dedupe_record_id hs_analytics_source hs_analytics_source_data_1 hs_analytics_source_data_2 "
    "hs_latest_source_data_1 hs_latest_source_data_2 hs_marketable_status hs_calculated_merged_vids "
    "hs_marketable_until_renewal hs_predictivescoringtier hs_timezone "
    "hs_updated_by_user_id hs_created_by_user_id hs_email_domain currentlyinworkflow "
    "sales_rabbit_lead_id contact_type prospect_phone1 prospect_marketsharp_id hge_secondary_source "
    "hge_primary_source service_of_interest canvasser canvasser_email canvasser_id country hatch_id address_url "
    "pet_name siding_color gate_code best_hours neighbor_reference",
    datetime="createdate lastmodifieddate original_lead_source_created lead_call_screen_viewed_on lead_dead_on "
    "lead_do_not_call_before lead_estimate_confirmed_on lead_express_consent_set_on lead_sourced_on "
    "lead_viewed_on hs_analytics_first_timestamp hs_latest_source_timestamp hs_v2_date_entered_lead "
    "notes_last_updated notes_last_contacted last_scheduled_appointment_start_time prospect_add_date",
    bool=HOUSEKEEPING["bool"] + "hs_currently_enrolled_in_prospecting_agent hs_is_unworked hoa_approval",
    enumeration=HOUSEKEEPING["enumeration"] + "lifecyclestage hs_latest_source roof_features",
    date="last_storm_date warranty_until",
)
COMPANY = _properties(
    number=HOUSEKEEPING["number"] + "annualrevenue numberofemployees crew_count",
    string=HOUSEKEEPING["string"] + "name domain phone address city state zip country industry description website",
    datetime="createdate hs_lastmodifieddate",
    bool=HOUSEKEEPING["bool"],
    enumeration=HOUSEKEEPING["enumeration"] + "lifecyclestage",
)
DEAL = _properties(
    number=HOUSEKEEPING["number"] + "amount amount_in_home_currency hs_forecast_amount roof_sqft",
    string=HOUSEKEEPING["string"] + "dealname description division priority deal_currency_code permit_number",
    datetime="createdate hs_lastmodifieddate closedate hs_closed_won_date",
    date="install_date",
    bool=HOUSEKEEPING["bool"] + "hs_is_closed hs_is_closed_won",
    enumeration=HOUSEKEEPING["enumeration"] + "dealstage dealtype pipeline",
)
LINE_ITEM = _properties(
    number=HOUSEKEEPING["number"] + "quantity price amount discount hs_product_id hs_cost_of_goods_sold",
    string=HOUSEKEEPING["string"] + "name description hs_sku hs_line_item_currency_code warehouse_bin",
    datetime="createdate hs_lastmodifieddate",
    bool=HOUSEKEEPING["bool"],
    enumeration=HOUSEKEEPING["enumeration"] + "hs_recurring_billing_period",
)
APPOINTMENT = _properties(
    number=HOUSEKEEPING["number"]
    + "hs_duration duration type_id complete_outcome_id complete_user_id confirm_user_id add_user_id "
    "marketing_task_id spouses_present year_built ladder_length_feet",
    string=HOUSEKEEPING["string"]
    + "appointment_id genius_appointment_id marketsharp_id hs_appointment_name hs_pipeline hs_pipeline_stage "
    "hs_created_by_user_id hs_object_source_detail_2 hs_object_source_detail_3 hs_object_source_user_id "
    "hs_unique_creation_key hs_updated_by_user_id first_name last_name email phone1 "
    "phone2 address1 address2 city state zip time appointment_status appointment_confirmed "
    "appointment_response cancel_reason div_cancel_reasons qc_cancel_reasons appointment_services "
    "lead_services product_interest_primary product_interest_secondary user_id canvasser canvasser_id "
    "canvasser_email hubspot_team_id division_id division primary_source secondary_source "
    "prospect_id prospect_source_id hscontact_id sourcefield type_id_text marketsharp_appt_type "
    "complete_outcome_id_text confirm_with arrivy_confirm_user arrivy_created_by arrivy_details arrivy_notes "
    "arrivy_object_id arrivy_result_full_string arrivy_salesrep_first_name arrivy_salesrep_last_name "
    "arrivy_status arrivy_status_title arrivy_user arrivy_user_divison_id arrivy_user_external_id "
    "arrivy_username salespro_both_homeowners salespro_consider_solar salespro_customer_id salespro_deadline "
    "salespro_deposit_type salespro_estimate_id salespro_fileurl_contract salespro_fileurl_estimate "
    "salespro_financing salespro_job_size salespro_job_type salespro_last_price_offered salespro_notes "
    "salespro_one_year_price salespro_preferred_payment salespro_requested_start salespro_result "
    "salespro_result_notes salespro_result_reason_demo salespro_result_reason_no_demo notes log title "
    "leap_estimate_id error_details tester_test created_by_make f9_tfuid genius_quote_id genius_prospect_id "
    "genius_quote_response genius_quote_response_status genius_response genius_response_status genius_resubmit "
    "attendees",
    datetime="hs_appointment_start hs_appointment_end hs_createdate hs_lastmodifieddate hubspot_owner_assigneddate "
    "complete_date confirm_date assign_date add_date arrivy_appt_date arrivy_confirm_date",
    date="date set_date",
    bool=HOUSEKEEPING["bool"] + "is_complete",
    enumeration=HOUSEKEEPING["enumeration"]
    + "hs_appointment_status hs_all_accessible_team_ids hs_all_assigned_business_unit_ids hs_shared_team_ids "
    "hs_shared_user_ids hs_user_ids_of_all_notification_followers hs_user_ids_of_all_notification_unfollowers "
    "hs_user_ids_of_all_owners",
)
CUSTOM_APPOINTMENT_NAMES = {
    "hs_appointment_name": "subject",
    "hs_appointment_start": "start_time",
    "hs_appointment_end": "end_time",
    "hs_appointment_status": "meeting_outcome",
}
"""What a portal calls on a custom object of its own what HubSpot's own appointment has under names of HubSpot's."""

CUSTOM_APPOINTMENT = {
    new: replace(each, name=new, custom=each.custom or new != name)
    for name, each in APPOINTMENT.items()
    if (new := CUSTOM_APPOINTMENT_NAMES.get(name, name)) != "hs_duration"
}
GENIUSUSER = _properties(
    number=HOUSEKEEPING["number"],
    string=HOUSEKEEPING["string"]
    + "arrivy_user_id division division_id division_name email firstname lastname is_active job_title name title_id "
    "user_account_type user_id user_status_inactive truck_number",
    datetime="hs_createdate hs_lastmodifieddate",
    bool=HOUSEKEEPING["bool"],
    enumeration=HOUSEKEEPING["enumeration"],
)
DIVISION = _properties(
    number=HOUSEKEEPING["number"],
    string=HOUSEKEEPING["string"]
    + "division_name division_label division_code hs_pipeline hs_pipeline_stage hs_created_by_user_id "
    "hs_unique_creation_key hs_updated_by_user_id status region manager_name manager_email phone address1 address2 "
    "city state zip",
    datetime="hs_createdate hs_lastmodifieddate",
    bool=HOUSEKEEPING["bool"],
    enumeration=HOUSEKEEPING["enumeration"],
)
ZIPCODE = _properties(
    number=HOUSEKEEPING["number"],
    string=HOUSEKEEPING["string"] + "zipcode division city county state",
    datetime="hs_createdate hs_lastmodifieddate",
    bool=HOUSEKEEPING["bool"],
    enumeration=HOUSEKEEPING["enumeration"],
)

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


def contact_formula(town: Town) -> Callable[[int, int, int], Properties]:
    def contact(number: int, created: int, modified: int) -> Properties:
        person = town.person(journey.original(number))
        double = journey.is_double(number)
        # A second contact of the same person was typed by somebody else, under another address.
        dice = town.dice("double", number) if double else person.dice
        place = person.place
        kind = dice[9]
        email = person.email.replace("@", ".home@") if double else person.email
        prospect = None if double else journey.genius_prospect(number)
        salesrabbit = None if double else str(journey.salesrabbit_lead(number))
        marketsharp = None if double else marketsharp_id(number)
        division = DIVISIONS[place.division]
        sourced = created - dice[10] * 6_000
        phone = spell_phone(person.phone, dice[11])
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
            "email": email if dice[12] > 12 else None,
            "firstname": person.nickname if double or dice[27] < 40 else person.first_name,
            "gutter_feet": str(dice[13]) if kind & 2 else "",
            "hoa_approval": ("true", "false", "", "false")[kind & 3],
            "hs_analytics_num_visits": str(kind % 9),
            "hs_analytics_source_data_1": TERMS[dice[14] % 7],
            "hubspot_owner_id": owner_of(person.number),
            "hs_email_domain": email.partition("@")[2],
            "hs_latest_source": OPTIONS["hs_latest_source"][dice[15] & 3],
            "hs_latest_source_timestamp": sourced_text,
            "lastname": misspell(person.last_name, dice[28]),
            "last_storm_date": day(created - DAY_MS * dice[16]),
            "lead_address1": person.street.upper(),
            "lead_city": place.city,
            "lead_cost": f"{dice[17]}.{dice[18] % 100:02d}" if dice[18] > 15 else "",
            "lead_division": str(place.division + 1),
            "lead_id": str(3_000_000 + number),
            "lead_is_dnc": "1" if person.do_not_call and kind < 200 else "0",
            "lead_notes": f"{person.year_built} house, {1 + kind % 3} stories\ndog: {PETS[dice[19] & 7]}",
            "lead_phone1": person.phone[2:],
            "lead_rating": str(kind % 5),
            "lead_prospect_id": None if prospect is None else str(prospect),
            "lead_salesrabbit_lead_id": salesrabbit if kind & 4 else None,
            "lead_salesrabbit_lead_id_new": salesrabbit if kind & 4 and kind & 1 else None,
            "lead_source": str(dice[19] & 7),
            "lead_sourced_on": str(sourced) if dice[21] < 4 else sourced_text,
            "lead_state": "OH",
            "lead_status": str(1 + kind % 12),
            "lead_year_built": str(person.year_built),
            "lead_zip": place.zip,
            "lifecyclestage": OPTIONS["lifecyclestage"][3 if journey.sold(number) else 2 if prospect else dice[22] & 1],
            "marketsharp_id": marketsharp.upper() if marketsharp and kind & 8 else None,
            "original_lead_source": person.source,
            "hge_primary_source": person.source,
            "pet_name": PETS[dice[19] & 7],
            "phone": phone,
            "price": f"{dice[23] * 97}.00" if kind & 16 else None,
            "prospect_id": None if prospect is None else str(prospect),
            "prospect_marketsharp_id": marketsharp if prospect and kind & 8 else None,
            "reference_code": journey.reference(number),
            "roof_age_years": str(dice[24] % 60),
            "sales_rabbit_lead_id": salesrabbit if kind & 4 and kind & 2 else None,
            "roof_features": (";skylight;chimney", "solar", "chimney;valley", "")[dice[25] & 3],
            "search_terms": TERMS[dice[14] % 7],
            "siding_color": ("white", "sage", "grey", "brick")[dice[26] & 3],
            "state": "OH" if kind & 32 else "Ohio",
            "stories": str(1 + kind % 3),
            "tier": "ABC"[kind % 3],
            "vendorleadid": f"V{number:08d}",
            "zip": place.zip,
        }

    return contact


def company_formula(town: Town) -> Callable[[int, int, int], Properties]:
    def company(number: int, created: int, modified: int) -> Properties:
        owner = town.person(number * 10)
        place = owner.place
        name = f"{owner.last_name} {('Roofing', 'Builders', 'Homes', 'Property Co.')[owner.dice[13] & 3]}"
        return {
            "name": name,
            "domain": f"company{number}.example.test",
            "phone": spell_phone(owner.phone, owner.dice[14]),
            "address": owner.street,
            "city": place.city,
            "state": "OH",
            "zip": place.zip,
            "country": "United States",
            "industry": "CONSTRUCTION",
            "annualrevenue": str(owner.dice[15] * 10_000) if owner.dice[15] & 1 else "",
            "numberofemployees": str(owner.dice[16]),
            "crew_count": str(owner.dice[17] % 9),
            "lifecyclestage": "customer",
            "hubspot_owner_id": owner_of(owner.number),
        }

    return company


def deal_formula(town: Town, contact_of: Callable[[int], int]) -> Callable[[int, int, int], Properties]:
    def deal(number: int, created: int, modified: int) -> Properties:
        person = town.person(contact_of(number))
        dice = town.dice("deal", number)
        won = journey.sold(person.number)
        stage = "closedwon" if won else STAGES[(0, 1, 2, 4)[dice[0] & 3]][0]
        closed = stage.startswith("closed")
        return {
            "dealname": f"{person.last_name} - {PRODUCTS[dice[1] % 6]}",
            "amount": f"{dice[2] * 130 + dice[3]}.{dice[4] % 100:02d}" if dice[4] > 10 else "",
            "closedate": iso(modified) if closed else iso(created + dice[5] * DAY_MS) if dice[5] > 40 else None,
            "hs_closed_won_date": iso(modified) if won else None,
            "dealstage": stage,
            "dealtype": OPTIONS["dealtype"][dice[6] & 1],
            "pipeline": "default",
            "description": f"Quote for {person.street}\n{person.place.city}, OH",
            "division": DIVISIONS[person.place.division],
            "priority": ("low", "medium", "high", None)[dice[7] & 3],
            "hubspot_owner_id": owner_of(person.number),
            "deal_currency_code": "USD",
            "hs_is_closed": "true" if closed else "false",
            "hs_is_closed_won": "true" if stage == "closedwon" else "false",
            "install_date": day(created + 60 * DAY_MS),
            "roof_sqft": str(900 + dice[9] * 7),
            "permit_number": f"OH-{number:06d}",
        }

    return deal


def line_item_formula(town: Town) -> Callable[[int, int, int], Properties]:
    def line_item(number: int, created: int, modified: int) -> Properties:
        dice = town.dice("line_item", number)
        quantity = 1 + dice[0] % 40
        cents = 500 + dice[1] * 111
        return {
            "name": PRODUCTS[dice[2] % 6],
            "quantity": str(quantity),
            "price": f"{cents // 100}.{cents % 100:02d}",
            "amount": f"{quantity * cents // 100}.{quantity * cents % 100:02d}",
            "discount": "" if dice[3] > 40 else str(dice[3]),
            "hs_product_id": str(64_000 + dice[2] % 6),
            "hs_sku": f"SKU-{dice[2] % 6:03d}",
            "hs_line_item_currency_code": "USD",
            "warehouse_bin": f"{'ABCD'[dice[4] & 3]}{dice[5]}",
        }

    return line_item


def appointment_formula(town: Town, journeys: Journeys) -> Callable[[int, int, int], Properties]:
    def appointment(number: int, created: int, modified: int) -> Properties:
        person = town.person(2 * number)
        dice = town.dice("appointment", number)
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
            "salespro_customer_id": journey.salespro_id("cus", town.seed, number) if done else None,
            "salespro_estimate_id": journey.salespro_id("est", town.seed, number) if done else None,
            "hs_appointment_name": f"{person.name} - {PRODUCTS[dice[2] % 6]}",
            "hs_appointment_start": iso(start),
            "hs_appointment_end": iso(start + 5_400_000),
            "hs_appointment_status": "COMPLETED" if done else "SCHEDULED",
            "hs_duration": "5400000",
            "duration": "90" if dice[3] > 20 else "",
            "hs_pipeline": "default",
            "hs_pipeline_stage": "2" if done else "1",
            "attendees": _encode([{"name": person.name, "email": person.email}]).decode() if dice[10] & 1 else "",
            "first_name": person.first_name,
            "last_name": person.last_name,
            "email": person.email,
            "phone1": spell_phone(person.phone, dice[4]),
            "phone2": "",
            "address1": person.street,
            "city": place.city,
            "state": "OH",
            "zip": place.zip,
            "date": day(start),
            "time": iso(start)[11:19],
            "appointment_status": "Complete" if done else "Set",
            "appointment_confirmed": "Yes" if dice[5] & 1 else "No",
            "is_complete": "true" if done else "false",
            "complete_date": iso(start + 5_400_000) if done else None,
            "complete_outcome_id": str(dice[6] % 14) if done else "",
            "confirm_date": iso(start - DAY_MS),
            "add_date": iso(created),
            "set_date": day(created),
            "add_user_id": str(dice[7]),
            "division": DIVISIONS[place.division],
            "division_id": str(place.division + 1),
            "primary_source": person.source,
            "secondary_source": None,
            "hscontact_id": journey.hubspot_contact(person.number),
            "marketing_task_id": str(dice[9]),
            "spouses_present": str(dice[10] & 1),
            "year_built": str(person.year_built),
            "notes": f"Two owners.\nGate code {dice[11]}.",
            "salespro_result": ("Sale" if sold else "No sale") if done else "",
            "salespro_last_price_offered": f"${dice[13] * 101:,}",
            "type_id": str(1 + dice[14] % 4),
            "type_id_text": "Estimate",
            "hubspot_owner_id": owner_of(person.number),
            "hs_all_owner_ids": f";{owner_of(person.number)};{owner_of(person.number + 1)}",
            "ladder_length_feet": str(16 + dice[16] % 24),
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


def geniususer_formula(town: Town) -> Callable[[int, int, int], Properties]:
    def geniususer(number: int, created: int, modified: int) -> Properties:
        dice = town.dice("geniususer", number)
        person = town.employee(1 + number)
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
            "job_title": ("Canvasser", "Estimator", "Installer", "Manager")[dice[1] & 3],
            "title_id": str(1 + dice[1] % 4),
            "user_account_type": "Standard",
            "user_status_inactive": "1" if dice[2] < 30 else "0",
            "is_active": "false" if dice[2] < 30 else "true",
            "arrivy_user_id": str(80_000 + number),
            "truck_number": f"T{number:02d}",
        }

    return geniususer


def division_formula(town: Town) -> Callable[[int, int, int], Properties]:
    def division(number: int, created: int, modified: int) -> Properties:
        name = DIVISIONS[number % len(DIVISIONS)]
        place = next(place for place in PLACES if place.city == name)
        manager = town.person(number)
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


CUSTOM_IDS = {"geniususers": 1, "divisions": 2, "zipcodes": 3, "custom_appointments": 4}


def object_types(town: Town, journeys: Journeys, contacts: int, appointment: str) -> dict[str, ObjectType]:
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
            contact_formula(town),
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
            company_formula(town),
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
            deal_formula(town, contact_of_deal),
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
            line_item_formula(town),
            "createdate",
            can_merge=False,
        ),
        ObjectType(
            properties=GENIUSUSER,
            default_properties=own,
            search_text=("name", "email"),
            count=40,
            first_id=9_981,
            formula=geniususer_formula(town),
            **custom("geniususers", "geniususer"),
        ),
        ObjectType(
            properties=DIVISION,
            default_properties=own,
            search_text=("division_name",),
            count=len(DIVISIONS),
            first_id=998,
            formula=division_formula(town),
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
    formula = appointment_formula(town, journeys)
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
