"""The fields of what CallRail lists, those that come unasked and those that `fields` asks for."""

from __future__ import annotations

from dataclasses import dataclass

from warehouse_pipelines.simulators.core.population import words

CALL_DEFAULT = words(
    "id answered business_phone_number customer_city customer_country customer_name customer_phone_number "
    "customer_state direction duration recording recording_duration recording_player start_time "
    "tracking_phone_number voicemail"
)
CALL_MORE = words(
    "agent_email call_highlights call_summary call_type campaign company_id company_name "
    "company_time_zone created_at custom detail_tags device_type fbclid first_call ga gclid "
    "good_lead_call_id good_lead_call_time integration_data keypad_entries keywords keywords_spotted "
    "landing_page_url last_requested_url lead_score lead_score_explanation lead_status medium milestones "
    "msclkid note person_id prior_calls referrer_domain referring_url sentiment session_uuid source "
    "source_name speaker_percent tags timeline_url total_calls tracker_id transcription utm_source "
    "utm_medium utm_term utm_content utm_campaign utma utmb utmc utmv utmz value voice_assist_message "
    "waveforms zip_code formatted_call_type formatted_customer_location formatted_business_phone_number "
    "formatted_customer_name formatted_customer_name_or_phone_number formatted_customer_phone_number "
    "formatted_duration formatted_tracking_phone_number formatted_tracking_source formatted_value"
)
FORM_DEFAULT = words(
    "id company_id person_id form_data form_url landing_page_url referrer referring_url submitted_at "
    "first_form customer_name customer_email customer_phone_number formatted_customer_phone_number "
    "formatted_customer_name source keywords campaign medium"
)
FORM_MORE = words(
    "company_name lead_status value note tags utm_source utm_medium utm_term utm_content utm_campaign "
    "form_name timeline_url milestones"
)
CONVERSATION_DEFAULT = words(
    "id company_id initial_tracker_id current_tracker_id customer_name customer_phone_number "
    "initial_tracking_number current_tracking_number last_message_at state company_time_zone "
    "formatted_customer_phone_number formatted_customer_name formatted_initial_tracking_number "
    "formatted_current_tracking_number recent_messages"
)
CONVERSATION_MORE = ("lead_status", "source")


@dataclass(frozen=True)
class Listing:
    key: str
    default: tuple[str, ...]
    more: tuple[str, ...]


LISTINGS = {
    "calls": Listing("calls", CALL_DEFAULT, CALL_MORE),
    "form_submissions": Listing("form_submissions", FORM_DEFAULT, FORM_MORE),
    "text-messages": Listing("conversations", CONVERSATION_DEFAULT, CONVERSATION_MORE),
}
GATED = {"a": ("numeric_id",), "companies": ("verified_caller_ids",), "trackers": ("campaign_name", "swap_targets")}
