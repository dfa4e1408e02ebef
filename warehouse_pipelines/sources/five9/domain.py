"""What a domain makes of a contact: fields of its own, formats of its own, and other names for the same."""

import contextlib
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec

from warehouse_pipelines.model.validate import read_id
from warehouse_pipelines.sources.five9.answers import Field, Row, Shown
from warehouse_pipelines.sources.five9.service import Settings

JAVA = {
    "yyyy": "%Y", "yy": "%y", "MMMM": "%B", "MMM": "%b", "MM": "%m", "M": "%m", "dd": "%d", "d": "%d", "HH": "%H",
    "H": "%H", "hh": "%I", "h": "%I", "mm": "%M", "m": "%M", "ss": "%S", "s": "%S", "SSS": "%f", "a": "%p",
    "EEEE": "%A", "EEE": "%a", "Z": "%z", "XXX": "%z",
}  # fmt: skip
DATE_FORMAT, TIME_FORMAT = "yyyy-MM-dd", "HH:mm:ss.SSS"
CLOCKS = ("%H:%M:%S.%f", "%H:%M:%S", "%H:%M")
"""How a time is written in a field that has a DateFormat and no TimeFormat: hours are counted to 24."""

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


def strptime_format(java: str) -> str:
    """Return a format of Java's as Python has it.

    >>> strptime_format("MM/dd/yyyy'T'hh:mm a")
    '%m/%d/%YT%I:%M %p'
    """

    def translated(part: re.Match[str]) -> str:
        if part[2]:
            return JAVA.get(part[2], part[2])
        return (part[0] if part[1] is None else part[1].replace("''", "'") or "'").replace("%", "%%")

    return re.sub(r"'((?:[^']|'')*)'|(([A-Za-z])\3*)|[^A-Za-z']+", translated, java)


def date_reader(one: Field, zone: ZoneInfo) -> Callable[[str], str] | None:
    """Return what makes ISO 8601 of a value of this field, None for a field that is neither date nor time.

    It raises ``ValueError`` for a value that is not of the field's format.
    """
    day = one.restrictions.get("DateFormat") or DATE_FORMAT
    clock = one.restrictions.get("TimeFormat") or TIME_FORMAT
    iso = day == DATE_FORMAT and clock.startswith("HH:mm")
    day_form, clock_form = strptime_format(day), strptime_format(clock)
    clocks = (clock_form,) if one.restrictions.get("TimeFormat") else CLOCKS

    def moment(text: str) -> str:
        at = datetime.fromisoformat(text) if iso else _first_of(text, [f"{day_form} {each}" for each in clocks])
        return (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC).isoformat()

    match one.type:
        case "DATE_TIME":
            return moment
        case "DATE":
            return lambda text: datetime.strptime(text, day_form).date().isoformat()  # noqa: DTZ007
        case "TIME":
            return lambda text: datetime.strptime(text, clock_form).time().isoformat()  # noqa: DTZ007
    return None


def _first_of(text: str, forms: Sequence[str]) -> datetime:
    """Read a moment by the first of these forms that it has. Raises ``ValueError`` if it has none."""
    for form in forms:
        with contextlib.suppress(ValueError):
            return datetime.strptime(text, form)  # noqa: DTZ007
    raise ValueError(text)


class Domain:
    """The fields of a domain, and what they make of a row."""

    def __init__(self, fields: Sequence[Field], settings: Settings) -> None:
        self.names = [one.name for one in fields]
        self.types = {one.name: one.type for one in fields}
        self.unread: Counter[str] = Counter()
        self._readers = {one.name: reader for one in fields if (reader := date_reader(one, settings.time_zone))}
        self._mapped = {MAPPED[one.map_to]: one.name for one in fields if one.map_to in MAPPED}
        if "sys_created_date" in self._readers:
            self._mapped.setdefault("created_date", "sys_created_date")
        alike = {_plain(name): name for name in reversed(self.names)}
        self.id_field = alike.get(_plain(settings.contact_id_field))
        chosen = {"email": settings.email_field, "division": settings.division_field, "status": settings.status_field}
        self.missing = sorted(name for name in chosen.values() if _plain(name) not in alike)
        self._mapped |= {to: alike[_plain(name)] for to, name in chosen.items() if _plain(name) in alike}
        if "status" not in self._mapped and "sys_last_disposition" in self._mapped:
            self._mapped["status"] = self._mapped["sys_last_disposition"]

    @property
    def mapped(self) -> Mapping[str, str]:
        """The fields by the columns that they fill though they go by another name in each domain."""
        return self._mapped

    def contacts(self, shown: Shown) -> Iterator[tuple[str | None, str, Row]]:
        """Yield each row with its key as it is stored and its creation time as received, the earliest first.

        The key is None where nothing tells the contact from others.
        """
        given = shown.values(self.id_field)
        who = zip(*(shown.values(name) for name in ("number1", "first_name", "last_name")), strict=True)
        keys = [read_id(key) or (digest(*parts) if any(parts) else None) for key, parts in zip(given, who, strict=True)]
        found = zip(keys, shown.values(self._mapped.get("created_date")), shown.rows, strict=True)
        yield from sorted(found, key=lambda one: one[1])

    def record(self, key: str | None, names: Sequence[str], row: Row) -> bytes:
        """Return the record of a row.

        A value that is not of its field's format is an object in ``mapped``, which no column reads: a value lost, and
        not another date.
        """
        contact = dict(zip(names, row, strict=True))
        received: dict[str, str] = {}
        unread: dict[str, dict[str, str]] = {}
        for name, read in self._readers.items():
            if text := contact.get(name):
                received[name] = text
                try:
                    contact[name] = read(text.strip())
                except (ValueError, OverflowError):
                    self.unread[name] += 1
                    unread[name] = {"unread": text}
        mapped = {to: unread.get(name, contact.get(name)) for to, name in self._mapped.items()}
        return msgspec.json.encode({"id": key, "contact": contact, "received": received, "mapped": mapped})


def digest(*parts: str) -> str:
    """Return a key made of several values."""
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:32]


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).casefold()
