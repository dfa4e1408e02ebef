"""How Five9 is read: everything, by as many lookups as that takes, and with a proof that it is everything.

The specifications say REST; contacts are read by SOAP, as every known client does. ``getContactRecords`` shows at most
1,000 contacts, without pages, order or total, and cannot be asked for what was edited. So each run reads everything:
all numbers (``%``), and where that shows 1,000, all that begin with ``0`` to ``9``, and so on until every part shows
fewer. 1,000 contacts that share a number, or have none, are split by the next of ``SPLITTERS``; what cannot be split
any further is an error. An unchanged row costs nothing but its lookup. The size of an answer is the vendor's, so
``--batch-size`` is noted and changes nothing.

**Completeness.** A part is whole when it shows fewer than 1,000. The parts are the whole when every value that the
field can have falls into one: those that begin with a digit, with another printable ASCII character that occurs in some
value (``%x%`` is asked for each of them, once a split), those that end here, and those that are empty. That an empty
value finds the contacts without one is unconfirmed, so it is proven in each run, by a contact that is known to have one
field and to lack another; that ``%`` works in front is proven likewise. What a crowded answer showed must turn up in
its parts, and no dialing list may be larger than what was read. Which parts were crowded is remembered (``state`` of
the history row) and for ``PROVEN_FOR`` they are not asked for again only to be split: what they show would be read and
dropped. A part that would fit into one answer by now is asked for as one in the run after. What is not proven makes the
run partial, with its reason; by ``FIVE9_ALL_CONTACTS_NUMBERED=true`` a person vouches that every contact has a
``number1`` of digits only. Not covered: a number in characters beyond ASCII, and what the vendor may take for wildcards
(``% _ \\``).

**A record** is ``{"id", "contact", "received", "mapped"}``. ``contact`` holds all fields of the domain, asked for anew
in each run, by the names that the domain gives them; those that no column declares are ``custom_properties``. Values
are the vendor's strings, except that dates and times are read by their field's DateFormat and TimeFormat, in the
domain's zone (an hour that occurs twice in autumn is taken for the first), and written in ISO 8601. What was received
instead stands in ``received``, so nothing is lost; what cannot be read so stays as it came and is counted
(``unread_dates`` of the history row). ``mapped`` has by the column's name what goes by another name in each domain.

**The key** ``id`` is made here: the ``contactID`` where the domain has such a field and the contact a value, else a
hash of number1, first and last name. A contact that two answers show is one record, the first. Of two contacts with one
key and different creation times the second gets a hash of both; without creation times they are taken for one and
counted (``listed_again``). A contact that gets an id, or without one another name or number, becomes another row; the
former is marked as missing.

Deletions leave no trace: what a complete read does not show is gone. A contact whose number is changed during the read,
from a part to come to one that was read, is in neither: so what is known and was not found is asked for by its
``contactID``, up to ``MOVED`` of them, before it counts as gone. Without one, or unknown so far, it comes with the next
read.

Unconfirmed, and how a wrong guess would show: too many records as a fault (``Server`` is split like 1,000, any other
stops the run); a lower maximum than 1,000 (a list is larger than what was read); formats of dates (every record is set
aside for its ``created_date``); the zone (times are whole hours off); ``?user=`` in the address (a refusal); which
requests count as queries (all do here); an answer without ``return`` for no match (an error that says so).

Left out: ``contactIdField`` of the lookup, which may give every contact an id and of which nothing is known; reports,
whose definitions each domain must have first; who is in which dialing list.

Settings: ``service.Settings``. Verified against: the simulator only; no live domain has been read yet.
"""

import hashlib
import re
import string
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import islice
from typing import NamedTuple
from xml.sax.saxutils import escape

import msgspec

from warehouse_pipelines.errors import CursorStuck, RequestRefused, SuspiciousRead
from warehouse_pipelines.model.reading import Extraction, Page, Portal
from warehouse_pipelines.sources.five9.answers import LIMIT, Shown, contacts_shown
from warehouse_pipelines.sources.five9.domain import Domain, digest
from warehouse_pipelines.sources.five9.service import ServerFault, Service, Settings

OTHERS = "".join(char for char in map(chr, range(32, 127)) if char not in f"{string.digits}%_\\")
LONGEST = 40
"""Characters by which a value may be split; phone numbers and ids are shorter."""

MOVED = 200
"""Known contacts that a read did not find and that are asked for by their id, each by a lookup."""

SPLITTERS = ("number1", "contactID", "number2", "number3", "zip")
"""Fields to split by, each where the one before cannot: of digits mostly, so that ASCII is all that they hold."""

PROVEN_FOR = timedelta(days=7)
"""How long a remembered split is trusted before each crowded part has to show again what its parts must have."""

Criterion = tuple[str, str]


class Control(NamedTuple):
    """A contact of whom it is known that an empty value must find it by one field, and not by another."""

    number: str
    lacking: str
    filled: str
    key: str


def fetch(extraction: Extraction) -> Iterator[Page]:
    """Yield all contacts of the domain."""
    settings = Settings()
    service = Service(extraction)
    service.keep_to_limits()
    domain = Domain(service.fields(), settings)
    largest = service.largest_list()
    known, proven_at = remembered(extraction.state, extraction.window.until)
    lookups = Lookups(service, domain, known)
    for records in lookups.contacts():
        yield Page(records)
    for records in lookups.moved(extraction.known.keys(extraction.entity.table)):
        yield Page(records)
    doubts = sorted(lookups.doubts)
    for name, contacts in sorted(lookups.unproven):
        if name != "number1":
            doubts.append(f"it is not proven that {contacts} are found")
        elif not settings.all_contacts_numbered:
            doubts.append(
                f"it is not proven that {contacts} are found (if every contact has a number1 of digits only, set "
                "FIVE9_ALL_CONTACTS_NUMBERED=true)"
            )
    if largest > lookups.read:
        largest = service.largest_list()
    if largest > lookups.read:
        doubts.append(f"a dialing list has, asked twice, {largest} contacts, and {lookups.read} were found")
    if doubts:
        extraction.doubt = (
            f"Five9 may have contacts that were not read: {'; '.join(doubts)}. No row was counted as deleted."
        )
    else:
        crowded = msgspec.json.encode(sorted(lookups.crowded)).decode()
        extraction.next_state = {"crowded": crowded, "proven_at": proven_at.isoformat()}
    extraction.noticed |= {
        "fields": len(domain.names),
        "fields_not_there": domain.missing,
        "unread_dates": dict(domain.unread),
        "listed_again": lookups.again,
        "largest_list": largest,
    }


def inspect(extraction: Extraction) -> Portal:
    """Return the fields of the domain, and the contacts of one lookup; for one record only that a lookup is allowed."""
    service = Service(extraction)
    domain = Domain(service.fields(), Settings())
    value = "%" if extraction.limit > 1 else "0" * LONGEST
    shown = Lookups(service, domain).ask(("number1", value))
    records = [domain.record(key, shown.names, row) for key, _, row in domain.contacts(shown)]
    has = {f"contact.{name}": type_ for name, type_ in domain.types.items()}
    has |= {f"mapped.{column}": domain.types.get(name, "STRING") for column, name in domain.mapped.items()}
    return Portal({"id": "made here", **has}, records[: extraction.limit])


def remembered(state: Mapping[str, str], now: datetime) -> tuple[frozenset[str], datetime]:
    """Return the parts that were crowded in the last run, and since when they have been proven; none that are older."""
    if state and now - (proven_at := datetime.fromisoformat(state["proven_at"])) < PROVEN_FOR:
        return frozenset(msgspec.json.decode(state["crowded"], type=list[str])), proven_at
    return frozenset(), now


def name_of(criteria: Iterable[Criterion]) -> str:
    """Return a part as it is remembered; every other character of a value is a digit, so no name is ambiguous."""
    return " ".join(f"{name}={value}" for name, value in criteria)


class Lookups:
    """All contacts of a domain, in parts that are small enough to be shown.

    ``known`` are parts that were crowded in an earlier run, ``crowded`` those that are crowded in this one.
    ``unproven`` has, with the field that was asked by, what may be missing if the vendor reads an empty value or a
    ``%`` otherwise than we do; ``doubts`` says what else speaks against a complete read.
    """

    def __init__(self, service: Service, domain: Domain, known: frozenset[str] = frozenset()) -> None:
        self.service, self.domain = service, domain
        self.crowded: set[str] = set()
        self._known = known
        self.unproven: set[tuple[str, str]] = set()
        self.doubts: set[str] = set()
        self.again = 0
        self._keyless = 0
        self._seen: dict[str, int] = {}
        self._answers: set[bytes] = set()
        self._unsure: dict[tuple[str, str], bool] = {}
        self._control: Control | None = None
        self._empty_works: bool | None = None
        named = [domain.id_field if name == "contactID" else name for name in SPLITTERS]
        self._fields = tuple(name for name in dict.fromkeys(named) if name in domain.names and name)

    @property
    def read(self) -> int:
        """How many contacts were found."""
        return len(self._seen) + self._keyless

    def contacts(self) -> Iterator[list[bytes]]:
        """Yield the records of all contacts, each once."""
        yield from self._split((), self._fields)
        if not self._empty_is_proven():
            self.unproven |= {
                what for what, found in self._unsure.items() if self._control or (self.read and not found)
            }

    def moved(self, known: Iterable[str]) -> Iterator[list[bytes]]:
        """Yield the ``known`` contacts that no part showed and that are there all the same."""
        if self.domain.id_field is None or not self.read:
            return
        vanished = (key for key in known if key not in self._seen and not re.fullmatch("[0-9a-f]{32}", key))
        for key in islice(vanished, MOVED):
            shown = self.ask((self.domain.id_field, key))
            if shown.fault:
                self.doubts.add("contacts that are known could not be asked for")
            yield from self._given(shown, elsewhere=True)

    def _split(
        self, fixed: tuple[Criterion, ...], fields: tuple[str, ...], crowd: Shown | None = None
    ) -> Iterator[list[bytes]]:
        """Yield the contacts that meet ``fixed``, of which ``crowd`` is what one lookup shows, by the next field."""
        if not fields:
            if crowd and crowd.fault:
                raise crowd.fault
            raise SuspiciousRead(
                f"Five9 has {LIMIT} contacts or more that are alike in {', '.join(name for name, _ in fixed)}, and "
                f"shows {LIMIT} of them. It cannot be asked for the rest, so nothing was loaded. Give them different "
                "numbers, or a contactID."
            )
        name = fields[0]
        before = self.read
        everything = self._crowd(*fixed, (name, "%"))
        if everything.fault and self.ask(*fixed, (name, "0" * LONGEST)).fault:
            raise everything.fault  # nobody has that, so it is not about too many
        # Nothing may be all there is, or what `%` means alone.
        if everything.more or (not everything.rows and self._begins_with_a_digit(fixed, name)):
            alphabet = self._alphabet(fixed, name, everything)
            for char in alphabet:
                yield from self._beginning(fixed, fields, char, alphabet)
            yield from self._left(fixed, name, everything)
            self._remember(before, *fixed, (name, "%"))
        else:
            yield from self._given(everything)
        yield from self._empty(fixed, fields)

    def _beginning(
        self, fixed: tuple[Criterion, ...], fields: tuple[str, ...], begin: str, alphabet: str
    ) -> Iterator[list[bytes]]:
        """Yield the contacts whose value begins so."""
        name = fields[0]
        before = self.read
        shown = self._crowd(*fixed, (name, f"{begin}%"))
        if not shown.more:
            yield from self._given(shown)
            return
        exactly = self.ask(*fixed, (name, begin))
        unlike = shown.rows and not any(value.startswith(begin) for value in shown.values(name))
        if exactly.more and exactly.rows and begin not in exactly.values(name):
            unlike = True
        if unlike or len(begin) > LONGEST:
            raise CursorStuck("Five9 shows the same contacts whatever it is asked for; reading on would never end.")
        if exactly.more:
            yield from self._split((*fixed, (name, begin)), fields[1:], exactly)
        else:
            yield from self._given(exactly)
        for char in alphabet:
            yield from self._beginning(fixed, fields, begin + char, alphabet)
        yield from self._left(fixed, name, shown)
        self._remember(before, *fixed, (name, f"{begin}%"))

    def _crowd(self, *criteria: Criterion) -> Shown:
        """Ask for a part, unless it is known to be crowded."""
        return Shown(more=True) if name_of(criteria) in self._known else self.ask(*criteria)

    def _remember(self, before: int, *criteria: Criterion) -> None:
        """Remember a part that was split, if what was found in it would not fit into one answer."""
        if self.read - before >= LIMIT:
            self.crowded.add(name_of(criteria))

    def _empty(self, fixed: tuple[Criterion, ...], fields: tuple[str, ...]) -> Iterator[list[bytes]]:
        """Yield the contacts that have no value."""
        name = fields[0]
        without = (name, f"contacts without a {name}")
        try:
            shown = self.ask(*fixed, (name, ""))
        except RequestRefused:
            self.unproven.add(without)
            return
        if any(shown.values(name)):  # the criterion was dropped, so these are contacts of the parts as well
            self.unproven.add(without)
            yield from self._given(shown, elsewhere=True)
        elif shown.fault and not self._empty_is_proven():
            self.unproven.add(without)
        elif shown.more:
            yield from self._split((*fixed, (name, "")), fields[1:], shown)
        else:
            yield from self._given(shown)
            self._unsure[without] = bool(shown.rows)

    def _empty_is_proven(self) -> bool:
        """Whether an empty value finds a contact by a field that it lacks, and not by one that it has."""
        if self._empty_works is None and self._control:
            control = self._control
            number = ("number1", control.number)
            try:
                lacking, filled = self.ask(number, (control.lacking, "")), self.ask(number, (control.filled, ""))
            except RequestRefused:
                self._empty_works = False
            else:
                found, others = ({key for key, _, _ in self.domain.contacts(one)} for one in (lacking, filled))
                self._empty_works = control.key in found - others and not filled.more
        return bool(self._empty_works)

    def _begins_with_a_digit(self, fixed: tuple[Criterion, ...], name: str) -> bool:
        shown = (self.ask(*fixed, (name, f"{digit}%")) for digit in string.digits)
        return any(one.rows or one.more for one in shown)

    def _alphabet(self, fixed: tuple[Criterion, ...], name: str, sample: Shown) -> str:
        """Return the digits and the other characters that occur in some value."""
        known = next((value[-1] for value in sample.values(name) if value), "0")
        proof = self.ask(*fixed, (name, f"%{known}%"))
        if not (proof.rows or proof.more):
            self.unproven.add((name, f"contacts whose {name} is not of digits only"))
        found = []
        for char in OTHERS:
            shown = self.ask(*fixed, (name, f"%{char}%"))
            if any(char in value for value in shown.values(name)) or (shown.more and not shown.rows):
                found.append(char)
        return string.digits + "".join(found)

    def _left(self, fixed: tuple[Criterion, ...], name: str, crowd: Shown) -> Iterator[list[bytes]]:
        """Yield what a crowded answer showed and its parts did not, if it is still there: then they leave a gap."""
        lost = {
            dict(zip(crowd.names, row, strict=True)).get(name) or ""
            for key, created, row in self.domain.contacts(crowd)
            if key and self._identity(key, created) not in self._seen
        }
        for value in sorted(lost - {""}):
            again = self.again
            found = list(self._given(self.ask(*fixed, (name, value)), elsewhere=True))
            self.again = again
            if found:
                self.doubts.add("the parts of a crowded lookup did not show all that it showed itself")
            yield from found

    def ask(self, *criteria: Criterion) -> Shown:
        """Ask for the contacts that meet all criteria. The fault ``Server`` may be another word for too many."""
        asked = "".join(
            f"<criteria><field>{escape(name)}</field><value>{escape(value)}</value></criteria>"
            for name, value in criteria
        )
        try:
            shown = self.service.ask("getContactRecords", contacts_shown, f"<lookupCriteria>{asked}</lookupCriteria>")
        except ServerFault as fault:
            return Shown(more=True, fault=fault)
        if self._control is None:
            self._control = self._control_among(shown)
        return shown

    def _given(self, shown: Shown, *, elsewhere: bool = False) -> Iterator[list[bytes]]:
        """Yield the new records of a part. One answer to two parts is none to either, unless they are ``elsewhere``."""
        if not shown.rows:
            return
        if not elsewhere:
            answer = hashlib.sha256(b"".join(sorted(map(msgspec.json.encode, shown.rows)))).digest()
            if answer in self._answers:
                raise CursorStuck("Five9 answered two lookups with the same contacts; reading on would prove nothing.")
            self._answers.add(answer)
        records = []
        for key, created, row in self.domain.contacts(shown):
            if key is None:
                self._keyless += 1
                records.append(self.domain.record(None, shown.names, row))
                continue
            mine = self._identity(key, created)
            if mine in self._seen:
                self.again += 1
            else:
                self._seen[mine] = hash(created)
                records.append(self.domain.record(mine, shown.names, row))
        if records:
            yield records

    def _identity(self, key: str, created: str) -> str:
        """Return the key, or one of its own for a contact whose key a contact of another time has."""
        return key if self._seen.get(key, hash(created)) == hash(created) else digest(key, created)

    def _control_among(self, shown: Shown) -> Control | None:
        """Return a contact that has its number to itself, and has one of the other fields and lacks another."""
        numbers = Counter(shown.values("number1"))
        for key, _, row in self.domain.contacts(shown):
            contact = dict(zip(shown.names, row, strict=True))
            number = contact.pop("number1", None)
            fields = [name for name in contact if name in self.domain.names]
            lacking = next((name for name in (*SPLITTERS, *fields) if name in fields and not contact[name]), None)
            filled = next((name for name in fields if contact[name]), None)
            if key and number and numbers[number] == 1 and lacking and filled:
                return Control(number, lacking, filled, key)
        return None
