"""Which lead a row is about: ``Leads``, the live leads that share a phone number or an e-mail address with a batch.

A shared number or address makes a household, and not a person. Two are one person when

- the given names are equal, nicknames, an initial and its name, or a typo apart, and so are the surnames, or one is
  missing; no suffix says father and son;
- or the surnames differ, and the number *and* the address are equal: people marry;
- or one has no name at all: the address or the number is all there is of it, and a lead more would be the same.

More leads than ``CROWD`` with one number or address are no evidence (a shop's address, a call centre's number): of
these only leads of the very same name are looked at, which also keeps a batch from comparing all with all.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from warehouse_pipelines.unified.identity.names import NO_NAME, Name, fold, is_typo, parse_name, same_given

CROWD = 100


@dataclass(eq=False)
class Lead:
    """A live lead: its columns as they are in the database, or will be at the end of the batch."""

    values: dict[str, Any]
    name: Name
    row: int | None = None
    """The row of this file that made it."""
    before: dict[str, Any] | None = None
    """Its columns before this batch changed it; None while they are unchanged, and of a new lead."""
    is_new: bool = False
    also: frozenset[str] = frozenset()
    """Numbers and addresses of its person that it has not itself, of those that the batch has."""

    @property
    def id(self) -> str:
        return str(self.values["id"])

    @property
    def keys(self) -> set[str]:
        """Return phone numbers and e-mail addresses, those that it shares and those of its person included."""
        metadata = self.values["source_metadata"]
        phones = [self.values["phone"], *listed(metadata, "shared_phones"), *listed(metadata, "other_phones")]
        emails = [self.values["email"], *listed(metadata, "other_emails")]
        return {one for one in phones if one} | {one.lower() for one in emails if one} | self.also


def listed(metadata: dict[str, Any], name: str) -> list[str]:
    """Return a list of texts in ``source_metadata``, whatever stands there."""
    found = metadata.get(name)
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


def name_of(first: str | None, last: str | None, company: object = None) -> Name:
    """Return a name as it is compared. A lead without a person's name is known by its company's."""
    name = parse_name(first, last) if first or last else NO_NAME
    if not name.first and not name.last and not name.business and isinstance(company, str):
        return Name(business=fold(company) or None)
    return name


@dataclass
class Leads:
    """Leads by what they can be reached by."""

    by_key: dict[str, list[Lead]] = field(default_factory=dict)
    by_name: dict[tuple[str, Name], Lead] = field(default_factory=dict)
    by_id: dict[str, Lead] = field(default_factory=dict)

    def add(self, lead: Lead) -> None:
        """Add a lead, or what it can be reached by since it changed."""
        self.by_id[lead.id] = lead
        for key in lead.keys:
            leads = self.by_key.setdefault(key, [])
            if len(leads) <= CROWD and lead not in leads:
                leads.append(lead)
            self.by_name.setdefault((key, lead.name), lead)

    def of(self, name: Name, phones: Iterable[str], emails: Iterable[str]) -> Lead | None:
        """Return the lead of that person, or None: the one with most in common, and of several the oldest."""
        phones, emails = list(phones), list(emails)
        best: tuple[tuple[int, int], Lead] | None = None
        for key in (*emails, *phones):
            leads = self.by_key.get(key, [])
            if len(leads) > CROWD:
                exact = self.by_name.get((key, name))
                leads = [exact] if exact and name != NO_NAME else []
            for lead in leads:
                has = lead.keys
                email, phone = any(one in has for one in emails), any(one in has for one in phones)
                if same_person(name, lead.name, email=email, phone=phone):
                    rank = (2 * email + phone, int(name.first is not None and name.first == lead.name.first))
                    if best is None or rank > best[0]:
                        best = rank, lead
        return best[1] if best else None

    def holds(self, phone: str) -> Lead | None:
        """Return the live lead that has this number as its own."""
        return next((lead for lead in self.by_key.get(phone, ()) if lead.values["phone"] == phone), None)


def same_person(a: Name, b: Name, *, email: bool, phone: bool) -> bool:
    """Whether two that share an address or a number are one person, by their names."""
    a_named, b_named = bool(a.first or a.last), bool(b.first or b.last)
    if not (a_named and b_named):
        return not (a.business and b.business and a.business != b.business) and not (
            (a.business and b_named) or (b.business and a_named)
        )
    if a.suffix and b.suffix and a.suffix != b.suffix:
        return False
    given = same_given(a.first, b.first)
    if given == "different":
        return False
    surname = _same_surname(a.last, b.last)
    if given == "missing":
        return surname in {"equal", "alike"} and (email or not (a.first or b.first))
    return surname != "different" or (email and phone and given in {"equal", "nickname"})


def _same_surname(a: str | None, b: str | None) -> str:
    if not a or not b:
        return "missing"
    if a == b:
        return "equal"
    if set(a.split()) & set(b.split()) or a.replace(" ", "") == b.replace(" ", "") or is_typo(a, b):
        return "alike"
    return "different"
