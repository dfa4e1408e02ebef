"""How the simulated CallRail answers what is asked for lists and for single records: pages, fields, order."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from warehouse_pipelines.simulators.callrail.fields import GATED, LISTINGS, Listing
from warehouse_pipelines.simulators.callrail.filters import filter_of, fixed_matches, page_size, whole_number, window_of
from warehouse_pipelines.simulators.callrail.operations import CallRailOperations
from warehouse_pipelines.simulators.core.wire import Answer, Request, answer_json


class ListRequests:
    """Requests for lists; those of `fixed` stand still, those of `stores` have dates."""

    def __init__(self, vendor: CallRailOperations) -> None:
        self._vendor = vendor

    def page(self, request: Request, name: str, *, empty: bool) -> Answer:
        if name not in self._vendor.stores:
            rows = [] if empty else [row for row in self._vendor.fixed[name] if fixed_matches(name, row, request)]
            return self.fixed_page(request, name, [self.gated(name, row, request) for row in rows])
        listing = LISTINGS[name]
        fields = self._fields(request, listing)
        if fields is None:
            return answer_json(400, {"error": "invalid fields"})
        window = window_of(request, self._vendor.account, self._vendor.settings, self._vendor.now_ms())
        if window is None:
            message = "The date range reaches back too far; please revise it to lie within the last 25 months."
            return answer_json(self._vendor.settings.retention_status, {"error": message})
        per_page = page_size(request)
        relative = name == "calls" and request.first("relative_pagination") == "true"
        page = (
            whole_number(request.first("offset"), 0) if relative else max(1, whole_number(request.first("page"), 1)) - 1
        )
        total, numbers = (0, []) if empty else self._numbers(request, name, window, page * per_page, per_page)
        formula = self._vendor.formulas[name]
        records = []
        for number in numbers:
            record = formula(number)
            records.append({field: record[field] for field in fields})
        if relative:
            more = (page + 1) * per_page < total
            body: dict[str, Any] = {
                "has_next_page": more,
                "next_page": self.next_page(request, page + 1, per_page) if more else None,
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

    def next_page(self, request: Request, offset: int, per_page: int) -> str:
        query = [(name, value) for name, values in request.query.items() for value in values]
        kept = [(name, value) for name, value in query if name not in ("offset", "per_page", "page")]
        host = self._vendor.settings.next_page_host or f"http://{request.headers.get('host', '127.0.0.1')}"
        return f"{host}{request.path}?{urlencode([('offset', offset), ('per_page', per_page), *kept])}"

    def _fields(self, request: Request, listing: Listing) -> tuple[str, ...] | None:
        asked = [word.strip() for value in request.query.get("fields", ()) for word in value.split(",")]
        if self._vendor.settings.unknown_fields == "error" and set(asked) - set(listing.default) - set(listing.more) - {
            ""
        }:
            return None
        return (*listing.default, *(name for name in listing.more if name in asked))

    def gated(self, name: str, row: dict[str, Any], request: Request) -> dict[str, Any]:
        asked = {word for value in request.query.get("fields", ()) for word in value.split(",")}
        hidden = {field for field in GATED.get(name, ()) if field not in asked}
        extra: dict[str, Any] = (
            {"verified_caller_ids": []} if name == "companies" and "verified_caller_ids" in asked else {}
        )
        return {**{field: value for field, value in row.items() if field not in hidden}, **extra}

    def fixed_page(self, request: Request, key: str, rows: list[dict[str, Any]]) -> Answer:
        if request.first("sort") == "name" or request.first("sort") == "created_at":
            field = request.first("sort")
            rows = sorted(rows, key=lambda row: str(row.get(field, "")), reverse=request.first("order") == "desc")
        per_page, page = page_size(request), max(1, whole_number(request.first("page"), 1))
        shown = rows[(page - 1) * per_page : page * per_page]
        envelope = {
            "page": page,
            "per_page": per_page,
            "total_pages": -(-len(rows) // per_page),
            "total_records": len(rows),
        }
        return answer_json(200, {**envelope, key: shown}, list_key=key, page_size=per_page)

    def single(self, request: Request, name: str, key: str, detail: str | None) -> Answer:
        if name not in self._vendor.stores:
            row = next((row for row in self._vendor.fixed[name] if str(row["id"]) == key), None)
            return missing() if row is None or detail else answer_json(200, self.gated(name, row, request))
        number = self._vendor.stores[name].find(key)
        listing = LISTINGS[name]
        fields = self._fields(request, listing)
        if number is None or fields is None:
            return missing()
        record = self._vendor.formulas[name](number)
        if detail is not None:
            if name == "calls" and detail == "recording" and record["recording"]:
                return answer_json(
                    200, {"url": f"https://app.callrail.com/calls/{key}/recording/redirect?access_key=x"}
                )
            return answer_json(200, {"page_views": []}) if detail == "page_views" else missing()
        shown = {field: record[field] for field in fields}
        if name == "text-messages":
            shown["messages"] = record["messages"]
        if name == "calls" and "conversational_transcript" in request.first("fields").split(","):
            shown["conversational_transcript"] = []
        return answer_json(200, shown)

    def _numbers(
        self, request: Request, name: str, bounds: tuple[int, int], offset: int, limit: int
    ) -> tuple[int, list[int]]:
        window = self._vendor.stores[name].timeline.window(*bounds)
        time_field = {"calls": "start_time", "form_submissions": "submitted_at"}.get(name, "last_message_at")
        sort = request.first("sort")
        listing = LISTINGS[name]
        if sort not in (*listing.default, *listing.more):
            sort = time_field
        descending = request.first("order") != "asc"
        matches = filter_of(request, name)
        if matches is None and sort in (time_field, "created_at"):
            return len(window), window.page(offset, limit, by_time=True, descending=descending)
        total = len(window)
        numbers = window.page(0, total, by_time=True, descending=descending)
        formula = self._vendor.formulas[name]
        if matches is not None:
            numbers = [number for number in numbers if matches(formula(number))]
        if sort not in (time_field, "created_at"):
            numbers.sort(key=lambda number: sortable(formula(number).get(sort)), reverse=descending)
        return len(numbers), numbers[offset : offset + limit]


def missing() -> Answer:
    return answer_json(404, {"error": "Not found"})


def sortable(value: Any) -> tuple[bool, float, str]:
    if isinstance(value, (int, float)):
        return (True, float(value), "")
    return (value is not None, 0.0, str(value or ""))
