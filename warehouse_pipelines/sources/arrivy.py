"""Arrivy: the crews' work. Tasks with their schedule, the bookings that they belong to, and who goes there.

Lists are bare arrays without a count, so a list is read until a page is empty. No list can be asked for what was
*edited*, nor tells of deletions: ``from`` and ``to`` bound the time for which a task is scheduled. Three ways together
find everything:

- Every delta reads the schedule from 60 days ago to 365 days ahead. ``updated`` decides which of two records is newer.
- Every delta also reads what has no schedule (``unscheduled=true``, ``tasks_with_no_datetime=true``), which no window
  shows.
- Once a day everything is read, which finds edits outside of that window and what was deleted. Since a task may leave
  a window by being rescheduled, only a read of everything proves that one is gone.

A list shifts while it is read: what is deleted, or scheduled meanwhile, moves another record to a page that was read
already. Pages are therefore asked for in the order of creation, records are merged by id, and a read of everything that
did not meet a row the warehouse knows is walked once more before the row counts as gone. What a delta misses in this
way it meets an hour later.

``--concurrent-pages N`` keeps N requests in flight, ``--high-performance`` four where no number is given. A page that
fails fails the read. ``--booking-status`` and ``--task-status`` are sent to the vendor and checked here.

Unconfirmed, each a setting of the simulator:

- ``/bookings`` is not in the vendor's reference and its filters are a guess. An account without it has an empty table.
  If its dates are ignored, a delta reads all bookings: seen by its number of requests. ``customer_name`` and
  ``customer_address`` are the specification's and may stay null; ``customer_first_name`` and its like are there.
- ``/templates``: nobody is known to have called it. Without it the templates are those that the stored tasks name
  (id, name, type), and one that no task has any more counts as gone.
- ``/entities``, ``/statuses`` and ``/templates`` are said to answer at once. The second page is asked for all the same:
  empty, or the first again, is the end, and anything else was worth asking.
- The ``status`` filter, and how statuses are spelt there; ``noticed`` lists the statuses that were left out here.
- Whether a query ends after a thousand records or so, as one client suspects. A round number of them, a thousand or
  more, is therefore read again in halves of its time; among the unscheduled it is only ``noticed``.
- Whether ``unscheduled=true`` shows the scheduled as well: then a delta reads everything, and ``noticed`` counts them.
- The rate limit: clients say 30, 100 and 120 a minute.

Left out: the journal and the rating of each task (a request each), GPS reports but the last, ``/customers`` (each task
carries its customer), and what the field catalogue has from exports (``assignees``, ``demo_sold``, ...).

Settings: ``Settings``. Verified against: the simulator only; no live account has been read yet.
"""

import itertools
import logging
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from pydantic import SecretStr

from warehouse_pipelines.errors import CursorStuck, RequestRefused
from warehouse_pipelines.model.entity import Entity, columns
from warehouse_pipelines.model.reading import Budget, Extraction, Page, Window
from warehouse_pipelines.model.source import Flag, Source
from warehouse_pipelines.settings import FromEnvironment
from warehouse_pipelines.sources._http import Client, first_backoff, key_of

if TYPE_CHECKING:
    import httpx

log = logging.getLogger("warehouse.ingestion")

T = TypeVar("T")

MOST_AT_ONCE = 16
"""Requests in flight; the shared client has 20 connections."""

AT_ONCE = 4

CUT_FROM = 1_000
"""A query that ends after a multiple of a hundred records, and after so many at least, may have been cut."""

BEGINNING = datetime(2010, 1, 1, tzinfo=UTC)
END = timedelta(days=3_650)
"""A read of everything names its bounds as well, so that no default of the vendor applies: before the company was
founded, and ten years from now."""

FAR = datetime(9999, 12, 31, tzinfo=UTC)
"""Where a read of everything ends: programs write dates up to here for a time that is not known. What lies beyond ten
years is asked for by itself, because a vendor that refuses such a bound shall not cost the rest."""

WITHOUT_TIME = ("unscheduled", "tasks_with_no_datetime")


class Settings(FromEnvironment, env_prefix="ARRIVY_"):
    """The vendor does not say how much is allowed; with 60 a minute a delta of 20,000 tasks takes one."""

    auth_key: SecretStr
    auth_token: SecretStr
    base_url: str = "https://app.arrivy.com"
    requests_per_minute: int = 60


def fetch(extraction: Extraction) -> Iterator[Page]:
    """Yield the pages of one entity."""
    entity = extraction.entity
    reading = Reading(extraction)
    try:
        yield from reading.pages()
    except RequestRefused as refused:
        absent = refused.status == 404 and extraction.whole and not reading.seen
        if not absent or entity.path not in (BOOKINGS.path, TEMPLATES.path):
            raise
        extraction.noticed["absent"] = f"this account has no /{entity.path}"
        if entity.path == TEMPLATES.path:
            yield from templates_of_tasks(extraction)


def client(extraction: Extraction) -> Client:
    """Return the client of the company in the settings."""
    settings = Settings()
    return Client(
        extraction,
        title="Arrivy",
        base_url=settings.base_url,
        renew="ARRIVY_AUTH_KEY and ARRIVY_AUTH_TOKEN",
        headers={
            "X-Auth-Key": settings.auth_key.get_secret_value(),
            "X-Auth-Token": settings.auth_token.get_secret_value(),
        },
        budgets=(Budget("minute", settings.requests_per_minute, 60),),
        wait_for=wait_for,
    )


def wait_for(answer: "httpx.Response", attempt: int) -> float | None:
    """Return a minute after a 429, which here says nothing of when to come back."""
    return 60 * first_backoff() if answer.status_code == 429 else None


def in_order(ask: Callable[[int], T], at_once: int) -> Generator[T]:
    """Yield ``ask(1)``, ``ask(2)`` and so on; ``at_once`` of them are asked for at a time.

    Whoever closes this waits for what is on its way, which would otherwise be in flight beside the next list. A failure
    is raised at once: the read is over, and its end stops the other threads where they wait.
    """
    if at_once == 1:
        yield from map(ask, itertools.count(1))
        return
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="arrivy-page")
    failed = False
    try:
        asked = deque(pool.submit(ask, number) for number in range(1, at_once + 1))
        for number in itertools.count(at_once + 1):
            answer = asked.popleft().result()
            asked.append(pool.submit(ask, number))
            yield answer
    except Exception:
        failed = True
        raise
    finally:
        pool.shutdown(wait=not failed, cancel_futures=True)


class Scheduled(msgspec.Struct):
    """What must be known of a task or a booking while it is read."""

    status: Any = None
    start_datetime: Any = None


class Reading:
    """One reading of one entity. ``seen`` has what each record looked like when it came, by its key."""

    def __init__(self, extraction: Extraction) -> None:
        self.extraction = extraction
        self.entity = extraction.entity
        options = extraction.options
        self.status = options.get("booking_status") or options.get("task_status")
        self.at_once = options.get("concurrent_pages") or (AT_ONCE if options.get("high_performance") else 1)
        self.seen: dict[str, int] = {}
        self._http = client(extraction)
        self._size = str(min(extraction.page_size, TASKS.page_size or extraction.page_size))
        self._decode = msgspec.json.Decoder(Scheduled).decode
        self._left_out: Counter[str] = Counter()
        self._answered = 0

    def pages(self) -> Iterator[Page]:
        """Yield the records, each once as long as it does not change."""
        yield from self._lists()
        if self.extraction.whole and not self.status and self.entity.path in PAGED and self._missed():
            yield from self._lists()
        if self._left_out:
            self.extraction.noticed["other_statuses"] = dict(self._left_out)

    def _missed(self) -> bool:
        missed = sum(key not in self.seen for key in self.extraction.known.keys(self.entity.table))
        if missed:
            self.extraction.noticed["walked_again"] = f"{missed} known {self.entity.name} were not met at first"
        return missed > 0

    def _lists(self) -> Iterator[Page]:
        if not self.entity.cursor:
            yield from map(Page, self._walk({}))
            return
        window = self.extraction.window
        until = max(window.until, datetime.now(UTC) + END) if self.extraction.whole else window.until
        yield from map(Page, self._scheduled(window.since or BEGINNING, until))
        if self.extraction.whole:
            try:
                yield from map(Page, self._scheduled(until, FAR))
            except RequestRefused as refused:
                self.extraction.noticed["far_future"] = f"refused with {refused.status}"
                log.warning("Arrivy does not say what is scheduled beyond %s: %s", until.date(), refused)
        if self.extraction.options.get("backfill"):
            return
        for without_time in WITHOUT_TIME:
            for records in self._walk({without_time: "true"}):
                self._note_scheduled(records)
                yield Page(records, in_window=False)
            if self._looks_cut():
                self.extraction.noticed[f"round_{without_time}"] = self._answered

    def _scheduled(self, since: datetime, until: datetime) -> Iterator[list[bytes]]:
        """Yield what is scheduled between two times, both included."""
        # Whole seconds outside of the window; the loader cuts at its own ends.
        low, high = (at.astimezone(UTC).isoformat(timespec="seconds") for at in (since, until + timedelta(seconds=1)))
        params = {"from": low, "to": high}
        if self.entity.path == BOOKINGS.path:
            params |= {"start_date": low.replace("+00:00", "Z"), "end_date": high.replace("+00:00", "Z")}
        yield from self._walk(params)
        if self._looks_cut() and until - since > timedelta(hours=1):
            middle = since + (until - since) / 2
            yield from self._scheduled(since, middle)
            yield from self._scheduled(middle, until)

    def _looks_cut(self) -> bool:
        return self._answered >= CUT_FROM and self._answered % 100 == 0

    def _walk(self, params: Mapping[str, str]) -> Iterator[list[bytes]]:
        """Yield the pages of one list until one is empty, without what came before."""
        entity = self.entity
        asked = {"items_per_page": self._size, "order_by": "CREATED", **params}
        if self.status:
            asked["status"] = self.status

        def ask(number: int) -> list[msgspec.Raw]:
            return self._http.get(f"/api/{entity.path}", list[msgspec.Raw], params={"page": str(number), **asked})

        met: set[tuple[str | None, ...]] = set()
        self._answered = 0
        pages = in_order(ask, self.at_once)
        try:
            for records in pages:
                keys = tuple(map(key_of, records))
                if not records or (keys in met and entity.path not in PAGED):
                    return
                if keys in met:
                    raise CursorStuck(
                        f"Arrivy: {entity.path} answered the same page twice; reading on would never end."
                    )
                met.add(keys)
                self._answered += len(records)
                if fresh := [
                    bytes(record) for key, record in zip(keys, records, strict=True) if self._new(key, record)
                ]:
                    yield fresh
        finally:
            pages.close()

    def _new(self, key: str | None, record: msgspec.Raw) -> bool:
        """Return whether the record is wanted and did not come before just like this."""
        shape = hash(bytes(record))
        key = key or f"without a key {shape}"
        if self.seen.get(key) == shape:
            return False
        self.seen[key] = shape
        if not self.status:
            return True
        try:
            status = str(self._decode(record).status)
        except msgspec.DecodeError:
            return True
        wanted: bool = status.casefold() == self.status.casefold()
        self._left_out[status] += not wanted
        return wanted

    def _note_scheduled(self, records: list[bytes]) -> None:
        """Count the scheduled among what was asked for as unscheduled."""
        for record in records:
            try:
                scheduled = bool(self._decode(record).start_datetime)
            except msgspec.DecodeError:
                continue
            if scheduled:
                noticed = self.extraction.noticed
                noticed["scheduled_among_unscheduled"] = noticed.get("scheduled_among_unscheduled", 0) + 1


class OfTask(msgspec.Struct):
    """What a task tells of its template."""

    template_id: int | str | None = None
    template: str | None = None
    template_type: str | None = None
    updated: str | None = None


def templates_of_tasks(extraction: Extraction) -> Iterator[Page]:
    """Yield the templates that the stored tasks name, each as the task that was edited last names it."""
    found: dict[str, OfTask] = {}
    keys = extraction.known.keys(TASKS.table)
    while some := list(itertools.islice(keys, 1_000)):
        for record in extraction.known.records(TASKS.table, some).values():
            task = msgspec.json.decode(record, type=OfTask)
            former = found.get(str(task.template_id))
            if task.template_id and (former is None or (task.updated or "") >= (former.updated or "")):
                found[str(task.template_id)] = task
    yield Page(
        [
            msgspec.json.encode({"id": one.template_id, "name": one.template, "type": one.template_type})
            for _, one in sorted(found.items())
        ]
    )


BOTH_ID = "id owner group_id customer_id template_id external_id created_by updated_by route_id internal_route_id"
BOTH_TEXT = """
    url_safe_id title details status template template_type created_by_user updated_by_user
    start_datetime_original_iso_str start_datetime_timezone end_datetime_original_iso_str end_datetime_timezone
    customer_first_name customer_last_name customer_company_name customer_notes customer_timezone
    customer_address_line_1 customer_address_line_2 customer_city customer_state customer_zipcode customer_country
    external_type linked_internal_ref linked_external_ref travel_time wait_time task_time total_time rating_text
"""
BOTH_INTEGER = """
    duration number_of_workers_required outbound_sms_count inbound_sms_count outbound_email_count inbound_email_count
"""
BOTH_JSONB = """
    entity_ids crew_ids worker_ids resource_ids extra_fields template_extra_fields customer_exact_location
    additional_addresses routes entity_routes current_destination document_ids file_ids files forms items
    entity_confirmation_statuses
"""

TASKS = Entity(
    name="tasks",
    table="arrivy_task",
    about="Appointments and jobs: for whom, where, when, and how far the crew is.",
    path="tasks",
    key="id",
    cursor="start_datetime",
    lookback=timedelta(days=60),
    lookahead=timedelta(days=365),
    whole_every=timedelta(days=1),
    edited="updated",
    days_since=date(2024, 1, 1),
    page_size=500,
    index="booking_id customer_id customer_email",
    refs={"booking_id": "arrivy_booking", "template_id": "arrivy_template", "group_id": "arrivy_group"},
    columns=columns(
        id=f"{BOTH_ID} booking_id series_id",
        text=f"{BOTH_TEXT} status_title due_datetime_original_iso_str",
        email="customer_email",
        phone="customer_phone customer_mobile_number",
        boolean="unscheduled self_scheduling is_linked",
        integer=BOTH_INTEGER,
        numeric="rating mileage",
        timestamptz="start_datetime end_datetime due_datetime created updated",
        jsonb=f"{BOTH_JSONB} skill_details",
    ),
)

BOOKINGS = Entity(
    name="bookings",
    table="arrivy_booking",
    about="What a customer booked; it may need several tasks. Not every account has them.",
    path="bookings",
    key="id",
    cursor="start_datetime",
    lookback=timedelta(days=60),
    lookahead=timedelta(days=365),
    whole_every=timedelta(days=1),
    edited="updated",
    days_since=date(2024, 1, 1),
    page_size=500,
    index="customer_id customer_email",
    refs={"group_id": "arrivy_group"},
    columns=columns(
        id=f"{BOTH_ID} status_id",
        text=f"""
            {BOTH_TEXT} description task_type customer_name
            customer_address=customer_address|customer_address_line_1
        """,
        email="customer_email",
        phone="customer_phone customer_mobile_number",
        boolean="unscheduled is_recurring is_all_day is_linked",
        integer=f"{BOTH_INTEGER} duration_estimate",
        numeric="rating mileage",
        timestamptz="start_datetime end_datetime actual_start_datetime actual_end_datetime created updated",
        jsonb=f"{BOTH_JSONB} custom_fields",
    ),
)

ENTITIES = Entity(
    name="entities",
    table="arrivy_entity",
    about="Who and what can be sent: crew members, schedulers, vehicles. A disabled one stays listed.",
    path="entities",
    key="id",
    refs={"group_id": "arrivy_group"},
    columns=columns(
        id="id owner group_id template_id image_id external_id created_by updated_by okta_user_id",
        text="""
            name username type user_type permission invite_status url_safe_id details color external_type
            created_by_user updated_by_user address_line_1 address_line_2 complete_address city state zipcode country
        """,
        email="email",
        phone="phone",
        url="image_path",
        boolean="""
            is_active is_disabled is_default can_turnoff_location can_view_customers_of_all_groups
            allow_login_in_kiosk_mode_only is_status_priority_notifications_disabled is_included_in_billing
            force_stop_billing is_address_geo_coded use_lat_lng_address
        """,
        timestamptz="created updated joined_datetime",
        jsonb="""
            additional_group_ids skill_ids skill_details extra_fields template_extra_fields exact_location
            last_reading=lastreading|last_reading notifications permission_groups can_manage_resources can_manage_crews
            can_manage_entities visible_bookings visible_routing_forms allow_status_notifications
        """,
    ),
)

GROUPS = Entity(
    name="groups",
    table="arrivy_group",
    about="The branches of the company, each with its territory.",
    path="groups",
    key="id",
    columns=columns(
        id="id owner image_id created_by",
        text="""
            name description url_safe_id emergency address_line_1 address_line_2 complete_address city state zipcode
            country timezone
        """,
        email="email",
        phone="phone mobile_number",
        url="website image_path",
        boolean="is_default is_disabled is_implicit is_address_geo_coded use_lat_lng_address",
        timestamptz="created updated",
        jsonb="territory_ids social_links exact_location additional_addresses extra_fields",
    ),
)

STATUSES = Entity(
    name="statuses",
    table="arrivy_status",
    about="The statuses that a crew may report, the company's own among them.",
    path="statuses",
    key="id",
    every=timedelta(days=1),
    columns=columns(
        id="id type_id",
        text="title name type description color",
        boolean="is_active visible_to_customer require_signature require_rating",
        integer="order",
        timestamptz="created updated",
    ),
)

TEMPLATES = Entity(
    name="templates",
    table="arrivy_template",
    about="The kinds of tasks; of the stored tasks where the account lists none.",
    path="templates",
    key="id",
    every=timedelta(days=1),
    columns=columns(
        id="id",
        text="name=name|title type=type|template_type description",
        boolean="is_default",
        timestamptz="created updated",
        jsonb="extra_fields",
    ),
)

PAGED = frozenset(entity.path for entity in (TASKS, BOOKINGS, GROUPS))
"""Where a page that comes again is an error; the other lists are said to have one page, whatever is asked."""


def check() -> str:
    """Ask for the profile of the company, as the vendor's own Zapier app does."""
    extraction = Extraction(entity=GROUPS, window=Window(None, datetime.now(UTC)), page_size=1)
    client(extraction).get("/api/users/profile", dict[str, Any])
    return "Arrivy answers: it knows the key and the token"


ARRIVY = Source(
    name="arrivy",
    title="Arrivy",
    transport="api",
    settings=Settings,
    fetch=fetch,
    check=check,
    entities=(GROUPS, ENTITIES, STATUSES, BOOKINGS, TASKS, TEMPLATES),
    flags=(
        Flag(name="booking_status", help="Only bookings of this status.", entities=("bookings",), narrows=True),
        Flag(name="task_status", help="Only tasks of this status.", entities=("tasks",), narrows=True),
        Flag(
            name="concurrent_pages",
            type="number",
            most=MOST_AT_ONCE,
            help="Requests in flight, and no more; default 1.",
        ),
        Flag(
            name="high_performance",
            type="switch",
            help=f"The same rows sooner: {AT_ONCE} requests in flight where --concurrent-pages says nothing.",
        ),
    ),
)
