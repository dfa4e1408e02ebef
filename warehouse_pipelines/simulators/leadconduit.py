"""The simulated LeadConduit: the feed of what happened to each lead on its way through a flow.

Written from the vendor notes. The feed is a bare array, newest first unless asked otherwise; `start` and `end` are
inclusive, `after_id` and `before_id` exclusive. Nothing ever changes: what becomes of a lead later is another event.
What the notes could not confirm is a setting; the words of a refusal are invented.

Lead `i` is person `2 i` of the population, as that person filled in a form. Each base lead passed a filter and two
recipients before its `source` event, so the feed is four times as long; a million events are not held.
"""

from __future__ import annotations

import base64
import time
from collections import deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from warehouse_pipelines.simulators.core import journey
from warehouse_pipelines.simulators.core.faults import BAD_VALUES, Fault
from warehouse_pipelines.simulators.core.journey import Journeys
from warehouse_pipelines.simulators.core.population import SOURCES, Population, spell_phone
from warehouse_pipelines.simulators.core.simulator import Simulator, operation
from warehouse_pipelines.simulators.core.timeline import Timeline
from warehouse_pipelines.simulators.core.wire import Answer, Request, answer_json

MOST, USUAL = 1000, 100
DAY_MS = 86_400_000
STEPS = ("filter", "recipient", "recipient", "source")
STEP_MS = 300
MACHINE = "940df5a34a"
FLOWS = ("Web leads", "Call center", "Partner leads")


@dataclass
class LeadConduitSettings:
    token: str = "simulated-leadconduit-key"  # noqa: S105  (nobody's key)
    contacts: int = 1000  # fixed at start: there are half as many leads
    now: float | None = None  # fixed at start: seconds since 1970
    typed: str = "mixed"  # how a lead's values are written: plain | objects | mixed
    wrapped: bool = False  # whether the array is the member `data` of an object
    most: int = MOST  # a smaller one: pages are shorter than what was asked for
    user: str | None = None  # the name that goes with the key; any if None
    plan: bool = True  # whether the account may read its events
    per_minute: int | None = None


class LeadConduit(Simulator):
    settings_type = LeadConduitSettings
    settings: LeadConduitSettings

    def __init__(self, population: Population, settings: LeadConduitSettings) -> None:
        super().__init__(population, settings)
        started = time.time()
        self._ahead = (settings.now or started) - started
        self._recent: deque[float] = deque()
        self.base_leads = settings.contacts // 2
        self._end = self.now_ms() - 1_800_000
        self._journeys = Journeys(population, settings.contacts, self.now_ms())
        self._start = self._journeys.first(0) // 1000 * 1000
        self.count = self.base_leads * len(STEPS)
        self.feed = Timeline(self.count, lambda number: self._base_started(number) + STEP_MS)
        self.more: dict[int, dict[str, Any]] = {}  # by number: what was added to the feed
        self.leads = self.base_leads
        self.purged: set[int] = set()

    def now_ms(self) -> int:
        return int((time.time() + self._ahead) * 1000)

    def environment(self) -> dict[str, str]:
        return {
            "LEADCONDUIT_API_KEY": self.settings.token,
            "LEADCONDUIT_BASE_URL": self.url,
            "LEADCONDUIT_REQUESTS_PER_MINUTE": "1000000",
        }

    def answer(self, request: Request) -> Answer:
        route = self.route_of(request)
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        try:
            user, _, key = base64.b64decode(value).decode().partition(":")
        except ValueError:
            user, key = "", ""
        known = scheme == "Basic" and key == self.settings.token and self.settings.user in (None, user)
        if not known or not self.settings.plan:
            return replace(self.refused(), route=route)
        if self._over_limit():
            return replace(self.rate_limited(""), route=route)
        return replace(self._route(request), route=route)

    def refused(self) -> Answer:
        return answer_json(401, {"message": "Unauthorized"})

    def rate_limited(self, policy: str) -> Answer:
        return answer_json(429, {"message": "Too many requests"})

    def _over_limit(self) -> bool:
        if self.settings.per_minute is None:
            return False
        now = time.monotonic()
        while self._recent and self._recent[0] <= now - 60:
            self._recent.popleft()
        if len(self._recent) >= self.settings.per_minute:
            return True
        self._recent.append(now)
        return False

    def route_of(self, request: Request) -> str:
        return "/events/{id}" if request.path.startswith("/events/") else request.path

    def _route(self, request: Request) -> Answer:
        if request.method != "GET":
            return answer_json(405, {"message": "Method not allowed"})
        if request.path == "/events":
            return self._events(request)
        number = self._number(request.path.removeprefix("/events/"))
        if not request.path.startswith("/events/") or number is None or self.feed.time_of(number) is None:
            return answer_json(404, {"message": "Not found"})
        return answer_json(200, self.event(number))

    def _events(self, request: Request) -> Answer:
        limit = request.first("limit", str(USUAL))
        sort = request.first("sort", "desc")
        if not limit.isdigit() or not 1 <= int(limit) <= MOST or sort not in ("asc", "desc"):
            return answer_json(400, {"message": "Invalid query"})
        try:
            low, high = (_moment(request.first(name)) for name in ("start", "end"))
            kind = _kind(request.first("rules"))
        except (ValueError, msgspec.DecodeError):
            return answer_json(400, {"message": "Invalid query"})
        window = self.feed.window(low, high)
        after, before = (self._number(request.first(name)) for name in ("after_id", "before_id"))
        if after is not None or before is not None:
            last = self.count + len(self.more)
            window = window.narrowed(0 if after is None else after + 1, last if before is None else before - 1)
        size = min(int(limit), self.settings.most)
        descending = sort == "desc"
        if kind is None:
            numbers = window.page(0, size, by_time=False, descending=descending)
        else:
            every = window.page(0, len(window), by_time=False, descending=descending)
            numbers = [number for number in every if self.event(number)["type"] == kind][:size]
        events: Any = [self.event(number) for number in numbers]
        if self.settings.wrapped:
            events = {"data": events}
        return answer_json(200, events, list_key="data", page_size=int(limit))

    # Records

    def _base_started(self, number: int) -> int:
        lead, step = divmod(number, len(STEPS))
        return self._journeys.after(2 * lead, journey.FORM) + step * STEP_MS

    def id_of(self, number: int) -> str:
        """Seconds of the creation, who made it, and a counter: an id of BSON."""
        time_of = self.more[number]["created"] if number in self.more else self._base_started(number) + STEP_MS
        return f"{time_of // 1000:08x}{MACHINE}{number:06x}"

    def lead_id(self, lead: int) -> str:
        return f"{self._start // 1000 + lead:08x}{MACHINE}8{lead:05x}"

    def _number(self, event_id: str) -> int | None:
        try:
            return int(event_id[18:], 16) if len(event_id) == 24 else None
        except ValueError:
            return None

    def event(self, number: int) -> dict[str, Any]:
        if number in self.more:
            added = self.more[number]
            lead, kind, started, changes = added["lead"], added["type"], added["started"], added["changes"]
            fields, step = added["fields"], len(STEPS) - 1
        else:
            lead, step = divmod(number, len(STEPS))
            kind, started, changes, fields = STEPS[step], self._base_started(number), {}, {}
        person = self.population.person(2 * lead)
        outcome = ("continue" if kind == "filter" else "success") if person.random_bytes[18] > 40 else "failure"
        if kind == "filter" and outcome == "failure":
            outcome = "skip"
        event = {
            "id": self.id_of(number),
            "type": kind,
            "outcome": outcome,
            "reason": "Duplicate lead" if outcome == "failure" else "",
            "module_id": "leadconduit-default.inbound" if kind == "source" else f"leadconduit-custom.step{step}",
            "vars": {
                "submission": {"timestamp": _text(started - step * STEP_MS), "ip": f"203.0.113.{lead % 250}"},
                "account": {"id": f"{1:024x}", "name": "Invented Home Improvement"},
                "flow": {"id": f"{10 + lead % 3:024x}", "name": FLOWS[lead % 3]},
                "source": {"id": f"{20 + SOURCES.index(person.source):024x}", "name": person.source},
                "random": person.random_bytes[17] % 100,
                "lead": {"id": self.lead_id(lead), **self._fields(lead), **fields},
            },
            "host": "app",
            "start_timestamp": started,
            "end_timestamp": started + STEP_MS,
            "ms": STEP_MS,
            "wait_ms": 200,
            "overhead_ms": 100,
            "lag_ms": 3,
            "total_ms": STEP_MS + 3,
            "handler_version": "2.1.0",
            "version": "2.19.0",
            "cap_reached": False,
            "cost": 0 if kind != "recipient" else 1.25,
            "purchase_price": 0,
            "firehose": {},
        }
        return {**event, **changes}

    def _fields(self, lead: int) -> dict[str, Any]:
        person = self.population.person(2 * lead)
        typed = {"plain": 0, "objects": 1 + lead % 2}.get(self.settings.typed, lead % 3)
        number = spell_phone(person.phone, person.random_bytes[16])
        domain = person.email.partition("@")[2]
        host, _, tld = domain.partition(".")
        email: Any = person.email.upper() if lead % 5 == 0 else person.email
        phone: Any = number
        postal: Any = person.place.zip
        if typed:
            user = person.email.partition("@")[0]
            email = {"raw": email, "user": user, "domain": domain, "host": host, "tld": tld, "valid": True}
            phone = {"raw": number, "valid": True, "area": person.phone[2:5], "country_code": "US", "type": None}
            postal = {"raw": postal, "zip": postal, "country_code": "US", "valid": True}
        if typed == 2:
            email["normal"], phone["normal"], postal["normal"] = person.email, person.phone[2:], person.place.zip
        return {
            "first_name": person.first_name if lead % 4 else person.nickname,
            "last_name": person.last_name,
            "email": email,
            "phone_1": phone,
            "postal_code": postal,
            "address_1": person.street,
            "city": person.place.city,
            "state": "OH",
            "reference": journey.reference(2 * lead),
            "salesrabbit_lead_id_hge": str(journey.salesrabbit_lead(2 * lead)) if lead % 2 else "",
        }

    # Operations from behind the scenes

    def _lead(self, lead_id: str) -> int:
        lead = int(lead_id[19:], 16)
        if lead >= self.leads:
            raise ValueError(f"no lead {lead_id}")
        return lead

    def _add(self, lead: int, kind: str, started: int | None, fields: dict[str, Any], changes: dict[str, Any]) -> str:
        number = self.count + len(self.more)
        created = self.now_ms()
        self.more[number] = {
            "lead": lead,
            "type": kind,
            "created": created,
            "started": created if started is None else started,
            "fields": fields,
            "changes": changes,
        }
        self.feed.place(number, created)
        return self.id_of(number)

    @operation
    def create_lead(self, **fields: Any) -> str:
        """A lead that is refused or accepted at once, without a step; returns its id, not the event's."""
        self.leads += 1
        self._add(self.leads - 1, "source", None, fields, {})
        return self.lead_id(self.leads - 1)

    @operation
    def add_event(
        self, lead_id: str, type: str = "feedback", *, started: int | None = None, fields: Any = None, **changes: Any
    ) -> str:
        """Something more happens to a lead; with `started` in the past, something that is written late."""
        return self._add(self._lead(lead_id), type, started, dict(fields or {}), changes)

    @operation
    def resubmit(self, lead_id: str, **fields: Any) -> str:
        """The lead comes again, with other fields."""
        return self._add(self._lead(lead_id), "source", None, fields, {})

    def _numbers_of(self, lead: int) -> list[int]:
        base = range(lead * len(STEPS), (lead + 1) * len(STEPS)) if lead < self.base_leads else ()
        return [*base, *(number for number, added in self.more.items() if added["lead"] == lead)]

    @operation
    def purge(self, lead_id: str) -> None:
        """A lead's events are removed, because somebody asked for it."""
        lead = self._lead(lead_id)
        self.purged.add(lead)
        for number in self._numbers_of(lead):
            self.feed.place(number, None)

    @operation
    def unpurge(self, lead_id: str) -> None:
        lead = self._lead(lead_id)
        self.purged.discard(lead)
        for number in self._numbers_of(lead):
            added = self.more.get(number)
            self.feed.place(number, added["created"] if added else self._base_started(number) + STEP_MS)

    @operation
    def ids(self, name: str) -> list[str]:
        """The ids of `events` in the order of the feed, or of `leads` in the order of their first submission."""
        if name == "leads":
            return [self.lead_id(lead) for lead in range(self.leads) if lead not in self.purged]
        window = self.feed.window(None, None)
        return [self.id_of(number) for number in window.page(0, len(window), by_time=False)]

    @operation
    def record(self, id: str) -> dict[str, Any]:
        """An event."""
        number = self._number(id)
        if number is None:
            raise ValueError(f"no event {id}")
        return self.event(number)

    @operation
    def counts(self) -> dict[str, int]:
        return {"events": len(self.feed.window(None, None)), "leads": self.leads - len(self.purged)}

    # Faults

    def corrupted(self, fault: Fault, request: Request, answer: Answer) -> Answer:
        body = msgspec.json.decode(answer.body)
        wrapped = {"data": body} if isinstance(body, list) else body
        self.corrupt(fault, request, wrapped, "data")
        if isinstance(body, list):
            body = wrapped.get("data", {"message": "nothing"})
        return replace(answer, body=msgspec.json.encode(body))

    def corrupt(self, fault: Fault, request: Request, body: dict[str, Any], list_key: str) -> None:
        events = body[list_key]
        match fault.kind:
            case "repeat_page":
                self._first_page(request, body)
            case "endless":
                if not events:
                    self._first_page(request, body)
            case "missing_list":
                body.pop(list_key)
            case "null_last_page":
                if not events:
                    body[list_key] = None
            case "malformed":
                # A source event, for that is what a lead is made of.
                places = [place for place, event in enumerate(events) if event["type"] == "source"]
                for place in places[: fault["records"]]:
                    _corrupt_event(fault, events, place)

    def _first_page(self, request: Request, body: dict[str, Any]) -> None:
        first = replace(request)
        first.query = {name: values for name, values in request.query.items() if name not in ("after_id", "before_id")}
        with self.lock:
            shown = msgspec.json.decode(self._events(first).body)
        body["data"] = shown["data"] if isinstance(shown, dict) else shown


def _corrupt_event(fault: Fault, events: list[Any], place: int) -> None:
    what, event = fault["what"], events[place]
    if what == "non_object":
        events[place] = "not a record"
        return
    if what == "missing_id":
        event.pop("id")
        return
    *path, name = (fault["property"] or "start_timestamp").split(".")
    for part in path:
        event = event[part]
    event[name] = BAD_VALUES[what]


def _text(ms: int) -> str:
    text = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def _moment(text: str) -> int | None:
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _kind(rules: str) -> str | None:
    """The type that is asked for; other rules are not simulated."""
    for rule in msgspec.json.decode(rules) if rules else ():
        if (rule.get("lhv"), rule.get("op")) != ("type", "is equal to"):
            raise ValueError(f"not simulated: {rule}")
        return str(rule["rhv"])
    return None


SIMULATOR = LeadConduit
