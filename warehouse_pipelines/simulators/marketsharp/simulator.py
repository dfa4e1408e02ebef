"""The simulated MarketSharp: the read-only OData service, in Atom.

Written from the vendor notes; where these say "standard behaviour", what WCF Data Services does. The service checks
the signature of each request, understands a `$filter` of comparisons, `and`, `or`, `not` and one step of navigation,
refuses what it does not know, and compares times as the zoneless values that the database holds. What the notes could
not confirm is a setting. JSON, `$select` and changes are left out; of `$metadata` there are properties and sets.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import urlencode
from xml.sax.saxutils import escape, quoteattr
from zoneinfo import ZoneInfo

from warehouse_pipelines.simulators.core.faults import BAD_VALUES, Fault
from warehouse_pipelines.simulators.core.population import Town
from warehouse_pipelines.simulators.core.vendor import Vendor, operation
from warehouse_pipelines.simulators.core.wire import Answer, Request
from warehouse_pipelines.simulators.marketsharp.records import (
    BOOLEAN,
    DATETIME,
    INT,
    KINDS,
    NAVIGATION,
    SETS,
    STRING,
    SUBSETS,
    Office,
    Record,
    Shelf,
)

ROOT = "/WcfDataService.svc"
ATOM = "application/atom+xml;type=feed;charset=utf-8"
RELATED = "http://schemas.microsoft.com/ado/2007/08/dataservices/related/"
FEED = (
    '<?xml version="1.0" encoding="utf-8" standalone="yes"?><feed xml:base={base} xmlns="http://www.w3.org/2005/Atom" '
    'xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices" '
    'xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata">'
)
OPTIONS = {"$filter", "$orderby", "$top", "$skip", "$expand", "$inlinecount", "$skiptoken"}
ALIGNED = ("Contacts", "Addresses", "ContactPhones")
"""A contact has an address and a phone record of its own number."""


@dataclass
class MarketSharpSettings:
    company: str = "4711"
    api_key: str = "simulated-marketsharp-key"
    token: str = "simulated-marketsharp-secret"  # noqa: S105  (nobody's; the secret is its Base64)
    contacts: int = 1000  # fixed at start
    now: float | None = None  # fixed at start: seconds since 1970
    time_zone: str = "America/New_York"  # of the wall clock that the database holds
    offsets: bool = True  # whether times are written with the offset of that zone, or without any
    literal_zone: str | None = None  # in which a literal of a filter is read; None: compared as it is
    skew_seconds: int = 300  # how old or early a stamp may be
    most_per_page: int = 5000
    links: bool = True  # whether a page that was cut to it says where the rest is
    link_base: str | None = None  # what such a link begins with; None: as the client came
    inlinecount: bool = True
    expands: str = "served"  # served | ignored | refused
    absent: str = ""  # sets and navigations that there are not, with blanks between; `Contact/`: in a filter alone
    expanded_lists: bool = True  # whether a contact's address comes as a list, or as one
    ordered_by: str = "text"  # text | guid: how $orderby sorts keys; comparisons are of texts


class BadQueryError(Exception):
    """What the service cannot read, or has not."""


class Test(NamedTuple):
    """A node of a filter: `and`, `or`, `not`, or a comparison of a property with a value."""

    word: str
    left: Any
    right: Any = None


_TOKEN = re.compile(r"\s*(datetime'[^']*'|'(?:[^']|'')*'|-?\d+(?:\.\d+)?[mMlLdf]?|[A-Za-z_][\w/]*|[(),])")
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
}


class Parser:
    """A `$filter`, by descent."""

    def __init__(self, text: str, literal: Callable[[str], int]) -> None:
        self._literal = literal
        self._tokens: list[str] = []
        place = 0
        while place < len(text.rstrip()):
            if not (found := _TOKEN.match(text, place)):
                raise BadQueryError(f"Syntax error at position {place}.")
            self._tokens.append(found[1])
            place = found.end()

    def parse(self) -> Test:
        tree = self._any()
        if self._tokens:
            raise BadQueryError(f"Syntax error at '{self._tokens[0]}'.")
        return tree

    def _next(self) -> str:
        if not self._tokens:
            raise BadQueryError("Expression expected.")
        return self._tokens.pop(0)

    def _takes(self, word: str) -> bool:
        if self._tokens and self._tokens[0] == word:
            self._tokens.pop(0)
            return True
        return False

    def _any(self) -> Test:
        tree = self._all()
        while self._takes("or"):
            tree = Test("or", tree, self._all())
        return tree

    def _all(self) -> Test:
        tree = self._one()
        while self._takes("and"):
            tree = Test("and", tree, self._one())
        return tree

    def _one(self) -> Test:
        if self._takes("not"):
            return Test("not", self._one())
        if self._takes("("):
            tree = self._any()
            if not self._takes(")"):
                raise BadQueryError("')' expected.")
            return tree
        name = self._next()
        if not re.fullmatch(r"[A-Za-z_][\w/]*", name):
            raise BadQueryError(f"A property expected, not '{name}'.")
        if not self._tokens or self._tokens[0] not in COMPARISONS:
            return Test("eq", name, True)
        word = self._next()
        return Test(word, name, self._value(self._next()))

    def _value(self, token: str) -> Any:
        if token.startswith("datetime'"):
            return Moment(self._literal(token[9:-1]))
        if token.startswith("'"):
            return token[1:-1].replace("''", "'")
        if token in ("true", "false", "null"):
            return {"true": True, "false": False, "null": None}[token]
        try:
            return float(token.rstrip("mMlLdf")) if "." in token else int(token.rstrip("mMlLdf"))
        except ValueError:
            raise BadQueryError(f"'{token}' is no literal.") from None


class Moment(int):
    """A literal of a time, in milliseconds; a property of another type cannot be compared with it."""


class MarketSharp(Vendor):
    settings_type = MarketSharpSettings
    settings: MarketSharpSettings

    def __init__(self, town: Town, settings: MarketSharpSettings) -> None:
        super().__init__(town, settings)
        started = time.time()
        self._ahead = (settings.now or started) - started
        self.zone = ZoneInfo(settings.time_zone)
        self.office = Office(town, settings.contacts, self.now_ms(), settings.company)
        self._offsets: dict[int, tuple[str, int]] = {}
        self._shown: dict[str, bytes] = {}  # the first page of each set, for a fault that repeats it

    @property
    def secret(self) -> str:
        return base64.b64encode(self.settings.token.encode()).decode()

    def environment(self) -> dict[str, str]:
        return {
            "MARKETSHARP_COMPANY_ID": self.settings.company,
            "MARKETSHARP_API_KEY": self.settings.api_key,
            "MARKETSHARP_SECRET_KEY": self.secret,
            "MARKETSHARP_BASE_URL": self.url,
        }

    def now_ms(self) -> int:
        """What the wall clock shows, as if it were UTC."""
        wall = datetime.fromtimestamp(time.time() + self._ahead, self.zone).replace(tzinfo=UTC)
        return int(wall.timestamp() * 1000)

    # HTTP

    def answer(self, request: Request) -> Answer:
        if not self._signed(request):
            return replace(self.refused(), route=self.route_of(request))
        try:
            answer = self._route(request)
        except BadQueryError as error:
            answer = _error(400, str(error))
        answer.route = self.route_of(request)
        return answer

    def route_of(self, request: Request) -> str:
        return re.sub(r"\('[^']*'\)|\(\d+\)", "({id})", request.path)

    def _signed(self, request: Request) -> bool:
        company, _, rest = request.headers.get("authorization", "").partition(":")
        key, _, rest = rest.partition(":")
        stamp, _, given = rest.partition(":")
        if (company, key) != (self.settings.company, self.settings.api_key) or not stamp.isdigit():
            return False
        message = f"{company}{key}{stamp}".encode()
        right = base64.b64encode(hmac.digest(self.settings.token.encode(), message, hashlib.sha256)).decode()
        fresh = abs(time.time() + self._ahead - int(stamp)) <= self.settings.skew_seconds + 1
        return fresh and hmac.compare_digest(right, given)

    def refused(self) -> Answer:
        return Answer(401, b"Unauthorized", content_type="text/plain; charset=utf-8")

    def rate_limited(self, policy: str) -> Answer:
        """Nothing is known of such an answer here."""
        return Answer(429, b"", content_type="text/plain; charset=utf-8")

    def _route(self, request: Request) -> Answer:
        if request.method != "GET":
            return _error(405, "Method Not Allowed")
        if request.path == f"{ROOT}/$metadata" and "$metadata" not in self.settings.absent.split():
            return self._metadata()
        found = re.fullmatch(rf"{re.escape(ROOT)}/(\w+)(?:\(('[^']*'|\d+)\))?(?:/(\w+|\$count))?", request.path)
        if not found or found[1] not in SETS or found[1] in self.settings.absent.split():
            return _error(404, "Resource not found for the segment.")
        name, key, more = found.groups()
        if unknown := {option for option in request.query if option.startswith("$")} - OPTIONS:
            raise BadQueryError(f"The query parameter '{min(unknown)}' begins with a system-reserved '$' character.")
        if key is None:
            if more == "$count":
                count = sum(1 for _ in self._matching(request, name))
                return Answer(200, str(count).encode(), content_type="text/plain")
            return self._feed(request, name) if more is None else _error(404, "Resource not found for the segment.")
        shelf = self.office.shelf(name)
        number = shelf.find(int(key) if shelf.numbered and key.isdigit() else key.strip("'"))
        if number is None or (name in SUBSETS and self.office.kind_of(number) != SUBSETS[name]):
            return _error(404, f"Resource not found for the segment '{name}'.")
        if more is None:
            return self._single(self._entry(name, number, {}))
        if more not in NAVIGATION.get(shelf.name, {}):
            return _error(404, f"Resource not found for the segment '{more}'.")
        there, numbers, many = self._linked(shelf.name, number, more)
        if many:
            return self._document(more, [self._entry(there, one, {}) for one in numbers])
        return self._single(self._entry(there, numbers[0], {})) if numbers else Answer(204)

    def _metadata(self) -> Answer:
        """EDMX: a type for each set, and the sets."""
        there = {name: one for name, one in SETS.items() if name not in self.settings.absent.split()}
        types = "".join(
            f'<EntityType Name="{one.title}"><Key><PropertyRef Name="{one.key}" /></Key>'
            + "".join(f'<Property Name="{name}" Type="{type_}" />' for name, type_ in one.properties.items())
            + "</EntityType>"
            for one in there.values()
        )
        sets = "".join(f'<EntitySet Name="{name}" EntityType="Model.{one.title}" />' for name, one in there.items())
        body = (
            '<?xml version="1.0" encoding="utf-8"?><edmx:Edmx Version="1.0" '
            'xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx"><edmx:DataServices>'
            f'<Schema Namespace="Model" xmlns="http://schemas.microsoft.com/ado/2008/09/edm">{types}'
            f'<EntityContainer Name="Service">{sets}</EntityContainer></Schema></edmx:DataServices></edmx:Edmx>'
        )
        return Answer(200, body.encode(), content_type="application/xml;charset=utf-8")

    # Queries

    def _literal(self, text: str) -> int:
        """A literal of a time as the database would compare it."""
        if not re.fullmatch(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,7})?)?)?", text):
            raise BadQueryError(f"Unrecognized 'Edm.DateTime' literal 'datetime'{text}''.")
        wall = datetime.fromisoformat(text[:26])
        if self.settings.literal_zone:
            there = wall.replace(tzinfo=ZoneInfo(self.settings.literal_zone))
            wall = there.astimezone(self.zone).replace(tzinfo=None)
        return round(wall.replace(tzinfo=UTC).timestamp() * 1000)

    def _value(self, shelf: Shelf, number: int, path: str) -> Any:
        name, _, rest = path.partition("/")
        if rest:
            if name not in NAVIGATION.get(shelf.name, {}):
                raise BadQueryError(f"No property '{name}' exists in type '{shelf.shape.title}'.")
            there, numbers, _ = self._linked(shelf.name, number, name)
            return self._value(self.office.shelf(there), numbers[0], rest) if numbers else None
        if name not in shelf.shape.properties:
            raise BadQueryError(f"No property '{name}' exists in type '{shelf.shape.title}' at position 0.")
        if name == "lastUpdate":
            return self.office.time_of(shelf, number)
        if name == shelf.shape.key:
            return shelf.id_of(number)
        value = self.office.record(shelf, number).get(name)
        return "" if value is None and shelf.shape.properties[name] == STRING else value

    def _passes(self, test: Test, shelf: Shelf, number: int) -> bool:
        match test.word:
            case "and":
                return self._passes(test.left, shelf, number) and self._passes(test.right, shelf, number)
            case "or":
                return self._passes(test.left, shelf, number) or self._passes(test.right, shelf, number)
            case "not":
                return not self._passes(test.left, shelf, number)
        value = self._value(shelf, number, test.left)
        if test.word not in ("eq", "ne") and (value is None or test.right is None):
            return False
        try:
            return COMPARISONS[test.word](value, test.right)
        except TypeError:
            raise BadQueryError(f"Operator '{test.word}' incompatible with operand types.") from None

    def _check(self, test: Test, shelf: Shelf) -> None:
        """Refuse a comparison of different types, whether or not there is a record to compare."""
        if test.word in ("and", "or", "not"):
            for part in filter(None, (test.left, test.right)):
                self._check(part, shelf)
            return
        *steps, name = test.left.split("/")
        shape = shelf.shape
        for step in steps:
            if step not in NAVIGATION.get(shelf.name, {}) or f"{step}/" in self.settings.absent.split():
                raise BadQueryError(f"No property '{step}' exists in type '{shape.title}'.")
            shape = SETS[NAVIGATION[shelf.name][step].to]
        if name not in shape.properties:
            raise BadQueryError(f"No property '{name}' exists in type '{shape.title}' at position 0.")
        given = shape.properties[name]
        forms: dict[str, tuple[type, ...]] = {
            DATETIME: (Moment,), STRING: (str,), BOOLEAN: (bool,), INT: (int,)
        }  # fmt: skip
        right = test.right
        if right is not None and (type(right) not in forms.get(given, (int, float))):
            raise BadQueryError(f"Operator '{test.word}' incompatible with operand types '{given}' and another.")

    def _low(self, test: Test | None, name: str) -> Any:
        """A value that the property is at least, in all that passes; None when there is none."""
        if test is None or test.word == "not":
            return None
        if test.word in ("and", "or"):
            ends = [self._low(part, name) for part in (test.left, test.right)]
            if test.word == "or":
                return None if None in ends else min(ends)
            return max((end for end in ends if end is not None), default=None)
        return test.right if test.left == name and test.word in ("eq", "ge", "gt") else None

    def _matching(self, request: Request, name: str) -> Iterator[int]:
        """The numbers that pass the filter and follow the token, in order."""
        shelf = self.office.shelf(name)
        key = shelf.shape.key
        text = request.first("$filter")
        test = Parser(text, self._literal).parse() if text else None
        if test:
            self._check(test, shelf)
        order = [part.split() for part in request.first("$orderby", key).split(",")]
        by = [part[0] for part in order]
        if any(part[1:] not in ([], ["asc"]) for part in order) or by not in ([key], ["lastUpdate", key]):
            # The service sorts by anything; its clients ask for these.
            raise BadQueryError(f"The simulator does not sort by '{request.first('$orderby')}'.")
        if by[0] == "lastUpdate" and not shelf.shape.times:
            raise BadQueryError(f"No property 'lastUpdate' exists in type '{shelf.shape.title}' at position 0.")
        token = request.first("$skiptoken")
        if by[0] == "lastUpdate":
            numbers = shelf.in_order(self._low(test, "lastUpdate"))
        else:
            numbers = self._by_id(shelf, self._low(test, key))
        passed = not token
        for number in numbers:
            if not passed:
                passed = str(shelf.id_of(number)) == token
                continue
            if name in SUBSETS and self.office.kind_of(number) != SUBSETS[name]:
                continue
            if test is None or self._passes(test, shelf, number):
                yield number

    def _by_id(self, shelf: Shelf, low: Any) -> Iterator[int]:
        rows = shelf.by_id()
        if self.settings.ordered_by == "guid" and not shelf.numbered:
            rows = sorted(rows, key=lambda row: row[0].split("-")[::-1])
        elif low is not None:
            rows = rows[bisect_left(rows, (low, -1)) :]
        return (number for _, number in rows)

    def _linked(self, name: str, number: int, step: str) -> tuple[str, list[int], bool]:
        """Where a step of navigation leads: the set, the numbers, and whether they are shown as a list."""
        to, by, many = NAVIGATION[name][step]
        shelf, other = self.office.shelf(name), self.office.shelf(to)
        if to in ALIGNED and name in ALIGNED:
            found = number if number not in other.gone else None
            return to, [] if found is None else [found], many and self.settings.expanded_lists
        value = self.office.record(shelf, number).get(by)
        found = None if value in (None, "") else other.find(value)
        return to, [] if found is None else [found], many

    def _expansions(self, request: Request, name: str) -> dict[str, Any]:
        """The tree of what is to be expanded."""
        tree: dict[str, Any] = {}
        if not (text := request.first("$expand")) or self.settings.expands == "ignored":
            return tree
        if self.settings.expands == "refused":
            raise BadQueryError("Query option $expand cannot be applied to the requested resource.")
        for path in text.split(","):
            here, branch = self.office.shelf(name).name, tree
            for step in path.strip().split("/"):
                if step not in NAVIGATION.get(here, {}) or step in self.settings.absent.split():
                    raise BadQueryError(f"No navigation property '{step}' exists in type '{SETS[here].title}'.")
                branch = branch.setdefault(step, {})
                here = NAVIGATION[here][step].to
        return tree

    def _feed(self, request: Request, name: str) -> Answer:
        numbers = self._matching(request, name)
        top, skip = (_whole(request.first(word, default)) for word, default in (("$top", "1000000000"), ("$skip", "0")))
        tree = self._expansions(request, name)
        count = None
        if request.first("$inlinecount") == "allpages":
            if not self.settings.inlinecount:
                raise BadQueryError("Query option $inlinecount is not supported.")
            bare = replace(request)
            bare.query = {word: value for word, value in request.query.items() if word != "$skiptoken"}
            count = sum(1 for _ in self._matching(bare, name))
        most = min(top, self.settings.most_per_page)
        page = list(islice(numbers, skip, skip + most))
        link = None
        if self.settings.links and most < top and len(page) == most and next(numbers, None) is not None:
            link = self._link(request, name, page[-1], top - most)
        answer = self._document(name, [self._entry(name, number, tree) for number in page], link, count)
        answer.page_size = top if "$top" in request.query else None
        if "$skiptoken" not in request.query and " gt " not in request.first("$filter"):
            self._shown[name] = answer.body
        return answer

    def _link(self, request: Request, name: str, last: int | None, left: int) -> str:
        query = {word: values[0] for word, values in request.query.items() if word != "$skip"}
        if "$top" in query:
            query["$top"] = str(left)
        token = "none" if last is None else str(self.office.shelf(name).id_of(last))
        return f"{self.settings.link_base or self.url}{ROOT}/{name}?{urlencode(query | {'$skiptoken': token})}"

    # Atom

    def _document(self, name: str, entries: Sequence[str], link: str | None = None, count: int | None = None) -> Answer:
        counted = "" if count is None else f"<m:count>{count}</m:count>"
        # Only the entries of the list itself begin a line.
        body = "".join(f"\n{entry}" for entry in entries)
        rest = "" if link is None else f'\n<link rel="next" href={quoteattr(link)} />'
        head = FEED.format(base=quoteattr(f"{self.url}{ROOT}/"))
        title = "Contacts" if name == "Customers" else name  # recorded
        text = f'{head}<title type="text">{title}</title><id>{self.url}{ROOT}/{name}</id>{counted}{body}{rest}\n</feed>'
        return Answer(200, text.encode(), content_type=ATOM, list_key="feed")

    def _single(self, entry: str) -> Answer:
        head = FEED.format(base=quoteattr(f"{self.url}{ROOT}/")).replace("<feed ", "<entry ")
        return Answer(200, entry.replace("<entry>", head, 1).encode(), content_type=ATOM.replace("feed", "entry"))

    def _entry(self, name: str, number: int, tree: dict[str, Any]) -> str:
        shelf = self.office.shelf(name)
        record = self.office.record(shelf, number)
        key = record[shelf.shape.key]
        place = f"{name}({key})" if shelf.numbered else f"{name}('{key}')"
        links = "".join(
            f'<link rel="{RELATED}{step}" type="application/atom+xml;type={"feed" if to.many else "entry"}" '
            f'title="{step}" href="{place}/{step}"'
            + (f">{self._inline(shelf.name, number, step, tree[step])}</link>" if step in tree else " />")
            for step, to in NAVIGATION.get(shelf.name, {}).items()
        )
        properties = "".join(self._property(one, type_, record) for one, type_ in SETS[name].properties.items())
        return (
            f'<entry><id>{self.url}{ROOT}/{place}</id><title type="text" /><author><name /></author>'
            f'<link rel="edit" title="{SETS[name].title}" href="{place}" />{links}'
            f'<content type="application/xml"><m:properties>{properties}</m:properties></content></entry>'
        )

    def _inline(self, name: str, number: int, step: str, tree: dict[str, Any]) -> str:
        there, numbers, many = self._linked(name, number, step)
        entries = "".join(self._entry(there, one, tree) for one in numbers)
        address = f"{self.url}{ROOT}/{name}('{self.office.shelf(name).id_of(number)}')/{step}"
        head = f'<title type="text">{step}</title><id>{address}</id>'
        inside = f"<feed>{head}{entries}</feed>" if many else entries
        return f"<m:inline>{inside}</m:inline>" if inside else "<m:inline />"

    def _property(self, name: str, type_: str, record: Record) -> str:
        value = record.get(name, "" if type_ == STRING else None)
        told = "" if type_ == STRING else f' m:type="{type_}"'
        if value is None:
            return f'<d:{name}{told} m:null="true" />'
        if value == "":
            return f"<d:{name}{told} />"
        if type_ == DATETIME and isinstance(value, int):
            value = self.text_of(value, utc=name.endswith("Utc"))
        text = str(value).lower() if isinstance(value, bool) else str(value)
        return f"<d:{name}{told}>{_escaped(text)}</d:{name}>"

    def text_of(self, wall: int, *, utc: bool = False) -> str:
        """A time as .NET writes it: the fraction without its last zeros, and perhaps the offset."""
        hour = wall // 3_600_000
        if hour not in self._offsets:
            at = datetime.fromtimestamp(hour * 3600, UTC).replace(tzinfo=self.zone)
            self._offsets[hour] = at.isoformat()[-6:], int(at.utcoffset().total_seconds() * 1000)  # type: ignore[union-attr]
        offset, ahead = self._offsets[hour]
        if utc:
            offset, wall = "Z", wall - ahead
        text = datetime.fromtimestamp(wall / 1000, UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
        return text.rstrip("0").rstrip(".") + (offset if self.settings.offsets else "")

    # Operations from behind the scenes

    def _find(self, name: str, id: int | str) -> tuple[Shelf, int]:
        shelf = self.office.shelf(name)
        number = shelf.find(int(id) if shelf.numbered else str(id))
        if number is None:
            raise ValueError(f"nothing with the id {id} in {name}")
        return shelf, number

    def _set(self, name: str, number: int, fields: Mapping[str, Any]) -> None:
        shelf = self.office.shelf(name)
        if unknown := set(fields) - set(shelf.shape.properties):
            raise ValueError(f"{name} has no {', '.join(sorted(unknown))}")
        shelf.changes.setdefault(number, {}).update(fields)

    @operation
    def create(self, path: str, fields: Mapping[str, Any] = MappingProxyType({})) -> str:
        """A new record, now. A contact comes with an address and a phone record, and is of the subset's kind."""
        now = self.now_ms()
        kind = SUBSETS.get(path)
        base = "Contacts" if kind else path
        for each in ALIGNED if base in ALIGNED else (base,):
            number = self.office.shelf(each).add(now)
        if kind:
            self.office.shelf(base).changes[number] = {"@kind": kind}
        self._set(base, number, fields)
        return str(self.office.shelf(base).id_of(number))

    @operation
    def edit(
        self, path: str, id: int | str, fields: Mapping[str, Any], quietly: bool = False, at: int | None = None
    ) -> None:
        """Change properties; lastUpdate becomes `at` (a wall clock in milliseconds), now if not given, or stays."""
        shelf, number = self._find(path, id)
        self._set(path, number, fields)
        if not quietly:
            shelf.timeline.place(number, self.now_ms() if at is None else at)

    @operation
    def touch(self, path: str, ids: list[str], at: int | None = None) -> None:
        """Give many records the same lastUpdate, as an import does."""
        at = self.now_ms() if at is None else at
        for id in ids:
            shelf, number = self._find(path, id)
            shelf.timeline.place(number, at)

    @operation
    def become(self, id: str, kind: str) -> None:
        """A lead becomes a prospect, or a customer."""
        if kind not in KINDS:
            raise ValueError(f"no kind {kind!r}; there are {', '.join(KINDS)}")
        shelf, number = self._find("Contacts", id)
        shelf.changes.setdefault(number, {})["@kind"] = kind
        shelf.timeline.place(number, self.now_ms())

    @operation
    def delete(self, path: str, id: int | str) -> None:
        """For good; `edit` with isActive false is how most things are deleted."""
        shelf, number = self._find(path, id)
        shelf.remove(number)

    @operation
    def restore(self, path: str, id: int | str) -> None:
        shelf = self.office.shelf(path)
        number = next((one for one in shelf.gone if str(shelf.id_of(one)) == str(id)), None)
        if number is None:
            raise ValueError(f"nothing deleted with the id {id} in {path}")
        shelf.restore(number)

    @operation
    def ids(self, path: str) -> list[str]:
        """The ids of what is there, active or not, in their order."""
        shelf = self.office.shelf(path)
        rows = ((key, number) for key, number in shelf.by_id())
        if path in SUBSETS:
            rows = ((key, number) for key, number in rows if self.office.kind_of(number) == SUBSETS[path])
        return [str(key) for key, _ in rows]

    @operation
    def recent(self, path: str) -> str:
        """The id of the record that changed last."""
        found = [self._find(path, id) for id in self.ids(path)]
        shelf, number = max(found, key=lambda one: (self.office.time_of(*one), one[1]))
        return str(shelf.id_of(number))

    @operation
    def record(self, path: str, id: int | str) -> Record:
        shelf, number = self._find(path, id)
        return self.office.record(shelf, number)

    @operation
    def counts(self) -> dict[str, int]:
        return {name: len(self.ids(name)) for name in SETS}

    # Faults

    def spoilt(self, fault: Fault, request: Request, answer: Answer) -> Answer:
        """A fault of the payload. The next link of a list is what goes on here."""
        name = request.path.rpartition("/")[2]
        body = answer.body
        match fault.kind:
            case "repeat_page":
                body = self._shown.get(name, body)
                body = self._with_link(body, self._link(request, name, None, 1000))
            case "endless":
                body = self._with_link(body, self._link(request, name, None, 1000))
            case "null_last_page":
                if b'rel="next"' not in body and b"<entry>" in body:
                    body = self._with_link(body, self._link(request, name, None, 1000))
            case "lying_total":
                added = fault["add"]
                body = re.sub(
                    rb"(?<=<m:count>)\d+", lambda found: b"%d" % (int(found[0]) + added), body
                )  # fmt: skip
            case "missing_list":
                body = b'<service xmlns="http://www.w3.org/2007/app"><workspace /></service>'
            case "malformed":
                head, *entries = body.decode().split("\n<entry>")
                for place in range(min(len(entries), fault["records"])):
                    entries[place] = self._malformed(fault, entries[place], name)
                body = "\n<entry>".join([head, *entries]).encode()
        return replace(answer, body=body)

    def _with_link(self, body: bytes, link: str) -> bytes:
        return body.replace(b"\n</feed>", f'\n<link rel="next" href={quoteattr(link)} />\n</feed>'.encode())

    def _malformed(self, fault: Fault, entry: str, name: str) -> str:
        what = fault["what"]
        before, own = entry[: entry.rindex("<m:properties>")], entry[entry.rindex("<m:properties>") :]
        if what == "non_object":
            return before + re.sub(r"<m:properties>.*</m:properties>", "", own, flags=re.DOTALL)
        shape = SETS[name]
        usual = {"missing_id": shape.key, "nul": "name" if "name" in shape.properties else "lastName"}
        spoilt = fault["property"] or usual.get(what, "lastUpdate")
        value = "" if what == "missing_id" else BAD_VALUES[what].replace("\x00", "&#x0;")
        new = f"<d:{spoilt}>{value}</d:{spoilt}>" if value else ""
        return before + re.sub(rf"<d:{spoilt}\b[^>]*(/>|>.*?</d:{spoilt}>)", new, own, flags=re.DOTALL)


def _escaped(text: str) -> str:
    """The text in XML; characters that XML has not are written all the same, as references."""
    text = escape(text, {"\r": "&#xD;"})
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", lambda found: f"&#x{ord(found[0]):X};", text)


def _whole(text: str) -> int:
    if not text.isdigit():
        raise BadQueryError("Invalid value for a count.")
    return int(text)


def _error(status: int, message: str) -> Answer:
    text = (
        '<?xml version="1.0" encoding="utf-8" standalone="yes"?>'
        '<m:error xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"><m:code></m:code>'
        f'<m:message xml:lang="en-US">{escape(message)}</m:message></m:error>'
    )
    return Answer(status, text.encode(), content_type="application/xml;charset=utf-8")
