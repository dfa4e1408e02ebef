"""The simulated Arrivy: bare arrays, pages that end with an empty one, and filters by schedule.

Written from the vendor notes. What it does not know (`page_size`, `updated_after`) it ignores without a word, and
without `order_by=CREATED` a list has no order: pages then overlap and leave gaps. What the notes could not confirm is a
setting.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from warehouse_pipelines.simulators.arrivy.operations import FIXED, ArrivyOperations, moment
from warehouse_pipelines.simulators.arrivy.record_store import NO_DATETIME, UNSCHEDULED
from warehouse_pipelines.simulators.arrivy.settings import ArrivySettings
from warehouse_pipelines.simulators.core.faults import Fault
from warehouse_pipelines.simulators.core.per_minute import PerMinute
from warehouse_pipelines.simulators.core.population import Population
from warehouse_pipelines.simulators.core.wire import Answer, Request, answer_json

DEFAULT_PER_PAGE = {"tasks": 500, "bookings": 500}


class Arrivy(ArrivyOperations):
    def __init__(self, population: Population, settings: ArrivySettings) -> None:
        super().__init__(population, settings)
        self._minute = PerMinute()

    def environment(self) -> dict[str, str]:
        return {
            "ARRIVY_AUTH_KEY": self.settings.auth_key,
            "ARRIVY_AUTH_TOKEN": self.settings.token,
            "ARRIVY_BASE_URL": self.url,
            "ARRIVY_WEBHOOK_SECRET": self.settings.webhook_secret,
            "ARRIVY_REQUESTS_PER_MINUTE": "1000000",
        }

    def answer(self, request: Request) -> Answer:
        headers = request.headers
        if (headers.get("x-auth-key"), headers.get("x-auth-token")) != (self.settings.auth_key, self.settings.token):
            return replace(self.refused(), route=self.route_of(request))
        if self._minute.is_over(self.settings.per_minute):
            return replace(self.rate_limited(""), route=self.route_of(request))
        answer = self._route(request)
        answer.route = self.route_of(request)
        return answer

    def refused(self) -> Answer:
        if self.settings.refusal == "text":
            return Answer(401, b"Unauthorized", content_type="text/html")
        return answer_json(401, {"message": "UNAUTHORIZED", "description": "The key or the token is wrong."})

    def rate_limited(self, policy: str) -> Answer:
        return answer_json(429, {"message": "TOO_MANY_REQUESTS"})

    def route_of(self, request: Request) -> str:
        return "/".join("{id}" if part.isdigit() else part for part in request.path.split("/"))

    def _route(self, request: Request) -> Answer:
        if request.method != "GET":
            return answer_json(405, {"message": "METHOD_NOT_ALLOWED"})
        _, api, *parts = request.path.split("/")
        if api != "api" or not parts:
            return _unknown_path()
        name, *rest = parts
        if (name, rest) == ("users", ["profile"]):
            return answer_json(200, {"id": self.company.owner, "company_name": "Invented Home Improvement"})
        if name in self.stores and (name != "bookings" or self.settings.bookings):
            return self._single(name, rest) if rest else self._dated(request, name)
        if name in FIXED and (name != "templates" or self.settings.templates):
            return self._single_row(name, rest) if rest else self._fixed(request, name)
        return _unknown_path()

    def _page(self, request: Request, name: str, *, paged: bool = True) -> tuple[int, int] | None:
        """The offset and the length; None for what is no number."""
        if not paged:
            return 0, 1 << 30
        texts = request.first("page", "1"), request.first("items_per_page", str(DEFAULT_PER_PAGE.get(name, 100)))
        if not all(text.isdigit() and int(text) for text in texts):
            return None
        page, size = map(int, texts)
        size = min(size, self.settings.most_per_page or size)
        return (page - 1) * size, size

    def _fixed(self, request: Request, name: str) -> Answer:
        paged = name == "groups" or self.settings.pages_of_small_lists
        page = self._page(request, name, paged=paged)
        if page is None:
            return _bad_value()
        offset, size = page
        rows = getattr(self.company, name)
        for parameter in ("external_id", "email"):
            if name == "entities" and (value := request.first(parameter)):
                rows = [row for row in rows if row[parameter] == value]
        return answer_json(200, rows[offset : offset + size], list_key="", page_size=size if paged else None)

    def _dated(self, request: Request, name: str) -> Answer:
        page = self._page(request, name)
        bounds = self._bounds(request, name)
        if page is None or bounds is None:
            return _bad_value()
        offset, size = page
        numbers = self._numbers(request, name, bounds, offset, size)
        now = self.now_ms()
        records = [self.formulas[name](number, now) for number in numbers]
        return answer_json(200, records, list_key="", page_size=size)

    def _bounds(self, request: Request, name: str) -> tuple[int | None, int | None] | None:
        """From and to, both included; None for what cannot be read, such as an offset whose plus was not escaped."""
        words = ("from", "to")
        if name == "bookings":
            if self.settings.booking_dates == "ignored":
                return None, None
            if self.settings.booking_dates == "start_date":
                words = ("start_date", "end_date")
        try:
            low, high = (moment(request.first(word)) for word in words)
        except ValueError:
            return None
        return low, high

    def _numbers(
        self, request: Request, name: str, bounds: tuple[int | None, int | None], offset: int, size: int
    ) -> list[int]:
        store = self.stores[name]
        ordered = request.first("order_by") == "CREATED"
        kinds = [kind for word, kind in (("unscheduled", UNSCHEDULED), ("tasks_with_no_datetime", NO_DATETIME))
                 if request.first(word) == "true"]  # fmt: skip
        with_dates = not kinds or self.settings.undated_lists == "also"
        window = store.timeline.window(*bounds)
        if kinds or not ordered or self.settings.descending or self._matches(request) is not None:
            numbers = window.numbers() if with_dates else []
            numbers = sorted(numbers + [number for kind in kinds for number in store.undated[kind]])
            if self.settings.descending:
                numbers.reverse()
            if (matches := self._matches(request)) is not None:
                now = self.now_ms()
                numbers = [number for number in numbers if matches(self.formulas[name](number, now))]
            if not ordered and numbers:
                # An order that changes between two requests.
                turn = next(self._serial) * 7 % len(numbers)
                numbers = numbers[turn:] + numbers[:turn]
            found = numbers[: self.settings.most_per_query][offset : offset + size]
        else:
            size = max(0, min(size, (self.settings.most_per_query or offset + size) - offset))
            found = window.page(offset, size, by_time=False)
        return found

    def _matches(self, request: Request) -> Callable[[dict[str, Any]], bool] | None:
        tests: list[Callable[[dict[str, Any]], bool]] = []
        if self.settings.status_filter and (status := request.first("status")):
            tests.append(lambda record: record["status"].casefold() == status.casefold())
        for parameter in ("customer_id", "external_id"):
            if value := request.first(parameter):
                tests.append(lambda record, name=parameter, value=value: str(record[name]) == value)  # type: ignore[misc]
        if entity := request.first("entity_id"):
            tests.append(lambda record: entity in map(str, record["entity_ids"]))
        return (lambda record: all(test(record) for test in tests)) if tests else None

    def _single(self, name: str, rest: list[str]) -> Answer:
        number = self.stores[name].find(rest[0])
        if number is None:
            return self._absent()
        record = self.formulas[name](number, self.now_ms())
        if len(rest) == 1:
            return answer_json(200, record)
        if rest[1] == "status" and name == "tasks":
            row = {"id": number + 1, "type": record["status"], "time": record["updated"], "source": "app"}
            return answer_json(200, [row | {"reporter_name": "Office", "extra_fields": {"notes": ""}}], list_key="")
        if rest[1] == "rating" and name == "tasks":
            return answer_json(200, {"rating": record["rating"], "time": record["updated"]})
        return _unknown_path()

    def _single_row(self, name: str, rest: list[str]) -> Answer:
        row = next((row for row in getattr(self.company, name) if str(row["id"]) == rest[0]), None)
        return answer_json(200, row) if row is not None and len(rest) == 1 else self._absent()

    def _absent(self) -> Answer:
        return answer_json(
            self.settings.absent_status, {"message": "NOT_FOUND", "description": "There is no such object."}
        )

    def corrupt(self, fault: Fault, request: Request, body: dict[str, Any], list_key: str) -> None:
        records = body[list_key]
        match fault.kind:
            case "repeat_page":
                body[list_key] = self._other_page(request, lambda page: page - 1) or records
            case "endless" if not records:
                body[list_key] = self._other_page(request, lambda page: page % 2 + 1)
            case "missing_list":
                body.pop(list_key)
            case "null_last_page" if not records:
                body[list_key] = None
            case "malformed":
                for place in range(min(fault["records"], len(records))):
                    corrupt_record(fault, records, place)

    def _other_page(self, request: Request, which: Callable[[int], int]) -> list[Any]:
        other = replace(request)
        other.query = {**request.query, "page": [str(max(1, which(int(request.first("page", "1")))))]}
        with self.lock:
            found: list[Any] = Request("GET", "/", {}, self._route(other).body, "").json()
        return found


def corrupt_record(fault: Fault, records: list[Any], place: int) -> None:
    what, record = fault["what"], records[place]
    if what == "non_object":
        records[place] = "not a record"
        return
    if what == "missing_id":
        record.pop("id", None)
        return
    choices, value = {
        "bad_date": (("start_datetime", "created"), "not a date"),
        "out_of_range": (("outbound_sms_count", "duration", "order"), "9" * 31),
        "bad_number": (("duration", "order"), "twelve"),
        "nul": (("title", "name"), "before\x00after"),
    }[what]
    record[fault["property"] or next((each for each in choices if each in record), choices[0])] = value


def _unknown_path() -> Answer:
    return Answer(404, b"<html><body>Not Found</body></html>", content_type="text/html")


def _bad_value() -> Answer:
    return answer_json(400, {"message": "MISSING_VALUE", "description": "A parameter cannot be read."})


SIMULATOR = Arrivy
