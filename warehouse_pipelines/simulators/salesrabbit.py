"""The simulated SalesRabbit: leads whose doors were knocked at, the crew that knocks, and what each knock changed.

Written from the vendor notes. Filters are request headers, an unknown parameter is ignored without a word, and nothing
new is answered with 304 and no body. What the notes could not confirm is a setting; the words of a refusal and the
object in `appointment` are invented.

Lead `i` is person `i` of the town, with the id that HubSpot contact `i` may carry, under the name that the crew heard
at the door. Base leads were created, then modified, in the order of their numbers; a million of them are not held.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from hashlib import blake2b
from typing import Any

from warehouse_pipelines.simulators.core.faults import BAD_VALUES, Fault
from warehouse_pipelines.simulators.core.journey import DAY_MS, Journeys
from warehouse_pipelines.simulators.core.population import Town, spell_phone
from warehouse_pipelines.simulators.core.timeline import Timeline
from warehouse_pipelines.simulators.core.vendor import Vendor, operation
from warehouse_pipelines.simulators.core.wire import Answer, Request, answer_json

MOST_PER_PAGE = 2000
DAY = 86_400
FIRST_LEAD, FIRST_USER = 9_100_000, 911_700_001
STATUSES = (
    (205, "Not Home", "NH"),
    (206, "Go Back", "GB"),
    (207, "Not Interested", "NI"),
    (212, "Objection - Follow Up", "FU"),
    (214, "Appointment Set", "AS"),
    (215, "Sold", "SO"),
    (218, "Renter", "RE"),
)
EVENTS_AT_MOST = 3
LISTS = {"/leads": "lead", "/users": "user", "/leadStatusHistories": "history"}


@dataclass
class SalesRabbitSettings:
    token: str = "simulated-salesrabbit-token"  # noqa: S105  (nobody's token)
    contacts: int = 1000  # fixed at start: there are as many leads, and a tenth more who never became contacts
    now: float | None = None  # fixed at start: seconds since 1970
    shape: str = "mixed"  # of a lead: flat (as recorded) | nested (as a later client reads it) | mixed
    order: str = "modified"  # unless sorted: modified | newest | created | any
    sorts: bool = True  # whether sortBy and order are obeyed
    inclusive: bool = True  # whether what changed at the very second of the filter is shown
    nothing_new: int = 304  # or 200 with an empty list
    more_pages: str = "exact"  # exact | full (a full page promises another, even the last) | absent
    deleted: str = "hidden"  # hidden | shown, with deletedAt
    deleting_modifies: bool = True  # whether dateModified moves with it, so that the filter shows it
    history_items: str = "new"  # under a filter: new ones alone | all of the leads that have one
    per_minute: int | None = None


class SalesRabbit(Vendor):
    settings_type = SalesRabbitSettings
    settings: SalesRabbitSettings

    def __init__(self, town: Town, settings: SalesRabbitSettings) -> None:
        super().__init__(town, settings)
        started = time.time()
        self._ahead = (settings.now or started) - started
        self._recent: deque[float] = deque()
        self.count = settings.contacts + settings.contacts // 10
        end = self.now() - 1800
        self._journeys = Journeys(town, settings.contacts, self.now() * 1000)
        self._base_modified: Callable[[int], int] = lambda number: self._stage(number, 5 * DAY_MS)
        self._base_start = end - 700 * DAY
        self.leads = Timeline(self.count, self._base_modified)
        self.added = 0
        self.changes: dict[int, dict[str, Any]] = {}
        self.created: dict[int, int] = {}
        self.events: dict[int, list[tuple[int, int]]] = {}  # (time, place in STATUSES), where not the formula's
        self.gone: dict[int, int | None] = {}  # deleted leads, and when they were modified before
        self.users = [self._user(number) for number in range(12 + settings.contacts // 100)]

    def now(self) -> int:
        return int(time.time() + self._ahead)

    def _chance(self, number: int) -> int:
        digest = blake2b(b"%d:rabbit:%d" % (self.town.seed, number), digest_size=6).digest()
        return int.from_bytes(digest, "big")

    def environment(self) -> dict[str, str]:
        return {
            "SALESRABBIT_API_TOKEN": self.settings.token,
            "SALESRABBIT_BASE_URL": self.url,
            "SALESRABBIT_REQUESTS_PER_MINUTE": "1000000",
        }

    def answer(self, request: Request) -> Answer:
        if request.headers.get("authorization") != f"Bearer {self.settings.token}":
            return replace(self.refused(), route=self.route_of(request))
        if self._over_limit():
            return replace(self.rate_limited(""), route=self.route_of(request))
        answer = self._route(request)
        answer.route = self.route_of(request)
        return answer

    def refused(self) -> Answer:
        return answer_json(401, {"meta": {"status": 401}, "error": "Unauthorized"})

    def rate_limited(self, policy: str) -> Answer:
        return answer_json(429, {"meta": {"status": 429}, "error": "Too many requests"})

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
        head, _, tail = request.path.rpartition("/")
        return f"{head}/{{id}}" if tail.isdigit() else request.path

    def _route(self, request: Request) -> Answer:
        if request.method != "GET":
            return answer_json(405, {"meta": {"status": 405}, "error": "Method not allowed"})
        if request.path in LISTS:
            return self._list(request, LISTS[request.path])
        number = self._number(request.path.removeprefix("/leads/"))
        if number is None or number in self.gone:
            return answer_json(404, {"meta": {"status": 404}, "error": "Not found"})
        return answer_json(200, {"meta": {"status": 200}, "data": self.lead(number)})

    # Lists

    def _list(self, request: Request, name: str) -> Answer:
        modified = _moment(request.headers.get("if-modified-since"))
        status = _moment(request.headers.get("if-status-modified-since"))
        if not self.settings.inclusive:
            modified = None if modified is None else modified + 1
            status = None if status is None else status + 1
        per_page = min(MOST_PER_PAGE, _whole(request.first("perPage"), MOST_PER_PAGE) or MOST_PER_PAGE)
        offset = (max(1, _whole(request.first("page"), 1)) - 1) * per_page
        data: Any
        if name == "user":
            users = [user for user in self.users if modified is None or _moment(user["dateModified"]) >= modified]
            data, total = users[offset : offset + per_page], len(users)
        else:
            shown, total = self._leads(request, name, modified, status, offset, per_page)
            since = status if self.settings.history_items == "new" else None
            data = (
                [self.lead(number) for number in shown]
                if name == "lead"
                else {str(FIRST_LEAD + number): self.history(number, since) for number in shown}
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
        window = self.leads.window(modified if status is None else max(status, modified or 0), None)
        by_creation = self.settings.sorts and name == "lead" and request.first("sortBy") == "dateCreated"
        descending = by_creation and request.first("order") == "desc"
        if not by_creation:
            descending = self.settings.order == "newest"
        by_time = not by_creation and self.settings.order != "created"
        if status is None and (by_creation or self.settings.order != "any"):
            return window.page(offset, limit, by_time=by_time, descending=descending), len(window)
        numbers = window.page(0, len(window), by_time=by_time, descending=descending)
        if status is not None:
            numbers = [number for number in numbers if self.status_time(number) >= status]
        if not by_creation and self.settings.order == "any":
            numbers.sort(key=self._chance)
        return numbers[offset : offset + limit], len(numbers)

    # Records

    def _person(self, number: int) -> int:
        """Whose lead it is: every eleventh is of a stranger, whom no other vendor knows."""
        known, place = divmod(number, 11)
        return self.settings.contacts + known if place == 10 and number < self.count else number - known

    def _created(self, number: int) -> int:
        if number in self.created:
            return self.created[number]
        return self._stage(number, 0)

    def _stage(self, number: int, lag: int) -> int:
        """A time of the lead's person; a stranger's lies between those of the neighbours."""
        known, place = divmod(number, 11)
        if place != 10:
            return self._journeys.after(number - known, lag) // 1000
        before, behind = (self._journeys.after(10 * known + near, lag) for near in (9, 10))
        return (before + behind) // 2000

    def _events(self, number: int) -> list[tuple[int, int]]:
        """What became of a lead: the time and the status of each change, oldest first."""
        if number in self.events:
            return self.events[number]
        chance = self._chance(number)
        first, last = self._created(number), self._base_modified(number) - chance % 2
        count = 1 + chance % EVENTS_AT_MOST
        statuses = len(STATUSES)
        if count == 1:
            return [(last if chance & 8 else first, (chance >> 4) % statuses)]
        step = (last - first) // (count - 1)
        return [(last - step * back, ((chance >> 4) + 3 * back) % statuses) for back in reversed(range(count))]

    def status_time(self, number: int) -> int:
        return self._events(number)[-1][0]

    def lead(self, number: int) -> dict[str, Any]:
        person = self.town.person(self._person(number))
        dice = person.dice
        changes = self.changes.get(number, {})
        events = self._events(number)
        modified = self.leads.time_of(number)
        if modified is None:
            modified = self.gone.get(number) or self._created(number)
        user = self.users[dice[21] % len(self.users)] if self.users else {"id": FIRST_USER, "firstName": ""}
        place = person.place
        # A rep writes down what is heard: a short name, or the family's name alone.
        heard = (person.first_name, person.nickname, "")[dice[22] % 3]
        created = _text(self._created(number))
        address = {
            "street1": person.street.replace(" Ave", " Avenue") if dice[23] & 1 else person.street,
            "street2": f"Apt {dice[24] % 20}" if dice[24] < 20 else "",
            "city": place.city,
            "state": "The Buckeye State" if dice[25] < 4 else "OH",
            "zip": place.zip,
            "country": "USA",
        }
        coordinates = {
            "latitude": round(place.latitude + dice[26] / 10_000 + 0.000_000_123, 12),
            "longitude": round(place.longitude - dice[27] / 10_000 - 0.000_000_456, 12),
        }
        nested = self.settings.shape == "nested" or (self.settings.shape == "mixed" and number % 2 == 1)
        lead: dict[str, Any] = {
            "id": FIRST_LEAD + number,
            "userName": f"{user['firstName']} {user.get('lastName', '')}".strip(),
            "userId": user["id"],
            "firstName": heard,
            "lastName": person.last_name,
            "businessName": f"{person.last_name} & Sons" if dice[28] < 10 else "",
            "phonePrimary": spell_phone(person.phone, dice[29]) if dice[30] < 180 else "",
            "phoneAlternate": "",
            "email": person.email if dice[31] < 120 else "",
            **({"address": address, "coordinates": coordinates} if nested else {**address, **coordinates}),
            "status": STATUSES[events[-1][1]][1],
            "notes": f"Dog in the yard.\nAsk for {person.nickname}." if dice[20] < 60 else None,
            "customFields": {"Roof Age": str(dice[19] % 50), "Stories": "2"} if dice[19] & 1 else {},
            "appointment": {"date": _text(events[-1][0] + 2 * DAY), "type": "Estimate"} if events[-1][1] == 4 else None,
            "integrationData": {},
            "statusModified": _text(events[-1][0]),
            "ownerModified": created,
            "dateCreated": created,
            "dateModified": _text(modified),
        }
        if nested:
            lead |= {
                "campaignId": 4_000 + number % 5,
                "dateOfBirth": "1961-04-05" if dice[18] < 10 else None,
                "deletedAt": None,
                "files": [{"name": "roof.jpg", "url": "https://files.example.test/roof.jpg"}] if dice[18] < 40 else [],
            }
        lead.update(changes)
        return lead

    def history(self, number: int, since: int | None = None) -> list[dict[str, Any]]:
        lead = self.lead(number)
        return [
            {
                "id": STATUSES[place][0],
                "name": STATUSES[place][1],
                "abbreviation": STATUSES[place][2],
                "active": True,
                "changedByUserId": str(lead["userId"]),
                "statusUpdated": _text(at),
                "leadCreated": lead["dateCreated"],
                "leadModified": lead["dateModified"],
            }
            for at, place in self._events(number)
            if since is None or at >= since
        ]

    def _user(self, number: int) -> dict[str, Any]:
        person = self.town.employee(1 + number)
        hired = self._base_start + number * 5 * DAY
        return {
            "id": FIRST_USER + number,
            "firstName": person.nickname,
            "lastName": person.last_name,
            "email": f"rep{number}@crew.example.com",
            "phone": spell_phone(person.phone, number),
            "active": number % 6 != 5,
            "hireDate": _text(hired)[:10] if number % 4 else "",
            "businessUnit": "Roofing",
            "department": "Sales",
            "role": ("Rep", "Manager")[number % 5 == 0],
            "office": person.place.city,
            "team": f"Team {number % 3}",
            "region": "Ohio",
            "orgId": 7_001,
            "supervisorId": None if number == 0 else FIRST_USER,
            "recruiterId": None,
            "cmsId": 50_000 + number,
            "leadRepCmsId": None,
            "photo_url": f"https://files.example.test/{number}.jpg" if number % 3 else "",
            "externalIds": [{"name": "genius", "value": str(300 + number)}] if number % 2 else [],
            "dateCreated": _text(hired),
            "dateModified": _text(hired + (700 - number * 5 % 600) * DAY // 2),
        }

    # Operations from behind the scenes

    def _number(self, key: int | str) -> int | None:
        text = str(key)
        number = int(text) - FIRST_LEAD if text.isdigit() else -1
        return number if 0 <= number < self.count + self.added else None

    def _living(self, key: int | str) -> int:
        number = self._number(key)
        if number is None or number in self.gone:
            raise ValueError(f"no lead {key}")
        return number

    @operation
    def create_lead(self, status: str = "Not Home", **fields: Any) -> int:
        """Somebody is knocked at for the first time, now."""
        number = self.count + self.added
        self.added += 1
        at = self.now()
        self.created[number] = at
        self.events[number] = [(at, _place(status))]
        self.changes[number] = fields
        self.leads.place(number, at)
        return FIRST_LEAD + number

    @operation
    def edit_lead(self, id: int | str, *, at: int | None = None, **fields: Any) -> None:
        """Change fields of a lead; `at` is the second that dateModified becomes, now if not given."""
        number = self._living(id)
        self.changes.setdefault(number, {}).update(fields)
        self.leads.place(number, self.now() if at is None else at)

    @operation
    def set_status(self, id: int | str, status: str) -> None:
        number, at = self._living(id), self.now()
        self.events[number] = [*self._events(number), (at, _place(status))]
        self.leads.place(number, at)

    @operation
    def delete_lead(self, id: int | str) -> None:
        """Out of the lists, or shown there with deletedAt, as the setting `deleted` says."""
        number = self._living(id)
        self.gone[number] = self.leads.time_of(number)
        if self.settings.deleted == "hidden":
            self.leads.place(number, None)
            return
        self.changes.setdefault(number, {})["deletedAt"] = _text(self.now())
        if self.settings.deleting_modifies:
            self.leads.place(number, self.now())

    @operation
    def restore_lead(self, id: int | str) -> None:
        number = self._number(id)
        if number is None or number not in self.gone:
            raise ValueError(f"no deleted lead {id}")
        self.changes.get(number, {}).pop("deletedAt", None)
        self.leads.place(number, self.gone.pop(number))

    @operation
    def create_user(self, **fields: Any) -> int:
        user = self._user(max((user["id"] for user in self.users), default=FIRST_USER) - FIRST_USER + 1)
        now = _text(self.now())
        self.users.append({**user, "dateCreated": now, "dateModified": now, **fields})
        return int(user["id"])

    @operation
    def edit_user(self, id: int, **fields: Any) -> None:
        self._row(id).update({"dateModified": _text(self.now()), **fields})

    @operation
    def remove_user(self, id: int) -> dict[str, Any]:
        """Returns the user, as `add_user` takes it."""
        user = self._row(id)
        self.users.remove(user)
        return user

    @operation
    def add_user(self, user: dict[str, Any]) -> None:
        self.users.append(user)

    def _row(self, id: int) -> dict[str, Any]:
        for user in self.users:
            if user["id"] == int(id):
                return user
        raise ValueError(f"no user {id}")

    @operation
    def ids(self, name: str) -> list[int]:
        """The ids of what is not deleted, leads in the order of their modification."""
        if name == "users":
            return [user["id"] for user in self.users]
        window = self.leads.window(None, None)
        numbers = window.page(0, len(window), by_time=True)
        return [FIRST_LEAD + number for number in numbers if number not in self.gone]

    @operation
    def record(self, name: str, id: int) -> Any:
        """A user, a lead, or the status history of a lead."""
        if name == "users":
            return self._row(id)
        number = self._number(id)
        if number is None:
            raise ValueError(f"no lead {id}")
        return self.lead(number) if name == "leads" else self.history(number)

    @operation
    def counts(self) -> dict[str, int]:
        leads = self.ids("leads")
        events = sum(len(self._events(lead - FIRST_LEAD)) for lead in leads)
        return {"leads": len(leads), "users": len(self.users), "lead_status_histories": events}

    # Faults

    def spoil(self, fault: Fault, request: Request, body: dict[str, Any], list_key: str) -> None:
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
                    _spoil_record(fault, records, place)


def _spoil_record(fault: Fault, records: list[Any], place: int) -> None:
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


def _text(seconds: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).isoformat(timespec="seconds")


def _moment(text: str | None) -> Any:
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


def _whole(text: str, default: int) -> int:
    return int(text) if text.isdigit() else default


def _place(status: str) -> int:
    for place, (_, name, _abbreviation) in enumerate(STATUSES):
        if name == status:
            return place
    raise ValueError(f"no status {status!r}; there are {', '.join(name for _, name, _ in STATUSES)}")
