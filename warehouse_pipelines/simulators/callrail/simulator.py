"""The simulated CallRail: paths, paging, windows, limits, and the operations behind the scenes.

Written from the vendor notes. It has the vendor's silence too: a parameter it does not know, or a value it cannot read,
is ignored without a word, and without dates only the last thirty days are shown. What the notes could not confirm is a
setting.
"""

from __future__ import annotations

import re
import time
from collections import deque
from dataclasses import replace
from typing import Any

from warehouse_pipelines.simulators.callrail.corruption import corrupt_record
from warehouse_pipelines.simulators.callrail.filters import (
    DEFAULT_PER_PAGE,
    whole_number,
)
from warehouse_pipelines.simulators.callrail.lists import ListRequests, missing
from warehouse_pipelines.simulators.callrail.operations import CallRailOperations
from warehouse_pipelines.simulators.callrail.settings import CallRailSettings
from warehouse_pipelines.simulators.core.faults import Fault
from warehouse_pipelines.simulators.core.population import Population
from warehouse_pipelines.simulators.core.wire import Answer, Request, answer_json

TOKEN = re.compile(r'Token token="?([^"]*)"?')
PATH = re.compile(r"/v3/a(?:/([^/]+)(?:/([^/]+)(?:/([^/]+)(?:/([^/]+))?)?)?)?\.json")
LISTS = {"companies", "calls", "trackers", "form_submissions", "text-messages", "users", "tags"}


class CallRail(CallRailOperations):
    def __init__(self, population: Population, settings: CallRailSettings) -> None:
        super().__init__(population, settings)
        self._lists = ListRequests(self)
        self._recent: deque[float] = deque()

    def environment(self) -> dict[str, str]:
        return {
            "CALLRAIL_API_KEY": self.settings.token,
            "CALLRAIL_BASE_URL": self.url,
            "CALLRAIL_SIGNING_KEYS": f"another-company's-key,{self.settings.signing_key}",
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
        if request.method not in ("GET", "PUT"):
            return answer_json(405, {"error": "Method not allowed"})
        if not request.path.endswith(".json"):
            return answer_json(406, {"error": "Not acceptable"})
        match = PATH.fullmatch(request.path)
        if match is None:
            return missing()
        account, name, key, detail = match.groups()
        accounts = [self.account.describe(number) for number in range(self.settings.accounts)]
        if account is None:
            if request.first("hipaa_account") == "true":
                accounts = []
            return self._lists.fixed_page(
                request, "accounts", [self._lists.gated("a", each, request) for each in accounts]
            )
        found = next((each for each in accounts if each["id"] == account), None)
        if found is None:
            return missing()
        if name is None:
            return answer_json(200, self._lists.gated("a", found, request))
        if name not in LISTS:
            return missing()
        if request.method == "PUT":
            return self._update(request, name, key) if account == self.account.id else missing()
        if key is None:
            return self._lists.page(request, name, empty=account != self.account.id)
        return self._lists.single(request, name, key, detail) if account == self.account.id else missing()

    def _update(self, request: Request, name: str, key: str | None) -> Answer:
        """Change a call. Its tags are replaced by those that are named; `value` is answered with 500, as people saw."""
        if name != "calls" or key is None:
            return answer_json(405, {"error": "Method not allowed"})
        if self.account.calls.find(key) is None:
            return missing()
        body = request.json()
        if "value" in body:
            return answer_json(500, {"error": "Internal server error"})
        if set(body.get("tags") or ()) & set(self.settings.refused_tags):
            return answer_json(422, {"error": "Tag is invalid"})
        if "tags" in body:
            self.set_tags(key, [str(tag) for tag in body["tags"]])
        fields = {field: body[field] for field in ("note", "customer_name", "lead_status") if field in body}
        if fields:
            self.edit_call(key, **fields)
        return self._lists.single(request, name, key, None)

    def corrupt(self, fault: Fault, request: Request, body: dict[str, Any], list_key: str) -> None:
        records = body.get(list_key) or []
        relative = "has_next_page" in body
        page = whole_number(request.first("offset"), 0) if relative else whole_number(request.first("page"), 1)
        per_page = int(body.get("per_page", DEFAULT_PER_PAGE))
        match fault.kind:
            case "repeat_page":
                # A relative page leads to itself; a numbered one shows what the first page shows.
                if relative:
                    body.update(has_next_page=True, next_page=self._lists.next_page(request, page, per_page))
                else:
                    first = replace(request)
                    first.query = {**request.query, "page": ["1"]}
                    with self.lock:
                        answer = self._route(first)
                    body[list_key] = _decoded(answer)[list_key]
                    body["total_pages"] = max(int(body["total_pages"]), page + 1)
            case "endless":
                if relative:
                    body.update(has_next_page=True, next_page=self._lists.next_page(request, page + 1, per_page))
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
                    body.update(has_next_page=True, next_page=self._lists.next_page(request, page + 1, per_page))
                elif not relative and page <= body["total_pages"]:
                    body["total_pages"] += 1
                elif not records:
                    body[list_key] = None
            case "malformed":
                for place in range(min(fault["records"], len(records))):
                    corrupt_record(fault, records, place)


def _decoded(answer: Answer) -> dict[str, Any]:
    body: dict[str, Any] = Request("GET", "/", {}, answer.body, "").json()
    return body


SIMULATOR = CallRail
