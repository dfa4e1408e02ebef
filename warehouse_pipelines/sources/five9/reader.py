r"""Read all contacts of a Five9 domain, by as many lookups as that takes, and prove that they are all.

A lookup shows at most 1,000 contacts, without pages, order or total. So all numbers are asked for (``%``), and where
that shows 1,000, all that begin with ``0`` to ``9``, and so on until every part shows fewer. 1,000 contacts that share
a number, or have none, are split by the next of ``SPLITTERS``; a part that cannot be split further is an error.

**Proof.** A part is complete when it shows fewer than 1,000. The parts are complete when every value that the field
can have falls into one: those that begin with a digit, with another printable ASCII character that occurs in some
value (``%x%`` is asked for each, once a split), those that end here, and those that are empty. That an empty value
finds contacts without one is unconfirmed, so each run proves it by a contact that is known to have one field and to
lack another; that ``%`` works in front is proven likewise. The contacts of a crowded answer must appear in its parts.
Whether the case of a letter counts is unconfirmed too: once an answer shows a value in the other case than it was
asked for, each letter is asked for once (``_folds``).
Not covered: a number in characters beyond ASCII, and what the vendor may take for wildcards (``% _ \``).

A contact whose number changes during the read, from a part to come to one that was read, is in neither. So known
contacts that were not found are asked for by their ``contactID``, up to ``MOVED`` of them, before they count as
deleted.
"""

import re
import string
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple
from xml.sax.saxutils import escape

from warehouse_pipelines.errors import CursorStuck, RequestRefused, SuspiciousRead
from warehouse_pipelines.model.validate import read_id
from warehouse_pipelines.sources.five9.answers import LIMIT, Shown, contacts_shown
from warehouse_pipelines.sources.five9.domain import Domain
from warehouse_pipelines.sources.five9.found import FoundContacts
from warehouse_pipelines.sources.five9.service import ServerFault, Service

OTHERS = "".join(char for char in map(chr, range(32, 127)) if char not in f"{string.digits}%_\\")

LONGEST = 40
"""Most characters by which a value is split; phone numbers and ids are shorter."""

MOVED = 200
"""Most known contacts that a read did not find and that are asked for by their id, a lookup each."""

SPLITTERS = ("number1", "contactID", "number2", "number3", "zip")
"""Fields to split by, each where the one before cannot: of digits mostly, so that ASCII is all that they hold."""

Criterion = tuple[str, str]


class Control(NamedTuple):
    """A contact that an empty value must find by one field, and must not find by another."""

    number: str
    lacking: str
    filled: str
    key: str


def name_of(criteria: Iterable[Criterion]) -> str:
    """Return the name by which a part is remembered."""
    return " ".join(f"{name}={value}" for name, value in criteria)


class Five9Reader:
    """Read the contacts of a domain, in parts small enough for one lookup.

    ``known`` are parts that were crowded in an earlier run, ``crowded`` those that are crowded in this one.
    ``unproven`` has, with the field that was asked by, what may be missing if the vendor reads an empty value or a
    ``%`` otherwise than we do; ``reasons`` says what else speaks against a complete read.
    """

    def __init__(self, service: Service, domain: Domain, known: frozenset[str] = frozenset()) -> None:
        self.service, self.domain = service, domain
        self.crowded: set[str] = set()
        self._known = known
        self.unproven: set[tuple[str, str]] = set()
        self.reasons: set[str] = set()
        self.found = FoundContacts(domain)
        self._unsure: dict[tuple[str, str], bool] = {}
        self._control: Control | None = None
        self._folds = False
        self._empty_works: bool | None = None
        named = [domain.id_field if name == "contactID" else name for name in SPLITTERS]
        self._fields = tuple(name for name in dict.fromkeys(named) if name in domain.names and name)

    def contacts(self) -> Iterator[list[bytes]]:
        """Yield the records of all contacts, each once."""
        yield from self._split((), self._fields)
        if not self._empty_is_proven():
            self.unproven |= {
                what for what, found in self._unsure.items() if self._control or (self.found.number and not found)
            }

    def moved(self, known: Iterable[str]) -> Iterator[list[bytes]]:
        """Yield the ``known`` contacts that no part showed and that exist."""
        if self.domain.id_field is None or not self.found.number:
            return
        vanished = (key for key in known if key not in self.found and not re.fullmatch("[0-9a-f]{32}", key))
        for key in islice(vanished, MOVED):
            for spelling in dict.fromkeys((key, key.upper()) if read_id(key.upper()) == key else (key,)):
                shown = self.ask((self.domain.id_field, spelling))
                if shown.fault:
                    self.reasons.add("contacts that are known could not be asked for")
                yield from self.found.new(shown, elsewhere=True)
                if key in self.found:
                    break

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
        before = self.found.number
        everything = self._crowd(*fixed, (name, "%"))
        if everything.fault and self.ask(*fixed, (name, "0" * LONGEST)).fault:
            raise everything.fault  # no contact has that value, so the fault does not mean too many
        # No row: either there is none, or `%` alone finds none.
        if everything.more or (not everything.rows and self._begins_with_a_digit(fixed, name)):
            alphabet = self._alphabet(fixed, name, everything)
            yield from self._parts(fixed, fields, "", alphabet)
            yield from self._left(fixed, name, everything)
            self._remember(before, *fixed, (name, "%"))
        else:
            yield from self.found.new(everything)
        yield from self._empty(fixed, fields)

    def _parts(
        self, fixed: tuple[Criterion, ...], fields: tuple[str, ...], begin: str, alphabet: str
    ) -> Iterator[list[bytes]]:
        """Yield the contacts whose value begins with ``begin`` and a further character."""
        asked = set()
        for char in alphabet:
            other_case = char.swapcase() in asked
            if other_case and self._folds:
                continue
            shown = self._crowd(*fixed, (fields[0], f"{begin}{char}%"))
            if other_case and self._folds:
                continue  # this answer itself shows what the other case did
            asked.add(char)
            yield from self._beginning(fixed, fields, begin + char, alphabet, shown)

    def _beginning(
        self, fixed: tuple[Criterion, ...], fields: tuple[str, ...], begin: str, alphabet: str, shown: Shown
    ) -> Iterator[list[bytes]]:
        """Yield the contacts whose value begins with ``begin``, of which ``shown`` is what one lookup shows."""
        name = fields[0]
        before = self.found.number
        if not shown.more:
            yield from self.found.new(shown, elsewhere=self._folds)
            return
        exactly = self.ask(*fixed, (name, begin))
        unlike = shown.rows and not any(self._fold(value).startswith(self._fold(begin)) for value in shown.values(name))
        if exactly.more and exactly.rows and self._fold(begin) not in map(self._fold, exactly.values(name)):
            unlike = True
        if unlike or len(begin) > LONGEST:
            raise CursorStuck("Five9 shows the same contacts whatever it is asked for; reading on would never end.")
        if exactly.more:
            yield from self._split((*fixed, (name, begin)), fields[1:], exactly)
        else:
            yield from self.found.new(exactly, elsewhere=self._folds)
        yield from self._parts(fixed, fields, begin, alphabet)
        yield from self._left(fixed, name, shown)
        self._remember(before, *fixed, (name, f"{begin}%"))

    def _crowd(self, *criteria: Criterion) -> Shown:
        """Ask for a part, unless it is known to be crowded."""
        return Shown(more=True) if name_of(criteria) in self._known else self.ask(*criteria)

    def _remember(self, before: int, *criteria: Criterion) -> None:
        """Remember a part that was split, if what was found in it would not fit into one answer."""
        if self.found.number - before >= LIMIT:
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
            yield from self.found.new(shown, elsewhere=True)
        elif shown.fault and not self._empty_is_proven():
            self.unproven.add(without)
        elif shown.more:
            yield from self._split((*fixed, (name, "")), fields[1:], shown)
        else:
            yield from self.found.new(shown)
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
        for place, char in enumerate(OTHERS):
            if self._folds and char.swapcase() in OTHERS[:place]:
                continue
            shown = self.ask(*fixed, (name, f"%{char}%"))
            values = map(self._fold, shown.values(name))
            if any(self._fold(char) in value for value in values) or (shown.more and not shown.rows):
                found.append(char)
        return string.digits + "".join(found)

    def _left(self, fixed: tuple[Criterion, ...], name: str, crowd: Shown) -> Iterator[list[bytes]]:
        """Yield existing contacts that a crowded answer showed and its parts did not: then the parts leave a gap."""
        lost = {
            dict(zip(crowd.names, row, strict=True)).get(name) or ""
            for key, created, row in self.domain.contacts(crowd)
            if key and self.found.identity(key, created) not in self.found
        }
        for value in sorted(lost - {""}):
            missed = list(self.found.new(self.ask(*fixed, (name, value)), elsewhere=True, listed_again=False))
            if missed:
                self.reasons.add("the parts of a crowded lookup did not show all that it showed itself")
            yield from missed

    def ask(self, *criteria: Criterion) -> Shown:
        """Ask for the contacts that meet all criteria. The fault ``Server`` may mean too many."""
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
        self._folds = self._folds or any(_other_case(value, shown.values(name)) for name, value in criteria)
        return shown

    def _fold(self, value: str) -> str:
        """Return a value as the vendor compares it."""
        return value.lower() if self._folds else value

    def _control_among(self, shown: Shown) -> Control | None:
        """Return a contact with a number that no other has, with one more field and without another."""
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


def _other_case(asked: str, values: Iterable[str]) -> bool:
    """Return whether all values have what was asked for, and one of them in another case of its letters alone."""
    text, found = asked.strip("%"), list(values)
    return (
        text.lower() != text.upper()
        and any(text not in value for value in found)
        and all(text.lower() in value.lower() for value in found)
    )
