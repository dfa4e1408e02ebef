"""The lists of CallRail, a row each. ``fetch`` says how they are read.

Left out: recordings themselves (the URL is kept; it needs the key), ``conversational_transcript`` and full text threads
(a request for each record of a day's 10,000), the ``formatted_*`` twins, ``waveforms``, and names of the catalogue that
the API does not have (``permissions``, ``configuration``, ``is_active``).

A conversation is one row; ``sent_at`` is its ``last_message_at``. Unconfirmed: which of its ``recent_messages`` is the
newest, so no column picks one as ``direction`` and ``message``.
"""

from datetime import date, timedelta

from warehouse_pipelines.model.cadence import Cadence
from warehouse_pipelines.model.deletes import Deletes
from warehouse_pipelines.model.entity import Entity, columns
from warehouse_pipelines.model.rules import one_of

RETENTION = timedelta(days=757)
"""The vendor keeps 25 months, at least 758 days, and refuses a window that begins before."""

AGAIN = timedelta(days=30)
"""How long a record is read again. Edits come within days. At 250 a page, 10,000 calls a month are 40 requests an hour
of 1,000; 90 days would be 120."""

RARER = timedelta(hours=3)
"""How often these 30 days are read while webhooks tell of each call."""

WEEK = timedelta(days=7)
"""How often everything is read, for late edits and deletes. 250,000 calls are 1,000 requests of the 63,000 of a week; a
read of more than an hour allows waits for the budget."""

ACCOUNTS = Entity(
    name="accounts",
    table="callrail_account",
    about="The accounts that the key can see.",
    path="a.json",
    key="id",
    columns=columns(
        id="id numeric_id",
        text="name",
        boolean="outbound_recording_enabled inbound_recording_enabled hipaa_account",
        timestamptz="created_at",
    ),
)

COMPANIES = Entity(
    name="companies",
    table="callrail_company",
    about="The businesses of an account; a disabled one stays listed.",
    path="companies.json",
    key="id",
    columns=columns(
        id="id",
        text="name status time_zone script_url swap_landing_override swap_cookie_duration_unit",
        boolean="""
            dni_active callscribe_enabled callscore_enabled lead_scoring_enabled keyword_spotting_enabled form_capture
            swap_exclude_jquery swap_ppc_override
        """,
        integer="swap_cookie_duration",
        timestamptz="created_at disabled_at",
        jsonb="verified_caller_ids",
    ),
)

USERS = Entity(
    name="users",
    table="callrail_user",
    about="Who may use an account, and which of its companies; a removed one is no longer listed.",
    path="users.json",
    key="id",
    columns=columns(
        id="id",
        text="name first_name last_name role",
        email="email",
        boolean="accepted",
        timestamptz="created_at",
        jsonb="companies",
    ),
)

TRACKERS = Entity(
    name="trackers",
    table="callrail_tracker",
    about="Tracking numbers: what they stand for and where they lead.",
    path="trackers.json",
    key="id",
    index="company_id",
    refs={"company_id": "callrail_company"},
    columns=columns(
        id="id company_id=company.id",
        text="name type status whisper_message company_name=company.name source=source.type campaign_name",
        phone="tracking_number=tracking_numbers.0 destination_number",
        boolean="sms_supported sms_enabled",
        timestamptz="created_at disabled_at",
        jsonb="tracking_numbers call_flow source_config=source swap_targets",
    ),
)

TAGS = Entity(
    name="tags",
    table="callrail_tag",
    about="The tags that a call or a form may carry.",
    path="tags.json",
    key="id",
    refs={"company_id": "callrail_company"},
    columns=columns(
        id="id company_id",
        text="name tag_level color background_color status",
        boolean="disabled",
        timestamptz="created_at",
    ),
)

CALLS = Entity(
    name="calls",
    table="callrail_call",
    about="Calls to and from the tracking numbers.",
    path="calls.json",
    key="id",
    cursor="start_time",
    cadence=Cadence(
        with_webhooks=RARER, lookback=AGAIN, full_every=WEEK, retention=RETENTION, backfill_since=date(2024, 1, 1)
    ),
    deletes=Deletes(by_window=True),
    index="company_id customer_phone_number start_time",
    refs={"company_id": "callrail_company", "tracker_id": "callrail_tracker"},
    rules=(one_of("direction", "inbound", "outbound"),),
    columns=columns(
        id="id company_id tracker_id person_id session_uuid",
        text="""
            direction call_type customer_name customer_city customer_state customer_country zip_code company_name
            company_time_zone source source_name medium campaign keywords referrer_domain device_type lead_status
            lead_score_explanation note sentiment call_summary transcription
            utm_source utm_medium utm_term utm_content utm_campaign gclid fbclid msclkid ga
        """,
        email="agent_email",
        phone="customer_phone_number tracking_phone_number business_phone_number",
        url="""
            recording_url=recording recording_player landing_page_url last_requested_url referring_url timeline_url
        """,
        boolean="answered voicemail first_call",
        integer="duration recording_duration prior_calls total_calls",
        numeric="value lead_score",
        timestamptz="start_time created_at good_lead_call_time",
        jsonb="""
            tags custom_fields=custom keywords_spotted speaker_percent keypad_entries call_highlights milestones
            integration_data
        """,
    ),
)

TEXT_MESSAGES = Entity(
    name="text_messages",
    table="callrail_text_message",
    about="Conversations by text message, with their recent messages.",
    path="text-messages.json",
    key="id",
    cursor="last_message_at",
    cadence=Cadence(
        with_webhooks=RARER, lookback=AGAIN, full_every=WEEK, retention=RETENTION, backfill_since=date(2024, 1, 1)
    ),
    index="company_id customer_phone_number",
    refs={"company_id": "callrail_company"},
    columns=columns(
        id="id company_id initial_tracker_id current_tracker_id",
        text="status=state customer_name company_time_zone lead_status source",
        phone="customer_phone_number tracking_phone_number=current_tracking_number initial_tracking_number",
        timestamptz="last_message_at",
        jsonb="recent_messages",
    ),
)

FORM_SUBMISSIONS = Entity(
    name="form_submissions",
    table="callrail_form_submission",
    about="Forms filled in on the websites.",
    path="form_submissions.json",
    key="id",
    cursor="submitted_at",
    cadence=Cadence(
        with_webhooks=RARER, lookback=AGAIN, full_every=WEEK, retention=RETENTION, backfill_since=date(2024, 1, 1)
    ),
    deletes=Deletes(by_window=True),
    index="company_id customer_phone_number",
    refs={"company_id": "callrail_company"},
    columns=columns(
        id="id company_id person_id",
        text="""
            company_name form_name customer_name referrer source medium campaign keywords lead_status note
            utm_source utm_medium utm_term utm_content utm_campaign
        """,
        email="customer_email",
        phone="customer_phone_number",
        url="form_url landing_page_url referring_url timeline_url",
        boolean="first_form",
        numeric="value",
        timestamptz="submitted_at",
        jsonb="form_data tags milestones",
    ),
)
