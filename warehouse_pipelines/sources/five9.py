"""Five9: the contacts that its agents and dialers call.

The specifications say REST; contacts are read by SOAP 1.1 (AdminWebService), as every known client does. ``zeep`` was
tried: it starts in a quarter of a second, but its first act is to fetch the WSDL and a schema that this imports from a
third host, without which it fails; it brings a transport beside our own, with other retries and no budget; and it makes
a tree of every answer. Five operations and one envelope need none of it.

**Everything, by lookups.** ``getContactRecords`` shows at most 1,000 contacts, without pages, order or total, and
cannot be asked for what was edited. So each run reads everything: all numbers (``%``), and where that shows 1,000, all
that begin with ``0`` to ``9``, and so on until every part shows fewer. A number that 1,000 contacts share, or none of
theirs, is split by the next of ``SPLITTERS``; what cannot be split any further is an error. Unchanged rows cost
nothing but their lookup. An answer's size is the vendor's, so ``--batch-size`` is noted and changes nothing.

**How a read knows that it is whole.** A part is whole when it shows fewer than 1,000. The parts together are whole when
every value that a field can have falls into one: the digits, whatever other printable ASCII character occurs in some
value (``%x%`` is asked for each, once per split), the value that ends here, and the empty one. Whether an empty value
finds the contacts without a number is unconfirmed, so it is proven each time: by an answer, or by asking so for a
contact that is known to have another field empty. ``%`` in front is proven likewise. What a crowded answer showed must
turn up in its parts, and no dialing list may be larger than what was read. What is not proven makes the run partial,
with its reason; ``FIVE9_ALL_CONTACTS_NUMBERED=true`` is how a person vouches that every contact has a ``number1`` of
digits only. Not covered: a number in characters beyond ASCII, and what the vendor takes for wildcards (``% _ \\``).

**A record** is ``{"id", "contact", "received", "mapped"}``. ``contact`` holds all fields of the domain, which are asked
for anew each run, by the names that the domain gives them; those that no column declares are ``custom_properties``.
Values are the vendor's strings, but dates and times are read by their field's DateFormat and TimeFormat in the
domain's zone (``FIVE9_TIME_ZONE``; an hour that occurs twice in autumn is taken for the first) and written in ISO 8601.
What was received instead stands in ``received``, so nothing is lost; what cannot be read so stays as it came and is
counted in the history row (``unread_dates``). ``mapped`` has what goes by different names in different domains.

**The key** ``id`` is made here: the ``contactID`` where the domain has such a field and the contact a value, else a hash
of number1, first and last name. A contact that two answers show is one record, the first. Where a domain gives one id
to two contacts, one of them is not loaded: ``listed_again`` counts that, and a few are edits during the read. A contact
that gets an id, or is renamed without one, becomes another row, and the former is marked as missing.

Unconfirmed, and how it would show: a fault instead of 1,000 of too many records (a fault ``Server`` is split like 1,000;
any other stops the run); a lower maximum (a list is larger than what was read); date formats (every record set aside,
for ``created_date``); the zone (times are whole hours off); ``?user=`` in the address (a refusal); which requests count
as queries (all are counted).

Left out: ``contactIdField`` of the lookup (what it does is unconfirmed; it may give every contact an id), reports, and
the members of dialing lists.

Settings: ``Settings``. Verified against: the simulator only; no live domain has been read yet.
"""

import base64
import hashlib
import re
import string
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, TypeVar
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

import httpx
import msgspec
from pydantic import SecretStr

from warehouse_pipelines.entity import Budget, Entity, Extraction, Page, Source, Window, columns
from warehouse_pipelines.errors import (
    CredentialRefused,
    CursorStuck,
    PermissionMissing,
    RequestRefused,
    SuspiciousRead,
    VendorUnavailable,
    WarehouseError,
    masked,
)
from warehouse_pipelines.settings import FromEnvironment
from warehouse_pipelines.sources._http import Client, first_backoff
from warehouse_pipelines.sources._xml import ended

VERSION = "v13"
PATH = f"/wsadmin/{VERSION}/AdminWebService"
LIMIT = 1000

T = TypeVar("T")


class Settings(FromEnvironment, env_prefix="FIVE9_"):
    """The vendor's sample pauses 0.3 s between requests; the domain's own limits are read at each run."""

    username: str
    password: SecretStr
    base_url: str = "https://api.five9.com"
    time_zone: ZoneInfo = ZoneInfo("America/Los_Angeles")
    contact_id_field: str = "contactID"
    email_field: str = "email"
    division_field: str = "Market"
    status_field: str = "Lead Status"
    all_contacts_numbered: bool = False
    requests_per_minute: int = 200


class ServerFault(VendorUnavailable):
    """The fault ``Server``, which may be what this vendor has to say about too many records."""


class Fault(NamedTuple):
    """A SOAP fault: the name of its detail without ``Fault``, and what the detail says."""

    name: str
    said: dict[str, str]


PASSING = {
    "OperationsLimitExceeded",
    "ServiceUnavailable",
    "ConcurrentModification",
    "AdminSessionClosed",
    "UserAlreadyLoggedIn",
}
"""Faults that another attempt may not meet."""


def fault_in(content: bytes) -> Fault | None:
    """Return the SOAP fault of an answer, if it is one."""
    if b"Fault" not in content:
        return None
    name, said = "", {}
    try:
        for one in ended(content):
            if one.parent == "detail":
                name = one.name.removesuffix("Fault").removesuffix("Exception")
            elif one.parent.endswith(("Fault", "Exception")):
                said[one.name] = one.text or ""
    except msgspec.DecodeError:
        return None
    return Fault(name or "Server", said) if "faultcode" in said else None


def raised(fault: Fault, operation: str) -> WarehouseError:
    """Return the error that a fault is."""
    what = f"Five9 answered {operation} with the fault {fault.name}: {masked(fault.said.get('message', ''), 200)}"
    match fault.name:
        case "Server":
            return ServerFault(f"{what}. Nothing was loaded; the next run reads everything again.")
        case name if name in PASSING:
            return VendorUnavailable(f"{what}. Nothing was loaded; the next run reads everything again.")
        case "InvalidAccount":
            return CredentialRefused(f"{what}. Renew the login and set it again; nothing was loaded.")
        case "AccessDisallowed" | "UserHasNoRequiredRole":
            return PermissionMissing(f"{what}. Give the user the role of an administrator or of the API.")
    return RequestRefused(f"{what}. The request is wrong or the vendor has changed; nothing was loaded.")


class Service:
    """The web service: one operation at a time, within the limits of the domain."""

    def __init__(self, extraction: Extraction) -> None:
        settings = Settings()
        login = f"{settings.username}:{settings.password.get_secret_value()}".encode()
        self.extraction = extraction
        self.budgets: list[Budget] = []
        self._user = settings.username
        self._operation = ""
        self._http = Client(
            extraction,
            title="Five9",
            base_url=settings.base_url,
            headers={
                "Authorization": f"Basic {base64.b64encode(login).decode()}",
                "Content-Type": "text/xml; charset=utf-8",
                "Accept": "text/xml",
                "SOAPAction": '""',
            },
            budgets=(Budget("minute", settings.requests_per_minute, 60),),
            wait_for=self._wait_for,
            explain=self._explain,
        )

    def ask(self, operation: str, read: Callable[[bytes], T], body: str = "") -> T:
        """Return what ``read`` makes of the answer to an operation. A fault is raised as the error that it is."""

        def checked(content: bytes) -> T:
            if fault := fault_in(content):
                raise raised(fault, operation)
            if f"{operation}Response".encode() not in content:
                for _ in ended(content):
                    pass
                raise msgspec.ValidationError(f"no {operation}Response")
            return read(content)

        before, self._operation = self._operation, operation
        envelope = (
            '<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body>'
            f'<ns:{operation} xmlns:ns="http://service.admin.ws.five9.com/">{body}</ns:{operation}>'
            "</soap:Body></soap:Envelope>"
        )
        try:
            return self._http.send(
                "POST", PATH, checked,
                params={"user": self._user}, content=envelope.encode(), budgets=self.budgets,
            )  # fmt: skip
        finally:
            self._operation = before

    def read_limits(self) -> None:
        """Learn how many queries the domain allows, and keep to nine tenths of it.

        What it allows in an hour is spent in shares of ten minutes, so that a long read is slow and not cut off.
        """
        limits = {one.seconds: one for one in self.counters() if one.operation == "Query" and one.limit > 0}
        self.extraction.noticed["query_limits"] = {str(s): [one.value, one.limit] for s, one in limits.items()}
        for seconds, one in limits.items():
            share = 600 / seconds if 600 < seconds <= 3600 else 1.0
            self.budgets.append(Budget(f"query {seconds}", max(1, int(one.limit * 0.9 * share)), seconds * share))

    def counters(self) -> list["CallCounter"]:
        """Return the limits of the domain, and how much of them this user has used."""
        return self.ask("getCallCountersState", call_counters)

    def _explain(self, answer: httpx.Response) -> None:
        fault = fault_in(answer.content)
        if fault is None:
            return
        if fault.name == "AdminSessionClosed":
            self._http.forget_session()
        if fault.name not in PASSING and (fault.name != "Server" or self._operation == "getContactRecords"):
            raise raised(fault, self._operation)

    def _wait_for(self, answer: httpx.Response, attempt: int) -> float | None:
        """Return the length of the window that is used up; a minute when the counters do not tell."""
        fault = fault_in(answer.content)
        if answer.status_code == 429:
            return 60 * first_backoff()
        if fault is None or fault.name != "OperationsLimitExceeded":
            return None
        window = 60
        if self._operation != "getCallCountersState":
            kind = fault.said.get("operationType", "Query")
            full = [one.seconds for one in self.counters() if one.operation == kind and one.value >= one.limit]
            window = max(full, default=60)
        return window * first_backoff()


class CallCounter(NamedTuple):
    """How many operations of a kind are allowed in so many seconds, and how many were made."""

    operation: str
    seconds: int
    limit: int
    value: int


def call_counters(content: bytes) -> list[CallCounter]:
    """Read ``getCallCountersState``: a window's length comes after its counters."""
    found: list[CallCounter] = []
    states: list[dict[str, str]] = []
    said: dict[str, str] = {}
    for one in ended(content):
        if one.parent == "callCounterStates":
            said[one.name] = one.text or ""
        elif one.name == "callCounterStates":
            states.append(said)
            said = {}
        elif one.name == "timeout":
            seconds = whole(one.text)
            found += [
                CallCounter(s.get("operationType", ""), seconds, whole(s.get("limit")), whole(s.get("value")))
                for s in states
            ]
            states = []
    return found


def whole(text: str | None) -> int:
    """Return a whole number; raise ``msgspec.ValidationError`` for anything else."""
    try:
        return int(text or "")
    except ValueError:
        raise msgspec.ValidationError("a count that is no number") from None


def list_sizes(content: bytes) -> list[int]:
    """Read ``getListsInfo``."""
    return [whole(one.text) for one in ended(content) if one.name == "size" and one.parent == "return"]


@dataclass
class Field:
    """A field of the domain."""

    name: str = ""
    type: str = "STRING"
    map_to: str = "None"
    restrictions: dict[str, str] = field(default_factory=dict)


def fields_of(content: bytes) -> list[Field]:
    """Read ``getContactFields``. A domain without ``number1`` is none."""
    found: list[Field] = []
    one, restriction = Field(), {}
    for element in ended(content):
        match element:
            case (name, "restrictions", text):
                restriction[name] = text or ""
            case ("restrictions", _, _):
                one.restrictions[restriction.pop("type", "")] = restriction.pop("value", "")
            case ("name", "return", text):
                one.name = text or ""
            case ("type", "return", text):
                one.type = text or "STRING"
            case ("mapTo", "return", text):
                one.map_to = text or "None"
            case ("return", _, _):
                found.append(one)
                one = Field()
    if not any(one.name == "number1" for one in found):
        raise msgspec.ValidationError(f"{len(found)} contact fields, none of them number1")
    return found


Row = Sequence[str | None]


@dataclass
class Shown:
    """What a lookup shows; ``more`` when there is, or may be, more than it shows."""

    names: list[str]
    rows: list[list[str | None]]
    more: bool = False

    def values(self, name: str) -> list[str]:
        """Return a field's value in each row, empty where there is none."""
        if name not in self.names:
            return [""] * len(self.rows)
        place = self.names.index(name)
        return [row[place] or "" for row in self.rows]


def contacts_shown(content: bytes) -> Shown:
    """Read ``getContactRecords``; a record may have fewer values than there are fields."""
    names: list[str] = []
    rows: list[list[str | None]] = []
    row: list[str | None] = []
    answered = False
    for name, parent, text in ended(content):
        if name == "data":
            row.append(text)
        elif name == "fields" and parent == "return":
            names.append(text or "")
        elif name == "records":
            if len(row) > len(names):
                raise msgspec.ValidationError(f"a record of {len(row)} values for {len(names)} fields")
            rows.append(row + [None] * (len(names) - len(row)))
            row = []
        answered = answered or name == "return"
    if not answered:
        raise msgspec.ValidationError("no return")
    return Shown(names, rows, more=len(rows) >= LIMIT)


JAVA = {
    "yyyy": "%Y", "yy": "%y", "MMMM": "%B", "MMM": "%b", "MM": "%m", "M": "%m", "dd": "%d", "d": "%d", "HH": "%H",
    "H": "%H", "hh": "%I", "h": "%I", "mm": "%M", "m": "%M", "ss": "%S", "s": "%S", "SSS": "%f", "a": "%p",
    "EEEE": "%A", "EEE": "%a", "Z": "%z", "XXX": "%z",
}  # fmt: skip
DATE_FORMAT, TIME_FORMAT = "yyyy-MM-dd", "HH:mm:ss.SSS"


def strptime_format(java: str) -> str:
    """Return a format of Java's as Python has it.

    >>> strptime_format("MM/dd/yyyy'T'hh:mm a")
    '%m/%d/%YT%I:%M %p'
    """
    parts = re.findall(r"'(?:[^']|'')*'|([A-Za-z])(\1*)|[^A-Za-z']+", java) and re.finditer(
        r"'((?:[^']|'')*)'|(([A-Za-z])\3*)|[^A-Za-z']+", java
    )
    return "".join(
        JAVA.get(part[2], part[2]) if part[2] else (part[1] or part[0]).replace("''", "'").replace("%", "%%")
        for part in parts
    )


def date_reader(one: Field, zone: ZoneInfo) -> Callable[[str], str] | None:
    """Return what makes ISO 8601 of a value of this field, None for a field that is neither date nor time.

    It raises ``ValueError`` for a value that is not of the field's format.
    """
    day = one.restrictions.get("DateFormat") or DATE_FORMAT
    clock = one.restrictions.get("TimeFormat") or TIME_FORMAT
    iso = day == DATE_FORMAT and clock.startswith("HH:mm")
    form = strptime_format(f"{day} {clock}")

    def moment(text: str) -> str:
        at = datetime.fromisoformat(text) if iso else datetime.strptime(text, form)  # noqa: DTZ007
        return (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC).isoformat()

    match one.type:
        case "DATE_TIME":
            return moment
        case "DATE":
            return lambda text: datetime.strptime(text, strptime_format(day)).date().isoformat()  # noqa: DTZ007
        case "TIME":
            return lambda text: datetime.strptime(text, strptime_format(clock)).time().isoformat()  # noqa: DTZ007
    return None


MAPPED = {
    "CreatedDateTime": "created_date",
    "LastModifiedDateTime": "last_modified_date",
    "LastAgent": "sys_last_agent",
    "LastDisposition": "sys_last_disposition",
    "LastDispositionDateTime": "sys_last_disposition_time",
    "LastCampaign": "last_campaign",
    "AttemptsForLastCampaign": "attempts",
    "LastList": "last_list",
}
"""Columns by what a field of the domain is mapped to, since its name is the domain's own."""


class Domain:
    """The fields of a domain, and what they make of a row."""

    def __init__(self, fields: Sequence[Field], settings: Settings) -> None:
        self.names = [one.name for one in fields]
        self.unread: Counter[str] = Counter()
        self.id_field = settings.contact_id_field
        self._readers = {one.name: reader for one in fields if (reader := date_reader(one, settings.time_zone))}
        mapped = {MAPPED[one.map_to]: one.name for one in fields if one.map_to in MAPPED}
        if "sys_created_date" in self._readers:
            mapped.setdefault("created_date", "sys_created_date")
        chosen = {"email": settings.email_field, "division": settings.division_field, "status": settings.status_field}
        alike = {_plain(name): name for name in reversed(self.names)}
        self.missing = sorted(name for name in chosen.values() if _plain(name) not in alike)
        self._mapped = mapped | {to: alike[_plain(name)] for to, name in chosen.items() if _plain(name) in alike}
        if "status" not in self._mapped and "sys_last_disposition" in mapped:
            self._mapped["status"] = mapped["sys_last_disposition"]

    def keys(self, shown: Shown) -> list[str | None]:
        """Return the key of each row; None where nothing tells the contact from others."""
        given = shown.values(self.id_field)
        names = zip(*(shown.values(name) for name in ("number1", "first_name", "last_name")), strict=True)
        return [key.strip() or _digest(parts) for key, parts in zip(given, names, strict=True)]

    def record(self, key: str | None, names: Sequence[str], row: Row) -> bytes:
        """Return the record of a row."""
        contact: dict[str, str | None] = dict(zip(names, row, strict=True))
        received: dict[str, str] = {}
        for name, read in self._readers.items():
            text = contact.get(name)
            if text:
                try:
                    contact[name] = read(text.strip())
                except ValueError:
                    self.unread[name] += 1
                else:
                    received[name] = text
        mapped = {to: contact.get(name) for to, name in self._mapped.items()}
        return msgspec.json.encode({"id": key, "contact": contact, "received": received, "mapped": mapped})


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).casefold()


def _digest(parts: tuple[str, ...]) -> str | None:
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:32] if any(parts) else None


Criterion = tuple[str, str]

DIGITS = string.digits
OTHERS = "".join(char for char in map(chr, range(32, 127)) if char not in string.digits + "%_\\")
LONGEST = 40
"""Characters of a value; no part needs to be deeper than that."""

SPLITTERS = ("number1", "contactID", "number2", "number3", "zip")
"""Fields to split by, each where the one before cannot: of digits mostly, so that ASCII is all that they can hold."""


class Lookups:
    """All contacts of a domain, by as many lookups as that takes."""

    def __init__(self, service: Service, domain: Domain, extraction: Extraction) -> None:
        self.service, self.domain = service, domain
        self.noticed = extraction.noticed
        self.seen: set[str] = set()
        self.keyless = 0
        self.again = 0
        self.doubts: list[str] = []
        self._answers: set[bytes] = set()
        self._empty_is_known = False
        self._control: tuple[str, str, str | None] | None = None
        named = [domain.id_field if name == "contactID" else name for name in SPLITTERS]
        self.fields = tuple(name for name in dict.fromkeys(named) if name in domain.names)

    def contacts(self) -> Iterator[list[bytes]]:
        """Yield the records of all contacts, each once; ``doubts`` says afterwards what could not be proven."""
        yield from self._split((), self.fields)
        if not self._empty_is_known and self.read and not self._control_is_found():
            self.doubts.append("its answers do not prove that contacts without a number1 are found")

    @property
    def read(self) -> int:
        """How many contacts there are so far."""
        return len(self.seen) + self.keyless

    def _split(self, fixed: tuple[Criterion, ...], fields: tuple[str, ...]) -> Iterator[list[bytes]]:
        """Yield the contacts that meet ``fixed``, in parts by the first of ``fields``."""
        if not fields:
            raise SuspiciousRead(
                f"Five9 has {LIMIT} contacts or more that are alike in {', '.join(name for name, _ in fixed)}, and "
                f"shows {LIMIT} of them. It cannot be asked for the rest, so nothing was loaded. Give them different "
                f"numbers, or values in {self.domain.id_field}."
            )
        name = fields[0]
        everything = self._ask(fixed, (name, "%"))
        if everything.more or (not everything.rows and self._any_digit(fixed, name)):
            alphabet = self._alphabet(fixed, name, everything)
            for char in alphabet:
                yield from self._beginning(fixed, fields, char, alphabet)
            yield from self._left(fixed, name, everything)
        else:
            yield from self._given(everything)
        yield from self._without(fixed, fields)

    def _beginning(
        self, fixed: tuple[Criterion, ...], fields: tuple[str, ...], begin: str, alphabet: str
    ) -> Iterator[list[bytes]]:
        """Yield the contacts whose value begins so."""
        name = fields[0]
        shown = self._ask(fixed, (name, f"{begin}%"))
        if not shown.more:
            yield from self._given(shown)
            return
        values = shown.values(name)
        if len(begin) > LONGEST or (values and not any(map(_begins(begin), values))):
            raise CursorStuck("Five9 shows the same contacts whatever it is asked for; reading on would never end.")
        exactly = self._ask(fixed, (name, begin))
        if exactly.more:
            yield from self._split((*fixed, (name, begin)), fields[1:])
        else:
            yield from self._given(exactly)
        for char in alphabet:
            yield from self._beginning(fixed, fields, begin + char, alphabet)
        yield from self._left(fixed, name, shown)

    def _any_digit(self, fixed: tuple[Criterion, ...], name: str) -> bool:
        """Whether some value begins with a digit; asked when ``%`` alone shows nothing, which may be its meaning."""
        for digit in DIGITS:
            shown = self._ask(fixed, (name, f"{digit}%"))
            if shown.rows or shown.more:
                return True
        return False

    def _alphabet(self, fixed: tuple[Criterion, ...], name: str, sample: Shown) -> str:
        """Return the characters that occur in some value: the digits, and those of the others that are found."""
        known = next((value[-1] for value in sample.values(name) if value), "0")
        proof = self._ask(fixed, (name, f"%{known}%"))
        if not (proof.rows or proof.more) and name == "number1":
            self.doubts.append(
                "it finds nothing in the middle of a number1, so numbers that are not digits may be left"
            )
        found = []
        for char in OTHERS:
            shown = self._ask(fixed, (name, f"%{char}%"))
            if any(char in value for value in shown.values(name)) or (shown.more and not shown.rows):
                found.append(char)
        return DIGITS + "".join(found)

    def _without(self, fixed: tuple[Criterion, ...], fields: tuple[str, ...]) -> Iterator[list[bytes]]:
        """Yield the contacts that have no value."""
        name = fields[0]
        try:
            shown = self._ask(fixed, (name, ""))
        except (RequestRefused, ServerFault):
            return
        if any(shown.values(name)):
            # The empty value was not understood as one; these are contacts all the same, and known from their parts.
            yield from self._given(shown, repeated=True)
        elif shown.more:
            self._empty_is_known = True
            yield from self._split((*fixed, (name, "")), fields[1:])
        else:
            self._empty_is_known = self._empty_is_known or bool(shown.rows)
            yield from self._given(shown)

    def _control_is_found(self) -> bool:
        """Whether an empty value finds a contact that is known to have none in that field."""
        if self._control is None:
            return False
        number, name, key = self._control
        try:
            shown = self._ask((("number1", number),), (name, ""))
        except (RequestRefused, ServerFault):
            return False
        return key in self.domain.keys(shown) and not any(shown.values(name))

    def _left(self, fixed: tuple[Criterion, ...], name: str, crowd: Shown) -> Iterator[list[bytes]]:
        """Yield what a crowded answer showed and its parts did not, if it is still there: the parts have a gap then."""
        keys = self.domain.keys(crowd)
        lost = {value for key, value in zip(keys, crowd.values(name), strict=True) if key and key not in self.seen}
        for value in sorted(lost):
            shown = self._ask(fixed, (name, value))
            before = self.again
            found = list(self._given(shown, repeated=True))
            self.again = before
            yield from found
            if found:
                self.doubts.append("parts of it did not show what the whole did")

    def _ask(self, fixed: tuple[Criterion, ...], asked: Criterion) -> Shown:
        """Ask for the contacts that meet all criteria."""
        criteria = "".join(
            f"<criteria><field>{escape(name)}</field><value>{escape(value)}</value></criteria>"
            for name, value in (*fixed, asked)
        )
        try:
            return self.service.ask("getContactRecords", contacts_shown, f"<lookupCriteria>{criteria}</lookupCriteria>")
        except ServerFault:
            if not asked[1].endswith("%") and len(fixed) + 1 >= len(self.fields):
                raise
            if not asked[1]:
                raise
            return Shown([], [], more=True)

    def _given(self, shown: Shown, *, repeated: bool = False) -> Iterator[list[bytes]]:
        """Yield the records of a part, those that are new; the same answer to two parts is none to either."""
        if not shown.rows:
            return
        if not repeated:
            digest = hashlib.sha256(msgspec.json.encode(sorted(map(msgspec.json.encode, shown.rows)))).digest()
            if digest in self._answers:
                raise CursorStuck("Five9 answered two different lookups with the same contacts; nothing was loaded.")
            self._answers.add(digest)
        records = []
        for key, row in zip(self.domain.keys(shown), shown.rows, strict=True):
            if key is not None and key in self.seen:
                self.again += 1
                continue
            if key is None:
                self.keyless += 1
            else:
                self.seen.add(key)
            records.append(self.domain.record(key, shown.names, row))
            if self._control is None:
                self._control = self._empty_one(shown.names, row, key)
        if records:
            yield records

    def _empty_one(self, names: Sequence[str], row: Row, key: str | None) -> tuple[str, str, str | None] | None:
        """Return the number of a contact that has one, and a field that it has not filled."""
        number = dict(zip(names, row, strict=True)).get("number1")
        empty = [name for name, value in zip(names, row, strict=True) if not value and name in self.domain.names]
        return (number, min(empty, key=lambda name: (name not in SPLITTERS, name)), key) if number and empty else None


def _begins(begin: str) -> Callable[[str], bool]:
    return lambda value: value.startswith(begin)


def fetch(extraction: Extraction) -> Iterator[Page]:
    """Yield all contacts of the domain."""
    settings = Settings()
    service = Service(extraction)
    service.read_limits()
    domain = Domain(service.ask("getContactFields", fields_of, "<namePattern>.*</namePattern>"), settings)
    sizes = service.ask("getListsInfo", list_sizes, "<listNamePattern>.*</listNamePattern>")
    lookups = Lookups(service, domain, extraction)
    for records in lookups.contacts():
        yield Page(records)
    largest = max(sizes, default=0)
    doubts = [] if settings.all_contacts_numbered else list(dict.fromkeys(lookups.doubts))
    if largest > lookups.read:
        doubts.append(f"a dialing list has {largest} contacts, and {lookups.read} were found")
    extraction.noticed |= {
        "fields": len(domain.names),
        "fields_not_there": domain.missing,
        "unread_dates": dict(domain.unread),
        "listed_again": lookups.again,
        "lists": len(sizes),
        "largest_list": largest,
    }
    if doubts:
        extraction.doubt = (
            f"Five9 may have more contacts than were read: {'; '.join(doubts)}. Nothing is buried. If every contact has a "
            "number1 of digits only, set FIVE9_ALL_CONTACTS_NUMBERED=true."
        )


CONTACTS = Entity(
    name="contacts",
    table="five9_contact",
    about="The contacts of the call center, with what its last call came to; all fields of the domain are kept.",
    path="getContactRecords",
    key="id",
    custom="contact",
    index="email phone_e164 created_date",
    severity={"attempts": "warn", "last_modified_date": "warn", "sys_last_disposition_time": "warn"},
    every=timedelta(days=1),  # a read costs a lookup for each 300 contacts or so, of a quota that dialers share
    columns=columns(
        id="id",
        text="""
            first_name=contact.first_name last_name=contact.last_name company=contact.company street=contact.street
            city=contact.city state=contact.state zip=contact.zip division=mapped.division status=mapped.status
            sys_last_agent=mapped.sys_last_agent sys_last_disposition=mapped.sys_last_disposition
            last_campaign=mapped.last_campaign last_list=mapped.last_list
        """,
        email="email=mapped.email",
        phone="phone=contact.number1 number2=contact.number2 number3=contact.number3",
        integer="attempts=mapped.attempts",
        timestamptz="""
            created_date=mapped.created_date last_modified_date=mapped.last_modified_date
            sys_last_disposition_time=mapped.sys_last_disposition_time
        """,
    ),
)


def check() -> str:
    """Ask for the fields of the domain."""
    extraction = Extraction(entity=CONTACTS, window=Window(None, datetime.now(UTC)))
    fields = Service(extraction).ask("getContactFields", fields_of, "<namePattern>.*</namePattern>")
    missing = Domain(fields, Settings()).missing
    return f"Five9 answers: a contact has {len(fields)} fields" + (
        f"; not among them: {', '.join(missing)}" * bool(missing)
    )


FIVE9 = Source(
    name="five9",
    title="Five9",
    transport="api",
    settings=Settings,
    fetch=fetch,
    check=check,
    page_size=LIMIT,
    pool=1,
    entities=(CONTACTS,),
)
