"""The properties of the simulated portal's object types, and how the portal describes one.

Names of properties are those that deployed portals of such customers have, many of them empty everywhere, and a dozen
that no catalogue knows (`roof_age_years`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

Properties = dict[str, str | None]

OPTIONS = {
    "lifecyclestage": ("subscriber", "lead", "opportunity", "customer"),
    "dealtype": ("newbusiness", "existingbusiness"),
    "hs_appointment_status": ("SCHEDULED", "COMPLETED", "CANCELED"),
    "roof_features": ("skylight", "chimney", "solar", "valley"),
    "hs_latest_source": ("ORGANIC_SEARCH", "PAID_SEARCH", "OFFLINE", "DIRECT_TRAFFIC"),
}

FIELD_TYPES = {"string": "text", "number": "number", "bool": "booleancheckbox", "enumeration": "select"}
FIELD_TYPES |= {"date": "date", "datetime": "date", "phone_number": "phonenumber"}


@dataclass(frozen=True)
class Property:
    name: str
    type: str
    field_type: str
    custom: bool = False
    unique: bool = False

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
            "hasUniqueValue": self.unique,
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
