"""CallRail: calls, texts and form fills, and the tracking numbers that brought them.

API v3. Accounts are asked for first, everything else account by account. Three ways of reading:

**Calls** by ``start_time``, oldest first, inside a window whose end is frozen. The first page is asked for by number,
since only that answer counts the records; when there are more, the walk begins anew with relative pagination, which
the vendor offers for depth. **Forms** by ``submitted_at`` and **text conversations** by their last message, page by
page. **The rest** is small, cannot be asked for by date, and is read whole.

No list can be asked for what was *edited*, and nothing tells of deletions: tags, value, lead status, notes and
transcriptions come days after the call. So every delta reads the last 30 days again (``lookback``), and a call or a
form of that window that is no longer listed (spam vanishes) counts as deleted; what is older is read again once a week,
and what vanished of it is found then. A conversation's cursor moves with
each message, so one that is not in the window it was in last time may have moved out of it: there only a read of
everything counts as proof. For the same reason conversations are read to the end and not to the window's end, and
their first page, newest first, is read once more at the end for what moved to it meanwhile.

``total_records`` is believed: a difference is asked for once more before it stands. A record that vanishes from a page
already read moves another one over the edge of a page, unseen, and the shrunken list then counts what was read. So a
list that counted more at first than came and counts less now is walked once more; that finds what was hidden, in the
same run, and what it no longer shows stays until the next. Times are sent with an offset,
because a bare date means the time zone of the account. What the key is no longer allowed to see looks like rows
vanishing; two things protect against that: a window that comes back empty where rows were known makes the run partial
and buries nothing, and one read may bury no more than the loader's limit.

Left out: recordings themselves (the URL is kept; it needs the key), ``conversational_transcript`` and full text
threads (a request for each record of a day's 10,000), the ``formatted_*`` twins, ``waveforms``, and names of the
catalogue that the API does not have (``permissions``, ``configuration``, ``is_active``). A conversation is one row;
``sent_at`` is its ``last_message_at``. Which of its ``recent_messages`` is the newest is unconfirmed, so no column
picks one as ``direction`` and ``message``.

Settings: ``Settings``. Verified against: the simulator only; no live account has been read yet.
"""

import functools
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qsl, urlsplit

import msgspec
from pydantic import SecretStr

from warehouse_pipelines.errors import AnswerChanged, CursorStuck, PermissionMissing
from warehouse_pipelines.model.entity import Entity, columns
from warehouse_pipelines.model.reading import Budget, Extraction, Page, Window
from warehouse_pipelines.model.rules import one_of
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.settings import FromEnvironment
from warehouse_pipelines.sources._http import Client, first_backoff, key_of, listed

if TYPE_CHECKING:
    import httpx

VERSION = "v3"
PER_PAGE = 250

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
"""What each list answers only when it is asked for; of these the declared columns are. An unknown name may be a 400."""


class Settings(FromEnvironment, env_prefix="CALLRAIL_"):
    """The vendor allows 1,000 requests an hour and 10,000 a day for an account; other programs need some as well."""

    api_key: SecretStr
    base_url: str = "https://api.callrail.com"
    requests_per_hour: int = 900
    requests_per_day: int = 9_000


class Answer(msgspec.Struct):
    """What every list answers; ``answers`` makes the form in which the list itself has its name."""

    records: list[msgspec.Raw] | None
    total_pages: int | None = None
    total_records: int | None = None
    has_next_page: bool = False
    next_page: str | None = None


@functools.cache
def answers(name: str) -> type[Answer]:
    """Return the form of an answer whose list is called ``name``; without that list it is an error."""
    form = msgspec.defstruct(
        "Answer",
        [("records", list[msgspec.Raw] | None, msgspec.field(name=name))],
        bases=(Answer,),
        kw_only=True,
    )
    return cast(type[Answer], form)


def fetch(extraction: Extraction) -> Iterator[Page]:
    """Yield the pages of one entity, for every account that the key can see."""
    entity = extraction.entity
    params = question(extraction)
    if params is None:
        return
    paths = [f"/{VERSION}/{entity.path}"]
    if entity.path != ACCOUNTS.path:
        visible = Listing(extraction, ACCOUNTS, f"/{VERSION}/a.json", {}, set())
        for _ in visible.pages():
            pass
        if not visible.seen:
            raise PermissionMissing("CallRail: the key sees no account. Check the rights of its user, then run again.")
        paths = [f"/{VERSION}/a/{account}/{entity.path}" for account in sorted(visible.seen)]
    seen: set[str] = set()
    totals: list[int | None] = []
    for path in paths:
        listing = Listing(extraction, entity, path, params, seen)
        for records in listing.pages():
            if len(paths) == 1:
                extraction.reported = listing.counted
            yield Page(records, in_window=entity.path != TEXT_MESSAGES.path)
        totals.append(listing.total())
    known = [total for total in totals if total is not None]
    extraction.reported, extraction.trusted = sum(known) if len(known) == len(totals) else None, True


def client(extraction: Extraction) -> Client:
    """Return the client of the key in the settings."""
    settings = Settings()
    return Client(
        extraction,
        title="CallRail",
        base_url=settings.base_url,
        renew="CALLRAIL_API_KEY",
        headers={"Authorization": f'Token token="{settings.api_key.get_secret_value()}"'},
        budgets=(Budget("hour", settings.requests_per_hour, 3_600), Budget("day", settings.requests_per_day, 86_400)),
        wait_for=wait_for,
    )


def wait_for(answer: "httpx.Response", attempt: int) -> float | None:
    """Return 10, 20, ... 320 seconds after a 429, which here tells nothing of how long its hour still lasts."""
    return 10 * 2 ** (attempt - 1) * first_backoff() if answer.status_code == 429 else None


def question(extraction: Extraction) -> dict[str, str] | None:
    """Return what is asked of every list of the entity; None when the window lies before the vendor's memory."""
    entity = extraction.entity
    declared = {column.path.partition(".")[0] for column in entity.columns.values()}
    fields = [name for name in FIELDS.get(entity.path, "").split() if name in declared]
    params = {"fields": ",".join(fields)} if fields else {}
    if not entity.cursor:
        return params
    until = extraction.window.until
    since = max(extraction.since, until - RETENTION)
    if entity.path != TEXT_MESSAGES.path:
        params |= {"sort": entity.cursor, "order": "asc"}
    elif not extraction.options.get("backfill"):
        until += timedelta(days=1)
    if since >= until:
        return None
    # Both ends are inclusive; whole seconds outside the window, the loader cuts at its own ends.
    until += timedelta(seconds=1)
    ends = {"start_date": since, "end_date": until}
    return params | {name: at.astimezone(UTC).isoformat(timespec="seconds") for name, at in ends.items()}


class Listing:
    """One list of one account: its pages, and how many records it is said to have.

    ``seen`` are the ids of all accounts: a user of two of them is listed in both and is one record.
    """

    def __init__(
        self, extraction: Extraction, entity: Entity, path: str, params: Mapping[str, str], seen: set[str]
    ) -> None:
        self.entity = entity
        self.path = path
        self.params = {**params, "per_page": str(min(extraction.page_size, PER_PAGE))}
        self.seen = seen
        self._http = client(extraction)
        self._form = answers(entity.records or entity.name)
        self._elsewhere = frozenset(seen)
        self._turned: set[tuple[str | None, ...]] = set()
        self._read = 0
        self._shared = 0
        self._gone = 0
        self._met: set[str | None] | None = None
        self._counted: int | None = None

    def pages(self) -> Iterator[list[bytes]]:
        """Yield the records, each once."""
        first = self._ask(page="1")
        self._counted = first.total_records
        yield from self._walk(first)
        if self._counted is None or self._counted <= self._here:
            return
        again = self._ask(page="1")
        if again.total_records is not None and again.total_records < self._counted:
            given = self.seen - self._elsewhere
            self._counted, self._met = again.total_records, set()
            self._turned.clear()
            yield from self._walk(again)
            self._gone = len(given - self._met)

    def _walk(self, first: Answer) -> Iterator[list[bytes]]:
        if self.entity.path == CALLS.path and (first.total_pages is None or first.total_pages > 1):
            yield from self._relative()
        else:
            yield from self._numbered(first)

    @property
    def counted(self) -> int | None:
        """How many records the list has by its own count."""
        return self._counted

    def total(self) -> int | None:
        """Return how many of the records are said to be here; asked a second time when that is not what came."""
        if self._counted is not None and self._counted < self._here:
            self._counted = self._ask(page="1", per_page="1").total_records
        return None if self._counted is None else self._counted - self._shared + self._gone

    @property
    def _here(self) -> int:
        """How many records the list should have, by what it showed."""
        return self._read + self._shared - self._gone

    def _ask(self, **params: str) -> Answer:
        return self._http.get(self.path, self._form, params={**self.params, **params})

    def _numbered(self, answer: Answer) -> Iterator[list[bytes]]:
        number = 1
        while True:
            last = answer.total_pages is not None and number >= answer.total_pages
            records = listed(answer.records, f"CallRail: {self.path}", first=number == 1, last=True)
            if records:
                yield self._turn(records)
            if last or not records:
                break
            number += 1
            answer = self._ask(page=str(number))
        if number > 1 and self.entity.path == TEXT_MESSAGES.path:
            self._turned.clear()
            yield self._turn(self._ask(page="1").records or [])

    def _relative(self) -> Iterator[list[bytes]]:
        params = {"relative_pagination": "true", "offset": "0"}
        here = urlsplit(Settings().base_url).netloc
        while True:
            answer = self._ask(**params)
            more = answer.has_next_page
            yield self._turn(listed(answer.records, f"CallRail: {self.path}", first=not self._turned, last=not more))
            if not more:
                return
            following = urlsplit(answer.next_page or "")
            if following.netloc != here or following.path != self.path:
                raise AnswerChanged(f"CallRail: the next page of {self.path} is elsewhere; the key is not sent there.")
            params = dict(parse_qsl(following.query)) | {"relative_pagination": "true"}

    def _turn(self, records: list[msgspec.Raw]) -> list[bytes]:
        """Return those records of a page that are new: a late arrival moves the last one to the next page."""
        keys = tuple(map(key_of, records))
        if keys in self._turned:
            raise CursorStuck(f"CallRail: {self.path} answered the same page twice; reading on would never end.")
        self._turned.add(keys)
        again = self._met is not None
        if self._met is None:
            self._shared += sum(key in self._elsewhere for key in keys)
        else:
            self._met.update(keys)
        fresh = [
            bytes(record)
            for key, record in zip(keys, records, strict=True)
            if key not in self.seen and not (again and key is None)
        ]
        self.seen.update(key for key in keys if key)
        self._read += len(fresh)
        return fresh


RETENTION = timedelta(days=757)
"""The vendor answers for 25 months, which are 758 days at the least, and refuses a window that begins before."""

AGAIN = timedelta(days=30)
"""How long a record is read again. Edits come within days; at 250 a page, 10,000 calls a month are 40 requests an hour
of 1,000, while 90 days would be 120."""

WEEK = timedelta(days=7)
"""How often all that the vendor keeps is read: what was deleted before the last 30 days, and late edits. 250,000 calls
are 1,000 requests of the 63,000 of a week; where they are more than an hour allows, the read waits for its turn."""

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
    lookback=AGAIN,
    whole_every=WEEK,
    retention=RETENTION,
    days_since=date(2024, 1, 1),
    missing="window",
    index="company_id customer_phone_number",
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
    records="conversations",
    key="id",
    cursor="last_message_at",
    lookback=AGAIN,
    whole_every=WEEK,
    retention=RETENTION,
    days_since=date(2024, 1, 1),
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
    lookback=AGAIN,
    whole_every=WEEK,
    retention=RETENTION,
    days_since=date(2024, 1, 1),
    missing="window",
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


def check() -> str:
    """Ask for one account."""
    extraction = Extraction(entity=ACCOUNTS, window=Window(None, datetime.now(UTC)), page_size=1)
    answer = client(extraction).get(f"/{VERSION}/a.json", answers("accounts"), params={"per_page": "1"})
    return f"CallRail answers: the key sees {answer.total_records or len(answer.records or [])} account(s)"


CALLRAIL = Source(
    name="callrail",
    title="CallRail",
    transport="api",
    settings=Settings,
    fetch=fetch,
    check=check,
    page_size=PER_PAGE,
    entities=(ACCOUNTS, COMPANIES, USERS, TRACKERS, TAGS, CALLS, TEXT_MESSAGES, FORM_SUBMISSIONS),
)
