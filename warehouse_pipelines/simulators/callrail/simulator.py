"""The simulated CallRail: paths, paging, windows, limits, and the operations behind the scenes.

Written from the vendor notes. It has the vendor's silence too: a parameter it does not know, or a value it cannot read,
is ignored without a word, and without dates only the last thirty days are shown. What the notes could not confirm is a
setting.
"""

from __future__ import annotations

import re
import time
from calendar import monthrange
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from warehouse_pipelines.simulators.callrail.records import (
    CALL_DEFAULT,
    CALL_MORE,
    CONVERSATION_DEFAULT,
    CONVERSATION_MORE,
    FORM_DEFAULT,
    FORM_MORE,
    Account,
    Shelf,
)
from warehouse_pipelines.simulators.core.faults import Fault
from warehouse_pipelines.simulators.core.population import Town
from warehouse_pipelines.simulators.core.vendor import Vendor, operation
from warehouse_pipelines.simulators.core.wire import Answer, Request, answer_json

MAX_PER_PAGE, DEFAULT_PER_PAGE = 250, 100
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
TOKEN = re.compile(r'Token token="?([^"]*)"?')
MOMENT = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?")
PATH = re.compile(r"/v3/a(?:/([^/]+)(?:/([^/]+)(?:/([^/]+)(?:/([^/]+))?)?)?)?\.json")
LISTS = {"companies", "calls", "trackers", "form_submissions", "text-messages", "users", "tags"}


@dataclass
class CallRailSettings:
    token: str = "simulated-callrail-key"  # noqa: S105  (nobody's key)
    contacts: int = 1000  # fixed at start: calls are half of them, forms a fifth, conversations a tenth
    now: float | None = None  # fixed at start: seconds since 1970
    accounts: int = 1  # the second and later ones are empty
    recent_days: int = 30  # what is shown when no dates are given
    retention_months: int = 25
    retention_status: int = 400  # or 422
    hourly: int | None = None
    daily: int | None = None
    tags_as: str = "mixed"  # objects | strings | mixed
    unknown_fields: str = "ignored"  # ignored | error
    next_page_host: str | None = None  # a relative page that leads to another host


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


class CallRail(Vendor):
    settings_type = CallRailSettings
    settings: CallRailSettings

    def __init__(self, town: Town, settings: CallRailSettings) -> None:
        super().__init__(town, settings)
        started = time.time()
        self._ahead = (settings.now or started) - started
        self.account = Account(town, settings.contacts, self.now_ms())
        self._recent: deque[float] = deque()
        self._shelves = {
            "calls": self.account.calls,
            "form_submissions": self.account.forms,
            "text-messages": self.account.conversations,
        }
        account = self.account
        self._formulas: dict[str, Callable[[int], dict[str, Any]]] = {
            "calls": lambda number: account.call(number, self.settings.tags_as),
            "form_submissions": account.form,
            "text-messages": account.conversation,
        }
        self._fixed: dict[str, list[dict[str, Any]]] = {
            "companies": account.companies,
            "trackers": account.trackers,
            "users": account.users,
            "tags": account.tags,
        }

    def now_ms(self) -> int:
        return int((time.time() + self._ahead) * 1000)

    def environment(self) -> dict[str, str]:
        return {
            "CALLRAIL_API_KEY": self.settings.token,
            "CALLRAIL_BASE_URL": self.url,
            "CALLRAIL_REQUESTS_PER_HOUR": "1000000",
            "CALLRAIL_REQUESTS_PER_DAY": "10000000",
        }

    def answer(self, request: Request) -> Answer:
        match = TOKEN.fullmatch(request.headers.get("authorization", ""))
        if match is None or match[1] != self.settings.token:
            return self.refused()
        if self._over_limit():
            return replace(self.rate_limited(""), route=self.route_of(request))
        answer = self._route(request)
        answer.route = self.route_of(request)
        return answer

    def refused(self) -> Answer:
        return answer_json(401, {"error": "HTTP Token: Access denied."})

    def rate_limited(self, policy: str) -> Answer:
        return answer_json(429, {"error": "Rate limit exceeded"})

    def _over_limit(self) -> bool:
        hourly, daily = self.settings.hourly, self.settings.daily
        if hourly is None and daily is None:
            return False
        now = time.monotonic()
        while self._recent and self._recent[0] <= now - 86_400:
            self._recent.popleft()
        if daily is not None and len(self._recent) >= daily:
            return True
        if hourly is not None and sum(at > now - 3600 for at in self._recent) >= hourly:
            return True
        self._recent.append(now)
        return False

    def route_of(self, request: Request) -> str:
        path = re.sub(r"/a/ACC[0-9a-f]{32}", "/a/{acc}", request.path)
        return re.sub(r"/(?:[A-Z]{3}[0-9a-f]{32}|\d+)(?=/|\.)", "/{id}", path)

    def _route(self, request: Request) -> Answer:
        if request.method != "GET":
            return answer_json(405, {"error": "Method not allowed"})
        if not request.path.endswith(".json"):
            return answer_json(406, {"error": "Not acceptable"})
        match = PATH.fullmatch(request.path)
        if match is None:
            return _missing()
        account, name, key, detail = match.groups()
        accounts = [self.account.describe(number) for number in range(self.settings.accounts)]
        if account is None:
            if request.first("hipaa_account") == "true":
                accounts = []
            return self._fixed_page(request, "accounts", [self._gated("a", each, request) for each in accounts])
        found = next((each for each in accounts if each["id"] == account), None)
        if found is None:
            return _missing()
        if name is None:
            return answer_json(200, self._gated("a", found, request))
        if name not in LISTS:
            return _missing()
        if key is None:
            return self._list(request, name, empty=account != self.account.id)
        return self._single(request, name, key, detail) if account == self.account.id else _missing()

    def _list(self, request: Request, name: str, *, empty: bool) -> Answer:
        if name not in self._shelves:
            rows = [] if empty else [row for row in self._fixed[name] if _fixed_matches(name, row, request)]
            return self._fixed_page(request, name, [self._gated(name, row, request) for row in rows])
        listing = LISTINGS[name]
        fields = self._fields(request, listing)
        if fields is None:
            return answer_json(400, {"error": "invalid fields"})
        window = self._window(request)
        if window is None:
            message = "The date range reaches back too far; please revise it to lie within the last 25 months."
            return answer_json(self.settings.retention_status, {"error": message})
        per_page = _per_page(request)
        relative = name == "calls" and request.first("relative_pagination") == "true"
        page = _whole(request.first("offset"), 0) if relative else max(1, _whole(request.first("page"), 1)) - 1
        total, numbers = (0, []) if empty else self._numbers(request, name, window, page * per_page, per_page)
        formula = self._formulas[name]
        records = []
        for number in numbers:
            record = formula(number)
            records.append({field: record[field] for field in fields})
        if relative:
            more = (page + 1) * per_page < total
            body: dict[str, Any] = {
                "has_next_page": more,
                "next_page": self._next_page(request, page + 1, per_page) if more else None,
                "per_page": per_page,
            }
        else:
            body = {
                "page": page + 1,
                "per_page": per_page,
                "total_pages": -(-total // per_page),
                "total_records": total,
            }
        return answer_json(200, {**body, listing.key: records}, list_key=listing.key, page_size=per_page)

    def _next_page(self, request: Request, offset: int, per_page: int) -> str:
        query = [(name, value) for name, values in request.query.items() for value in values]
        kept = [(name, value) for name, value in query if name not in ("offset", "per_page", "page")]
        host = self.settings.next_page_host or f"http://{request.headers.get('host', '127.0.0.1')}"
        return f"{host}{request.path}?{urlencode([('offset', offset), ('per_page', per_page), *kept])}"

    def _fields(self, request: Request, listing: Listing) -> tuple[str, ...] | None:
        asked = [word.strip() for value in request.query.get("fields", ()) for word in value.split(",")]
        if self.settings.unknown_fields == "error" and set(asked) - set(listing.default) - set(listing.more) - {""}:
            return None
        return (*listing.default, *(name for name in listing.more if name in asked))

    def _gated(self, name: str, row: dict[str, Any], request: Request) -> dict[str, Any]:
        asked = {word for value in request.query.get("fields", ()) for word in value.split(",")}
        hidden = {field for field in GATED.get(name, ()) if field not in asked}
        extra: dict[str, Any] = (
            {"verified_caller_ids": []} if name == "companies" and "verified_caller_ids" in asked else {}
        )
        return {**{field: value for field, value in row.items() if field not in hidden}, **extra}

    def _fixed_page(self, request: Request, key: str, rows: list[dict[str, Any]]) -> Answer:
        if request.first("sort") == "name" or request.first("sort") == "created_at":
            field = request.first("sort")
            rows = sorted(rows, key=lambda row: str(row.get(field, "")), reverse=request.first("order") == "desc")
        per_page, page = _per_page(request), max(1, _whole(request.first("page"), 1))
        shown = rows[(page - 1) * per_page : page * per_page]
        envelope = {
            "page": page,
            "per_page": per_page,
            "total_pages": -(-len(rows) // per_page),
            "total_records": len(rows),
        }
        return answer_json(200, {**envelope, key: shown}, list_key=key, page_size=per_page)

    def _single(self, request: Request, name: str, key: str, detail: str | None) -> Answer:
        if name not in self._shelves:
            row = next((row for row in self._fixed[name] if str(row["id"]) == key), None)
            return _missing() if row is None or detail else answer_json(200, self._gated(name, row, request))
        number = self._shelves[name].find(key)
        listing = LISTINGS[name]
        fields = self._fields(request, listing)
        if number is None or fields is None:
            return _missing()
        record = self._formulas[name](number)
        if detail is not None:
            if name == "calls" and detail == "recording" and record["recording"]:
                return answer_json(
                    200, {"url": f"https://app.callrail.com/calls/{key}/recording/redirect?access_key=x"}
                )
            return answer_json(200, {"page_views": []}) if detail == "page_views" else _missing()
        shown = {field: record[field] for field in fields}
        if name == "text-messages":
            shown["messages"] = record["messages"]
        if name == "calls" and "conversational_transcript" in request.first("fields").split(","):
            shown["conversational_transcript"] = []
        return answer_json(200, shown)

    # Windows and filters

    def _numbers(
        self, request: Request, name: str, bounds: tuple[int, int], offset: int, limit: int
    ) -> tuple[int, list[int]]:
        window = self._shelves[name].timeline.window(*bounds)
        time_field = {"calls": "start_time", "form_submissions": "submitted_at"}.get(name, "last_message_at")
        sort = request.first("sort")
        listing = LISTINGS[name]
        if sort not in (*listing.default, *listing.more):
            sort = time_field
        descending = request.first("order") != "asc"
        matches = self._filters(request, name)
        if matches is None and sort in (time_field, "created_at"):
            return len(window), window.page(offset, limit, by_time=True, descending=descending)
        total = len(window)
        numbers = window.page(0, total, by_time=True, descending=descending)
        formula = self._formulas[name]
        if matches is not None:
            numbers = [number for number in numbers if matches(formula(number))]
        if sort not in (time_field, "created_at"):
            numbers.sort(key=lambda number: _sortable(formula(number).get(sort)), reverse=descending)
        return len(numbers), numbers[offset : offset + limit]

    def _filters(self, request: Request, name: str) -> Callable[[dict[str, Any]], bool] | None:
        """The filters that can be read; what cannot is ignored without a word."""
        tests: list[Callable[[dict[str, Any]], bool]] = []

        def equal(parameter: str, field: str, allowed: tuple[Any, ...] | None = None) -> None:
            value = request.first(parameter)
            if value and (allowed is None or value in allowed):
                tests.append(lambda record: str(record.get(field)) == value)

        equal("company_id", "company_id")
        statuses = ("good_lead", "not_a_lead", "previously_marked_good_lead")
        if name in ("calls", "form_submissions"):
            equal("lead_status", "lead_status", statuses)
            if request.first("lead_status") == "not_scored":
                tests.append(lambda record: record["lead_status"] is None)
            wanted = set(request.query.get("tags", []) + request.query.get("tags[]", []))
            if wanted:
                tests.append(lambda record: bool(wanted & _tag_names(record)))
        if name == "calls":
            equal("tracker_id", "tracker_id")
            equal("direction", "direction", ("inbound", "outbound"))
            equal("device", "device_type")
            equal("agent", "agent_email")
            answered = {"true": True, "false": False}.get(request.first("answered"))
            answered = {"answered": True, "missed": False}.get(request.first("answer_status"), answered)
            if answered is not None:
                tests.append(lambda record: record["answered"] is answered)
            if request.first("answer_status") == "voicemail":
                tests.append(lambda record: bool(record["voicemail"]))
            least, most = _whole(request.first("min_duration"), -1), _whole(request.first("max_duration"), -1)
            if least >= 0:
                tests.append(lambda record: record["duration"] >= least)
            if most >= 0:
                tests.append(lambda record: record["duration"] <= most)
            if request.first("first_time_callers") == "true":
                tests.append(lambda record: bool(record["first_call"]))
            search = request.first("search").lower()
            if search:
                tests.append(
                    lambda r: search in f"{r['customer_name']} {r['customer_phone_number']} {r['note']}".lower()
                )
        return (lambda record: all(test(record) for test in tests)) if tests else None

    def _window(self, request: Request) -> tuple[int, int] | None:
        """The bounds in milliseconds, both included; None when they reach back too far."""
        now = self.now_ms()
        company = request.first("company_id")
        zones = {str(row["id"]): zone for row, zone in zip(self.account.companies, self.account.zones, strict=True)}
        zone = zones.get(company, self.account.zone)
        start = _moment(request.first("start_date"), zone, end=False)
        end = _moment(request.first("end_date"), zone, end=True)
        if start is None and end is None:
            start, end = self._date_range(request.first("date_range"), zone, now)
        low = now - self.settings.recent_days * DAY_MS if start is None else start
        high = now if end is None else end
        return None if low < self._oldest(now) else (low, high)

    def _oldest(self, now: int) -> int:
        today = datetime.fromtimestamp(now / 1000, self.account.zone)
        months = today.year * 12 + today.month - 1 - self.settings.retention_months
        year, month = divmod(months, 12)
        last_day = monthrange(year, month + 1)[1]
        oldest = today.replace(year=year, month=month + 1, day=min(today.day, last_day), hour=0, minute=0, second=0)
        return int(oldest.timestamp() * 1000)

    def _date_range(self, word: str, zone: ZoneInfo, now: int) -> tuple[int | None, int | None]:
        today = datetime.fromtimestamp(now / 1000, zone).replace(hour=0, minute=0, second=0, microsecond=0)
        tomorrow = today + timedelta(days=1)
        month = today.replace(day=1)
        year = today.replace(month=1, day=1)
        ranges = {
            "today": (today, tomorrow),
            "yesterday": (today - timedelta(days=1), today),
            "last_7_days": (today - timedelta(days=7), tomorrow),
            "last_30_days": (today - timedelta(days=30), tomorrow),
            "this_month": (month, tomorrow),
            "last_month": ((month - timedelta(days=1)).replace(day=1), month),
            "this_year": (year, tomorrow),
            "last_year": (year.replace(year=year.year - 1), year),
            "all_time": (year.replace(year=2011), tomorrow),
        }
        if word not in ranges:
            return None, None
        start, end = ranges[word]
        return int(start.timestamp() * 1000), int(end.timestamp() * 1000) - 1

    # Operations from behind the scenes

    def _company_place(self, company: int | str) -> int:
        for place, row in enumerate(self.account.companies):
            if company in (place, row["id"]):
                return place
        raise ValueError(f"no company {company!r}")

    def _number(self, name: str, object_id: str) -> int:
        number = self._shelves[name].find(object_id)
        if number is None:
            raise ValueError(f"nothing with the id {object_id} in {name}")
        return number

    def _at(self, moment: str | int | None) -> int:
        if moment is None:
            return self.now_ms()
        if isinstance(moment, int):
            return moment
        found = _moment(moment, self.account.zone, end=False)
        if found is None:
            raise ValueError(f"not a time: {moment!r}")
        return found

    def _add(self, name: str, at: str | int | None, company: int | str, fields: dict[str, Any]) -> str:
        shelf: Shelf = self._shelves[name]
        number = shelf.add(self._at(at))
        shelf.changes[number] = {**fields, "company": self._company_place(company)}
        return shelf.id_of(number)

    @operation
    def add_call(self, start_time: str | int | None = None, company: int | str = 0, **fields: Any) -> str:
        """A new call; with a start_time in the past, one that is listed late. `company` is an id or a place."""
        return self._add("calls", start_time, company, fields)

    @operation
    def edit_call(self, id: str, **fields: Any) -> None:
        """Change fields of a call; nothing tells when. `start_time` moves it."""
        number = self._number("calls", id)
        start_time = fields.pop("start_time", None)
        if start_time is not None:
            self.account.calls.move(number, self._at(start_time))
        self.account.calls.changes.setdefault(number, {}).update(fields)

    @operation
    def tag_late(self, id: str, tag: str) -> None:
        """Somebody tags a call; an unknown name becomes a tag of the company."""
        number = self._number("calls", id)
        call = self.account.call(number, "strings")
        self.account.tag_named(tag, call["company_id"])
        self.account.calls.changes.setdefault(number, {})["tag_names"] = [*call["tags"], tag]

    @operation
    def spam_call(self, id: str) -> None:
        """Gone from the list, 404 by itself."""
        self.account.calls.remove(self._number("calls", id))

    @operation
    def disable_company(self, id: int | str) -> None:
        row = self.account.companies[self._company_place(id)]
        row.update(status="disabled", disabled_at=_utc_text(self.now_ms()))

    @operation
    def edit_company(self, id: int | str, **fields: Any) -> None:
        self.account.companies[self._company_place(id)].update(fields)

    @operation
    def disable_tracker(self, id: str) -> None:
        row = _row(self.account.trackers, id)
        row.update(status="disabled", disabled_at=_utc_text(self.now_ms()))

    @operation
    def remove_user(self, id: str) -> None:
        self.account.users.remove(_row(self.account.users, id))

    @operation
    def disable_tag(self, id: int) -> None:
        _row(self.account.tags, id).update(status="disabled", disabled=True)

    @operation
    def add_form(self, submitted_at: str | int | None = None, company: int | str = 0, **fields: Any) -> str:
        return self._add("form_submissions", submitted_at, company, fields)

    @operation
    def edit_form(self, id: str, **fields: Any) -> None:
        number = self._number("form_submissions", id)
        self.account.forms.changes.setdefault(number, {}).update(fields)

    @operation
    def add_conversation(self, at: str | int | None = None, company: int | str = 0, **fields: Any) -> str:
        return self._add("text-messages", at, company, fields)

    @operation
    def message(
        self, id: str, content: str = "Are you coming today?", direction: str = "incoming", at: str | int | None = None
    ) -> None:
        """A new message; the conversation moves to its time."""
        number = self._number("text-messages", id)
        moment = self._at(at)
        self.account.more_messages.setdefault(number, []).append(
            {"direction": direction, "content": content, "at": moment}
        )
        self.account.conversations.move(number, moment)

    @operation
    def counts(self) -> dict[str, int]:
        """The truth: what a client that asks for everything should hold."""
        shelves = {LISTINGS[name].key: len(shelf) for name, shelf in self._shelves.items()}
        fixed = {name: len(rows) for name, rows in self._fixed.items()}
        return {"accounts": self.settings.accounts, **fixed, **shelves}

    @operation
    def ids(self, name: str) -> list[str]:
        """The ids of a list, by its path name or key; the oldest first where there are dates."""
        name = "text-messages" if name in ("conversations", "text_messages") else name
        if name == "accounts":
            return [str(self.account.describe(number)["id"]) for number in range(self.settings.accounts)]
        if name in self._fixed:
            return [str(row["id"]) for row in self._fixed[name]]
        window = self._shelves[name].timeline.window(None, None)
        return [self._shelves[name].id_of(number) for number in window.page(0, len(window), by_time=True)]

    @operation
    def record(self, name: str, id: str) -> dict[str, Any]:
        """A record with every field."""
        if name in self._fixed:
            return _row(self._fixed[name], id)
        name = "text-messages" if name in ("conversations", "text_messages") else name
        return self._formulas[name](self._number(name, id))

    # Faults

    def spoil(self, fault: Fault, request: Request, body: dict[str, Any], list_key: str) -> None:
        records = body.get(list_key) or []
        relative = "has_next_page" in body
        page = _whole(request.first("offset"), 0) if relative else _whole(request.first("page"), 1)
        per_page = int(body.get("per_page", DEFAULT_PER_PAGE))
        match fault.kind:
            case "repeat_page":
                # A relative page leads to itself; a numbered one shows what the first page shows.
                if relative:
                    body.update(has_next_page=True, next_page=self._next_page(request, page, per_page))
                else:
                    first = replace(request)
                    first.query = {**request.query, "page": ["1"]}
                    with self.lock:
                        answer = self._route(first)
                    body[list_key] = _decoded(answer)[list_key]
                    body["total_pages"] = max(int(body["total_pages"]), page + 1)
            case "endless":
                if relative:
                    body.update(has_next_page=True, next_page=self._next_page(request, page + 1, per_page))
                else:
                    body["total_pages"] = page + 1
            case "lying_total":
                if "total_records" in body:
                    body["total_records"] += fault["add"]
                    body["total_pages"] += fault["pages"]
            case "missing_list":
                body.pop(fault["key"] or list_key, None)
            case "null_last_page":
                if relative and not body["has_next_page"] and records:
                    body.update(has_next_page=True, next_page=self._next_page(request, page + 1, per_page))
                elif not relative and page <= body["total_pages"]:
                    body["total_pages"] += 1
                elif not records:
                    body[list_key] = None
            case "malformed":
                for place in range(min(fault["records"], len(records))):
                    _spoil_record(fault, records, place)


DATES = ("start_time", "submitted_at", "last_message_at", "created_at")
NAMES = ("customer_name", "name", "customer_city")


def _spoil_record(fault: Fault, records: list[Any], place: int) -> None:
    what, record = fault["what"], records[place]
    if what == "non_object":
        records[place] = "not a record"
        return
    if what == "missing_id":
        record.pop("id", None)
        return
    choices, value = {
        "bad_date": (DATES, "not a date"),
        "out_of_range": (("duration", "value", "swap_cookie_duration"), 10**30),
        "bad_number": (("value", "duration", "swap_cookie_duration"), "twelve"),
        "nul": (NAMES, "before\x00after"),
    }[what]
    name = fault["property"] or next((each for each in choices if each in record), choices[0])
    # No JSON number is too long for text, but an encoder has limits of its own.
    record[name] = str(value) if isinstance(value, int) else value


def _decoded(answer: Answer) -> dict[str, Any]:
    body: dict[str, Any] = Request("GET", "/", {}, answer.body, "").json()
    return body


def _missing() -> Answer:
    return answer_json(404, {"error": "Not found"})


def _whole(text: str, default: int) -> int:
    return int(text) if text.isdigit() else default


def _per_page(request: Request) -> int:
    return min(MAX_PER_PAGE, max(1, _whole(request.first("per_page"), DEFAULT_PER_PAGE)))


def _moment(text: str, zone: ZoneInfo, *, end: bool) -> int | None:
    """A date, a local time or a time with an offset, in milliseconds; None for what cannot be read."""
    if not MOMENT.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    if len(text) == 10 and end:
        moment += timedelta(days=1, milliseconds=-1)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    return round(moment.timestamp() * 1000)


def _fixed_matches(name: str, row: dict[str, Any], request: Request) -> bool:
    company = request.first("company_id")
    if company and name == "trackers" and row["company"]["id"] != company:
        return False
    if company and name == "tags" and row["company_id"] not in (None, company):
        return False
    if company and name == "users" and all(each["id"] != company for each in row["companies"]):
        return False
    for parameter, known in (("status", ("active", "disabled", "enabled")), ("type", ("source", "session"))):
        value = request.first(parameter)
        if value in known and parameter in row and row[parameter] != value:
            return False
    level = request.first("tag_level")
    if level in ("account", "company") and name == "tags" and row["tag_level"] != level:
        return False
    return request.first("search").lower() in str(row.get("name", "")).lower()


def _tag_names(record: dict[str, Any]) -> set[str]:
    return {tag["name"] if isinstance(tag, dict) else tag for tag in record.get("tags") or []}


def _sortable(value: Any) -> tuple[bool, float, str]:
    if isinstance(value, (int, float)):
        return (True, float(value), "")
    return (value is not None, 0.0, str(value or ""))


def _row(rows: list[dict[str, Any]], object_id: Any) -> dict[str, Any]:
    for row in rows:
        if str(row["id"]) == str(object_id):
            return row
    raise ValueError(f"nothing with the id {object_id}")


def _utc_text(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, ZoneInfo("UTC")).isoformat(timespec="milliseconds").replace("+00:00", "Z")
