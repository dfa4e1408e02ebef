"""The sheets of the marketing department, a row each: leads and spending."""

from warehouse_pipelines.model.entity import Entity, columns

ROW = columns(
    integer="id=_id row_number=_row_number",
    text="spreadsheet_id=_spreadsheet_id sheet_name=_sheet_name content_hash=_content_hash",
)
"""Columns of each row besides its cells."""

MARKETING_LEADS = Entity(
    name="marketing_leads",
    table="gsheet_marketing_lead",
    about="Leads as the marketing department keeps them in a sheet.",
    path="marketing_lead",
    key="id",
    state_based=True,
    expected="first_name last_name email phone",
    index="email phone_e164",
    columns={
        **ROW,
        **columns(
            date="date=date|lead_date preferred_appt_date set_appt_date",
            text="""
                source=source|marketing_source campaign=campaign|utm_campaign first_name last_name
                notes=notes|call_notes utm_campaign utm_term utm_content channel page_source_name variant click_id
                click_type division form_submit_zipcode marketing_zip_check lead_type connection_status contact_reason
                no_set_reason after_hours callback_review call_center appt_set_by appt_result appt_result_reason
                appointment_outcome appointment_outcome_type keyword adgroup_name adgroup_id csr_disposition
                f9_list_name f9_last_campaign marketsharp_address genius_division genius_marketing_source
                marketsharp_source event_show_type event_show_name event_field_marketer google_ads_campaign_rename
            """,
            email="email=email|email_address",
            phone="phone=phone|phone_number",
            url="page_url call_recording",
            boolean="lead_set manager_followup multiple_inquiry spouses_present",
            integer="year recording_duration hold_time call_attempts appt_attempts",
            numeric="total_job_value cancel_job_value",
            timestamptz="created_at first_call_date_time appt_date_time f9_sys_created_date",
        ),
    },
)

MARKETING_SPENDS = Entity(
    name="marketing_spends",
    table="gsheet_marketing_spend",
    about="What was spent on marketing, by day, channel and campaign.",
    path="marketing_spend",
    key="id",
    state_based=True,
    expected="date channel campaign amount",
    index="date",
    columns={
        **ROW,
        **columns(
            date="date=date|spend_date event_start_date event_end_date",
            text="channel campaign campaign_id campaign_type division",
            numeric="amount=amount|cost event_fee event_labor_cost",
            integer="impressions clicks conversions",
        ),
    },
)
