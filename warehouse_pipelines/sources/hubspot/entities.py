"""HubSpot: the entities, and the source.

Columns are those that installations hold, one for each property, all of them below ``properties``; what a portal has
beside them is in ``custom_properties``. Every value comes as text, a choice of several as ``a;b;c``. A number, a date
or a yes/no may hold junk: the column is then null, the record is loaded and warned about, and the text remains in
``raw_data``; only an unreadable cursor costs the record.

Contacts are the one type whose cursor is ``lastmodifieddate``. The overlap of an hour is for the search index, which
shows a change seconds to many minutes late.

A column whose name is the warehouse's and not HubSpot's has two properties: one of the column's own name, which a
portal may have added, and after it HubSpot's. The second stands in where the first is not there or is empty, so an
emptied ``subject`` shows ``hs_appointment_name`` in a portal that has both; whoever wants it empty then maps it to
``subject`` alone (``column_config``), and ``warehouse check hubspot`` names the columns concerned.
HubSpot's own appointment has no other outcome than ``hs_appointment_status`` (SCHEDULED, COMPLETED, NO_SHOW, ...), and
no attendees: that column is filled where a portal has such a property.

Of contacts HubSpot moves ``lastmodifieddate`` when the warehouse writes golden id, score and do-not-call there
(``outbound.targets``), which is no edit: ``WRITTEN_BACK``. Of the custom objects that it writes, no time says anything
of a customer.

Left out: ``deal_name`` (it is ``dealname``), and the appointment's and division's names beside those of the warehouse.
Verified against: the simulator only; no live portal has been read yet.
"""

from collections.abc import Mapping
from datetime import date, timedelta

from warehouse_pipelines.model.cadence import Cadence
from warehouse_pipelines.model.deletes import Deletes
from warehouse_pipelines.model.entity import DAY, Column, Entity, columns
from warehouse_pipelines.model.rules import Rule, not_negative
from warehouse_pipelines.sources.hubspot.associations import PAIRS
from warehouse_pipelines.sources.hubspot.properties import below_properties

QUARTER = timedelta(minutes=15)
HOUR = timedelta(hours=1)
WEEK = timedelta(days=7)

OF_OBJECTS = """
    hs_all_accessible_team_ids hs_all_assigned_business_unit_ids hs_all_owner_ids hs_all_team_ids
    hs_created_by_user_id hs_object_source hs_object_source_detail_1 hs_object_source_detail_2
    hs_object_source_detail_3 hs_object_source_id hs_object_source_label hs_object_source_user_id
    hs_owning_teams hs_pipeline hs_pipeline_stage hs_shared_team_ids hs_shared_user_ids
    hs_unique_creation_key hs_updated_by_user_id hs_user_ids_of_all_notification_followers
    hs_user_ids_of_all_notification_unfollowers hs_user_ids_of_all_owners
"""
"""Text that HubSpot itself keeps on custom objects and appointments."""


WRITTEN_BACK = (
    "genius_golden_id", "genius_lead_score", "genius_do_not_call",
    "hs_updated_by_user_id", "hs_lastmodifieddate", "currentlyinworkflow",
)  # fmt: skip
"""Of contacts: what the warehouse writes, and what HubSpot notes of a write and of the workflow that it begins."""


def _object(
    name: str,
    table: str,
    about: str,
    *,
    path: str,
    created: str = "hs_createdate",
    modified: str = "hs_lastmodifieddate",
    every: timedelta = HOUR,
    full_every: timedelta = DAY,
    written_back: tuple[str, ...] = (),
    index: str = "",
    refs: Mapping[str, str] | None = None,
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
        cadence=Cadence(
            every=every,
            with_webhooks=HOUR if every < HOUR else None,
            overlap=HOUR,
            full_every=full_every,
            backfill_since=date(2024, 1, 1),
        ),
        deletes=Deletes(flag="archived", time="archivedAt", merged_keys="hs_merged_object_ids"),
        custom="properties",
        written_back=written_back,
        index=index,
        refs=refs or {},
        rules=rules,
        columns={
            **columns(id="id"),
            **{name: Column(column.kind, below_properties(column.paths)) for name, column in own.items()},
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
    written_back=WRITTEN_BACK,
    index="email phone lead_id division createdate",
    refs={
        "hubspot_owner_id": "hubspot_owner",
        "lead_salesrabbit_lead_id": "salesrabbit_lead",
        "lead_salesrabbit_lead_id_new": "salesrabbit_lead",
        "sales_rabbit_lead_id": "salesrabbit_lead",
        "marketsharp_id": "marketsharp_contact",
        "prospect_marketsharp_id": "marketsharp_contact",
        "prospect_id": "genius_prospect",
    },
    id="marketsharp_id prospect_marketsharp_id",
    text="""
        address adgroupid ap_leadid campaign_content campaign_name city clickcheck clicktype comments division
        firstname hs_google_click_id lastname msm_source
        original_lead_source reference_code search_terms state tier vendorleadid vertical zip
        lead_added_by_latitude lead_added_by_longitude lead_added_by_supervisor lead_address1 lead_agent_name
        lead_cdyne_county lead_city lead_copied_from_on lead_import_source lead_notes lead_source_notes
        lead_state lead_year_built lead_zip dedupe_record_id hs_analytics_source hs_analytics_source_data_1
        hs_analytics_source_data_2 hs_latest_source hs_latest_source_data_1 hs_latest_source_data_2
        hs_marketable_status hs_marketable_until_renewal hs_object_source_label hs_predictivescoringtier
        hs_timezone hs_updated_by_user_id hs_created_by_user_id hs_email_domain lifecyclestage
        currentlyinworkflow contact_type hge_secondary_source
        hge_primary_source service_of_interest canvasser canvasser_id country hatch_id hs_lead_status
        hubspot_owner_id associatedcompanyid hs_calculated_merged_vids
    """,
    email="email canvasser_email",
    phone="phone lead_phone1 lead_phone2 lead_phone3 prospect_phone1 mobilephone",
    url="trustedform_cert_url address_url",
    boolean="""
        hs_currently_enrolled_in_prospecting_agent hs_is_unworked lead_is_carpentry_followup lead_is_dnc
        lead_is_dummy lead_is_estimate_confirmed lead_is_estimate_set lead_is_express_consent
        lead_is_express_consent_being_reviewed lead_is_high_potential lead_is_mobile_lead lead_is_valid_address
        lead_is_valid_email lead_is_year_built_verified lead_is_zillow prospect_is_address_valid
        prospect_is_year_built_valid
    """,
    integer="""
        lead_added_by lead_agent_id lead_call_screen_viewed_by lead_contact lead_copied_from_id lead_cwp_client
        lead_dead_by lead_division lead_estimate_confirmed_by lead_express_consent_set_by
        lead_express_consent_source lead_express_consent_upload_file_id lead_id lead_invalid_address lead_job_type
        lead_prospect_id lead_rating lead_salesrabbit_lead_id lead_salesrabbit_lead_id_new sales_rabbit_lead_id
        lead_source lead_status lead_substatus lead_type1 lead_type2 lead_type4 lead_with_dm
        hs_analytics_average_page_views hs_analytics_num_event_completions hs_analytics_num_page_views
        hs_analytics_num_visits hs_membership_has_accessed_private_content hs_registered_member
        hs_prospecting_agent_total_enrolled_count num_conversion_events num_unique_conversion_events contact_id
        phone1_type phone2_type num_notes num_contacted_notes prospect_id prospect_add_user_id prospect_phone1_type
        prospect_phone2_type prospect_user_id prospect_year_built division_id
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
    full_every=WEEK,
    created="createdate",
    every=QUARTER,
    refs={
        "hubspot_owner_id": "hubspot_owner",
        "pipeline": "hubspot_pipeline",
        "dealstage": "hubspot_pipeline_stage",
    },
    rules=(not_negative("amount", "warn"),),
    text="""
        dealname dealstage dealtype description hubspot_owner_id pipeline division priority=priority|hs_priority
        deal_currency_code
    """,
    numeric="amount amount_in_home_currency",
    timestamptz="closedate",
)

COMPANIES = _object(
    "companies",
    "hubspot_company",
    "Organisations that contacts and deals belong to.",
    path="companies",
    full_every=WEEK,
    created="createdate",
    refs={"hubspot_owner_id": "hubspot_owner"},
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
    full_every=WEEK,
    created="createdate",
    text="name description hs_product_id hs_sku hs_line_item_currency_code hs_recurring_billing_period",
    numeric="quantity price amount discount",
)

APPOINTMENTS = _object(
    "appointments",
    "hubspot_appointment",
    "Visits at a customer's home: a custom object where the portal has one, else HubSpot's own appointment. "
    "`attendees` is null where the portal has no property of that name, as HubSpot's own appointment has none; "
    "who is expected is then in `hubspot_appointment_to_contact_association`.",
    path="custom:appointment",
    created="createdate=createdate|hs_createdate",
    every=QUARTER,
    refs={
        "hubspot_owner_id": "hubspot_owner",
        "genius_appointment_id": "genius_appointment",
        "prospect_id": "genius_prospect",
        "user_id": "genius_user",
        "division_id": "genius_division",
        "hscontact_id": "hubspot_contact",
        "salespro_customer_id": "salespro_customer",
        "salespro_estimate_id": "salespro_estimate",
    },
    text=OF_OBJECTS
    + """
        subject=subject|hs_appointment_name meeting_outcome=meeting_outcome|hs_appointment_status appointment_id
        marketsharp_id first_name last_name address1 address2 city state zip time appointment_status
        appointment_confirmed appointment_response cancel_reason div_cancel_reasons qc_cancel_reasons
        appointment_services lead_services product_interest_primary product_interest_secondary
        canvasser canvasser_id hubspot_owner_id hubspot_team_id division primary_source
        secondary_source prospect_source_id hscontact_id sourcefield type_id_text
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
        genius_appointment_id prospect_id user_id division_id hs_duration duration type_id complete_outcome_id
        complete_user_id confirm_user_id add_user_id marketing_task_id spouses_present year_built
    """,
    date="date set_date",
    timestamptz="""
        start_time=start_time|hs_appointment_start end_time=end_time|hs_appointment_end hubspot_owner_assigneddate
        complete_date confirm_date assign_date add_date arrivy_appt_date arrivy_confirm_date
    """,
    jsonb="attendees",
)

GENIUSUSERS = _object(
    "geniususers",
    "hubspot_geniususer",
    "The users of Genius, as a custom object.",
    path="custom:geniususer",
    refs={"user_id": "genius_user", "division_id": "genius_division", "title_id": "genius_user_title"},
    text="""
        name firstname lastname division division_name arrivy_user_id job_title user_account_type user_status_inactive
    """,
    integer="user_id division_id title_id",
    email="email",
    boolean="is_active",
)

DIVISIONS = _object(
    "divisions",
    "hubspot_division",
    "The divisions of the business, as a custom object.",
    path="custom:division",
    # No id of Genius is kept with a division; the two are alike in their names.
    refs={"name": "genius_division(label)"},
    text=OF_OBJECTS
    + """
        name=name|division_name division_label code=code|division_code status region manager_name address1 address2 city
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


def _association(
    name: str, table: str, about: str, *, path: str, asked: str, parent: str, found: str, found_table: str
) -> Entity:
    """Return the row of the pairs of two types; ``fetch`` builds the records, for each living row of ``parent``."""
    return Entity(
        name=name,
        table=table,
        about=about,
        path=path,
        key=f"{asked} {found} association_type_id",
        page_size=PAIRS,
        parent=parent,
        index=found,
        refs={asked: parent, found: found_table},
        columns=columns(id=f"{asked} {found}", integer="association_type_id", text="category label"),
    )


CONTACT_TO_DEAL = _association(
    "contact_to_deal_associations",
    "hubspot_contact_to_deal_association",
    "Which contact belongs to which deal, and as what.",
    path="contacts/deals",
    asked="contact_id",
    parent="hubspot_contact",
    found="deal_id",
    found_table="hubspot_deal",
)

CONTACT_TO_COMPANY = _association(
    "contact_to_company_associations",
    "hubspot_contact_to_company_association",
    "Which contact belongs to which company, and as what; the primary company has the label Primary.",
    path="contacts/companies",
    asked="contact_id",
    parent="hubspot_contact",
    found="company_id",
    found_table="hubspot_company",
)

CONTACT_TO_DIVISION = _association(
    "contact_to_division_associations",
    "hubspot_contact_to_division_association",
    "Which contact belongs to which division, and as what; `division_id` is HubSpot's id of the division.",
    path="contacts/custom:division",
    asked="contact_id",
    parent="hubspot_contact",
    found="division_id",
    found_table="hubspot_division",
)

DEAL_TO_LINE_ITEM = _association(
    "deal_to_line_item_associations",
    "hubspot_deal_to_line_item_association",
    "Which line items a deal consists of.",
    path="deals/line_items",
    asked="deal_id",
    parent="hubspot_deal",
    found="line_item_id",
    found_table="hubspot_line_item",
)

DEAL_TO_COMPANY = _association(
    "deal_to_company_associations",
    "hubspot_deal_to_company_association",
    "Which deal belongs to which company, and as what; the primary company has the label Primary.",
    path="deals/companies",
    asked="deal_id",
    parent="hubspot_deal",
    found="company_id",
    found_table="hubspot_company",
)

APPOINTMENT_TO_CONTACT = _association(
    "appointment_to_contact_associations",
    "hubspot_appointment_to_contact_association",
    "Which contacts an appointment is with; `appointment_id` is HubSpot's id of the appointment.",
    path="custom:appointment/contacts",
    asked="appointment_id",
    parent="hubspot_appointment",
    found="contact_id",
    found_table="hubspot_contact",
)

APPOINTMENT_TO_DEAL = _association(
    "appointment_to_deal_associations",
    "hubspot_appointment_to_deal_association",
    "Which deals an appointment led to; `appointment_id` is HubSpot's id of the appointment.",
    path="custom:appointment/deals",
    asked="appointment_id",
    parent="hubspot_appointment",
    found="deal_id",
    found_table="hubspot_deal",
)

OWNERS = Entity(
    name="owners",
    table="hubspot_owner",
    about="Users to whom contacts, companies, deals and appointments are assigned, as `hubspot_owner_id`.",
    path="owners",
    key="id",
    deletes=Deletes(flag="archived"),
    index="email",
    columns=columns(
        id="id",
        text="type first_name=firstName last_name=lastName",
        email="email",
        integer="user_id=userId user_id_including_inactive=userIdIncludingInactive",
        timestamptz="created_at=createdAt updated_at=updatedAt",
        jsonb="teams",
    ),
)

PIPELINES = Entity(
    name="pipelines",
    table="hubspot_pipeline",
    about="The pipelines that deals go through, as `pipeline` of a deal.",
    path="pipelines/deals",
    key="id",
    columns=columns(
        id="id",
        text="label",
        integer="display_order=displayOrder",
        timestamptz="created_at=createdAt updated_at=updatedAt",
    ),
)

PIPELINE_STAGES = Entity(
    name="pipeline_stages",
    table="hubspot_pipeline_stage",
    about="The stages of the pipelines of deals, as `dealstage` of a deal; `fetch` adds the `pipeline_id`.",
    path="pipelines/deals/stages",
    key="id",
    refs={"pipeline_id": "hubspot_pipeline"},
    columns=columns(
        id="id pipeline_id",
        text="label",
        integer="display_order=displayOrder",
        boolean="is_closed=metadata.isClosed",
        numeric="probability=metadata.probability",
        timestamptz="created_at=createdAt updated_at=updatedAt",
    ),
)

OBJECT_ENTITIES = (CONTACTS, DEALS, COMPANIES, LINE_ITEMS, APPOINTMENTS, GENIUSUSERS, DIVISIONS, ZIPCODES)
PAIR_ENTITIES = (
    CONTACT_TO_DEAL,
    CONTACT_TO_COMPANY,
    CONTACT_TO_DIVISION,
    DEAL_TO_LINE_ITEM,
    DEAL_TO_COMPANY,
    APPOINTMENT_TO_CONTACT,
    APPOINTMENT_TO_DEAL,
)
