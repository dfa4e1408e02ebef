"""The simulated Five9 domain: SOAP over HTTP, lookups that show a thousand records at most, and the domain's limits.

Written from the vendor notes. A lookup has no pages, no order and no total; what it shows of too many is a stretch that
depends on the question. Contact `i` is person `i` of the town: most have the number of the HubSpot contact, ten digits
of it, one in twelve shares the number of the contact before, one in fifty has none, one in two hundred has one that
is not made of digits alone. What the notes could not confirm is a setting.

All requests have one path; for faults and counters it ends in the name of the operation.
"""

from __future__ import annotations

import base64
import re
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape
from zlib import crc32
from zoneinfo import ZoneInfo

from warehouse_pipelines.simulators.core import journey
from warehouse_pipelines.simulators.core.faults import BAD_VALUES, Fault
from warehouse_pipelines.simulators.core.journey import DAY_MS, Journeys
from warehouse_pipelines.simulators.core.population import Town, words
from warehouse_pipelines.simulators.core.vendor import CONTROL, Vendor, operation
from warehouse_pipelines.simulators.core.wire import Answer, Request

PATH = re.compile(r"/wsadmin/(v2|v9_5|v11|v12|v13)/AdminWebService")
SERVICE = "http://service.admin.ws.five9.com/"
ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
NIL = '<data xsi:nil="true" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"/>'
HTML = "text/html; charset=utf-8"
FIRST_ID = 100_000_000
LISTS = words("Web Leads|Home Show|Reactivation|Everybody", "|")
DISPOSITIONS = words("Appointment Set|No Answer|Not Interested|Callback|Wrong Number", "|")
AGENTS = words("agent.one@example.test agent.two@example.test agent.three@example.test")
STATES = words("New Working Sold Dead")
MODIFIED = "Last Modified"


@dataclass
class Five9Settings:
    username: str = "warehouse@example.test"
    token: str = "simulated-five9-password"  # noqa: S105  (nobody's password)
    contacts: int = 1000  # fixed at start
    now: float | None = None  # fixed at start: seconds since 1970
    crowd: int = 0  # fixed at start: so many of the contacts share one number, 0000000000
    unnumbered: int = 50  # fixed at start: one contact in so many has no number
    time_zone: str = "America/Los_Angeles"
    limit: int = 1000  # records of an answer
    over_limit: str = "truncate"  # truncate | fault: what a lookup that matches more answers
    empty_value: str = "matches"  # matches | nothing | ignored | dropped | fault: a criterion with an empty value
    bare_wildcard: str = "filled"  # filled | nothing | everything: what `%` alone matches
    leading_wildcard: bool = True  # False: only a `%` at the end is one
    no_match: str = "fields"  # fields | bare: whether an answer without records names its fields
    contact_id: str = "unique"  # unique | absent | gaps | repeated
    sessions: bool = False  # a cookie per session, which `close_sessions` ends
    per_minute: int = 100_000
    per_hour: int = 1_000_000
    per_day: int = 10_000_000


@dataclass
class Field:
    """A field of the domain; restrictions are pairs of type and value."""

    name: str
    type: str = "STRING"
    map_to: str = "None"
    restrictions: Sequence[tuple[str, str]] = ()
    system: bool = False
    value: Callable[[Contact], str | None] = field(default=lambda contact: None)


@dataclass
class Contact:
    """What a formula makes of a contact's number, before anything was changed."""

    number: int
    dice: bytes
    created: int
    values: dict[str, str | None]


ISO = (("DateFormat", "yyyy-MM-dd"), ("TimeFormat", "HH:mm:ss.SSS"))
AMERICAN = (("DateFormat", "MM/dd/yyyy"), ("TimeFormat", "hh:mm a"))


class SoapFaultError(Exception):
    """The name of the fault without `Fault`, and the children of its detail."""

    def __init__(self, name: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.name = name
        self.children = {**more, "message": message}


class Five9(Vendor):
    settings_type = Five9Settings
    settings: Five9Settings

    def __init__(self, town: Town, settings: Five9Settings) -> None:
        super().__init__(town, settings)
        started = time.time()
        self._ahead = (settings.now or started) - started
        self.count = settings.contacts
        self.added = 0
        self.gone: set[int] = set()
        self.changes: dict[int, dict[str, str | None]] = {}
        self.zone = ZoneInfo(settings.time_zone)
        now = self.now_ms()
        way = Journeys(town, self.count, now)
        self._created: Callable[[int], int] = lambda number: way.after(number, journey.DIALER)
        self._index: list[str] = []
        self._places: list[int] = []
        self._odd: list[int] = []
        self._unnumbered: list[int] = []
        self._indexed = False
        self._made: dict[int, dict[str, str | None]] = {}
        self._moved: set[int] = set()
        self._recent: deque[float] = deque()
        self._spent: list[tuple[float, int]] = []
        self._failing: list[dict[str, Any]] = []
        self._sessions: set[str] = set()
        self._shown = (b"", b"")  # the answers to the last two lookups
        self.fields = self._standard_fields()

    def environment(self) -> dict[str, str]:
        return {
            "FIVE9_USERNAME": self.settings.username,
            "FIVE9_PASSWORD": self.settings.token,
            "FIVE9_BASE_URL": self.url,
            "FIVE9_REQUESTS_PER_MINUTE": "1000000",
        }

    def now_ms(self) -> int:
        return int((time.time() + self._ahead) * 1000)

    # The domain: its fields and its contacts

    def _standard_fields(self) -> list[Field]:
        person = [Field(name, "PHONE", system=True) for name in ("number1", "number2", "number3")]
        person += [Field(n, system=True) for n in words("first_name last_name company street city state zip")]
        market = (
            ("Set", "Dayton"),
            ("Set", "Cincinnati"),
            ("Set", "Columbus"),
            ("Set", "Cleveland"),
            ("Set", "Toledo"),
        )
        amount = (("Precision", "10"), ("Scale", "2"))
        uuid = "f65d759a-2250-4b2d-89a9-60796f624f72"
        custom = [
            Field("email", "EMAIL"),
            Field("contactID"),
            Field("sys_created_date", "DATE_TIME", "CreatedDateTime", ISO),
            Field(MODIFIED, "DATE_TIME", "LastModifiedDateTime", ISO),
            Field("sys_last_agent", "STRING", "LastAgent", value=lambda c: AGENTS[c.dice[21] % 3]),
            Field("sys_last_disposition", "STRING", "LastDisposition", value=_disposition),
            Field("sys_last_disposition_time", "DATE_TIME", "LastDispositionDateTime", ISO, value=self._called),
            Field("last_campaign", "STRING", "LastCampaign", value=lambda c: "Outbound" if _disposition(c) else None),
            Field("attempts", "NUMBER", "AttemptsForLastCampaign", value=lambda c: str(c.dice[22] % 9)),
            Field("last_list", "STRING", "LastList", value=lambda c: LISTS[c.number % 3]),
            Field("Market", "STRING", restrictions=market, value=lambda c: c.values["division"]),
            Field("Lead Status", value=lambda c: STATES[c.dice[23] % 4]),
            Field("HubSpot_ContactID", value=lambda c: c.values["hubspot"]),
            Field("Appointment Date and Time", "DATE_TIME", restrictions=AMERICAN, value=self._appointment),
            Field("PC_Work_Finished", "DATE", restrictions=(("DateFormat", "MM/dd/yyyy"),), value=self._finished),
            Field("best_time", "TIME", restrictions=(("TimeFormat", "hh:mm a"),), value=lambda c: "05:30 PM"),
            Field("DoNotDial", "BOOLEAN", value=self._do_not_dial),
            Field("Total_Job_Amount", "CURRENCY", restrictions=amount, value=lambda c: f"{c.dice[25] * 37}.50"),
            Field(uuid, value=lambda c: "a & b <c>" if c.dice[26] < 20 else None),
        ]
        return [*person, *custom]

    def _shown_fields(self) -> list[Field]:
        absent = self.settings.contact_id == "absent"
        return [each for each in self.fields if not (absent and each.name == "contactID")]

    def _chance(self, number: int) -> int:
        return int.from_bytes(self.town.dice("five9", number)[:8], "big")

    def _local(self, ms: int, form: str = "%Y-%m-%d %H:%M:%S.%f") -> str:
        text = datetime.fromtimestamp(ms / 1000, self.zone).strftime(form)
        return text[:-3] if form.endswith("%f") else text

    def _do_not_dial(self, contact: Contact) -> str:
        return "1" if self.town.person(contact.number).do_not_call and contact.dice[24] < 200 else "0"

    def _called(self, contact: Contact) -> str | None:
        return self._local(contact.created + 3_600_000 * (1 + contact.dice[27])) if _disposition(contact) else None

    def _appointment(self, contact: Contact) -> str | None:
        at = contact.created + DAY_MS * contact.dice[28]
        return self._local(at, "%m/%d/%Y %I:%M %p") if contact.dice[28] < 90 else None

    def _finished(self, contact: Contact) -> str | None:
        return self._local(contact.created + 60 * DAY_MS, "%m/%d/%Y") if contact.dice[29] < 30 else None

    def _number1(self, number: int) -> str | None:
        """What stood in number1 before anything was changed."""
        if number >= self.count:
            return None
        if number < self.settings.crowd:
            return "0000000000"
        dice = self.town.dice("five9", number)
        if number % self.settings.unnumbered == self.settings.unnumbered - 1:
            return None
        shared = number > self.settings.crowd and dice[8] < 21
        digits = self.town.person(number - 1 if shared else number).phone[2:]
        return f"+1{digits}" if number % 200 == 77 else digits

    def contact(self, number: int) -> dict[str, str | None]:
        """All fields of a contact by name; some are remembered, as a lookup by another field walks over the same."""
        if number not in self._made:
            if len(self._made) >= 4096:
                self._made.clear()
            self._made[number] = self._formula(number)
        return {**self._made[number], **self.changes.get(number, {})}

    def _formula(self, number: int) -> dict[str, str | None]:
        dice = self.town.dice("five9", number)
        born = number < self.count
        created = self._created(number) if born else 0
        values: dict[str, str | None] = {}
        if born:
            person = self.town.person(number)
            given = (person.first_name, person.nickname, person.first_name.upper())[dice[9] % 3]
            surname = person.last_name.upper() if dice[9] % 3 == 2 else person.last_name
            values = {
                "number1": self._number1(number),
                "number2": self.town.person(number + self.count + 50).phone[2:] if dice[10] < 40 else None,
                "first_name": given,
                "last_name": surname,
                "company": f"{person.last_name} & Sons" if dice[11] < 20 else None,
                "street": person.street,
                "city": person.place.city,
                "state": "OH",
                "zip": person.place.zip,
                "email": person.email if dice[12] < 200 else None,
                "sys_created_date": self._local(created),
                MODIFIED: self._local(created + 60_000 * dice[13]),
                "division": DIVISION_NAMES[person.place.division],
                "hubspot": journey.hubspot_contact(number) if dice[14] < 128 else None,
            }
        values["contactID"] = self._contact_id(number)
        contact = Contact(number, dice, created, values)
        return {each.name: values.get(each.name) or (each.value(contact) if born else None) for each in self.fields}

    def _contact_id(self, number: int) -> str | None:
        match self.settings.contact_id:
            case "gaps" if number % 3 == 0:
                return None
            case "repeated":
                number -= number % 2
        return str(FIRST_ID + number)

    def _living(self) -> Iterable[int]:
        return (number for number in range(self.count + self.added) if number not in self.gone)

    # HTTP and SOAP

    def respond(self, request: Request) -> Answer:
        if not request.path.startswith(CONTROL):
            found = re.search(rb"<(?:\w+:)?Body[^>]*>\s*<(?:\w+:)?(\w+)", request.body)
            request.path = f"{request.path}/{found[1].decode() if found else '?'}"
        return super().respond(request)

    def answer(self, request: Request) -> Answer:
        path, _, name = request.path.rpartition("/")
        sent = f"{self.settings.username}:{self.settings.token}".encode()
        if request.headers.get("authorization") != f"Basic {base64.b64encode(sent).decode()}":
            return self.refused()
        if not PATH.fullmatch(path):
            return Answer(404, b"<html><body>Not Found</body></html>", content_type=HTML, route=path)
        if request.method != "POST":
            return Answer(405, b"", content_type=HTML, route=path)
        handler = getattr(self, f"_op_{name}", None)
        cookies: dict[str, str] = {}
        try:
            if handler is None:
                raise SoapFaultError("Server", f"no operation {name}")
            cookies = self._session(request)
            self._fail_if_told(name)
            if name != "getCallCountersState":
                self._count_query()
            answer: Answer = handler(ElementTree.fromstring(request.body))  # noqa: S314  (our own client's)
        except ElementTree.ParseError as error:
            answer = self._fault(SoapFaultError("Server", f"not XML: {error}"))
        except SoapFaultError as error:
            answer = self._fault(error)
        answer.route = request.path
        answer.headers |= cookies
        return answer

    def refused(self) -> Answer:
        headers = {"WWW-Authenticate": 'Basic realm="Five9"'}
        return Answer(401, b"<html><body>Unauthorized</body></html>", headers, content_type=HTML)

    def rate_limited(self, policy: str) -> Answer:
        """HTTP 429, as one integrator has it; the limits of the notes are a SOAP fault (`per_minute`)."""
        return Answer(429, b"<html><body>Too Many Requests</body></html>", content_type=HTML)

    def _session(self, request: Request) -> dict[str, str]:
        if not self.settings.sessions:
            return {}
        found = re.search(r"JSESSIONID=(\w+)", request.headers.get("cookie", ""))
        if found is None:
            session = f"s{next(self._serial)}"
            self._sessions.add(session)
            return {"Set-Cookie": f"JSESSIONID={session}; Path=/"}
        if found[1] not in self._sessions:
            raise SoapFaultError("AdminSessionClosed", "Session was closed")
        return {}

    def _fail_if_told(self, name: str) -> None:
        for told in self._failing:
            if told["times"] > 0 and told["operation"] in ("", name):
                told["times"] -= 1
                raise SoapFaultError(told["fault"], told["message"], **told["more"])

    def _counted(self, seconds: int) -> int:
        since = time.monotonic() - seconds
        return sum(at > since for at in self._recent) + sum(n for at, n in self._spent if at > since)

    def _limits(self) -> dict[int, int]:
        return {60: self.settings.per_minute, 3600: self.settings.per_hour, 86_400: self.settings.per_day}

    def _count_query(self) -> None:
        while self._recent and self._recent[0] < time.monotonic() - 86_400:
            self._recent.popleft()
        for seconds, most in self._limits().items():
            if most < 100_000 and self._counted(seconds) >= most:
                message = "The limit of operations is exceeded"
                raise SoapFaultError("OperationsLimitExceeded", message, limit=most, operationType="Query")
        self._recent.append(time.monotonic())

    def _fault(self, error: SoapFaultError) -> Answer:
        order = sorted(error.children)
        children = "".join(f"<{name}>{escape(str(error.children[name]))}</{name}>" for name in order)
        detail = f'<ns2:{error.name}Fault xmlns:ns2="{SERVICE}">{children}</ns2:{error.name}Fault>'
        message = escape(str(error))
        body = (
            f"<env:Fault><faultcode>env:Server</faultcode><faultstring>{message}</faultstring><detail>{detail}</detail>"
        )
        return _envelope(500, f"{body}</env:Fault>")

    def _result(self, name: str, content: str, list_key: str | None = None) -> Answer:
        body = f'<ns2:{name}Response xmlns:ns2="{SERVICE}">{content}</ns2:{name}Response>'
        return replace(_envelope(200, body), list_key=list_key)

    def _op_getContactFields(self, envelope: ElementTree.Element) -> Answer:  # noqa: N802
        pattern = envelope.findtext(".//namePattern") or ".*"
        parts = []
        for each in self._shown_fields():
            if re.fullmatch(pattern, each.name):
                limits = "".join(
                    f"<restrictions><type>{kind}</type><value>{escape(value)}</value></restrictions>"
                    for kind, value in each.restrictions
                )
                parts.append(
                    f"<return><displayAs>Long</displayAs><mapTo>{each.map_to}</mapTo><name>{escape(each.name)}</name>"
                    f"{limits}<system>{str(each.system).lower()}</system><type>{each.type}</type></return>"
                )
        return self._result("getContactFields", "".join(parts))

    def _op_getListsInfo(self, envelope: ElementTree.Element) -> Answer:  # noqa: N802
        sizes = self.list_sizes()
        lists = "".join(f"<return><name>{name}</name><size>{size}</size></return>" for name, size in sizes.items())
        return self._result("getListsInfo", lists, list_key="size")

    def _op_getCallCountersState(self, envelope: ElementTree.Element) -> Answer:  # noqa: N802
        parts = []
        for seconds, most in self._limits().items():
            counted = {"Query": (most, self._counted(seconds)), "Modify": (most, 0)}
            states = "".join(
                f"<callCounterStates><limit>{limit}</limit><operationType>{name}</operationType>"
                f"<value>{value}</value></callCounterStates>"
                for name, (limit, value) in counted.items()
            )
            parts.append(f"<return>{states}<timeout>{seconds}</timeout></return>")
        return self._result("getCallCountersState", "".join(parts))

    def _op_closeSession(self, envelope: ElementTree.Element) -> Answer:  # noqa: N802
        return self._result("closeSession", "")

    def _op_getContactRecords(self, envelope: ElementTree.Element) -> Answer:  # noqa: N802
        criteria = [(c.findtext("field") or "", c.findtext("value") or "") for c in envelope.iter("criteria")]
        if not criteria:
            raise SoapFaultError("MissedArgument", "criteria are missing")
        known = {each.name for each in self._shown_fields()}
        for name, _ in criteria:
            if name not in known:
                raise SoapFaultError("CrmFieldNotFound", f"no field {name}", fieldName=name)
        if self.settings.empty_value == "fault" and any(not value for _, value in criteria):
            raise SoapFaultError("IncorrectArgument", "value is empty")
        if self.settings.empty_value in ("ignored", "dropped"):
            criteria = [(name, value) for name, value in criteria if value]
        # Of no criterion at all, everything meets all, or nothing is asked for.
        found = [] if not criteria and self.settings.empty_value == "dropped" else self._find(criteria)
        if len(found) > self.settings.limit:
            if self.settings.over_limit == "fault":
                raise SoapFaultError("Server", "Too many records match the criteria")
            start = crc32(repr(criteria).encode()) % len(found)
            found = [*found[start:], *found[:start]][: self.settings.limit]
        answer = self._records([self.contact(number) for number in found])
        self._shown = (self._shown[1], answer.body)
        return replace(answer, page_size=len(found))

    def _records(self, contacts: Sequence[dict[str, str | None]]) -> Answer:
        names = [each.name for each in self._shown_fields()]
        parts = [f"<fields>{escape(name)}</fields>" for name in names]
        if not contacts and self.settings.no_match == "bare":
            parts = []
        for contact in contacts:
            values = [contact.get(name) for name in names]
            if crc32(repr(values).encode()) % 3 == 0:
                while values and values[-1] is None:
                    values.pop()
            data = "".join(NIL if value is None else f"<data>{_escaped(value)}</data>" for value in values)
            parts.append(f"<records><values>{data}</values></records>")
        content = f"<return>{''.join(parts)}</return>"
        return self._result("getContactRecords", content, list_key="records")

    # Lookups

    def _build_index(self) -> None:
        keyed = []
        for number in range(self.count):
            number1 = self._number1(number)
            if number1 is None:
                self._unnumbered.append(number)
            else:
                keyed.append((number1, number))
                if not number1.isdigit():
                    self._odd.append(number)
        keyed.sort()
        self._index = [number1 for number1, _ in keyed]
        self._places = [number for _, number in keyed]
        self._indexed = True

    def _find(self, criteria: list[tuple[str, str]]) -> list[int]:
        """The contacts that match all criteria; those whose number1 never changed are found by an index."""
        if not self._indexed:
            self._build_index()
        first = next((value for name, value in criteria if name == "number1"), None)
        plain, settled = self._candidates(first)
        rest = [each for each in criteria if not (settled and each == ("number1", first))]
        untouched = [n for n in plain if n not in self.gone and n not in self._moved]
        if rest:
            untouched = [n for n in untouched if self._matches_all(self.contact(n), rest)]
        moved = sorted(n for n in self._moved if n not in self.gone)
        return untouched + [n for n in moved if self._matches_all(self.contact(n), criteria)]

    def _candidates(self, value: str | None) -> tuple[Sequence[int], bool]:
        """Base contacts that may match a criterion on number1, and whether they surely do."""
        if value is None:
            return range(self.count), False
        if not value:
            return (self._unnumbered if self.settings.empty_value == "matches" else []), True
        prefix, wildcard, tail = value.partition("%")
        if value == "%":
            everything = self.settings.bare_wildcard == "everything"
            found = range(self.count) if everything else self._places
            return ([] if self.settings.bare_wildcard == "nothing" else found), True
        if not prefix:
            odd = any(not (c.isdigit() or c == "%") for c in value)
            return (self._odd if odd else self._places), False
        stop = f"{prefix}\uffff" if wildcard else f"{prefix}\0"
        return self._places[bisect_left(self._index, prefix) : bisect_left(self._index, stop)], not tail

    def _matches_all(self, contact: dict[str, str | None], criteria: list[tuple[str, str]]) -> bool:
        return all(self._matches(contact.get(name), pattern) for name, pattern in criteria)

    def _matches(self, value: str | None, pattern: str) -> bool:
        if not pattern:
            return not value and self.settings.empty_value == "matches"
        if pattern == "%" and self.settings.bare_wildcard != "filled":
            return self.settings.bare_wildcard == "everything"
        if not value:
            return False
        if not self.settings.leading_wildcard and pattern.startswith("%") and pattern != "%":
            return value == pattern
        form = ".*".join(re.escape(part) for part in pattern.split("%"))
        return re.fullmatch(form, value, re.IGNORECASE | re.DOTALL) is not None

    # Operations from behind the scenes; a contact goes by the contactID it has when all have one

    @operation
    def configure(self, **settings: Any) -> dict[str, Any]:
        self._made.clear()
        return super().configure(**settings)

    def _place(self, id: str) -> int:
        number = int(id) - FIRST_ID
        if not 0 <= number < self.count + self.added or number in self.gone:
            raise ValueError(f"no contact {id}")
        return number

    @operation
    def create(self, fields: dict[str, str | None] | None = None) -> str:
        """A new contact; names are those of the domain."""
        number = self.count + self.added
        self.added += 1
        now = self._local(self.now_ms())
        born = {"number1": f"937{2_000_000 + number}", "first_name": "Newly", "last_name": f"Made{number}"}
        self.changes[number] = {**born, "sys_created_date": now, MODIFIED: now, **(fields or {})}
        self._moved.add(number)
        return str(FIRST_ID + number)

    @operation
    def edit(self, id: str, fields: dict[str, str | None]) -> None:
        number = self._place(id)
        self.changes.setdefault(number, {}).update({MODIFIED: self._local(self.now_ms()), **fields})
        if "number1" in fields:
            self._moved.add(number)

    @operation
    def delete(self, id: str) -> None:
        """Gone without a trace."""
        self.gone.add(self._place(id))

    @operation
    def restore(self, id: str) -> None:
        self.gone.discard(int(id) - FIRST_ID)

    @operation
    def add_field(self, name: str, type: str = "STRING", restrictions: Sequence[tuple[str, str]] = ()) -> None:
        self._made.clear()
        self.fields.append(Field(name, type, restrictions=tuple((kind, value) for kind, value in restrictions)))

    @operation
    def remove_field(self, name: str) -> None:
        self._made.clear()
        self.fields = [each for each in self.fields if each.name != name]

    @operation
    def set_soap_fault(
        self, fault: str, times: int = 1, operation: str = "", message: str = "told to", **more: Any
    ) -> None:
        """Answer with a fault: its name without `Fault`, perhaps only to one operation."""
        self._failing.append({"fault": fault, "times": times, "operation": operation, "message": message, "more": more})

    @operation
    def spend(self, requests: int) -> None:
        """The same user has made so many requests in the last minute."""
        self._spent.append((time.monotonic(), requests))

    @operation
    def close_sessions(self) -> None:
        self._sessions.clear()

    @operation
    def list_sizes(self) -> dict[str, int]:
        """How many contacts each dialing list has; a contact is in one or two of them."""
        sizes = dict.fromkeys(LISTS, 0)
        for place, name in enumerate(LISTS[:3]):
            sizes[name] = len(range(place, self.count, 3)) - sum(n % 3 == place and n < self.count for n in self.gone)
        sizes["Everybody"] = self.count + self.added - len(self.gone)
        return sizes

    @operation
    def counts(self) -> dict[str, int]:
        """The truth: what a client that asks for everything should hold."""
        return {"contacts": self.count + self.added - len(self.gone)}

    @operation
    def ids(self) -> list[str]:
        return [str(FIRST_ID + number) for number in self._living()]

    @operation
    def record(self, id: str) -> dict[str, str | None]:
        return self.contact(self._place(id))

    # Faults

    def spoilt(self, fault: Fault, request: Request, answer: Answer) -> Answer:
        """Apply a fault of the payload. There are no pages: one that repeats is the answer to the question before."""
        if answer.list_key == "size":
            if fault.kind != "lying_total":
                return answer
            added = fault["add"]
            body = re.sub(rb"(?<=<size>)\d+", lambda found: b"%d" % (int(found[0]) + added), answer.body)
            return replace(answer, body=body)
        match fault.kind:
            case "repeat_page":
                return replace(answer, body=self._shown[0] or answer.body)
            case "endless":
                numbers = list(self._living())[: self.settings.limit]
                again = -(-self.settings.limit // max(1, len(numbers)))
                shown = [self.contact(number) for number in (numbers * again)[: self.settings.limit]]
                return replace(self._records(shown), route=answer.route)
            case "missing_list":
                return replace(answer, body=re.sub(rb"<return>.*</return>", b"", answer.body, flags=re.DOTALL))
            case "malformed":
                return replace(answer, body=_malformed(fault, answer.body))
        return answer


DIVISION_NAMES = words("Dayton Cincinnati Columbus Cleveland Toledo")
IDENTITY = ("contactID", "number1", "first_name", "last_name")


def _disposition(contact: Contact) -> str | None:
    return DISPOSITIONS[contact.dice[20] % 5] if contact.dice[20] < 180 else None


def _envelope(status: int, body: str) -> Answer:
    text = f'<env:Envelope xmlns:env="{ENVELOPE}"><env:Header></env:Header><env:Body>{body}</env:Body></env:Envelope>'
    return Answer(status, text.encode(), content_type="text/xml;charset=UTF-8")


def _escaped(value: str) -> str:
    """The value in XML; some servers write characters that XML does not have as references."""
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", lambda found: f"&#{ord(found[0])};", escape(value))


def _malformed(fault: Fault, body: bytes) -> bytes:
    """Spoil the values of some records."""
    text = body.decode()
    names = re.findall(r"<fields>(.*?)</fields>", text)
    left = fault["records"]

    def spoil(found: re.Match[str]) -> str:
        nonlocal left
        if not left:
            return found[0]
        left -= 1
        if fault["what"] == "non_object":
            return "<records>not a record</records>"
        values = re.findall(r"<data[^>]*?(?:/>|>.*?</data>)", found[0], re.DOTALL)
        values += [NIL] * (len(names) - len(values))
        if fault["what"] == "missing_id":
            spoilt = dict.fromkeys(IDENTITY, NIL)
        else:
            usual = {"bad_date": "sys_created_date", "nul": "first_name"}.get(fault["what"], "attempts")
            spoilt = {fault["property"] or usual: f"<data>{_escaped(BAD_VALUES[fault['what']])}</data>"}
        data = "".join(spoilt.get(name, value) for name, value in zip(names, values, strict=True))
        return f"<records><values>{data}</values></records>"

    return re.sub(r"<records>.*?</records>", spoil, text, flags=re.DOTALL).encode()
