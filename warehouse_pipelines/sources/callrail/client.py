"""The client of CallRail, the form of its lists, and the members that a record has only on request."""

import functools
from typing import TYPE_CHECKING, cast

import msgspec

from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import Budget, ReadContext
from warehouse_pipelines.sources._http import Client, first_backoff
from warehouse_pipelines.sources.callrail.settings import Settings

if TYPE_CHECKING:
    import httpx

VERSION = "v3"
PER_PAGE = 250


class Answer(msgspec.Struct):
    """The answer of any list; ``answers`` gives the list its name."""

    records: list[msgspec.Raw] | None
    total_pages: int | None = None
    total_records: int | None = None
    has_next_page: bool = False
    next_page: str | None = None


FIELDS = {
    "a.json": "numeric_id",
    "companies.json": "verified_caller_ids",
    "trackers.json": "campaign_name swap_targets",
    "calls.json": """
        agent_email call_highlights call_summary call_type campaign company_id company_name company_time_zone created_at
        custom detail_tags device_type fbclid first_call ga gclid good_lead_call_id good_lead_call_time integration_data
        keypad_entries keywords keywords_spotted landing_page_url last_requested_url lead_score lead_score_explanation
        lead_status medium milestones msclkid note person_id prior_calls referrer_domain referring_url sentiment
        session_uuid source source_name speaker_percent tags timeline_url total_calls tracker_id transcription
        utm_source utm_medium utm_term utm_content utm_campaign utma utmb utmc utmv utmz value voice_assist_message
        waveforms zip_code
    """,
    "form_submissions.json": """
        company_name lead_status value note tags form_name timeline_url milestones
        utm_source utm_medium utm_term utm_content utm_campaign
    """,
    "text-messages.json": "lead_status source",
}
"""Members that a list answers only on request. The declared ones are requested; an unknown name may be a 400."""


@functools.cache
def answers(name: str) -> type[Answer]:
    """Return the form of an answer whose list is called ``name``. Without that list the answer is an error."""
    form = msgspec.defstruct(
        "Answer",
        [("records", list[msgspec.Raw] | None, msgspec.field(name=name))],
        bases=(Answer,),
        kw_only=True,
    )
    return cast(type[Answer], form)


def asked_fields(entity: Entity) -> dict[str, str]:
    """Return the parameter that asks for the declared members that come only on request."""
    declared = {column.path.partition(".")[0] for column in entity.columns.values()}
    fields = [name for name in FIELDS.get(entity.path, "").split() if name in declared]
    return {"fields": ",".join(fields)} if fields else {}


def client(context: ReadContext) -> Client:
    """Return the client of the key in the settings."""
    settings = context.settings(Settings)
    return Client(
        context,
        title="CallRail",
        base_url=settings.base_url,
        renew=context.setting("CALLRAIL_API_KEY"),
        headers={"Authorization": f'Token token="{settings.api_key.get_secret_value()}"'},
        budgets=(Budget("hour", settings.requests_per_hour, 3_600), Budget("day", settings.requests_per_day, 86_400)),
        wait_for=wait_for,
    )


def wait_for(answer: "httpx.Response", attempt: int) -> float | None:
    """Return 10, 20, ... 320 seconds after a 429, which does not say how long its hour still lasts."""
    return 10 * 2 ** (attempt - 1) * first_backoff() if answer.status_code == 429 else None
