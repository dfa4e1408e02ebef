"""The tables of Genius, a row each. ``fetch`` says how they are read.

``path`` is the vendor's table. Names are the vendor's; where the warehouse has another (``lead.firstname``), the
vendor's is behind the ``=``. ``modified`` is the cursor: ``updated_at``, or when the row was added where that is NULL;
``updated_at`` stands beside it unchanged.

Everything is read once a day (``full_every``): hard deletes leave no trace, and a script may change a row without
touching ``updated_at``. At 20,000 rows a second that is a minute for a million. Small tables without a time are read
in full every time.

The last read wins, even with an older ``updated_at`` (a restored backup, the hour that occurs twice in autumn),
because rows come from this database only. ``lookback`` is set for that reason, not to read a stretch again.

Left out: ``third_party_source`` and its like, of which only the HubSpot id is taken, and only if the vendor's table
says that it is HubSpot's.

Tables, keys and columns are known from queries that run against the real database, except the columns of ``lead``,
``division_group`` and ``job_financing``, which are known from stored data. ``docs/vendors/genius.md`` lists what is
unconfirmed, and how a wrong guess would show.
"""

from datetime import date, timedelta

from warehouse_pipelines.model.cadence import Cadence
from warehouse_pipelines.model.entity import DAY, Entity, columns
from warehouse_pipelines.sources.genius.fetch import OVERLAP

QUARTER = timedelta(minutes=15)


def _table(
    name: str,
    table: str,
    about: str,
    *,
    path: str,
    key: str = "id",
    added: str | None = None,
    index: str = "",
    refs: dict[str, str] | None = None,
    every: timedelta = timedelta(hours=1),
    **names_by_kind: str,
) -> Entity:
    """Return the row of one table; ``added`` is the column of the time a row was added, for tables with updated_at."""
    times = names_by_kind.pop("timestamptz", "")
    if added is not None:
        times = f"{added} updated_at modified=updated_at|{added.rpartition('=')[2]} {times}"
    cadence = Cadence(every=every, overlap=OVERLAP, lookback=OVERLAP, full_every=DAY, backfill_since=date(2024, 1, 1))
    return Entity(
        name=name,
        table=table,
        about=about,
        path=path,
        key=key,
        cursor="modified" if added else None,
        cadence=cadence if added else Cadence(every=every),
        index=index,
        refs=refs or {},
        columns=columns(**names_by_kind, **({"timestamptz": times} if times else {})),
    )


LEADS = _table(
    "leads",
    "genius_lead",
    "People who asked, or were asked, about work on their house.",
    path="lead",
    key="lead_id",
    added="created=added_on",
    every=QUARTER,
    index="division_id agent_id created status prospect_id email phone_e164",
    refs={
        "contact_id": "genius_contact",
        "division_id": "genius_division",
        "agent_id": "genius_user",
        "added_by": "genius_user",
        "marketing_source": "genius_marketing_source",
        "prospect_id": "genius_prospect",
        "salesrabbit_lead_id": "salesrabbit_lead",
    },
    # A text there, which need not name a user.
    integer="""
        lead_id contact_id=contact|contact_id division_id=division|division_id type1 type2 type3 type4 job_type
        rating express_consent_set_by express_consent_source express_consent_upload_file_id
        express_consent_being_reviewed_by substatus substatus_reason alternate_id added_by estimate_set_by dead_by
        credit_request_by credit_request_status credit_request_update_by call_screen_viewed_by copied_to_id
        copied_from_id cwp_client cwp_referral rc_paid_to with_dm invalid_address estimate_confirmed_by
        marketing_source prospect_id added_by_supervisor salesrabbit_lead_id third_party_source_id agent_id
    """,
    boolean="""
        is_valid_address is_year_built_verified is_zillow is_express_consent is_express_consent_being_reviewed
        is_estimate_set is_credit_request is_valid_email is_high_potential is_mobile_lead is_dnc is_dummy
        is_estimate_confirmed is_carpentry_followup
    """,
    text="""
        agent_name status source firstname=first_name lastname=last_name address1 address2 city state
        zipcode=zip cdyne_county source_notes year_built notes dead_note credit_request_reason credit_request_note
        import_source voicemail_file carpentry_followup_notes
    """,
    email="email",
    phone="phone=phone1 phone2 phone3 phone4",
    numeric="lead_cost added_by_latitude added_by_longitude",
    timestamptz="""
        sourced_on express_consent_set_on viewed_on estimate_set_on dead_on credit_request_on credit_request_update_on
        call_screen_viewed_on copied_to_on copied_from_on rc_paid_on lead_central_estimate_date do_not_call_before
        estimate_confirmed_on
    """,
)

PROSPECTS = _table(
    "prospects",
    "genius_prospect",
    "People for whom an appointment can be made. `status` is unconfirmed: no installation is known to have it, and "
    "without it it is null.",
    path="prospect",
    key="prospect_id",
    added="add_date",
    every=QUARTER,
    index="division_id email phone_e164 hubspot_contact_id",
    refs={
        "division_id": "genius_division",
        "user_id": "genius_user",
        "hubspot_contact_id": "hubspot_contact",
        "marketsharp_id": "marketsharp_contact",
    },
    id="hubspot_contact_id marketsharp_id",
    integer="prospect_id=id division_id user_id year_built add_user_id third_party_source_id",
    boolean="is_address_valid",
    text="""
        firstname=first_name lastname=last_name alt_first_name alt_last_name address=address1 address2 city county state
        zip status source notes leap_customer_id
    """,
    email="email",
    phone="phone=phone1 phone2",
)

PROSPECT_SOURCES = _table(
    "prospect_sources",
    "genius_prospect_source",
    "Which marketing brought a prospect, and when.",
    path="prospect_source",
    added="add_date",
    index="prospect_id marketing_source_id",
    refs={"prospect_id": "genius_prospect", "marketing_source_id": "genius_marketing_source"},
    integer="id prospect_id marketing_source_id add_user_id source_user_id",
    text="notes",
    timestamptz="source_date",
)

APPOINTMENTS = _table(
    "appointments",
    "genius_appointment",
    "Visits that were arranged, and what came of them. `lead_id` is unconfirmed: the newest lead that the prospect had "
    "when the visit was arranged; a wrong guess names another lead of the same prospect.",
    path="appointment",
    key="appointment_id",
    added="add_date",
    every=QUARTER,
    index="prospect_id user_id appointment_date hubspot_appointment_id",
    refs={
        "lead_id": "genius_lead",
        "prospect_id": "genius_prospect",
        "prospect_source_id": "genius_prospect_source",
        "user_id": "genius_user",
        "type_id": "genius_appointment_type",
        "complete_outcome_id": "genius_appointment_outcome",
        "hubspot_appointment_id": "hubspot_appointment",
        "marketsharp_id": "marketsharp_appointment",
    },
    id="hubspot_appointment_id marketsharp_id",
    integer="""
        appointment_id=id lead_id prospect_id prospect_source_id user_id type_id add_user_id confirm_user_id
        spouses_present complete_outcome_id complete_user_id third_party_source_id marketing_task_id
    """,
    boolean="is_complete",
    text="""
        appointment_time=time duration status notes address1 address2 city state zip confirm_with
        marketsharp_appt_type leap_estimate_id
    """,
    email="email",
    date="appointment_date=date",
    timestamptz="assign_date confirm_date complete_date",
)

APPOINTMENT_SERVICES = _table(
    "appointment_services",
    "genius_appointment_service",
    "The services that an appointment is about.",
    path="appointment_to_service",
    key="appointment_id service_id",
    added="created_at",
    refs={"appointment_id": "genius_appointment", "service_id": "genius_service"},
    integer="appointment_id service_id",
)

APPOINTMENT_TYPES = _table(
    "appointment_types",
    "genius_appointment_type",
    "Kinds of appointments.",
    path="appointment_type",
    integer="id",
    text="label",
    boolean="is_active",
)

APPOINTMENT_OUTCOMES = _table(
    "appointment_outcomes",
    "genius_appointment_outcome",
    "What can come of an appointment.",
    path="appointment_outcome",
    added="created_at",
    refs={"type_id": "genius_appointment_outcome_type"},
    integer="id type_id",
    text="label",
    boolean="is_active",
)

APPOINTMENT_OUTCOME_TYPES = _table(
    "appointment_outcome_types",
    "genius_appointment_outcome_type",
    "Groups of outcomes.",
    path="appointment_outcome_type",
    integer="id sort_idx",
    text="label",
    boolean="is_active",
    timestamptz="created_at updated_at",
)

USERS = _table(
    "users",
    "genius_user",
    "Employees and agents, the former ones included.",
    path="user_data",
    key="user_id",
    added="add_datetime",
    index="division_id email",
    refs={"division_id": "genius_division", "title_id": "genius_user_title"},
    integer="""
        user_id=user_id|id division_id title_id manager_user_id gender_id marital_status_id add_user_id
        inactive_reason_id primary_user_id user_associations_id inactive_transfer_division_id
    """,
    text="firstname=first_name first_name_alt lastname=last_name role=title_id time_zone_name inactive_reason_other",
    email="email personal_email",
    boolean="is_active is_inactive",
    date="birth_date",
    timestamptz="hired_on start_date inactive_on",
)

USER_TITLES = _table(
    "user_titles",
    "genius_user_title",
    "What users are: estimator, production manager.",
    path="user_title",
    added="created_at",
    integer="id type_id section_id sort pay_component_group_id",
    text="title abbreviation roles",
    boolean="is_active is_unique_per_division",
)

USER_ASSOCIATIONS = _table(
    "user_associations",
    "genius_user_association",
    "Users that are one person, and which of them counts.",
    path="users_userassociations",
    added="created_at",
    integer="id primary_user_id definition_id user_id division_id",
    text="field_value",
)

DIVISIONS = _table(
    "divisions",
    "genius_division",
    "Branches of the business.",
    path="division",
    added="created_at",
    index="label",
    refs={"group_id": "genius_division_group", "region_id": "genius_division_region"},
    integer="id group_id region_id account_scheduler_id",
    text="label abbreviation",
    boolean="is_utility is_corp is_omniscient is_inactive",
)

DIVISION_GROUPS = _table(
    "division_groups",
    "genius_division_group",
    "Groups of divisions that share accounts and payroll.",
    path="division_group",
    added="created_at",
    integer="id region intern_payroll_start painter_payroll_start hub_account_id",
    text="group_label default_time_zone_name mes_profile_id docusign_acct_id paysimple_username",
    boolean="is_active",
)

DIVISION_REGIONS = _table(
    "division_regions",
    "genius_division_region",
    "Regions of divisions.",
    path="division_region",
    integer="id",
    text="name",
    boolean="is_active",
)

CONTACTS = _table(
    "contacts",
    "genius_contact",
    "People as such; no installation is known to have the table.",
    path="contact",
    integer="id",
    text="first_name last_name",
    email="email",
    phone="phone",
    timestamptz="created_at updated_at",
)

QUOTES = _table(
    "quotes",
    "genius_quote",
    "Prices that were offered.",
    path="quote",
    added="add_date",
    index="prospect_id appointment_id job_id",
    refs={"prospect_id": "genius_prospect", "appointment_id": "genius_appointment", "service_id": "genius_service"},
    integer="""
        id prospect_id appointment_id job_id client_cid service_id status_id contract_file_id estimate_file_id
        add_user_id
    """,
    text="label description",
    numeric="amount",
    date="expire_date",
)

SERVICES = _table(
    "services",
    "genius_service",
    "What is sold: roofing, windows.",
    path="service",
    added="created_at",
    integer="id order_number",
    text="label",
    boolean="is_active is_lead_required",
)

MARKETING_SOURCES = _table(
    "marketing_sources",
    "genius_marketing_source",
    "Campaigns and other origins of leads.",
    path="marketing_source",
    added="add_date",
    refs={"type_id": "genius_marketing_source_type"},
    integer="id type_id add_user_id",
    text="label description",
    boolean="is_active is_allow_lead_modification",
    date="start_date end_date",
)

MARKETING_SOURCE_TYPES = _table(
    "marketing_source_types",
    "genius_marketing_source_type",
    "Groups of marketing sources.",
    path="marketing_source_type",
    integer="id list_order",
    text="label description",
    boolean="is_active",
    timestamptz="created_at updated_at",
)

MARKETSHARP_SOURCES = _table(
    "marketsharp_sources",
    "genius_marketsharp_source",
    "The sources of MarketSharp, which Genius followed.",
    path="marketsharp_source",
    added="created_at",
    integer="id",
    boolean="inactive",
    text="marketsharp_id source_name",
)

MARKETSHARP_MARKETING_SOURCE_MAPS = _table(
    "marketsharp_marketing_source_maps",
    "genius_marketsharp_marketing_source_map",
    "Which marketing source a source of MarketSharp became.",
    path="marketsharp_marketing_source_map",
    key="marketsharp_id",
    added="created_at",
    refs={"marketing_source_id": "genius_marketing_source"},
    text="marketsharp_id",
    integer="marketing_source_id",
)

MARKETSHARP_CONTACTS = _table(
    "marketsharp_contacts",
    "genius_marketsharp_contact",
    "People of MarketSharp on their way into Genius.",
    path="marketsharp_contacts",
    added="created_at",
    index="external_id email phone_e164",
    integer="id marketing_source_id prospect_source_id",
    text="external_id first_name last_name address_1 address_2 city state zip lead_status appointment_time notes",
    email="email",
    phone="phone",
    boolean="active",
    date="appointment_date",
)

MARKETSHARP_APPOINTMENTS = _table(
    "marketsharp_appointments",
    "genius_marketsharp_appointment",
    "Appointments of MarketSharp on their way into Genius.",
    path="marketsharp_appointments",
    added="created_at",
    index="external_id contact_id",
    integer="id appointment_type_id salesperson_id marketing_source_id outcome_id",
    text="external_id contact_id appointment_time lead_source appointment_status notes",
    boolean="active",
    date="appointment_date follow_up_date",
)

JOBS = _table(
    "jobs",
    "genius_job",
    "Work that was sold, from the contract to the payment.",
    path="job",
    added="add_date",
    every=QUARTER,
    index="prospect_id division_id status contract_date",
    refs={
        "prospect_id": "genius_prospect",
        "division_id": "genius_division",
        "user_id": "genius_user",
        "sold_user_id": "genius_user",
        "service_id": "genius_service",
        "status": "genius_job_status",
    },
    integer="""
        id client_cid prospect_id division_id user_id production_user_id project_coordinator_user_id
        production_month subcontractor_id subcontractor_status_id status ready_status prep_status_id service_id
        contract_hours contract_file_id deposit_type_id sold_user_id jsa_sent add_user_id cancel_user_id
        cancel_reason_id refund_user_id measure_user_id time_format price_level_goal
        price_level_commission_reduction reviewed_by pp_id_updated hoa hoa_approved install_time_format
        materials_ordered_old start_month_old coc_sent_by estimate_job_duration payment_not_finalized_reason
        payment_type in_progress_substatus_id
    """,
    boolean="""
        subcontractor_confirmed is_in_progress prep_status_is_reset is_lead_pb is_financing is_sales_tax_exempt
        is_refund is_earned_not_paid is_reviewed is_cogs_report_month_updated is_payment_finalized is_company_cam
        is_five_star_review is_company_cam_images_correct is_loan_document_uptodate is_labor_adjustment_correct
        is_change_order_correct is_coc_pdf_attached
    """,
    text="""
        prep_status_notes prep_issue_id contract_number contract_amount_difference measure_time price_level install_time
        cogs_report_month forecast_month company_cam_link reasons_other
    """,
    numeric="""
        contract_amount job_value deposit_amount sales_tax_rate commission_payout accrued_commission_payout
        price_level_commission payment_amount
    """,
    date="""
        contract_date sold_date start_request_date deadline_date ready_date start_date end_date cancel_date refund_date
        finish_date materials_arrival_date measure_date materials_estimated_arrival_date install_date pm_finished_on
        projected_end_date post_pm_closeout_date pre_pm_closeout_date
    """,
    timestamptz="prep_status_set_date materials_ordered coc_sent_on actual_install_date",
)

JOB_STATUSES = _table(
    "job_statuses",
    "genius_job_status",
    "How far a job is.",
    path="job_status",
    integer="id",
    boolean="is_system",
    text="label",
)

JOB_FINANCINGS = _table(
    "job_financings",
    "genius_job_financing",
    "Loans by which jobs are paid.",
    path="job_financing",
    key="job_id",
    refs={"job_id": "genius_job"},
    integer="job_id term_id status denied_by would_book",
    boolean="is_joint_application is_financing_factor is_active_stipulations_cleared",
    text="applicant co_applicant why_book satisfied active_stipulation_notes legal_app_name",
    numeric="financed_amount max_financed_amount bid_rate commission_reduction",
    timestamptz="""
        signed_on cancellation_period_expires_on app_submission_date approved_on loan_expiration_date denied_on
        docs_completed
    """,
)

JOB_CHANGE_ORDERS = _table(
    "job_change_orders",
    "genius_job_change_order",
    "What was added to a job, or taken from it, after the contract.",
    path="job_change_order",
    added="add_date",
    index="job_id",
    refs={
        "job_id": "genius_job",
        "status_id": "genius_job_change_order_status",
        "type_id": "genius_job_change_order_type",
        "reason_id": "genius_job_change_order_reason",
    },
    integer="""
        id job_id status_id type_id adjustment_change_order_id add_user_id sold_user_id cancel_user_id reason_id
    """,
    text="number envelope_id signer_name financing_note",
    email="signer_email",
    numeric="total_amount total_contract_amount total_pre_change_orders_amount",
    date="effective_date",
    timestamptz="sold_date cancel_date",
)

JOB_CHANGE_ORDER_ITEMS = _table(
    "job_change_order_items",
    "genius_job_change_order_item",
    "The lines of change orders.",
    path="job_change_order_item",
    added="created_at",
    index="change_order_id",
    refs={"change_order_id": "genius_job_change_order"},
    integer="id change_order_id",
    text="description",
    numeric="amount",
)

JOB_CHANGE_ORDER_REASONS = _table(
    "job_change_order_reasons",
    "genius_job_change_order_reason",
    "Why change orders are made.",
    path="job_change_order_reason",
    integer="id",
    text="label description",
)

JOB_CHANGE_ORDER_STATUSES = _table(
    "job_change_order_statuses",
    "genius_job_change_order_status",
    "How far a change order is.",
    path="job_change_order_status",
    integer="id",
    boolean="is_selectable",
    text="label",
)

JOB_CHANGE_ORDER_TYPES = _table(
    "job_change_order_types",
    "genius_job_change_order_type",
    "Kinds of change orders.",
    path="job_change_order_type",
    integer="id",
    text="label",
)

INTEGRATION_FIELDS = _table(
    "integration_fields",
    "genius_integration_field",
    "What users and divisions are called in other programs; values of password fields are never read.",
    path="integration_field",
    added="created_at",
    refs={"definition_id": "genius_integration_field_definition"},
    integer="id definition_id user_id division_id",
    text="field_value",
)

INTEGRATION_FIELD_DEFINITIONS = _table(
    "integration_field_definitions",
    "genius_integration_field_definition",
    "The fields that integration_fields has values of.",
    path="integration_field_definition",
    integer="id integration_id",
    text="label key_name hint input_type",
    boolean="is_user is_division",
)
