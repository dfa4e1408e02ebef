"""The simulated SalesRabbit: leads whose doors were knocked at, the crew that knocks, and what each knock changed.

Written from the vendor notes. Filters are request headers, an unknown parameter is ignored without a word, and nothing
new is answered with 304 and no body. What the notes could not confirm is a setting; the words of a refusal and the
object in `appointment` are invented.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from warehouse_pipelines.simulators.core.faults import BAD_VALUES, Fault
from warehouse_pipelines.simulators.core.per_minute import PerMinute
from warehouse_pipelines.simulators.core.population import Population
from warehouse_pipelines.simulators.core.wire import Answer, Request, answer_json
from warehouse_pipelines.simulators.salesrabbit.crew import FIRST_LEAD
from warehouse_pipelines.simulators.salesrabbit.operations import SalesRabbitOperations
from warehouse_pipelines.simulators.salesrabbit.settings import SalesRabbitSettings

MOST_PER_PAGE = 2000
LISTS = {"/leads": "lead", "/users": "user", "/leadStatusHistories": "history"}


class SalesRabbit(SalesRabbitOperations):
    def __init__(self, population: Population, settings: SalesRabbitSettings) -> None:
        super().__init__(population, settings)
        self._minute = PerMinute()

    def environment(self) -> dict[str, str]:
        return {
            "SALESRABBIT_API_TOKEN": self.settings.token,
            "SALESRABBIT_BASE_URL": self.url,
            "SALESRABBIT_REQUESTS_PER_MINUTE": "1000000",
        }

    def answer(self, request: Request) -> Answer:
        if request.headers.get("authorization") != f"Bearer {self.settings.token}":
            return replace(self.refused(), route=self.route_of(request))
        if self._minute.is_over(self.settings.per_minute):
            return replace(self.rate_limited(""), route=self.route_of(request))
        answer = self._route(request)
        answer.route = self.route_of(request)
        return answer

    def refused(self) -> Answer:
        return answer_json(401, {"meta": {"status": 401}, "error": "Unauthorized"})

    def rate_limited(self, policy: str) -> Answer:
        return answer_json(429, {"meta": {"status": 429}, "error": "Too many requests"})

    def route_of(self, request: Request) -> str:
        head, _, tail = request.path.rpartition("/")
        return f"{head}/{{id}}" if tail.isdigit() else request.path

    def _route(self, request: Request) -> Answer:
        if request.method != "GET":
            return answer_json(405, {"meta": {"status": 405}, "error": "Method not allowed"})
        if request.path in LISTS:
            return self._list(request, LISTS[request.path])
        number = self.crew.number_of(request.path.removeprefix("/leads/"))
        if number is None or number in self.crew.deleted:
            return answer_json(404, {"meta": {"status": 404}, "error": "Not found"})
        return answer_json(200, {"meta": {"status": 200}, "data": self.crew.lead(number)})

    def _list(self, request: Request, name: str) -> Answer:
        modified = moment(request.headers.get("if-modified-since"))
        status = moment(request.headers.get("if-status-modified-since"))
        if not self.settings.inclusive:
            modified = None if modified is None else modified + 1
            status = None if status is None else status + 1
        per_page = min(MOST_PER_PAGE, whole_number(request.first("perPage"), MOST_PER_PAGE) or MOST_PER_PAGE)
        offset = (max(1, whole_number(request.first("page"), 1)) - 1) * per_page
        data: Any
        if name == "user":
            users = [user for user in self.crew.users if modified is None or moment(user["dateModified"]) >= modified]
            data, total = users[offset : offset + per_page], len(users)
        else:
            shown, total = self._leads(request, name, modified, status, offset, per_page)
            since = status if self.settings.history_items == "new" else None
            data = (
                [self.crew.lead(number) for number in shown]
                if name == "lead"
                else {str(FIRST_LEAD + number): self.crew.history(number, since) for number in shown}
            )
        if not total and (modified, status) != (None, None) and self.settings.nothing_new == 304:
            return Answer(304, page_size=per_page)
        meta: dict[str, Any] = {"status": 200}
        if self.settings.more_pages != "absent":
            full = self.settings.more_pages == "full" and len(data) == per_page
            meta["morePages"] = full or offset + per_page < total
        return answer_json(200, {"meta": meta, "data": data}, list_key="data", page_size=per_page)

    def _leads(
        self, request: Request, name: str, modified: int | None, status: int | None, offset: int, limit: int
    ) -> tuple[list[int], int]:
        """A page of the numbers that pass the filters, and how many do; no status is newer than its lead."""
        window = self.crew.leads.window(modified if status is None else max(status, modified or 0), None)
        by_creation = self.settings.sorts and name == "lead" and request.first("sortBy") == "dateCreated"
        descending = by_creation and request.first("order") == "desc"
        if not by_creation:
            descending = self.settings.order == "newest"
        by_time = not by_creation and self.settings.order != "created"
        if status is None and (by_creation or self.settings.order != "any"):
            return window.page(offset, limit, by_time=by_time, descending=descending), len(window)
        numbers = window.page(0, len(window), by_time=by_time, descending=descending)
        if status is not None:
            numbers = [number for number in numbers if self.crew.status_time(number) >= status]
        if not by_creation and self.settings.order == "any":
            numbers.sort(key=self.crew.chance)
        return numbers[offset : offset + limit], len(numbers)

    def corrupt(self, fault: Fault, request: Request, body: dict[str, Any], list_key: str) -> None:
        match fault.kind:
            case "repeat_page":
                first = replace(request)
                first.query = {**request.query, "page": ["1"]}
                with self.lock:
                    body["data"] = first_page(self._route(first))
                body["meta"]["morePages"] = True
            case "endless":
                body["meta"]["morePages"] = True
            case "missing_list":
                body.pop(fault["key"] or list_key, None)
            case "null_last_page":
                if body["data"]:
                    body["meta"]["morePages"] = True
                else:
                    body["data"] = None
            case "malformed":
                data = body["data"]
                lists = [data] if isinstance(data, list) else list(data.values())
                places = [(records, place) for records in lists for place in range(len(records))]
                for records, place in places[: fault["records"]]:
                    _corrupt_record(fault, records, place)


def _corrupt_record(fault: Fault, records: list[Any], place: int) -> None:
    what, record = fault["what"], records[place]
    if what == "non_object":
        records[place] = "not a record"
    elif what == "missing_id":
        record.pop("id", None)
    else:
        usual = {"bad_date": "dateModified", "nul": "lastName", "bad_number": "userId", "out_of_range": "userId"}
        record[fault["property"] or usual[what]] = BAD_VALUES[what]


def first_page(answer: Answer) -> Any:
    return Request("GET", "/", {}, answer.body, "").json()["data"]


def moment(text: str | None) -> Any:
    """A time in one of the three forms that clients send, in seconds; None for what cannot be read."""
    if not text:
        return None
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = read(text)
        except ValueError:
            continue
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    return None


def whole_number(text: str, default: int) -> int:
    return int(text) if text.isdigit() else default


SIMULATOR = SalesRabbit
