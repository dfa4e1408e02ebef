"""The tables of the simulated Genius, in its own words: `CREATE TABLE` in a shorter hand.

Columns are words; a type stands once, after the last of the words it is for (`id job_id:int number:varchar(20)`). Names
and types are those of the vendor notes and of the queries that are known to run against the real database; where those
name a column without its type, the type is a guess. Nothing is `NOT NULL` but the keys.
"""

from __future__ import annotations

from collections.abc import Mapping

TYPES = {"dt": "datetime", "bool": "tinyint(1)", "latin1": "text CHARACTER SET latin1"}
KEYS = {
    "lead": ("lead_id",),
    "user_data": ("user_id",),
    "job_financing": ("job_id",),
    "marketsharp_marketing_source_map": ("marketsharp_id",),
    "appointment_to_service": ("appointment_id", "service_id"),
}

# What the notes do not tell. A column that points at another table usually has an index: a foreign key demands one.
INDEXED = {"lead": ("prospect_id",), "prospect_source": ("prospect_id",)}

TABLES: Mapping[str, str] = {
    "division_group": """
        id region:smallint group_label default_time_zone_name:varchar(64) intern_payroll_start painter_payroll_start:int
        is_active:bool cc_profile_id mes_profile_id mes_profile_key docusign_acct_id paysimple_username
        paysimple_secret:varchar(128) hub_account_id:int created_at updated_at:dt
    """,
    "division_region": "id:smallint name:varchar(64) is_active:bool",
    "division": """
        id:int group_id region_id:smallint label abbreviation:varchar(64) is_utility is_corp is_omniscient:bool
        is_inactive:tinyint account_scheduler_id:int created_at updated_at:dt
    """,
    "user_data": """
        user_id division_id:int title_id:smallint manager_user_id:int first_name first_name_alt last_name
        email personal_email:varchar(128) birth_date:date gender_id marital_status_id:int time_zone_name:varchar(64)
        hired_on start_date:dt add_user_id:int add_datetime:dt is_inactive:bool inactive_on:dt
        inactive_reason_id:smallint inactive_reason_other password_hash:varchar(128) user_associations_id
        inactive_transfer_division_id:int updated_at:dt
    """,
    "user_title": """
        id:smallint title abbreviation roles:varchar(128) type_id section_id sort pay_component_group_id:smallint
        is_active is_unique_per_division:bool created_at updated_at:dt
    """,
    "users_userassociations": "id primary_user_id:int created_at updated_at:dt",
    "third_party_source_type": "id:int label:varchar(64)",
    "third_party_source": "id third_party_source_type_id:int third_party_id:varchar(64)",
    "prospect": """
        id division_id user_id:int first_name last_name alt_first_name alt_last_name:varchar(64)
        address1 address2 city county:varchar(128) state:char(2) zip:varchar(10) is_address_valid year_built:smallint
        phone1 phone2:varchar(32) email:varchar(128) notes:text add_user_id:int add_date:dt
        marketsharp_id leap_customer_id:varchar(64) third_party_source_id:int updated_at:dt
    """,
    "prospect_source": """
        id prospect_id marketing_source_id:int source_date:dt notes:text add_user_id source_user_id:int
        add_date updated_at:dt
    """,
    "appointment_type": "id:int label:varchar(64) is_active:bool",
    "appointment_outcome_type": """
        id:int label:varchar(64) sort_idx:smallint is_active:bool created_at updated_at:dt
    """,
    "appointment_outcome": "id:int type_id:smallint label:varchar(64) is_active:bool created_at updated_at:dt",
    "appointment": """
        id prospect_id prospect_source_id user_id type_id:int date:date time duration:time
        address1 address2 city:varchar(128) state:char(2) zip:varchar(10) email:varchar(128) notes:text
        add_user_id:int add_date assign_date:dt confirm_user_id:int confirm_date:dt confirm_with:varchar(64)
        spouses_present is_complete:tinyint(1) complete_outcome_id complete_user_id:int complete_date:dt
        marketsharp_id marketsharp_appt_type leap_estimate_id:varchar(64) third_party_source_id marketing_task_id:int
        updated_at:dt
    """,
    "appointment_to_service": "appointment_id:int service_id:smallint created_at updated_at:dt",
    "service": """
        id:smallint label:varchar(64) is_active is_lead_required:bool order_number:smallint created_at updated_at:dt
    """,
    "quote": """
        id prospect_id appointment_id job_id client_cid:int service_id:smallint label:varchar(128) description:text
        amount:decimal(10,2) expire_date:date status_id contract_file_id estimate_file_id add_user_id:int
        add_date updated_at:dt
    """,
    "marketing_source_type": """
        id:int label:varchar(64) description:text is_active:bool list_order:int created_at updated_at:dt
    """,
    "marketing_source": """
        id type_id:int label:varchar(64) description:text start_date end_date:date add_user_id:int add_date:dt
        is_active is_allow_lead_modification:bool updated_at:dt
    """,
    "lead": """
        lead_id contact division:int first_name last_name:varchar(64) address1 address2 city:varchar(128) state:char(2)
        zip:varchar(10) cdyne_county:varchar(64) is_valid_address:smallint email:varchar(128)
        phone1:varchar(32) type1:smallint phone2:varchar(32) type2:smallint phone3:varchar(32) type3:smallint
        phone4:varchar(32) type4:smallint source:smallint source_notes:varchar(255) sourced_on:dt job_type
        rating:smallint year_built:varchar(8) is_year_built_verified is_zillow is_express_consent:smallint
        express_consent_set_by:int express_consent_set_on:dt express_consent_source:smallint
        express_consent_upload_file_id:int is_express_consent_being_reviewed:smallint
        express_consent_being_reviewed_by:int notes:text status substatus:smallint substatus_reason alternate_id
        added_by:int added_on viewed_on:dt
        is_estimate_set:smallint estimate_set_by:int estimate_set_on dead_on:dt dead_by:int dead_note:varchar(255)
        is_credit_request:smallint credit_request_by:int credit_request_on:dt credit_request_reason:text
        credit_request_status:smallint credit_request_update_on:dt credit_request_update_by:int credit_request_note:text
        lead_cost:float import_source:varchar(64) call_screen_viewed_on:dt call_screen_viewed_by copied_to_id:int
        copied_to_on:dt copied_from_id:int copied_from_on:dt cwp_client cwp_referral rc_paid_to:int rc_paid_on:dt
        with_dm:smallint voicemail_file agent_id agent_name:varchar(64) invalid_address is_valid_email
        is_high_potential is_mobile_lead is_dnc is_dummy:smallint lead_central_estimate_date do_not_call_before:dt
        is_estimate_confirmed:smallint estimate_confirmed_by:int estimate_confirmed_on:dt
        added_by_latitude added_by_longitude:decimal(10,7) is_carpentry_followup:smallint
        carpentry_followup_notes:latin1 marketing_source prospect_id added_by_supervisor salesrabbit_lead_id
        third_party_source_id:int updated_at:dt
    """,
    "marketsharp_source": """
        id:int marketsharp_id:varchar(64) source_name:varchar(128) inactive:smallint created_at updated_at:dt
    """,
    "marketsharp_marketing_source_map": "marketsharp_id:varchar(64) marketing_source_id:int created_at updated_at:dt",
    "marketsharp_contacts": """
        id:int external_id first_name last_name email phone address_1 address_2 city:varchar(128) state:char(2)
        zip:varchar(10) marketing_source_id prospect_source_id:int lead_status:varchar(64) appointment_date:date
        appointment_time:time notes:text active:bool created_at updated_at:dt
    """,
    "marketsharp_appointments": """
        id:int external_id contact_id:varchar(64) appointment_date:date appointment_time:time
        appointment_type_id salesperson_id:int lead_source:varchar(64) marketing_source_id:int
        appointment_status:varchar(64) outcome_id:int notes:text follow_up_date:date active:bool
        created_at updated_at:dt
    """,
    "job": """
        id client_cid prospect_id division_id user_id production_user_id project_coordinator_user_id production_month
        subcontractor_id:int subcontractor_status_id subcontractor_confirmed:smallint status:int is_in_progress
        ready_status prep_status_id:smallint prep_status_set_date:dt prep_status_is_reset:smallint
        prep_status_notes:text prep_issue_id:varchar(64) service_id is_lead_pb:smallint contract_number:varchar(64)
        contract_date:date
        contract_amount:decimal(10,2) contract_amount_difference:text contract_hours contract_file_id:int
        job_value deposit_amount:decimal(10,2) deposit_type_id is_financing:smallint sales_tax_rate:decimal(6,4)
        is_sales_tax_exempt:smallint commission_payout accrued_commission_payout:decimal(10,2) sold_user_id:int
        sold_date start_request_date deadline_date ready_date:date jsa_sent:smallint start_date end_date:date
        add_user_id:int add_date:dt cancel_date:date cancel_user_id:int cancel_reason_id is_refund:smallint
        refund_date:date refund_user_id:int finish_date:date is_earned_not_paid:smallint
        materials_arrival_date measure_date:date measure_time:time measure_user_id:int time_format:smallint
        materials_estimated_arrival_date:date materials_ordered:dt price_level:varchar(32) price_level_goal:smallint
        price_level_commission:decimal(8,2) price_level_commission_reduction is_reviewed:smallint reviewed_by:int
        pp_id_updated hoa hoa_approved:smallint install_date:date install_time:time install_time_format
        materials_ordered_old start_month_old:smallint cogs_report_month:varchar(16)
        is_cogs_report_month_updated:smallint forecast_month:varchar(16) coc_sent_on:dt coc_sent_by:int
        company_cam_link:varchar(255) pm_finished_on:date
        estimate_job_duration:smallint payment_not_finalized_reason:int reasons_other:varchar(255) payment_type:int
        payment_amount:decimal(10,2) is_payment_finalized is_company_cam is_five_star_review:smallint
        projected_end_date:date is_company_cam_images_correct:smallint post_pm_closeout_date pre_pm_closeout_date:date
        actual_install_date:dt in_progress_substatus_id:int is_loan_document_uptodate is_labor_adjustment_correct
        is_change_order_correct is_coc_pdf_attached:smallint updated_at:dt
    """,
    "job_status": "id:int label:varchar(64) is_system:smallint",
    "job_financing": """
        job_id term_id:int financed_amount max_financed_amount:decimal(10,2) bid_rate commission_reduction:decimal(6,4)
        signed_on cancellation_period_expires_on app_submission_date:dt is_joint_application:smallint
        applicant co_applicant:varchar(128) status:smallint approved_on loan_expiration_date denied_on:dt denied_by:int
        why_book:text would_book is_financing_factor:smallint satisfied:text docs_completed:dt
        active_stipulation_notes:text is_active_stipulations_cleared:smallint legal_app_name:varchar(128)
    """,
    "job_change_order": """
        id job_id:int number:varchar(20) status_id type_id:smallint adjustment_change_order_id:int effective_date:date
        total_amount:decimal(9,2) add_user_id:int add_date:dt sold_user_id:int sold_date:dt cancel_user_id:int
        cancel_date:dt reason_id:smallint envelope_id:varchar(64) total_contract_amount
        total_pre_change_orders_amount:decimal(9,2) signer_name signer_email financing_note:varchar(255) updated_at:dt
    """,
    "job_change_order_item": """
        id change_order_id:int description:varchar(256) amount:decimal(8,2) created_at updated_at:dt
    """,
    "job_change_order_reason": "id:int label description:varchar(255)",
    "job_change_order_status": "id:int label:varchar(64) is_selectable:smallint",
    "job_change_order_type": "id:int label:varchar(64)",
    "integration_field": "id definition_id user_id division_id:int field_value:varchar(255) created_at updated_at:dt",
    "integration_field_definition": """
        id integration_id:int label key_name:varchar(64) is_user is_division:bool hint:varchar(255)
        input_type:varchar(32)
    """,
}

# No such table was found at the vendor; what it would look like is a guess.
CONTACT = "id:int first_name last_name email phone:varchar(128) created_at updated_at:dt"


def columns(declared: str) -> dict[str, str]:
    """The SQL type of each column."""
    found: dict[str, str] = {}
    waiting: list[str] = []
    for word in declared.split():
        name, _, type_ = word.partition(":")
        waiting.append(name)
        if type_:
            found |= dict.fromkeys(waiting, TYPES.get(type_, type_))
            waiting = []
    if waiting:
        raise ValueError(f"no type: {', '.join(waiting)}")
    return found


def key_of(table: str) -> tuple[str, ...]:
    return KEYS.get(table, ("id",))


def create_table(table: str, declared: str) -> str:
    types = columns(declared)
    key = key_of(table)
    lines = [f"`{name}` {type_} {'NOT NULL' if name in key else 'NULL'}" for name, type_ in types.items()]
    lines.append(f"PRIMARY KEY ({', '.join(f'`{name}`' for name in key)})")
    if "updated_at" in types:
        lines.append(f"KEY `changed` (`updated_at`, {', '.join(f'`{name}`' for name in key)})")
    lines += [f"KEY `{name}` (`{name}`)" for name in INDEXED.get(table, ())]
    return f"CREATE TABLE `{table}` ({', '.join(lines)}) DEFAULT CHARACTER SET utf8mb4"
