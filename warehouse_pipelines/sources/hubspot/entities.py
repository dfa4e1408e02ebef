"""HubSpot: the entities, and the source.

Columns are those that installations hold under the names of the specification, one for each property, all of them
below ``properties``; what a portal has beside them is in ``custom_properties``. Every value comes as text, a choice
of several as ``a;b;c``. A number, a date or a yes/no may hold junk: the column is then null, the record is loaded
and warned about, and the text remains in ``raw_data``; only an unreadable cursor costs the record.

Contacts are the one type whose cursor is ``lastmodifieddate``. The overlap of an hour is for the search index, which
shows a change seconds to many minutes late. An appointment's ``meeting_outcome`` is its ``hs_appointment_status``
(SCHEDULED, COMPLETED, NO_SHOW, ...), the only outcome that the standard object has.

Left out: ``deal_name`` (it is ``dealname``), and the appointment's and division's names beside those that the
specification gives them. Verified against: the simulator only; no live portal has been read yet.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

import msgspec

from warehouse_pipelines.entity import Column, Entity, Extraction, Source, Window, columns
from warehouse_pipelines.rules import Rule, not_negative
from warehouse_pipelines.sources.hubspot.answers import Answer
from warehouse_pipelines.sources.hubspot.fetch import OBJECTS, PAIRS, Settings, client, fetch

QUARTER = timedelta(minutes=15)
HOUR = timedelta(hours=1)

OF_OBJECTS = """
    hs_all_accessible_team_ids hs_all_assigned_business_unit_ids hs_all_owner_ids hs_all_team_ids
    hs_created_by_user_id hs_object_source hs_object_source_detail_1 hs_object_source_detail_2
    hs_object_source_detail_3 hs_object_source_id hs_object_source_label hs_object_source_user_id
    hs_owning_teams hs_pipeline hs_pipeline_stage hs_shared_team_ids hs_shared_user_ids
    hs_unique_creation_key hs_updated_by_user_id hs_user_ids_of_all_notification_followers
    hs_user_ids_of_all_notification_unfollowers hs_user_ids_of_all_owners
"""
"""Text that HubSpot itself keeps on custom objects and appointments."""


def _object(
    name: str,
    table: str,
    about: str,
    *,
    path: str,
    created: str = "hs_createdate",
    modified: str = "hs_lastmodifieddate",
    every: timedelta = HOUR,
    index: str = "",
    rules: tuple[Rule, ...] = (),
    **names_by_kind: str,
) -> Entity:
    """Return the row of a CRM object; ``names_by_kind`` are properties, ``created`` may rename one (``to=from``)."""
    own: Mapping[str, Column] = columns(
        **names_by_kind
        | {
            "id": f"hs_object_id {names_by_kind.get('id', '')}",
            "timestamptz": f"{created} {modified} {names_by_kind.get('timestamptz', '')}",
            "text": f"{names_by_kind.get('text', '')} hs_merged_object_ids",
        }
    )
    return Entity(
        name=name,
        table=table,
        about=about,
        path=path,
        key="id",
        cursor=modified,
        overlap=HOUR,
        days_since=date(2024, 1, 1),
        archived="archived",
        archived_at="archivedAt",
        merged="hs_merged_object_ids",
        custom="properties",
        index=index,
        rules=rules,
        every=every,
        columns={
            **columns(id="id"),
            **{own_name: Column(kind, f"properties.{path}") for own_name, (kind, path) in own.items()},
        },
    )


CONTACTS = _object(
    "contacts",
    "hubspot_contact",
    "People: leads and customers, with what SalesRabbit and the call center know of them (lead_*).",
    path="contacts",
    created="createdate",
    modified="lastmodifieddate",
    every=QUARTER,
    index="email phone lead_id division createdate",
    text="""
        address adgroupid ap_leadid campaign_content campaign_name city clickcheck clicktype comments division
        firstname hs_google_click_id lastname lead_salesrabbit_lead_id marketsharp_id msm_source
        original_lead_source reference_code search_terms state tier vendorleadid vertical zip
        lead_added_by_latitude lead_added_by_longitude lead_added_by_supervisor lead_address1 lead_agent_name
        lead_cdyne_county lead_city lead_copied_from_on lead_import_source lead_notes lead_source_notes
        lead_state lead_year_built lead_zip dedupe_record_id hs_analytics_source hs_analytics_source_data_1
        hs_analytics_source_data_2 hs_latest_source hs_latest_source_data_1 hs_latest_source_data_2
        hs_marketable_status hs_marketable_until_renewal hs_object_source_label hs_predictivescoringtier
        hs_timezone hs_updated_by_user_id hs_created_by_user_id hs_email_domain lifecyclestage
        currentlyinworkflow sales_rabbit_lead_id contact_type prospect_marketsharp_id hge_secondary_source
        hge_primary_source service_of_interest canvasser canvasser_id country hatch_id hs_lead_status
        hubspot_owner_id associatedcompanyid hs_calculated_merged_vids
    """,
    email="email canvasser_email",
    phone="phone lead_phone1 lead_phone2 lead_phone3 prospect_phone1 mobilephone",
    url="trustedform_cert_url address_url",
    boolean="hs_currently_enrolled_in_prospecting_agent hs_is_unworked",
    integer="""
        lead_added_by lead_agent_id lead_call_screen_viewed_by lead_contact lead_copied_from_id lead_cwp_client
        lead_dead_by lead_division lead_estimate_confirmed_by lead_express_consent_set_by
        lead_express_consent_source lead_express_consent_upload_file_id lead_id lead_invalid_address
        lead_is_carpentry_followup lead_is_dnc lead_is_dummy lead_is_estimate_confirmed lead_is_estimate_set
        lead_is_express_consent lead_is_express_consent_being_reviewed lead_is_high_potential
        lead_is_mobile_lead lead_is_valid_address lead_is_valid_email lead_is_year_built_verified
        lead_is_zillow lead_job_type lead_prospect_id lead_rating lead_salesrabbit_lead_id_new lead_source
        lead_status lead_substatus lead_type1 lead_type2 lead_type4 lead_with_dm
        hs_analytics_average_page_views hs_analytics_num_event_completions hs_analytics_num_page_views
        hs_analytics_num_visits hs_membership_has_accessed_private_content hs_registered_member
        hs_prospecting_agent_total_enrolled_count num_conversion_events num_unique_conversion_events contact_id
        phone1_type phone2_type num_notes num_contacted_notes prospect_id prospect_add_user_id
        prospect_is_address_valid prospect_is_year_built_valid prospect_phone1_type prospect_phone2_type
        prospect_user_id prospect_year_built division_id
    """,
    numeric="price lead_cost hs_analytics_revenue hs_predictivecontactscore_v2",
    timestamptz="""
        original_lead_source_created lead_call_screen_viewed_on lead_dead_on lead_do_not_call_before
        lead_estimate_confirmed_on lead_express_consent_set_on lead_sourced_on lead_viewed_on
        hs_analytics_first_timestamp hs_latest_source_timestamp hs_v2_date_entered_lead notes_last_updated
        notes_last_contacted last_scheduled_appointment_start_time prospect_add_date
    """,
)

DEALS = _object(
    "deals",
    "hubspot_deal",
    "Opportunities and what they are worth.",
    path="deals",
    created="createdate",
    every=QUARTER,
    rules=(not_negative("amount"),),
    text="""
        dealname dealstage dealtype description hubspot_owner_id pipeline division priority=hs_priority
        deal_currency_code
    """,
    numeric="amount",
    timestamptz="closedate",
)

COMPANIES = _object(
    "companies",
    "hubspot_company",
    "Organisations that contacts and deals belong to.",
    path="companies",
    created="createdate",
    text="""
        name domain address address2 city state zip country industry type description lifecyclestage
        hubspot_owner_id
    """,
    phone="phone",
    url="website",
    integer="numberofemployees",
    numeric="annualrevenue",
)

LINE_ITEMS = _object(
    "line_items",
    "hubspot_line_item",
    "What a deal consists of.",
    path="line_items",
    created="createdate",
    text="name description hs_product_id hs_sku hs_line_item_currency_code hs_recurring_billing_period",
    numeric="quantity price amount discount",
)

APPOINTMENTS = _object(
    "appointments",
    "hubspot_appointment",
    "Visits at a customer's home: a custom object where the portal has one, else HubSpot's own appointment.",
    path="custom:appointment",
    created="createdate=hs_createdate",
    every=QUARTER,
    text=OF_OBJECTS
    + """
        subject=hs_appointment_name meeting_outcome=hs_appointment_status appointment_id genius_appointment_id
        marketsharp_id first_name last_name address1 address2 city state zip time appointment_status
        appointment_confirmed appointment_response cancel_reason div_cancel_reasons qc_cancel_reasons
        appointment_services lead_services product_interest_primary product_interest_secondary user_id
        canvasser canvasser_id hubspot_owner_id hubspot_team_id division_id division primary_source
        secondary_source prospect_id prospect_source_id hscontact_id sourcefield type_id_text
        marketsharp_appt_type complete_outcome_id_text confirm_with arrivy_confirm_user arrivy_created_by
        arrivy_details arrivy_notes arrivy_object_id arrivy_result_full_string arrivy_salesrep_first_name
        arrivy_salesrep_last_name arrivy_status arrivy_status_title arrivy_user arrivy_user_divison_id
        arrivy_user_external_id arrivy_username salespro_both_homeowners salespro_consider_solar
        salespro_customer_id salespro_deadline salespro_deposit_type salespro_estimate_id salespro_financing
        salespro_job_size salespro_job_type salespro_last_price_offered salespro_notes salespro_one_year_price
        salespro_preferred_payment salespro_requested_start salespro_result salespro_result_notes
        salespro_result_reason_demo salespro_result_reason_no_demo notes log title leap_estimate_id
        error_details tester_test created_by_make f9_tfuid genius_quote_id genius_prospect_id
        genius_quote_response genius_quote_response_status genius_response genius_response_status
        genius_resubmit
    """,
    email="email canvasser_email",
    phone="phone1 phone2",
    url="salespro_fileurl_contract salespro_fileurl_estimate",
    boolean="is_complete hs_read_only hs_was_imported",
    integer="""
        hs_duration duration type_id complete_outcome_id complete_user_id confirm_user_id add_user_id
        marketing_task_id spouses_present year_built
    """,
    date="date set_date",
    timestamptz="""
        start_time=hs_appointment_start end_time=hs_appointment_end hubspot_owner_assigneddate complete_date
        confirm_date assign_date add_date arrivy_appt_date arrivy_confirm_date
    """,
    jsonb="attendees",
)

GENIUSUSERS = _object(
    "geniususers",
    "hubspot_geniususer",
    "The users of Genius, as a custom object.",
    path="custom:geniususer",
    text="""
        name firstname lastname division division_id division_name arrivy_user_id job_title title_id
        user_account_type user_id user_status_inactive
    """,
    email="email",
    boolean="is_active",
)

DIVISIONS = _object(
    "divisions",
    "hubspot_division",
    "The divisions of the business, as a custom object.",
    path="custom:division",
    text=OF_OBJECTS
    + """
        name=division_name division_label code=division_code status region manager_name address1 address2 city
        state zip
    """,
    email="manager_email",
    phone="phone",
    boolean="hs_read_only hs_was_imported",
)

ZIPCODES = _object(
    "zipcodes",
    "hubspot_zipcode",
    "The postal codes that are served, and by which division, as a custom object.",
    path="custom:zipcode",
    text="zipcode city county state division",
)


def _association(name: str, table: str, about: str, *, path: str, found: str, found_table: str) -> Entity:
    """Return the row of the pairs of contacts and another type; the records are built by ``fetch``."""
    return Entity(
        name=name,
        table=table,
        about=about,
        path=path,
        key=f"contact_id {found} association_type_id",
        page_size=PAIRS,
        parent="hubspot_contact",
        index=found,
        refs={"contact_id": "hubspot_contact", found: found_table},
        columns=columns(id=f"contact_id {found}", integer="association_type_id", text="category label"),
    )


CONTACT_TO_DEAL = _association(
    "contact_to_deal_associations",
    "hubspot_contact_to_deal_association",
    "Which contact belongs to which deal, and as what.",
    path="contacts/deals",
    found="deal_id",
    found_table="hubspot_deal",
)

CONTACT_TO_COMPANY = _association(
    "contact_to_company_associations",
    "hubspot_contact_to_company_association",
    "Which contact belongs to which company, and as what; the primary company has the label Primary.",
    path="contacts/companies",
    found="company_id",
    found_table="hubspot_company",
)


def check() -> str:
    """Ask for one contact."""
    extraction = Extraction(entity=CONTACTS, window=Window(None, datetime.now(UTC)))
    client(extraction, Settings()).get(f"{OBJECTS}/contacts", Answer[msgspec.Raw], params={"limit": "1"})
    return "HubSpot answers: the token may read contacts"


HUBSPOT = Source(
    name="hubspot",
    title="HubSpot",
    transport="api",
    settings=Settings,
    fetch=fetch,
    check=check,
    entities=(
        CONTACTS,
        DEALS,
        COMPANIES,
        LINE_ITEMS,
        APPOINTMENTS,
        GENIUSUSERS,
        DIVISIONS,
        ZIPCODES,
        CONTACT_TO_DEAL,
        CONTACT_TO_COMPANY,
    ),
)
