"""A record as it is compared, made of what its source wrote: pure functions, without a database.

    record = normalise(Raw("hubspot_contact", "1", "customer", first="Ana", last="Rivera", phones=("+19375551234",)))
    keys = block_keys(record)

Two records are compared when they share a block key:

    p:<phone>                      e:<e-mail address>
    i:<table:key>                  its own, and those that it points at
    n:<surname's sound>|<given>|<zip>     c:<surname's sound>|<given>|<city>     given: initial of what it may stand for
    a:<zip>|<number street>|<given>       s:<number street>|<surname's sound>

Decided:

- A number of the business itself and an address such as ``noreply@`` are nobody's, so the record does not have them.
  ``info@`` is kept, as it may be written to, and makes no key and no evidence: everybody in an office has it.
- Numbers and addresses of staff are no customer's: a rep types his own into contacts who gave none. What has no name
  and nothing but these, such as a call from a rep's telephone, is a touch, and his.
- A record has a mark among its keys for each value that it is read without, ``o:p:+1…`` or ``o:staff:e:…``. It is read
  again by the mark when the value is no longer ours, and the mark makes no pairs.
- The key of an address leaves out what is behind ``+``, and the dots of Gmail: one mailbox has one key.
- A surname that sounds otherwise (a letter missing) is found by the street, and one who moved by name and city.
- A given name makes a key for the initial of each long form that it may stand for: Bob is found as Robert, by ``r``.
"""

import functools
import re
from datetime import datetime
from typing import NamedTuple

from warehouse_pipelines.model import emails
from warehouse_pipelines.unified.identity import addresses, names
from warehouse_pipelines.unified.identity.name_words import NOBODYS_HOSTS, NOBODYS_MAIL, OFFICES_MAIL
from warehouse_pipelines.unified.identity.record import Kind, Record


class Raw(NamedTuple):
    """What a source says of a person. ``phones`` are in E.164; ``ids`` are tokens ``table:key``, its own apart.

    ``kind`` is that of the table: a row of calls, ``touch``, may still be of a customer.
    """

    source_table: str
    source_key: str
    kind: Kind
    first: str | None = None
    middle: str | None = None
    last: str | None = None
    full: str | None = None
    caller_id: bool = False
    business: str | None = None
    emails: tuple[str | None, ...] = ()
    phones: tuple[str | None, ...] = ()
    street: str | None = None
    unit: str | None = None
    city: str | None = None
    state: str | None = None
    zip: str | None = None
    ids: tuple[str, ...] = ()
    created_at: datetime | None = None
    updated_at: datetime | None = None
    deleted: bool = False


class Own(NamedTuple):
    """What the business and its staff are reached by: numbers in E.164, and keys of addresses as ``email_key``."""

    business: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()
    addresses: frozenset[str] = frozenset()

    def marks(self) -> frozenset[str]:
        """Return the marks of records that are read without these."""
        return frozenset(
            [
                *(f"o:p:{one}" for one in self.business),
                *(f"o:staff:p:{one}" for one in self.numbers),
                *(f"o:staff:e:{one}" for one in self.addresses),
            ]
        )


NOTHING_OWN = Own()


def keys_without(mark: str) -> tuple[str, ...]:
    """Return the keys of the records that are to be read without a value, by its mark."""
    key = mark.removeprefix("o:")
    return (key.removeprefix("staff:"),) if key.startswith("staff:") else (key, f"staff:{key}")


_SUSPECT = frozenset([*(digit * 4 for digit in "0123456789"), "4567", "5678", "1212"])
_NO_ADDRESS = re.compile(r"no[-_.]?(?:e?[-_.]?mail|reply)\d*|(?:none|not[-_.]?(?:given|provided|available))\d*")
_REPEATED = re.compile(r"(\d)\1{6}$|(?:1234567|2345678|5551212|5555555|0000000)$")


def email(text: str | None) -> str | None:
    """Return an e-mail address in lower case; None for what is no address, and for one that stands for none."""
    if not text:
        return None
    found = emails.address(text)
    if found is None:
        return None
    local, _, host = found.partition("@")
    local = local.partition("+")[0] or local
    nobodys = local in NOBODYS_MAIL or host in NOBODYS_HOSTS or _NO_ADDRESS.fullmatch(local)
    return None if nobodys else found


def email_key(address: str) -> str | None:
    """Return what is equal for all spellings of one mailbox; None for the address of an office."""
    local, _, domain = address.partition("@")
    local = local.partition("+")[0] or local
    if domain in emails.GMAIL:
        local, domain = local.replace(".", ""), "gmail.com"
    return None if local in OFFICES_MAIL else f"{local}@{domain}"


def address_keys(text: str) -> list[str]:
    """Return the keys of the addresses in a column that may have several."""
    found = filter(None, map(email, emails.BETWEEN.split(text)))
    return [key for one in found if (key := email_key(one))]


@functools.lru_cache(maxsize=1 << 16)
def telling(addresses: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of the addresses that tell who somebody is: not those of offices."""
    return tuple([one for one in addresses if email_key(one)])


@functools.lru_cache(maxsize=1 << 16)
def gmail_box(address: str) -> str | None:
    """Return the mailbox of an address at Gmail, which is one however its dots and what is behind ``+`` are written."""
    return email_key(address) if emails.gmail_box(address) else None


def is_nobodys(phone: str) -> bool:
    """Whether a number in E.164 was typed because the form wanted one."""
    return phone[-4:] in _SUSPECT and _REPEATED.search(phone) is not None


def token(table: str, key: str) -> str:
    """Return how an id is written: CRMs write GUIDs in capitals or not."""
    return f"{table}:{key.lower()}" if len(key) == 36 else f"{table}:{key}"


def normalise(raw: Raw, own: Own = NOTHING_OWN) -> Record:
    """Return the record of what a source says. ``own`` is what the business and its staff are reached by."""
    (
        table, key, kind, first, middle, last, full, caller_id, business, written, numbers, street, unit, city, state,
        zip_, pointed, created_at, updated_at, deleted,
    ) = raw  # fmt: skip
    name = names.parse_name(first, last, full, middle=middle, business=business, caller_id=caller_id)
    emails = _unique([one for one in map(email, written) if one])
    phones = _unique([one for one in numbers if one and not is_nobodys(one)])
    left_out: tuple[str, ...] = ()
    if own.business and not own.business.isdisjoint(phones):
        left_out = tuple([f"o:p:{one}" for one in phones if one in own.business])
        phones = tuple([one for one in phones if one not in own.business])
    named = name.first or name.last or name.business
    if kind != "staff":
        others, other_phones, of_staff = _not_of_staff(emails, phones, own)
        if kind == "customer":
            if not named and not others:
                kind = "touch"
        elif named and (others or other_phones):
            kind = "customer"
        if kind == "customer" or others or other_phones:
            emails, phones, left_out = others, other_phones, left_out + of_staff
    own_id = token(table, key)
    ids = (own_id, *dict.fromkeys([one for one in pointed if one != own_id])) if pointed else (own_id,)
    shown = None
    if named:
        text = f"{first} {last}" if first and last else first or last or full or business or ""
        shown = " ".join(text.split()) or None
    return Record(
        table, key, kind, shown, *name, emails, phones, *addresses.parse(street, unit, city, state, zip_), ids,
        created_at, updated_at, deleted, left_out,
    )  # fmt: skip


def _not_of_staff(
    emails: tuple[str, ...], phones: tuple[str, ...], own: Own
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Return the addresses and numbers that are not of staff, and the marks of the others."""
    marks = []
    if own.addresses and emails:
        kept = []
        for one in emails:
            key = email_key(one)
            if key in own.addresses:
                marks.append(f"o:staff:e:{key}")
            else:
                kept.append(one)
        emails = tuple(kept)
    if not own.numbers.isdisjoint(phones):
        marks += [f"o:staff:p:{one}" for one in phones if one in own.numbers]
        phones = tuple([one for one in phones if one not in own.numbers])
    return emails, phones, tuple(marks)


def _unique(values: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values)) if len(values) > 1 else tuple(values)


def block_keys(record: Record) -> tuple[str, ...]:
    """Return the keys by which the record is found; staff are found apart from customers.

    A name and a town alone are no key: they never make two records one person, and of a million records they made ten
    million pairs. With the house number they find the street that is spelt in another way.
    """
    keys = [f"p:{phone}" for phone in record.phones]
    keys += [f"e:{key}" for key in map(email_key, record.emails) if key]
    keys += [f"i:{one}" for one in record.ids]
    last, first, street, zip_, city = record.last_name, record.first_name, record.street, record.zip, record.city
    if last or first:
        heard = names.sound(last) if last else ""
        if street and street[0].isdigit():
            house = street.partition(" ")[0]
            for initial in _initials(first) if first else ():
                if heard and (zip_ or city):
                    keys.append(f"n:{heard}|{initial}|{house}|{zip_ or city}")
                if zip_:
                    keys.append(f"a:{zip_}|{street}|{initial}")
            if heard:
                keys.append(f"s:{street}|{heard}")
    elif record.business and (zip_ or city):
        keys.append(f"b:{record.business.replace(' ', '')[:12]}|{zip_ or city}")
    if record.kind == "staff":
        keys = [f"staff:{key}" for key in keys]
    keys += record.left_out
    return tuple(dict.fromkeys(keys))


@functools.lru_cache(maxsize=65_536)
def _initials(first: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name[0] for name in names.canonical_givens(first)))
