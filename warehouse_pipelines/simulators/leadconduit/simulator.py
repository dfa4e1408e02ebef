"""The simulated LeadConduit: the feed of what happened to each lead on its way through a flow.

Written from the vendor notes. The feed is a bare array, newest first unless asked otherwise; `start` and `end` are
inclusive, `after_id` and `before_id` exclusive. Nothing ever changes: what becomes of a lead later is another event.
What the notes could not confirm is a setting; the words of a refusal are invented.
"""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec

from warehouse_pipelines.simulators.core.faults import BAD_VALUES, Fault
from warehouse_pipelines.simulators.core.per_minute import PerMinute
from warehouse_pipelines.simulators.core.population import Population
from warehouse_pipelines.simulators.core.wire import Answer, Request, answer_json
from warehouse_pipelines.simulators.leadconduit.operations import LeadConduitOperations
from warehouse_pipelines.simulators.leadconduit.settings import MOST, LeadConduitSettings

USUAL = 100


class LeadConduit(LeadConduitOperations):
    def __init__(self, population: Population, settings: LeadConduitSettings) -> None:
        super().__init__(population, settings)
        self._minute = PerMinute()

    def environment(self) -> dict[str, str]:
        return {
            "LEADCONDUIT_API_KEY": self.settings.token,
            "LEADCONDUIT_BASE_URL": self.url,
            "LEADCONDUIT_WEBHOOK_SECRET": self.settings.webhook_secret,
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
        if self._minute.is_over(self.settings.per_minute):
            return replace(self.rate_limited(""), route=route)
        return replace(self._route(request), route=route)

    def refused(self) -> Answer:
        return answer_json(401, {"message": "Unauthorized"})

    def rate_limited(self, policy: str) -> Answer:
        return answer_json(429, {"message": "Too many requests"})

    def route_of(self, request: Request) -> str:
        return "/events/{id}" if request.path.startswith("/events/") else request.path

    def _route(self, request: Request) -> Answer:
        if request.method != "GET":
            return answer_json(405, {"message": "Method not allowed"})
        if request.path == "/events":
            return self._events(request)
        number = self.feed.number_of(request.path.removeprefix("/events/"))
        if not request.path.startswith("/events/") or number is None or self.feed.timeline.time_of(number) is None:
            return answer_json(404, {"message": "Not found"})
        return answer_json(200, self.feed.event(number))

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
        if self.settings.retention_days is not None:
            low = max(low or 0, self.now_ms() - round(self.settings.retention_days * 86_400_000))
        window = self.feed.timeline.window(low, high)
        after, before = (self.feed.number_of(request.first(name)) for name in ("after_id", "before_id"))
        if after is not None or before is not None:
            last = self.feed.count + len(self.feed.more)
            window = window.narrowed(0 if after is None else after + 1, last if before is None else before - 1)
        size = min(int(limit), self.settings.most)
        descending = sort == "desc"
        if kind is None:
            numbers = window.page(0, size, by_time=False, descending=descending)
        else:
            every = window.page(0, len(window), by_time=False, descending=descending)
            numbers = [number for number in every if self.feed.event(number)["type"] == kind][:size]
        events: Any = [self.feed.event(number) for number in numbers]
        if self.settings.wrapped:
            events = {"data": events}
        return answer_json(200, events, list_key="data", page_size=int(limit))

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
