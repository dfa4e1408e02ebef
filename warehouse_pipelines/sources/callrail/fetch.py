"""Read an entity of CallRail (API v3): the accounts first, everything else account by account, side by side.

**Calls** are read by ``start_time``, oldest first, in a window with a frozen end; **forms** by ``submitted_at``,
**text conversations** by their last message. **The rest** is small, cannot be asked for by date, and is read in full.

No list can be asked for *edited* records, and none reports deletes: tags, value, lead status, notes and transcriptions
come days after the call. So every delta reads the last 30 days again (``lookback``), and a call or a form of that
window that is no longer listed (spam vanishes) counts as deleted. Older records are read again once a week, deletes
included.

A conversation's cursor moves with each message, so one that is absent from its former window may have moved out of it:
only a full read proves its delete. Conversations are therefore read to the end and not to the window's end, and their
first page, newest first, is read once more at the end.

Records that the key may no longer see look deleted. Two things protect against that: a window that comes back empty
where rows were known makes the run partial and tombstones nothing, and one read may tombstone no more than the
loader's limit. Times are sent with an offset, because a bare date means the time zone of the account.

Verified against the simulator only; no live account has been read yet.
"""

from datetime import UTC, timedelta

from warehouse_pipelines.errors import PermissionMissing
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import Page, Pages, ReadContext, ReadReport, ReadRequest
from warehouse_pipelines.sources._in_flight import side_by_side
from warehouse_pipelines.sources.callrail.client import VERSION
from warehouse_pipelines.sources.callrail.entities import ACCOUNTS, RETENTION, TEXT_MESSAGES, USERS
from warehouse_pipelines.sources.callrail.reader import CallRailReader

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


def fetch(request: ReadRequest, context: ReadContext) -> Pages:
    """Yield the pages of one entity, for every account that the key can see.

    Raises ``PermissionMissing`` when it sees none.
    """
    entity = request.entity
    params = question(request)
    if params is None:
        return ReadReport()
    paths = [f"/{VERSION}/{entity.path}"]
    if entity.path != ACCOUNTS.path:
        paths = [f"/{VERSION}/a/{account}/{entity.path}" for account in visible_accounts(request, context)]
    readers = [CallRailReader(request, context, entity, path, params) for path in paths]
    # In their order where a record may be in two accounts: then the first one's is loaded, each time.
    most = 1 if request.limit or entity.path == USERS.path else None
    seen: set[str] = set()
    again = 0
    for records in side_by_side(context, [reader.pages() for reader in readers], most):
        fresh = [record for key, record in records if key is None or key not in seen]
        if len(readers) > 1:
            again += len(records) - len(fresh)
            seen.update(key for key, _ in records if key is not None)
        reported = readers[0].counted if len(readers) == 1 else None
        yield Page(fresh, in_window=entity.path != TEXT_MESSAGES.path, reported=reported)
    known = [reader.total for reader in readers if reader.total is not None]
    reported = sum(known) - again if len(known) == len(readers) else None
    return ReadReport(reported=reported, reported_trusted=True)


def visible_accounts(request: ReadRequest, context: ReadContext) -> list[str]:
    """Return the ids of the accounts that the key sees. Raises ``PermissionMissing`` when it sees none."""
    visible = CallRailReader(request, context, ACCOUNTS, f"/{VERSION}/a.json", {})
    for _ in visible.pages():
        pass
    if not visible.seen:
        raise PermissionMissing("CallRail: the key sees no account. Check the rights of its user, then run again.")
    return sorted(visible.seen)


def asked_fields(entity: Entity) -> dict[str, str]:
    """Return the parameter that asks for the declared members that come only on request."""
    declared = {column.path.partition(".")[0] for column in entity.columns.values()}
    fields = [name for name in FIELDS.get(entity.path, "").split() if name in declared]
    return {"fields": ",".join(fields)} if fields else {}


def question(request: ReadRequest) -> dict[str, str] | None:
    """Return the parameters of every list of the entity; None if the window lies before the vendor's retention."""
    entity = request.entity
    params = asked_fields(entity)
    if not entity.cursor:
        return params
    until = request.window.until
    since = max(request.since, until - RETENTION)
    if entity.path != TEXT_MESSAGES.path:
        params |= {"sort": entity.cursor, "order": "asc"}
    elif not request.options.get("backfill"):
        until += timedelta(days=1)
    if since >= until:
        return None
    # Both ends are inclusive: whole seconds outside of the window; the loader cuts at the exact ends.
    until += timedelta(seconds=1)
    ends = {"start_date": since, "end_date": until}
    return params | {name: at.astimezone(UTC).isoformat(timespec="seconds") for name, at in ends.items()}
