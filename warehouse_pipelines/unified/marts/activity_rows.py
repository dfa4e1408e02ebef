"""What the tables of the sources say happened: a row per table and kind, and nothing else.

``activity`` makes SQL of these rows.

Decided:

- An appointment is two activities: ``appointment_set`` when it was made, and ``appointment`` when it takes place.
- A sale is one activity per CRM that knows of it (``job``, ``sale``); ``marts.sale`` says which of them are the same.
- Whether a visit took place is told by the word of its outcome: not if it is one of ``NOT_HELD``.
- A deal is ``deal`` when it was opened, and ``sale`` or ``deal_lost`` when it was closed.
- Genius does not say when a job was paid. ``payment`` is when it was finished, or last edited, whichever is later.
- SalesRabbit does not say what brought it to a door, so a door knock has no source: as in ``crm.leads``.
- ``NO_ACTIVITIES`` names the tables that tell of nothing that happened, with the reason; a test knows all others.
"""

from collections.abc import Mapping

from warehouse_pipelines.model.accounts import by_table, per_account
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines.unified.marts.crm_activity_rows import CRM_ACTIVITIES, CRM_NO_ACTIVITIES
from warehouse_pipelines.unified.marts.declared import Activity
from warehouse_pipelines.unified.people import (
    Join,
)


def _join(name: str, table: str, equals: str, column: str = "id", first: str = "") -> Join:
    return Join(name=name, table=table, column=column, equals=equals, first=first)


_APPOINTMENT_OF_DEAL = _join("visit", "hubspot_appointment_to_deal_association", "id", "deal_id", "appointment_id")
_DEAL = (
    _join("link", "hubspot_contact_to_deal_association", "id", "deal_id", "contact_id"),
    _join("stage", "hubspot_pipeline_stage", "dealstage"),
    _APPOINTMENT_OF_DEAL,
)
_DEAL_LINKS = {"hubspot_appointment": "visit.appointment_id"}
_QUOTE = _join("quote", "genius_quote", "id", "job_id", "appointment_id")
_DIVISION = _join("branch", "genius_division", "division_id")
_INQUIRY = _join("inquiry", "marketsharp_inquiry", "inquiry_id")
_GENIUS_JOB = _join("job", "genius_job", "job_id")
_FOLDER = _join("folder", "pipedesk.drive_folder_links", "parent_folder_id", "folder_id", "entity_id")

_ACTIVITIES: tuple[Activity, ...] = (
    Activity(
        kind="form", crm="callrail", table="callrail_form_submission", at="submitted_at", outcome="lead_status",
        source="source", title="form_name", direction="inbound",
    ),
    Activity(
        kind="call", crm="callrail", table="callrail_call", at="start_time",
        flags={"answered": "answered", "voicemail": "voicemail"}, otherwise="missed", user_name="agent_email",
        source="source", title="source_name", directions="direction",
    ),
    Activity(
        kind="text", crm="callrail", table="callrail_text_message", at="last_message_at", outcome="status",
        source="source", messages="recent_messages",
    ),
    Activity(
        kind="lead", crm="leadconduit", table="leadconduit_lead", at="created_at", outcome="outcome", source="source",
        title="campaign", direction="inbound",
    ),
    Activity(
        kind="door_knock", crm="salesrabbit", table="salesrabbit_lead", at="created_at", outcome="status",
        user="user_id", user_table="salesrabbit_user", direction="outbound",
    ),
    Activity(
        kind="status_change", crm="salesrabbit", table="salesrabbit_lead_status_history", of="salesrabbit_lead",
        key="lead_id", at="status_updated", outcome="status", user="changed_by_user_id",
        user_table="salesrabbit_user",
    ),
    Activity(
        kind="assignment", crm="salesrabbit", table="salesrabbit_lead", at="owner_modified", when="user_id",
        user="user_id", user_table="salesrabbit_user",
    ),
    Activity(
        kind="note", crm="salesrabbit", table="salesrabbit_lead", at="last_modified", when="notes", title="notes",
        user_name="user_name",
    ),
    Activity(
        kind="lead", crm="hubspot", table="hubspot_contact", at="createdate", outcome="lifecyclestage",
        source="hge_primary_source|original_lead_source|hs_analytics_source", user="hubspot_owner_id",
        user_table="hubspot_owner", direction="inbound", division="division",
    ),
    Activity(
        kind="appointment_set", crm="hubspot", table="hubspot_appointment", at="add_date|createdate",
        outcome="appointment_status", user="add_user_id", user_table="genius_user", source="primary_source",
        title="subject",
    ),
    Activity(
        kind="appointment", crm="hubspot", table="hubspot_appointment", at="start_time",
        outcome="salespro_result|meeting_outcome|appointment_status", user="hubspot_owner_id",
        user_table="hubspot_owner", source="primary_source", title="subject", division="division", may_be_held=True,
        links={
            "genius_appointment": "genius_appointment_id", "salespro_estimate": "salespro_estimate_id",
            "marketsharp_appointment": "marketsharp_id",
        },
    ),
    Activity(
        kind="deal", crm="hubspot", table="hubspot_deal", of="hubspot_contact", key="link.contact_id", joins=_DEAL,
        at="createdate", outcome="stage.label|dealstage", amount="amount", currency="deal_currency_code",
        converted="amount_in_home_currency", user="hubspot_owner_id", user_table="hubspot_owner", title="dealname",
        division="division",
    ),
    Activity(
        kind="sale", crm="hubspot", table="hubspot_deal", of="hubspot_contact", key="link.contact_id", joins=_DEAL,
        at="closedate|hs_lastmodifieddate", when="stage.is_closed stage.probability", outcome="stage.label|dealstage",
        amount="amount", currency="deal_currency_code", converted="amount_in_home_currency", user="hubspot_owner_id",
        user_table="hubspot_owner", title="dealname", division="division",
        links=_DEAL_LINKS,
    ),
    Activity(
        kind="deal_lost", crm="hubspot", table="hubspot_deal", of="hubspot_contact", key="link.contact_id",
        joins=_DEAL, at="closedate|hs_lastmodifieddate", when="stage.is_closed", unless="stage.probability",
        outcome="stage.label|dealstage", amount="amount", currency="deal_currency_code",
        converted="amount_in_home_currency", user="hubspot_owner_id", user_table="hubspot_owner", title="dealname",
        division="division",
    ),
    Activity(
        kind="booking", crm="arrivy", table="arrivy_booking", at="start_datetime|created", outcome="status",
        user="raw_data:entity_ids.0", user_table="arrivy_entity", title="title",
    ),
    Activity(
        kind="task", crm="arrivy", table="arrivy_task", at="start_datetime|created", outcome="status_title|status",
        user="raw_data:entity_ids.0", user_table="arrivy_entity", title="title",
    ),
    Activity(
        kind="call", crm="five9", table="five9_contact", at="sys_last_disposition_time",
        outcome="sys_last_disposition", user_name="sys_last_agent", title="last_campaign", direction="outbound",
        division="division",
    ),
    Activity(
        kind="lead", crm="marketsharp", table="marketsharp_contact", at="created_date", source="source",
        direction="inbound",
    ),
    Activity(
        kind="lead", crm="marketsharp", table="marketsharp_inquiry", of="marketsharp_contact", key="contact_id",
        joins=(
            _join("state", "marketsharp_inquiry_status", "inquiry_status_id"),
            _join("primary_source", "marketsharp_inquiry_source_primary", "inquiry_source_primary_id"),
        ),
        at="inquiry_date|created_date", outcome="state.name", user="set_by_id", user_table="marketsharp_employee",
        source="primary_source.name", title="description", direction="inbound", division="division",
    ),
    Activity(
        kind="appointment_set", crm="marketsharp", table="marketsharp_appointment", of="marketsharp_contact",
        key="inquiry.contact_id", joins=(_INQUIRY,), at="set_date|created_date", outcome="type", user="set_by_id",
        user_table="marketsharp_employee", title="subject",
    ),
    Activity(
        kind="appointment", crm="marketsharp", table="marketsharp_appointment", of="marketsharp_contact",
        key="inquiry.contact_id",
        joins=(_INQUIRY, _join("result", "marketsharp_appointment_result", "result_id")),
        at="appointment_date", outcome="result.name", otherwise="set", user="salesperson1_id",
        user_table="marketsharp_employee", title="subject", division="inquiry.division", may_be_held=True,
    ),
    Activity(
        kind="task", crm="marketsharp", table="marketsharp_activity", of="marketsharp_contact", key="contact_id",
        joins=(_join("result", "marketsharp_activity_result", "activity_result_id"),),
        at="completed_date|due_date|created_date", outcome="result.name", user="assign_to_employee_id",
        user_table="marketsharp_employee", title="name",
    ),
    Activity(
        kind="job", crm="marketsharp", table="marketsharp_job", of="marketsharp_contact", key="contact_id",
        joins=(_INQUIRY,), at="sale_date|created_date", outcome="status", title="name", division="inquiry.division",
        links={"marketsharp_appointment": "appointment_id"},
    ),
    Activity(
        kind="installation", crm="marketsharp", table="marketsharp_job", of="marketsharp_contact", key="contact_id",
        at="completed_date", outcome="status", title="name",
    ),
    Activity(
        kind="cancellation", crm="marketsharp", table="marketsharp_job", of="marketsharp_contact", key="contact_id",
        at="last_update|sale_date|created_date", called_off=True, outcome="status", title="name",
    ),
    Activity(
        kind="lead", crm="genius", table="genius_lead",
        joins=(_join("source_of", "genius_marketing_source", "marketing_source"), _DIVISION), at="created",
        flags={"dead_on": "dead", "is_estimate_set": "estimate set", "viewed_on": "viewed"}, otherwise="open",
        user="agent_id", user_table="genius_user", source="source_of.label", direction="inbound",
        division="branch.label",
    ),
    Activity(
        kind="lead", crm="genius", table="genius_prospect_source", of="genius_prospect", key="prospect_id",
        joins=(_join("source_of", "genius_marketing_source", "marketing_source_id"),), at="source_date|add_date",
        user="source_user_id", user_table="genius_user", source="source_of.label", title="notes", direction="inbound",
    ),
    Activity(
        kind="assignment", crm="genius", table="genius_prospect", joins=(_DIVISION,), at="add_date", when="user_id",
        user="user_id", user_table="genius_user", division="branch.label",
    ),
    Activity(
        kind="appointment_set", crm="genius", table="genius_appointment", at="add_date", outcome="status",
        user="add_user_id", user_table="genius_user",
    ),
    Activity(
        kind="appointment", crm="genius", table="genius_appointment",
        joins=(_join("result", "genius_appointment_outcome", "complete_outcome_id"),),
        at="appointment_date+appointment_time", outcome="result.label", otherwise="set", user="user_id",
        user_table="genius_user", may_be_held=True,
        links={
            "marketsharp_appointment": "marketsharp_id", "salespro_estimate": "leap_estimate_id",
            "hubspot_appointment": "hubspot_appointment_id",
        },
    ),
    Activity(
        kind="assignment", crm="genius", table="genius_appointment", at="assign_date", when="user_id", user="user_id",
        user_table="genius_user",
    ),
    Activity(
        kind="note", crm="genius", table="genius_appointment", at="add_date", when="notes", title="notes",
        user="add_user_id", user_table="genius_user",
    ),
    Activity(
        kind="estimate", crm="genius", table="genius_quote", of="genius_prospect", key="prospect_id", at="add_date",
        amount="amount", user="add_user_id", user_table="genius_user", title="label",
    ),
    Activity(
        kind="job", crm="genius", table="genius_job", of="genius_prospect", key="prospect_id",
        joins=(_join("state", "genius_job_status", "status"), _DIVISION, _QUOTE),
        at="contract_date|sold_date|add_date", outcome="state.label", amount="contract_amount|job_value",
        user="sold_user_id|user_id", user_table="genius_user", title="contract_number", division="branch.label",
        links={"genius_appointment": "quote.appointment_id"},
    ),
    Activity(
        kind="installation", crm="genius", table="genius_job", of="genius_prospect", key="prospect_id",
        at="finish_date", amount="contract_amount|job_value", user="user_id", user_table="genius_user",
        title="contract_number",
    ),
    Activity(
        kind="payment", crm="genius", table="genius_job", of="genius_prospect", key="prospect_id",
        at="finish_date&modified", when="is_payment_finalized", amount="payment_amount|contract_amount|job_value",
        user="user_id", user_table="genius_user", title="contract_number",
    ),
    Activity(
        kind="cancellation", crm="genius", table="genius_job", of="genius_prospect", key="prospect_id",
        joins=(_join("state", "genius_job_status", "status"),),
        at="cancel_date|modified|contract_date|sold_date|add_date", called_off=True, outcome="state.label",
        amount="contract_amount|job_value", user="sold_user_id|user_id", user_table="genius_user",
        title="contract_number",
    ),
    Activity(
        kind="change_order", crm="genius", table="genius_job_change_order", of="genius_prospect",
        key="job.prospect_id",
        joins=(_GENIUS_JOB, _join("state", "genius_job_change_order_status", "status_id")),
        at="sold_date|effective_date|add_date", outcome="state.label", amount="total_amount",
        user="sold_user_id|add_user_id", user_table="genius_user", title="number",
    ),
    Activity(
        kind="credit_application", crm="genius", table="genius_job_financing", of="genius_prospect",
        key="job.prospect_id", joins=(_GENIUS_JOB,), at="app_submission_date|signed_on|approved_on",
        flags={"denied_on": "denied", "approved_on": "approved"}, otherwise="submitted", amount="financed_amount",
    ),
    Activity(
        kind="estimate", crm="salespro", table="salespro_estimate", at="created_at", outcome="status",
        amount="total_amount", user="sales_rep_id", user_table="salespro_user", title="job_type",
    ),
    Activity(
        kind="sale", crm="salespro", table="salespro_estimate", at="created_at", when="is_sale", outcome="status",
        amount="sale_amount|total_amount", user="sales_rep_id", user_table="salespro_user", title="job_type",
        division="office_name",
    ),
    Activity(
        kind="visit", crm="salespro", table="salespro_lead_result", of="salespro_estimate", key="estimate_id",
        at="result_date", outcome="appointment_result|result_type", may_be_held=True,
    ),
    Activity(
        kind="credit_application", crm="salespro", table="salespro_credit_application", of="salespro_customer",
        key="customer_id", at="created_at", outcome="credit_app_status", amount="credit_app_amount",
        user="sales_rep_id", user_table="salespro_user", title="credit_app_vendor",
    ),
    Activity(
        kind="lead", crm="gsheet", table="gsheet_marketing_lead", at="created_at|date",
        outcome="appt_result|csr_disposition", source="channel|source", title="campaign", direction="inbound",
    ),
    Activity(
        kind="lost", crm="genius", table="genius_lead", at="dead_on", user="dead_by", user_table="genius_user",
        title="dead_note",
    ),
    Activity(
        kind="call", crm="gsheet", table="gsheet_marketing_lead", at="first_call_date_time", outcome="csr_disposition",
        user_name="call_center", title="campaign", direction="outbound",
    ),
    Activity(
        kind="lead", crm="pipedesk", table="pipedesk.leads",
        joins=(
            _join("state", "pipedesk.lead_statuses", "lead_status_id"),
            _join("came_by", "pipedesk.lead_origins", "lead_origin_id"),
        ),
        at="created_at", outcome="state.code", user="owner_user_id", user_table="pipedesk.users",
        source="came_by.label", alive="qualified_at",
    ),
    Activity(
        kind="status_change", crm="pipedesk", table="pipedesk.leads", at="qualified_at|disqualified_at",
        flags={"qualified_at": "qualified", "disqualified_at": "disqualified"}, user="owner_user_id",
        user_table="pipedesk.users", title="disqualification_reason", alive="qualified_at",
    ),
    Activity(
        kind="calendar_event", crm="gcalendar", table="pipedesk.calendar_events", at="start_time", outcome="status",
        user_name="organizer_email", title="summary",
    ),
    Activity(
        kind="file", crm="gdrive", table="pipedesk.drive_files", by="folder.entity_type",
        tables={"lead": "pipedesk.leads", "contact": "pipedesk.contacts"}, key="folder.entity_id", joins=(_FOLDER,),
        at="created_at|modified_at", outcome="mime_type", title="name",
    ),
    *CRM_ACTIVITIES,
)  # fmt: skip
ACTIVITIES: tuple[Activity, ...] = per_account(_ACTIVITIES, SOURCES)

_COPY = "a copy of records of another table, on their way"
_WORDS = "what words, codes or kinds there are"
_US = "the business itself, and who works there"
_PAIRS = "which rows belong together"

_NO_ACTIVITIES: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "hubspot_pipeline", "hubspot_pipeline_stage", "hubspot_zipcode", "arrivy_status", "arrivy_template",
            "marketsharp_appointment_result", "marketsharp_activity_reference", "marketsharp_activity_result",
            "marketsharp_inquiry_source_primary", "marketsharp_inquiry_source_secondary", "marketsharp_inquiry_status",
            "marketsharp_product_detail", "marketsharp_product_type", "genius_appointment_outcome",
            "genius_appointment_outcome_type", "genius_appointment_type", "genius_integration_field_definition",
            "genius_job_change_order_reason", "genius_job_change_order_status", "genius_job_change_order_type",
            "genius_job_status", "genius_marketing_source", "genius_marketing_source_type", "genius_marketsharp_source",
            "genius_marketsharp_marketing_source_map", "genius_service", "pipedesk.lead_origins",
            "pipedesk.lead_statuses", "pipedesk.tags", "callrail_tag",
        ), _WORDS,
    ),
    **dict.fromkeys(
        (
            "hubspot_division", "hubspot_geniususer", "hubspot_owner", "callrail_account", "callrail_company",
            "callrail_tracker", "callrail_user", "salesrabbit_user", "arrivy_entity", "arrivy_group",
            "marketsharp_company", "marketsharp_employee", "genius_division", "genius_division_group",
            "genius_division_region", "genius_integration_field", "genius_user", "genius_user_association",
            "genius_user_title", "salespro_office", "salespro_user", "pipedesk.users", "pipedesk.user_roles",
        ), _US,
    ),
    **dict.fromkeys(
        (
            "hubspot_contact_to_deal_association", "hubspot_contact_to_company_association",
            "hubspot_contact_to_division_association", "hubspot_deal_to_line_item_association",
            "hubspot_deal_to_company_association", "hubspot_appointment_to_contact_association",
            "hubspot_appointment_to_deal_association", "pipedesk.lead_contacts", "pipedesk.lead_tags",
            "pipedesk.drive_folder_links", "pipedesk.google_drive_folders", "genius_appointment_service",
        ), _PAIRS,
    ),
    **dict.fromkeys(
        (
            "marketsharp_data", "marketsharp_lead", "marketsharp_prospect", "marketsharp_customer",
            "genius_marketsharp_contact", "genius_marketsharp_appointment",
        ), _COPY,
    ),
    "hubspot_company": "companies; what happens there happens to contacts and deals",
    "hubspot_line_item": "a part of a deal",
    "gsheet_marketing_spend": "what was spent, on nobody in particular",
    "salespro_lead_result_line_item": "a part of a visit's result",
    "genius_job_change_order_item": "a part of a change order",
    "marketsharp_product_interest": "a part of an inquiry",
    "marketsharp_address": "a part of a contact",
    "marketsharp_contact_phone": "a part of a contact",
    "marketsharp_contact_type": "a part of a contact",
    "marketsharp_custom_field": "a part of a contact",
    "salespro_customer": "a customer with the newest estimate, which is there by itself",
    "genius_contact": "people as such; no installation is known to have the table",
    "pipedesk.contacts": "people, without a time of their own",
    "pipedesk.companies": "companies, without a time of their own",
    "pipedesk.master_deals": "opportunities, without a stage or a time of their own",
    "pipedesk.lead_activity_stats": "numbers of activities, not the activities",
    **CRM_NO_ACTIVITIES,
    "leadconduit_event": "steps within LeadConduit; what they made of a lead stands in leadconduit_lead",
}  # fmt: skip
NO_ACTIVITIES: Mapping[str, str] = by_table(_NO_ACTIVITIES, SOURCES)
