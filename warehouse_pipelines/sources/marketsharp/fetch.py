"""How MarketSharp is read: set by set over OData, each page from where the last one ended, in Atom.

The specifications call it a database; its customers are given a read-only OData service (WCF Data Services). Each
request is signed with the time of its sending, so each attempt is signed anew. JSON would be shorter, but its form is
known from one client only and its dates lose the offset; Atom is what was recorded.

**A whole read** walks the key, which nothing moves: ``id ge 'Y'`` by id. **A delta** walks (lastUpdate, id) from the
window's begin, inclusive: ``(lastUpdate gt X) or (lastUpdate eq X and id ge 'Y')``. ``$skip`` is never used: it slips
over a set that moves. ``ge`` instead of ``gt`` shows the last record of a page again as the first of the next, and that
is the proof that the service reads our literals, and orders keys, as we mean it; one that does neither, which the notes
cannot exclude, is an error and no gap. A record that is not there again was edited or deleted meanwhile, or that
proof has failed: it is asked for by its key to know which. A short page proves nothing, because a server may cut
pages to a size of its own; the end is a page with nothing new. Where the service says where the next page is
(``$skiptoken``) that is followed, on its own host only: the header that goes there is a credential.

**``data``** is the inquiry with what it refers to, by ``$expand``: one request for a page of all four. The other ways
are the same joins by hand: a view over the loaded tables would need five of them on schedule, and looking up contacts
by key is some thirty to a request. An edited contact moves its own lastUpdate and not the inquiry's, so a delta also
asks for the inquiries whose ``Contact/lastUpdate`` is in the window; a phone or an address has none, and arrives with
the daily read of everything. Names of statuses are looked up, as no client is known to have expanded them. What this
account or this version of the service has not costs its own columns and no record: a set of statuses that answers 404,
a navigation that is refused with 400 or not expanded. ``noticed`` of the history row names it. Where these columns have
values, they are kept, and the run in which that begins is partial (``Extraction.absent``).

A record is its properties under the vendor's names, exactly the texts that were sent, null where ``m:null`` says so.
Names are matched whatever their case. A time without an offset is that of ``MARKETSHARP_TIME_ZONE`` (the service does
not say whose, and Companies.timeZone is a text of unknown form), or UTC where its name ends so; the record then has it
a second time, with the offset, under ``zoned``.
"""

import base64
import binascii
import functools
import hashlib
import hmac
import logging
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, urljoin, urlsplit
from zoneinfo import ZoneInfo

import msgspec
from pydantic import SecretStr

from warehouse_pipelines.errors import AnswerChanged, CredentialRefused, CursorStuck, NotConfigured, RequestRefused
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import Extraction, Page
from warehouse_pipelines.settings import FromEnvironment
from warehouse_pipelines.sources._http import Client, first_backoff
from warehouse_pipelines.sources.marketsharp.atom import Entry, Feed, Properties, feed, metadata

if TYPE_CHECKING:
    import httpx

log = logging.getLogger("warehouse.ingestion")

ROOT = "/WcfDataService.svc"
PAGE = 1_000
"""Clients ask for up to 5,000; a thousand contacts are 4 MB, and a page is held whole."""

OVERLAP = timedelta(hours=6)
"""In which zone the service reads the literals of a filter is unconfirmed; its zones lie within six hours."""

SPURIOUS = 2
"""How often a 400 or a 404 is asked again: one client met some that were gone at the next attempt."""

WALL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,7})?)?")


class Settings(FromEnvironment, env_prefix="MARKETSHARP_"):
    """Admin, Apps & Add-ons Setup, API Maintenance has the first three.

    ``time_zone`` is that of the times that come without an offset, ``filter_time_zone`` the one in which the service
    reads the times of a filter; without it these are compared with the wall clock that the service writes.
    """

    company_id: str
    api_key: SecretStr
    secret_key: SecretStr
    base_url: str = "https://api4.marketsharpm.com"
    time_zone: ZoneInfo = ZoneInfo("America/New_York")
    filter_time_zone: ZoneInfo | None = None

    def literal(self, at: datetime) -> str:
        """Return a time as a filter has it."""
        wall = at.astimezone(self.filter_time_zone or self.time_zone).replace(tzinfo=None)
        return f"datetime'{wall.isoformat()}'"

    def literal_of(self, wall: str) -> str:
        """Return a time that the service wrote, without the offset, as a filter has it: best just as it was written."""
        if self.filter_time_zone is None:
            return f"datetime'{wall}'"
        return self.literal(datetime.fromisoformat(wall).replace(tzinfo=self.time_zone))

    def signature(self) -> Mapping[str, str]:
        """Return the header that a request of this second needs."""
        key, stamp = self.api_key.get_secret_value(), str(int(time.time()))
        try:
            secret = base64.b64decode(self.secret_key.get_secret_value(), validate=True)
        except binascii.Error as error:
            raise NotConfigured(
                "MARKETSHARP_SECRET_KEY is not Base64, as the page of the keys shows it; set it as it stands there."
            ) from error
        digest = hmac.digest(secret, f"{self.company_id}{key}{stamp}".encode(), hashlib.sha256)
        return {"Authorization": f"{self.company_id}:{key}:{stamp}:{base64.b64encode(digest).decode()}"}


class Service:
    """The service, one request at a time; nothing is known of its limits."""

    def __init__(self, extraction: Extraction) -> None:
        self.extraction = extraction
        self.settings = Settings()
        self.base_url = self.settings.base_url.rstrip("/")
        self._spurious = 0
        self._http = Client(
            extraction,
            title="MarketSharp",
            base_url=self.base_url,
            headers={"Accept": "application/atom+xml"},
            login=lambda renew: self.settings.signature(),
            credential=self.settings.company_id,
            wait_for=lambda answer, attempt: 10 * first_backoff() if answer.status_code == 503 else None,
            explain=self._explain,
            again=self._again,
        )

    def ask(self, name: str, **options: str | None) -> Feed:
        """Ask for a page of a set, without those ``options`` that are None."""
        return self.follow(name, {f"${option}": value for option, value in options.items() if value is not None})

    def follow(self, name: str, params: Mapping[str, str]) -> Feed:
        """Ask for a page by parameters that the service has written itself."""
        self._spurious = 0
        return self._http.send("GET", f"{ROOT}/{name}", feed, params=params)

    def described(self, name: str) -> Mapping[str, str] | None:
        """Return the type of each property of a set, by ``$metadata``; None where there is no such thing."""
        self._spurious = SPURIOUS  # a 404 is final here
        try:
            return self._http.send("GET", f"{ROOT}/$metadata", metadata).get(name)
        except RequestRefused:
            return None

    def _again(self, answer: "httpx.Response") -> bool:
        if answer.status_code not in (400, 404) or self._spurious == SPURIOUS:
            return False
        self._spurious += 1
        return True

    def _explain(self, answer: "httpx.Response") -> None:
        if answer.status_code == 401:
            raise CredentialRefused(
                "MarketSharp refuses the signature, and a fresh one as well. Is this machine's clock right? If so make "
                "new keys (Admin, Apps & Add-ons Setup, API Maintenance) and set MARKETSHARP_API_KEY and "
                "MARKETSHARP_SECRET_KEY; nothing was loaded."
            )


class Place(NamedTuple):
    """Where a page ended: the key as a filter has it, and lastUpdate's wall clock where the walk is by that."""

    key: str
    at: str | None


class Walk:
    """One set from its begin to its end; ``base`` is the filter of all of it."""

    def __init__(self, service: Service, entity: Entity, *, base: str = "", by_time: bool = False) -> None:
        self.service, self.extraction = service, service.extraction
        self.set, _, self._expand = entity.path.partition("?$expand=")
        (key,) = entity.keys
        self._key, self._numbered = entity.columns[key].path, entity.columns[key].kind == "integer"
        self._base, self._by_time = base, by_time
        paths = [path for column in entity.columns.values() for parts in column.parts for path in parts]
        self._names = {name.lower(): name for name in (path.rpartition(".")[2] for path in paths)}
        # One of a page is the last one of the page before.
        self._top = str(max(2, self.extraction.page_size))
        self._given: set[int] = set()
        self._followed: set[str] = set()

    def pages(self) -> Iterator[list[Entry]]:
        """Yield what is new of each page."""
        place: Place | None = None
        more = True
        while more:
            more = False
            answer = self._ask(self._filter(place))
            fresh = self._beyond(place, answer.entries)
            before = place
            while True:
                if fresh:
                    more = True
                    yield fresh
                    place = self._place(fresh) or place
                if answer.following is None:
                    break
                answer = self._follow(answer.following)
                fresh = self._new(answer.entries)
            if more and place == before:
                self.extraction.doubt = f"MarketSharp: {self.set} ends with records from which nothing can go on"
                return

    def _ask(self, filter: str, top: str | None = None) -> Feed:
        order = f"lastUpdate,{self._key}" if self._by_time else self._key
        try:
            answer = self.service.ask(
                self.set, filter=filter or None, orderby=order, top=top or self._top, expand=self._expand or None
            )
        except RequestRefused as refused:
            if refused.status != 400 or not self._expand or self._given:
                raise
            kept = ",".join(path for path in self._expand.split(",") if self._expands(path))
            if kept == self._expand:
                raise
            self._expand = kept
            return self._ask(filter, top)
        return self._named(answer)

    def _expands(self, path: str) -> bool:
        """Whether the service expands this navigation; what it refuses is noted."""
        try:
            self.service.ask(self.set, orderby=self._key, top="1", expand=path)
        except RequestRefused as refused:
            if refused.status != 400:
                raise
            note_absent(self.extraction, f"{self.set}?$expand={path}")
            return False
        return True

    def _named(self, answer: Feed) -> Feed:
        """Return the answer with properties spelt as the row has them."""
        for entry in answer.entries:
            entry.rename(self._names)
        return answer

    def _filter(self, place: Place | None) -> str:
        """Return the filter of what is left; the lower bound of the base is the place's then, if it has a time."""
        if place is None:
            return self._base
        if place.at is None:
            return " and ".join(filter(None, (self._base, f"{self._key} ge {place.key}")))
        here = self.service.settings.literal_of(place.at)
        walk = f"((lastUpdate gt {here}) or (lastUpdate eq {here} and {self._key} ge {place.key}))"
        _, _, upper = self._base.partition(" and ")
        return " and ".join(filter(None, (walk, upper)))

    def _beyond(self, place: Place | None, entries: list[Entry]) -> list[Entry]:
        """Return the entries behind the place, having seen that the page begins there."""
        if place is not None and entries and self._place(entries[:1]) == place:
            return self._new(entries[1:])
        fresh = self._new(entries)
        if place is not None:
            self._look_for(place)
        return fresh

    def _new(self, entries: list[Entry]) -> list[Entry]:
        if entries:
            page = hash(tuple((self._literal(entry), self._at(entry)) for entry in entries))
            if page in self._given:
                raise CursorStuck(f"MarketSharp: {self.set} answered the same page twice; reading on would never end.")
            self._given.add(page)
        return entries

    def _look_for(self, place: Place) -> None:
        """Raise ``AnswerChanged`` if the record of a place is still as it was, and yet was not shown again."""
        found = self._ask(f"{self._key} eq {place.key}", top="1").entries
        if found and self._place(found) == place:
            raise AnswerChanged(
                f"MarketSharp: {self.set} was asked for what follows a record, and did not show that record, which is "
                "there. If it reads the times of a filter in a zone of its own, set MARKETSHARP_FILTER_TIME_ZONE; if "
                "it does not compare keys as it orders them, tell the developers. Nothing was loaded."
            )

    def _follow(self, address: str) -> Feed:
        """Ask for the page whose address the service tells; raise when it is not the service's own."""
        there, here = urlsplit(urljoin(f"{self.service.base_url}{ROOT}/", address)), urlsplit(self.service.base_url)
        if (there.netloc, there.path) != (here.netloc, f"{here.path}{ROOT}/{self.set}"):
            raise AnswerChanged(f"MarketSharp: the next page of {self.set} is elsewhere; the key is not sent there.")
        if there.query in self._followed:
            raise CursorStuck(f"MarketSharp: {self.set} names the same next page twice; reading on would never end.")
        self._followed.add(there.query)
        return self._named(self.service.follow(self.set, dict(parse_qsl(there.query, keep_blank_values=True))))

    def _literal(self, entry: Entry) -> str | None:
        """Return the key as a filter has it; the entry's address tells it even where the property is missing."""
        key = (entry.properties or {}).get(self._key)
        if entry.key or not key:
            return entry.key
        return key if self._numbered else "'{}'".format(key.replace("'", "''"))

    def _at(self, entry: Entry) -> str | None:
        found = WALL.match((entry.properties or {}).get("lastUpdate") or "")
        return found[0] if found and self._by_time else None

    def _place(self, entries: Sequence[Entry]) -> Place | None:
        """Return the place of the last entry that tells one."""
        for entry in reversed(entries):
            key, at = self._literal(entry), self._at(entry)
            if key and (at or not self._by_time):
                return Place(key, at)
        return None


class Recorder:
    """Makes records of properties; a time without an offset is there a second time, with one."""

    def __init__(self, entity: Entity, zone: ZoneInfo) -> None:
        self._times = {column.paths[-1] for column in entity.columns.values() if column.kind == "timestamptz"}
        self._zone = zone.key

    def record(self, properties: Mapping[str, Any]) -> bytes:
        """Return the record of these properties."""
        zoned = {
            name: text + offset
            for name in self._times
            if (text := properties.get(name))
            and WALL.fullmatch(text)
            and (offset := offset_of(text[:13], "UTC" if name.endswith("Utc") else self._zone))
        }
        return msgspec.json.encode({**properties, "zoned": zoned} if zoned else properties)


@functools.lru_cache(maxsize=5_000)
def offset_of(hour: str, zone: str) -> str:
    """Return the offset of a zone in an hour, ``2024-01-31T10``, of two the first; empty for what is no time."""
    try:
        return datetime.fromisoformat(hour).replace(tzinfo=ZoneInfo(zone)).isoformat()[19:]
    except ValueError:
        return ""


def note_absent(extraction: Extraction, what: str, *members: str) -> None:
    """Report once, in the log and in the history row, what the service has not.

    The columns that only these ``members`` of the record could fill keep the values that the warehouse has.
    """
    absent = extraction.noticed.setdefault("absent", [])
    if what in absent:
        return
    absent.append(what)
    log.warning("MarketSharp has no %s; %s is loaded without it", what, extraction.entity.table)
    below = [
        name
        for name, column in extraction.entity.columns.items()
        if all(path.partition(".")[0] in members for parts in column.parts for path in parts)
    ]
    if below:
        extraction.absent |= extraction.known.filled(extraction.entity, below)


class Flattener:
    """Makes one record of an inquiry and of what it refers to."""

    def __init__(self, service: Service, statuses: Entity) -> None:
        self._extraction = service.extraction
        self._statuses: dict[str | None, Properties] = {}
        try:
            for entries in Walk(service, statuses).pages():
                self._statuses |= {(entry.properties or {}).get("id"): entry.properties or {} for entry in entries}
        except RequestRefused as refused:
            if refused.status != 404:
                raise
            note_absent(self._extraction, statuses.path, "InquiryStatus")

    def flat(self, entry: Entry) -> Mapping[str, Any]:
        """Return the inquiry with ``Contact``, ``Address``, ``ContactPhone`` and ``InquiryStatus`` as members.

        ``Address`` is the contact's primary one; without one it is the job site, under the names of an address.
        """
        inquiry = entry.properties or {}
        contacts = self._linked(entry, "Contact") if inquiry.get("contactId") or entry.linked else []
        person: Properties | None = None
        phone: Properties | None = None
        address: Properties | None = None
        for contact in contacts[:1]:
            person = contact.properties or {}
            phone = next((one.properties for one in self._linked(contact, "ContactPhone")), None)
            primary = (person.get("primaryAddressId") or "").lower()
            addresses = (one.properties or {} for one in self._linked(contact, "Address"))
            address = next((one for one in addresses if primary and (one.get("id") or "").lower() == primary), None)
        return {
            **inquiry,
            "Contact": person,
            "Address": address or job_site(inquiry),
            "ContactPhone": phone,
            "InquiryStatus": self._statuses.get(inquiry.get("inquiryStatusId") or None),
        }

    def _linked(self, entry: Entry, name: str) -> list[Entry]:
        """Return what was expanded; nothing, and a note of it, where the service did not expand it."""
        if name not in entry.linked:
            members = ("Contact", "Address", "ContactPhone") if name == "Contact" else (name,)
            note_absent(self._extraction, f"expanded {name}", *members)
        return entry.linked.get(name, [])


def job_site(inquiry: Properties) -> Properties | None:
    """Return the job site under the names of an address."""
    names = {"line1": "AddressLine1", "line2": "AddressLine2", "city": "City", "state": "State", "zip": "Zip"}
    site = {name: inquiry.get(f"jobSite{theirs}") for name, theirs in names.items()}
    return site if any(site.values()) else None


def window_of(extraction: Extraction, settings: Settings) -> str:
    """Return the filter of the window, wider by the overlap on both sides of a backfill, which the loader cuts."""
    since, until = extraction.since, extraction.window.until
    if not extraction.options.get("backfill"):
        return f"lastUpdate ge {settings.literal(since)}"
    return f"lastUpdate ge {settings.literal(since - OVERLAP)} and lastUpdate lt {settings.literal(until + OVERLAP)}"


def read(extraction: Extraction, statuses: Entity) -> Iterator[Page]:
    """Yield the records of one set; ``statuses`` are those of inquiries."""
    entity = extraction.entity
    service = Service(extraction)
    recorder = Recorder(entity, service.settings.time_zone)
    flattener = Flattener(service, statuses) if "$expand" in entity.path else None

    def record(entry: Entry) -> bytes:
        return recorder.record(flattener.flat(entry) if flattener else entry.properties or {})

    by_time = bool(entity.cursor) and not extraction.whole
    base = window_of(extraction, service.settings) if by_time else ""
    for entries in Walk(service, entity, base=base, by_time=by_time).pages():
        yield Page(list(map(record, entries)))
    if flattener and by_time and not extraction.options.get("backfill"):
        of_contact = f"Contact/lastUpdate ge {service.settings.literal(extraction.since)}"
        try:
            for entries in Walk(service, entity, base=of_contact).pages():
                yield Page(list(map(record, entries)), in_window=False)
        except RequestRefused as refused:
            if refused.status != 400:
                raise
            note_absent(extraction, "filter by Contact/lastUpdate")
