"""When a lead may be called or texted: from 8 a.m. to 9 p.m. where the lead is, as 47 CFR 64.1200(c)(1) says of calls.

Three things tell where a lead is: its own ``timezone``, its postal code and the area code of its number. All that are
known count: a time must be allowed in each of their zones, because people keep numbers when they move. Without any, the
zone of the business counts.

Decided:

- A postal code or an area code that lies in two zones counts as both. A number without a place, such as one that is
  free of charge, tells nothing.
- Calls, texts and voicemail have hours. E-mail, post and tasks have none: nothing rings.
- Nothing is handed over in the last minutes: a send takes time.

Laws of states, such as hours that end at 8 p.m., are not here: ``WAREHOUSE_CONTACT_HOURS`` makes the day shorter.
"""

import functools
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

LEGAL = (time(8), time(21))
RINGS = frozenset({"call", "sms", "voicemail"})
"""Channels that have hours."""

LAST_MINUTES = timedelta(minutes=5)
MOST_ZONES = 4
"""An area code lies in at most four zones. A number with more is not tied to a place, so it tells nothing."""

_ZONES = {
    "A": "America/Puerto_Rico", "E": "America/New_York", "C": "America/Chicago", "M": "America/Denver",
    "Z": "America/Phoenix", "P": "America/Los_Angeles", "K": "America/Anchorage", "N": "America/Adak",
    "H": "Pacific/Honolulu", "G": "Pacific/Guam", "S": "Pacific/Pago_Pago",
}  # fmt: skip
_POSTAL = """
    005-005 E, 006-009 A, 010-089 E, 100-322 E, 323-324 EC, 325-325 C, 326-339 E, 341-349 E, 350-372 C, 373-374 EC,
    376-376 E, 377-377 EC, 378-379 E, 380-397 C, 398-400 E, 401-401 EC, 402-418 E, 420-424 C, 425-427 EC, 430-462 E,
    463-464 C, 465-465 EC, 466-474 E, 475-479 EC, 480-497 E, 498-499 EC, 500-567 C, 570-573 C, 574-577 CM, 580-584 C,
    585-588 CM, 590-599 M, 600-676 C, 677-679 CM, 680-689 C, 690-693 CM, 700-797 C, 798-798 CM, 799-799 M, 800-834 M,
    835-835 MP, 836-837 M, 838-838 P, 840-847 M, 850-859 Z, 860-860 ZM, 863-864 Z, 865-865 ZM, 870-885 M, 889-897 P,
    898-898 MP, 900-961 P, 967-967 HS, 968-968 H, 969-969 G, 970-978 P, 979-979 MP, 980-994 P, 995-995 KN, 996-999 K
"""
"""First three digits of American postal codes, from and to, and the zones there."""


class Hours(NamedTuple):
    """First allowed time, and the first time that is no longer allowed."""

    begin: time = LEGAL[0]
    end: time = LEGAL[1]

    @classmethod
    def read(cls, written: str) -> "Hours":
        """Parse ``09:00-20:00``. Raises ``ValueError`` for other text, and for hours outside those the law allows."""
        try:
            begin, end = (time.fromisoformat(part.strip()) for part in written.split("-"))
        except ValueError:
            raise ValueError("write two times, such as 09:00-20:00") from None
        if begin.tzinfo or end.tzinfo or not LEGAL[0] <= begin < end <= LEGAL[1]:
            raise ValueError("write two times from 08:00 to 21:00, which is what the law allows")
        return cls(begin, end)


@functools.cache
def _by_prefix() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for words in _POSTAL.split(","):
        prefixes, zones = words.split()
        first, last = map(int, prefixes.split("-"))
        found |= {f"{prefix:03}": tuple(_ZONES[zone] for zone in zones) for prefix in range(first, last + 1)}
    return found


def _of_postal_code(code: str | None) -> tuple[str, ...]:
    digits = (code or "").strip()[:5]
    return _by_prefix().get(digits[:3], ()) if len(digits) == 5 and digits.isascii() and digits.isdigit() else ()


@functools.lru_cache(maxsize=10_000)
def _of_phone(phone: str | None) -> tuple[str, ...]:
    if not phone:
        return ()
    import phonenumbers
    from phonenumbers import timezone

    try:
        found = timezone.time_zones_for_number(phonenumbers.parse(phone))
    except phonenumbers.NumberParseException:
        return ()
    return () if len(found) > MOST_ZONES else tuple(name for name in found if "/" in name and name != "Etc/Unknown")


def zones_of(own: str | None, postal_code: str | None, phone: str | None, business: ZoneInfo) -> tuple[ZoneInfo, ...]:
    """Return the zones that a lead may be in; that of the business where nothing tells."""
    names = dict.fromkeys([own, *_of_postal_code(postal_code), *_of_phone(phone)])
    return tuple(zone for name in names if name and (zone := _zone(name))) or (business,)


def _zone(name: str) -> ZoneInfo | None:
    """Return a zone; None for one that PostgreSQL knows and this machine does not."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return None


def next_allowed(now: datetime, zones: Sequence[ZoneInfo], hours: Hours) -> datetime | None:
    """Return the first time from ``now`` on that is allowed in all these zones; None where no time ever is."""
    found = now.astimezone(UTC)
    for _ in range(10 * len(zones)):
        before = found
        for zone in zones:
            found = _in_zone(found, zone, hours)
        if found == before:
            return found
    return None


def _in_zone(at: datetime, zone: ZoneInfo, hours: Hours) -> datetime:
    local = at.astimezone(zone)
    day = local.date()
    if local.time() < hours.begin:
        return datetime.combine(day, hours.begin, zone).astimezone(UTC)
    last = (datetime.combine(day, hours.end) - LAST_MINUTES).time()
    if local.time() >= last:
        return datetime.combine(day + timedelta(days=1), hours.begin, zone).astimezone(UTC)
    return at
