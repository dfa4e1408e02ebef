"""Which columns say something about the person of a row, and what erasing does with each.

``treatment`` decides by the column of the database, so that one that the installation added, renamed or no longer
declares is treated too. What is not known to be harmless counts as personal.

    keep    keys, ids that join tables, times, amounts, flags: what sums and joins need
    shared  what comes from a short list (a status, a source, a campaign, an employee, a number of the business): kept
            while another row has the same value, and emptied if this person's rows alone have it, since it could name
            the person
    clear   everything else: names, addresses, notes, transcripts, links, documents, whatever came with ``raw_data``

Of a column that the installation added or no longer declares nobody knows what it holds, so it is cleared whatever its
type, but for a flag; ``personal = false`` in ``config/columns.toml`` says that one is harmless.

Every text column of a table that holds people stands in ``HARMLESS`` or in ``PERSONAL``; a test says so, so that a new
one is looked at by somebody. In ``PERSONAL`` it changes nothing, since that is what an unknown one is.
"""

import re
from typing import Literal

from warehouse_pipelines.loading.erased import own_columns
from warehouse_pipelines.model.entity import SOURCE_TIMES, Entity

Treatment = Literal["keep", "shared", "clear"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


HARMLESS = _words("""
    abbreviation account_name adgroup_id adgroup_name adgroupid after_hours ap_leadid_type appointment_confirmed
    appointment_outcome appointment_outcome_type appointment_response appointment_result appointment_services
    appointment_status appointment_time appointment_type appt_result appt_result_reason appt_set_by arrivy_status
    arrivy_status_title associatedcompanyid balance_type business_unit call_center call_type callback_review campaign
    campaign_name cancel_reason canvasser canvasser_id category channel click_type clicktype cogs_report_month color
    color_id company_time_zone complete_outcome_id_text connection_status contact_reason contact_type country created_by
    created_by_make created_by_user credit_app_status credit_app_vendor credit_request_reason crm_source csr_disposition
    currentlyinworkflow customer_country customer_state customer_timezone deal_currency_code dealtype department
    deposit_type device_type direction disposition_id disqualification_reason div_cancel_reasons division division_name
    due_datetime_original_iso_str dumpster_preference duration end_datetime_original_iso_str end_datetime_timezone
    event_field_marketer event_show_name event_show_type event_type external_type f9_last_campaign f9_list_name
    financing flow_name forecast_month form_name genius_division genius_marketing_source genius_quote_response_status
    genius_response_status google_ads_campaign_rename handler_version has_consider_solar hge_primary_source
    hge_secondary_source host hs_all_accessible_team_ids hs_all_assigned_business_unit_ids hs_all_owner_ids
    hs_all_team_ids hs_analytics_source hs_created_by_user_id hs_latest_source hs_lead_status hs_marketable_status
    hs_object_source hs_object_source_label hs_owning_teams hs_pipeline hs_pipeline_stage hs_predictivescoringtier
    hs_shared_team_ids hs_shared_user_ids hs_timezone hs_updated_by_user_id hs_user_ids_of_all_notification_followers
    hs_user_ids_of_all_notification_unfollowers hs_user_ids_of_all_owners hubspot_team_id import_source industry
    install_time invite_status job_title job_type keyword last_campaign last_list last_update_by last_updated_by
    lead_added_by_supervisor lead_import_source lead_services lead_source lead_state lead_status lead_type
    lifecyclestage marketsharp_appt_type marketsharp_source measure_time medium meeting_outcome mime_type module_id
    msm_source no_set_reason office_name original_lead_source outcome permission pipeline price_level primary_source
    priority product_interest_primary product_interest_secondary qc_cancel_reasons reason region
    requested_start_month result_reason result_reason_demo_not_sold result_reason_no_demo result_type role
    salespro_both_homeowners salespro_consider_solar salespro_deposit_type salespro_financing salespro_job_size
    salespro_job_type salespro_preferred_payment salespro_requested_start salespro_result salespro_result_reason_demo
    salespro_result_reason_no_demo secondary_source sentiment service_of_interest services sheet_name source source_name
    sourcefield spreadsheet_id start_datetime_original_iso_str start_datetime_timezone state status status_bucket
    status_title sys_last_agent sys_last_disposition task_type team template template_type tester_test tier time_zone
    time_zone_name transparency type type_id_text updated_by_user urgency_time_frame user_account_type
    user_status_inactive user_type utm_campaign utm_medium utm_source variant version vertical visibility
    lead_agent_name agent_name arrivy_salesrep_first_name arrivy_salesrep_last_name sales_rep_first_name
    sales_rep_last_name
    cnpj_type clickcheck duration_text address_state job_site_state
""")
"""Columns of short lists, of employees who served, and of places as large as a state."""

PERSONAL = _words("""
    active_stipulation_notes additional_addresses additional_group_ids additional_services_demoed_priced address
    address1 address2 address_1 address_2 address_city address_line1 address_line2 address_line_1 address_line_2
    address_url age_code allow_status_notifications allowed_offices alt_first_name alt_last_name ap_leadid
    applicant appointment appointment_id arrivy_confirm_user arrivy_created_by arrivy_details arrivy_notes
    arrivy_object_id arrivy_result_full_string arrivy_user arrivy_user_divison_id arrivy_user_external_id
    arrivy_user_id arrivy_username attendees bank_name bar_code business_name call_highlights call_recording
    call_summary call_to_action campaign_content can_manage_crews can_manage_entities can_manage_resources
    carpentry_followup_notes carrier_route cass cdyne_county city click_id client_most_likely_to_add_on client_name
    closing_notes cnpj co_applicant color_selection comments companies company company_cam_link company_name
    company_story_pain_point complete_address confirm_with contact_id content_hash contract_amount_difference
    contract_number county credit_app_note credit_request_note crew_ids current_destination custom_fields
    customer_address customer_address_line_1 customer_address_line_2 customer_city customer_company_name
    customer_exact_location customer_first_name customer_last_name customer_name customer_notes customer_zipcode
    dead_note deadline dealname dedupe_record_id describe_rapport_hot_button description details
    details_discussed_for_install document_ids domain dpbc2 entity_confirmation_statuses entity_ids entity_routes
    envelope_id error_details exact_location external_id external_ids extra_fields f9_tfuid fbclid field_value
    file_ids files financing_note first_name first_name_alt firstname form_data form_submit_zipcode form_url forms ga
    gclid genius_prospect_id genius_quote_id genius_quote_response genius_response genius_resubmit hatch_id
    hs_analytics_source_data_1 hs_analytics_source_data_2 hs_calculated_merged_vids hs_email_domain
    hs_google_click_id hs_latest_source_data_1 hs_latest_source_data_2 hs_marketable_until_renewal
    hs_merged_object_ids hs_object_source_detail_1 hs_object_source_detail_2 hs_object_source_detail_3
    hs_object_source_id hs_object_source_user_id hs_unique_creation_key html_link image_path inactive_reason_other
    income_code integration_data items job_site_address_line1 job_site_address_line2 job_site_city
    job_site_directions job_site_zip keypad_entries keywords keywords_spotted label landing_page_url last_name
    last_reading last_requested_url lastname lead_added_by_latitude lead_added_by_longitude lead_address1
    lead_cdyne_county lead_city lead_copied_from_on lead_hash lead_notes lead_results_raw lead_score_explanation
    lead_source_notes lead_year_built lead_zip leap_customer_id leap_estimate_id legal_app_name legal_name
    length_of_residence license_number line1 line2 linked_external_ref linked_internal_ref loan_name location log
    mail_merge_name marital_status marketing_zip_check marketsharp_address marketsharp_id measurement_tool meet_link
    middle_initial milestones msclkid name note notes notes_for_install_team notifications number office
    page_source_name page_url permission_groups photo_url preferred_payment prep_issue_id prep_status_notes
    price_conditioning_response prospect_address prospect_name prospect_source_id qb_edit_sequence qb_id qb_name
    rating_text reasons_other recent_messages recording_player recording_url recurrence reference reference_code
    referrer referrer_domain referring_url resource_ids routes salespro_deadline salespro_fileurl_contract
    salespro_fileurl_estimate salespro_last_price_offered salespro_notes salespro_one_year_price
    salespro_result_notes satisfied scheduling_notes search_terms signer_name site skill_details skill_ids
    source_notes speaker_percent street street1 street2 street_address structure_age_code structure_value_code
    style_of_home subject summary tags task_time team_id teams template_extra_fields time timeline_url timing title
    total_time trade_name transcription travel_time trustedform_cert_url url_safe_id user_name username utm_content
    utm_term value vendorleadid visible_bookings visible_routing_forms voicemail_file wait_time warm_up_topic website
    website1 website2 website3 why_book worker_ids year_built year_home_built zip zip4 zip_code zipcode
    external_type_id last_used original_iso_str
""")

PERSONAL_NUMBERS = re.compile(
    r"latitude|longitude|birth|credit_?score|social_?security|(?:^|_)(?:lat|lng|dob|ssn|income)(?:_|$)"
)
"""The names of numbers and dates that say something about a person, beside amounts and times of events."""

_BOOKKEEPING = {"archived", "deleted_at", "delete_reason", "sync_created_at", "sync_updated_at", *SOURCE_TIMES}
_OURS = {"id"}
"""Undeclared columns that rows of ``pipedesk`` have here."""
_TEXTS = ("text", "character varying", "character", "citext", "json", "jsonb", "xml", "bytea", "inet")


def is_text(pg_type: str) -> bool:
    """Whether a column of this type can hold a word about somebody."""
    return pg_type.endswith("[]") or pg_type.partition("(")[0] in _TEXTS


def is_known(entity: Entity, column: str) -> bool:
    """Whether somebody has said what a column of an entity holds: its declaration, or the file that added it."""
    own = entity.e164.get(column, column)
    return column in entity.pg_types and (own not in entity.local.added or own in entity.local.impersonal)


def treatment(entity: Entity, column: str, pg_type: str) -> Treatment:
    """Return what erasing does with a column of a row of this entity; ``entity`` is as the installation has it."""
    kept = {*entity.keys, *entity.refs, *_BOOKKEEPING}
    if column in kept or column == entity.cursor:
        return "keep"
    declared = entity.local.renamed.get(column, column)
    if not is_known(entity, column):
        return "keep" if pg_type == "boolean" or column in _OURS else "clear"
    if not is_text(pg_type):
        return "clear" if PERSONAL_NUMBERS.search(declared) and column not in entity.local.impersonal else "keep"
    kind = entity.columns[column].kind if column in entity.columns else None
    phone = entity.e164.get(column, column)
    if phone in entity.columns and entity.columns[phone].kind in ("email", "phone"):
        return "clear" if phone in own_columns(entity) else "shared"
    if kind == "id" or column in entity.local.impersonal or (declared in HARMLESS and kind == "text"):
        return "shared"
    return "clear"
