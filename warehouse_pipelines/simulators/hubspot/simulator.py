"""The simulated HubSpot: what a request meets, in this order: the edge, the key, the limits, the path.

Written from the vendor notes. `portal` holds what is true; `records`, `associations` and `description` answer what is
asked of it, `search` finds, and `operations` changes it behind the client's back.
"""

from __future__ import annotations

import re
import time
from collections import deque
from dataclasses import replace
from typing import Any
from uuid import uuid4

import msgspec

from warehouse_pipelines.simulators.core.faults import Fault
from warehouse_pipelines.simulators.core.journey import DAY_MS
from warehouse_pipelines.simulators.core.population import Population
from warehouse_pipelines.simulators.core.wire import Answer, Request, answer_json
from warehouse_pipelines.simulators.hubspot import subscriptions
from warehouse_pipelines.simulators.hubspot.answers import Refusal, error_answer, json_or_empty, results_answer
from warehouse_pipelines.simulators.hubspot.associations import (
    associations_of_record,
    batch_associations,
    type_json,
    write_associations,
)
from warehouse_pipelines.simulators.hubspot.corruption import corrupt
from warehouse_pipelines.simulators.hubspot.description import DescriptionRequests
from warehouse_pipelines.simulators.hubspot.operations import HubSpotOperations
from warehouse_pipelines.simulators.hubspot.portal import HubSpotSettings
from warehouse_pipelines.simulators.hubspot.records import RecordRequests
from warehouse_pipelines.simulators.hubspot.search import SearchError

PLENTY = 1_000_000
OBJECTS = re.compile(r"/crm/(?:v3/objects|objects/(?:v3|20\d\d-\d\d))/([^/]+)(?:/(.+))?")
ASSOCIATIONS = re.compile(
    r"/crm/(?:(v3|v4)/associations|associations/(v3|v4|20\d\d-\d\d))/([^/]+)/([^/]+)/(batch/(?:read|create|archive|labels/archive)|labels)"
)
NEIGHBOURS = re.compile(r"/crm/v4/objects/([^/]+)/(\d+)/associations/([^/]+)")
PROPERTIES = re.compile(r"/crm/(?:v3/properties|properties/(?:v3|20\d\d-\d\d))/([^/]+)(?:/(.+))?")
SCHEMAS = re.compile(r"/(?:crm-object-schemas/(?:v3|20\d\d-\d\d)|crm/v3)/schemas(?:/([^/]+))?")
OWNERS = re.compile(r"/crm/(?:v3/owners|owners/v3)/?")
PIPELINES = re.compile(r"/crm/(?:v3/pipelines|pipelines/v3)/([^/]+)")


class HubSpot(HubSpotOperations):
    def __init__(self, population: Population, settings: HubSpotSettings) -> None:
        super().__init__(population, settings)
        self._records = RecordRequests(self.portal)
        self._description = DescriptionRequests(self.portal)
        self._recent: deque[float] = deque()
        self._searches: deque[float] = deque()
        self._today = (0, 0)

    def environment(self) -> dict[str, str]:
        return {
            "HUBSPOT_ACCESS_TOKEN": self.settings.token,
            "HUBSPOT_BASE_URL": self.url,
            "HUBSPOT_CLIENT_SECRET": self.settings.client_secret,
            "HUBSPOT_APP_ID": str(self.settings.app_id),
            "HUBSPOT_DEVELOPER_KEY": self.settings.developer_key,
            "HUBSPOT_REQUESTS_PER_10_SECONDS": "100000",
            "HUBSPOT_REQUESTS_PER_DAY": "1000000000",
            "HUBSPOT_SEARCHES_PER_SECOND": "100000",
        }

    def answer(self, request: Request) -> Answer:
        if len(request.target) > self.settings.url_limit:
            return Answer(414, b"<html><h1>414 Request-URI Too Large</h1></html>", content_type="text/html")
        if match := subscriptions.PATH.fullmatch(request.path):
            try:
                answer = self.app.answer(request, *match.groups())
            except Refusal as refusal:
                answer = refusal.answer
            answer.route = "/webhooks/v3/{appId}/" + match[2]
            return answer
        if request.headers.get("authorization") != f"Bearer {self.settings.token}":
            return self.refused()
        is_search = request.method == "POST" and request.path.endswith("/search")
        limited = self._acquire(is_search)
        if limited is not None:
            return replace(limited, route=self.route_of(request))
        try:
            answer = self._route(request)
        except Refusal as refusal:
            answer = refusal.answer
        except SearchError as error:
            errors = [{"message": str(error), "code": error.code}] if error.code else []
            answer = error_answer(400, "VALIDATION_ERROR", str(error), errors=errors)
        answer.route = self.route_of(request)
        if not is_search:
            answer.headers = self._limit_headers()
        return answer

    def refused(self) -> Answer:
        message = "Authentication credentials not found. This API supports OAuth 2.0 authentication."
        return error_answer(401, "INVALID_AUTHENTICATION", message)

    def rate_limited(self, policy: str) -> Answer:
        word = {"SECONDLY": "secondly", "DAILY": "daily"}.get(policy, "ten_secondly_rolling")
        body = {
            "status": "error",
            "message": f"You have reached your {word} limit.",
            "errorType": "RATE_LIMIT",
            "correlationId": str(uuid4()),
            "policyName": policy or "TEN_SECONDLY_ROLLING",
            "requestId": uuid4().hex,
        }
        seconds = self.settings.retry_after_seconds
        return answer_json(429, body, headers={} if seconds is None else {"Retry-After": str(seconds)})

    def _acquire(self, is_search: bool) -> Answer | None:
        """Count a request; return the refusal when it is over a limit."""
        settings, now = self.settings, time.monotonic()
        if settings.burst is not None:
            _forget(self._recent, now - 10)
            if len(self._recent) >= settings.burst:
                return self.rate_limited("TEN_SECONDLY_ROLLING")
        if is_search and settings.searches_per_second is not None:
            _forget(self._searches, now - 1)
            if len(self._searches) >= settings.searches_per_second:
                return self.rate_limited("SECONDLY")
            self._searches.append(now)
        today = self.portal.now_ms() // DAY_MS
        used = self._today[1] if self._today[0] == today else 0
        if settings.daily is not None and used >= settings.daily:
            return self.rate_limited("DAILY")
        self._today = (today, used + 1)
        if settings.burst is not None:
            self._recent.append(now)
        return None

    def _limit_headers(self) -> dict[str, str]:
        burst, daily = self.settings.burst or PLENTY, self.settings.daily or PLENTY
        return {
            "X-HubSpot-RateLimit-Max": str(burst),
            "X-HubSpot-RateLimit-Remaining": str(max(0, burst - len(self._recent))),
            "X-HubSpot-RateLimit-Interval-Milliseconds": "10000",
            "X-HubSpot-RateLimit-Daily": str(daily),
            "X-HubSpot-RateLimit-Daily-Remaining": str(max(0, daily - self._today[1])),
        }

    def route_of(self, request: Request) -> str:
        def named(text: str) -> str:
            return self.portal.paths[text].kind.name if text in self.portal.paths else text

        path = re.sub(r"/\d+(?=/|$)", "/{id}", request.path)
        for pattern in (ASSOCIATIONS, OBJECTS, NEIGHBOURS, PROPERTIES, PIPELINES):
            if match := pattern.fullmatch(path):
                for text in match.groups():
                    if text in self.portal.paths:
                        path = path.replace(f"/{text}", f"/{named(text)}", 1)
        return path

    def _route(self, request: Request) -> Answer:
        if match := OBJECTS.fullmatch(request.path):
            return self._records.answer(request, self.portal.at_path(match[1]), match[2] or "")
        if match := ASSOCIATIONS.fullmatch(request.path):
            version = match[1] or ("v3" if match[2] == "v3" else "v4")
            source, target = self.portal.at_path(match[3]), self.portal.at_path(match[4])
            if match[5] == "labels" and request.method == "POST":
                made = self.portal.associations.make_type(source.kind.name, target.kind.name, request.json()["label"])
                return results_answer([type_json(kind) for kind in made])
            if match[5] in ("batch/create", "batch/archive", "batch/labels/archive"):
                return write_associations(self.portal.associations, request, source, target)
            if match[5] == "labels":
                types = self.portal.associations.types(source.kind.name, target.kind.name)
                return results_answer([type_json(kind) for kind in types])
            return batch_associations(
                self.portal.associations, request, source, target, version=version, page=self.settings.association_page
            )
        if match := NEIGHBOURS.fullmatch(request.path):
            return associations_of_record(
                self.portal.associations,
                request,
                self.portal.at_path(match[1]),
                match[2],
                self.portal.at_path(match[3]),
            )
        if match := PROPERTIES.fullmatch(request.path):
            return self._description.definitions(request, self.portal.at_path(match[1]), match[2] or "")
        if match := SCHEMAS.fullmatch(request.path):
            if request.method == "POST" and match[1] is None:
                return self._description.make_schema(request.json())
            return self._description.schemas(match[1])
        if request.path == "/account-info/v3/details":
            return self._description.account()
        if OWNERS.fullmatch(request.path):
            return self._description.owners(request)
        if match := PIPELINES.fullmatch(request.path):
            return self._description.pipelines(self.portal.at_path(match[1]))
        return error_answer(404, "OBJECT_NOT_FOUND", f"No such path: {request.path}")

    def lose_inputs(self, fault: Fault, request: Request) -> None:
        body = json_or_empty(request)
        request.body = msgspec.json.encode({**body, "inputs": (body.get("inputs") or [])[: fault["keep"]]})

    def corrupt(self, fault: Fault, request: Request, body: dict[str, Any], list_key: str) -> None:
        corrupt(fault, request, body, list_key, self.portal.paths)


def _forget(times: deque[float], before: float) -> None:
    while times and times[0] <= before:
        times.popleft()


SIMULATOR = HubSpot
