"""The ten validators, one value at a time: what a value of each kind may look like, and what is made of it.

This is the reference. ``coerce`` reads whole columns at once and comes here only for the values that are not of the
plain form; a property test holds the two against each other. None passes through every validator. An empty string is
null for every kind but ``text``. A value that is not of its kind raises ``Unreadable``. Text is cleaned of NUL, which
PostgreSQL cannot hold.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

import msgspec

BIGINT = range(-(2**63), 2**63)
LARGEST_EXPONENT = 1000
"""Of a number: PostgreSQL's numeric holds more, no CRM does, and 1e99999 is a way to fill a disk."""

EMAIL = r"^[^@\s,;<>]+@[^@\s,;<>]+\.[^@\s,;<>.]+$"
URL = r"^[A-Za-z][A-Za-z0-9+.-]*://[^\s]+$"
OBJECT_ID = r"^[!-~]{1,255}$"
"""What most ids look like. Another one is kept and counted: an id may be a client's own text."""
ANY_UUID = r"^[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}$"
BLANKS = "".join(filter(str.isspace, map(chr, range(0x3001)))) + "\u200b\u200c\u200d\u2060\ufeff"
"""What is trimmed at both ends of a value that is not ``text``: every space of Unicode, and what has no width."""
FIRST_YEAR = 1000
"""Earlier dates are no dates: 0001-01-01 stands for none, 0202 is a slip of the hand."""
_NO_DATE = re.compile(r"0000-00-00(?:[T ]00:00:00(?:\.0+)?)?")
"""How MySQL writes that there is no date where a column may not be NULL: an empty value, and not one that is lost."""

_TRUE = frozenset({"true", "t", "yes", "y", "on", "1"})
_FALSE = frozenset({"false", "f", "no", "n", "off", "0"})

NUL = r"(?<!\\)((?:\\\\)*)\\u0000"
"""A NUL as JSON writes it: after an even number of backslashes, which are the first group."""

_TOKEN = re.compile(
    r'"(?:[^"\\]|\\.)*"?|[+-]?\b(?:NaN|Infinity)\b|-?\d+(?:\.\d+)?[eE][+-]?\d{5,}', re.ASCII | re.DOTALL
)
"""What may be wrong with JSON that is well built: in a text its escapes, outside of texts what is no finite number."""
_ESCAPE = re.compile(r"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|u[dD][89a-fA-F][0-9a-fA-F]{2}|.)", re.DOTALL)


def mended(raw: bytes) -> bytes:
    """Return a record as PostgreSQL can hold it, in JSON.

    What is not UTF-8, a bare NUL and half a surrogate pair become U+FFFD; NaN, Infinity and numbers with an exponent of
    five digits become texts.
    """
    return _TOKEN.sub(
        lambda token: _mended_token(token[0]), raw.decode(errors="replace").replace("\0", "\ufffd")
    ).encode()


def _mended_token(token: str) -> str:
    if token[0] != '"':
        return f'"{token}"'
    if "\\u" not in token:
        return token
    return _ESCAPE.sub(lambda escape: "\ufffd" if len(escape[0]) == 6 and escape[0][2] in "dD" else escape[0], token)


class Unreadable(ValueError):
    """The value cannot be read as its kind; the message says why and does not contain the value."""


class NumberOutOfRange(Unreadable):
    """The value is a number, and larger or finer than its column can hold."""


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        return str(value)
    return msgspec.json.encode(value).decode().replace("\\u0000", "")


def read_text(value: Any) -> str | None:
    """Any value as text; objects and lists as JSON."""
    return None if value is None else _text(value)


def read_email(value: Any) -> str | None:
    """Trimmed and in lower case."""
    return None if value is None else _text(value).strip(BLANKS).lower() or None


def read_trimmed(value: Any) -> str | None:
    """Trimmed; used for URLs."""
    return None if value is None else _text(value).strip(BLANKS) or None


def read_id(value: Any) -> str | None:
    """Trimmed; a UUID in lower case, as PostgreSQL writes it, since two systems may spell the same one otherwise."""
    text = read_trimmed(value)
    return text.lower() if text and re.fullmatch(ANY_UUID, text) else text


def read_uuid(value: Any) -> str | None:
    """A UUID as PostgreSQL writes it: in lower case, with four hyphens; it may come in braces, or without hyphens.

    Raises ``Unreadable``.
    """
    text = read_trimmed(value)
    if text is None:
        return None
    digits = text.strip("{}").replace("-", "").lower()
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-f]{32}", digits):
        raise Unreadable("not a UUID")
    return str(UUID(digits))


def read_phone(value: Any) -> str | None:
    """The vendor's own spelling, trimmed."""
    return read_trimmed(value)


def read_boolean(value: Any) -> bool | None:
    """true/false, yes/no, on/off, y/n, t/f, 1/0 in any case. Raises ``Unreadable`` for anything else."""
    if value is None or isinstance(value, bool):
        return value
    text = _text(value).strip(BLANKS).lower()
    if not text:
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise Unreadable("not a boolean")


_MONEY = re.compile(
    r"(\()?([+-]?)(?:(?:US)?\$ ?)?([+-]?)((?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?|\.\d+)(?: ?USD)?(\))?", re.ASCII
)


def _decimal(value: Any) -> Decimal | None:
    """A number, also with thousands separated as in the US, as dollars, and in brackets when it is below zero.

    Another currency is unreadable, since nobody could tell it from dollars afterwards; so is a percentage, which one
    writes as 12.5 and the next as 0.125.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise Unreadable("not a number")
    text = _text(value).strip(BLANKS)
    if not text:
        return None
    if (money := _MONEY.fullmatch(text)) and bool(money[1]) == bool(money[5]):
        signs = money[2] + money[3]
        if len(signs) + bool(money[1]) <= 1:
            text = ("-" if money[1] else signs) + money[4].replace(",", "")
    if not text.isascii() or "_" in text:
        raise Unreadable("not a number")
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        raise Unreadable("not a number") from error
    if not number.is_finite():
        raise Unreadable("not a finite number")
    exponent = number.as_tuple().exponent
    if abs(number.adjusted()) > LARGEST_EXPONENT or abs(int(exponent)) > LARGEST_EXPONENT:
        raise NumberOutOfRange("number out of range")
    return number


def read_numeric(value: Any) -> str | None:
    """A decimal number, as text so that no digit is lost on the way to ``numeric``.

    Raises ``Unreadable``, and ``NumberOutOfRange`` for an exponent over ``LARGEST_EXPONENT``.
    """
    number = _decimal(value)
    return None if number is None else format(number, "f")


def read_integer(value: Any) -> int | None:
    """A whole number of 64 bits; ``12.0`` is one, ``12.5`` is not.

    Raises ``Unreadable``, and ``NumberOutOfRange`` beyond 64 bits.
    """
    number = _decimal(value)
    if number is None:
        return None
    if number != number.to_integral_value():
        raise Unreadable("not a whole number")
    if int(number) not in BIGINT:
        raise NumberOutOfRange("number out of range")
    return int(number)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_IN_2100 = 4_102_444_800
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d{1,3})?", re.ASCII)
_YEAR_FIRST = re.compile(r"(\d{4})([-/])(\d{1,2})\2(\d{1,2})(?!\d)", re.ASCII)
_MONTH_FIRST = re.compile(r"(\d{1,2})([-/])(\d{1,2})\2(\d{4}|\d\d)(?!\d)", re.ASCII)
_WEEKDAY = re.compile(
    r"(?:mon|tues?|wed(?:nes)?|thu(?:rs?)?|fri|sat(?:ur)?|sun)(?:day)?,?\s+", re.ASCII | re.IGNORECASE
)
_NAMED = re.compile(
    rf"(?:(?P<day>\d{{1,2}})(?:st|nd|rd|th)?[ -])?(?P<month>{'|'.join(_MONTHS)})[a-z]{{0,6}}\.?"
    r"(?: (?P<day_after>\d{1,2})(?:st|nd|rd|th)?,?)?[ -](?P<year>\d{4})(?!\d)",
    re.ASCII | re.IGNORECASE,
)
_CLOCK = re.compile(r"(\d{1,2})(:\d\d)?(:\d\d(?:\.\d+)?)?\s*(?:([ap])\.?m\.?(?![a-z]))?", re.ASCII | re.IGNORECASE)


def _counted(text: str) -> datetime:
    """Return the moment that a bare number means; its magnitude decides.

    Eight digits are a date and fourteen a date and time, where they can be one from 1900 to 2100. Otherwise
    hundred millions are seconds since 1970 (those from 1973 to 2100), numbers from 10^10 on milliseconds, from 10^15
    on microseconds. What could be two of these, or nothing of the kind (a year, a spreadsheet's count of days,
    0 for "none"), is unreadable.
    """
    number = Decimal(text)
    size = abs(number)
    digits = format(number, "f").partition(".")[0] if number == number.to_integral_value() else ""
    compact = None
    if len(digits) in (8, 12, 14) and "1900" <= digits[:4] <= "2100":
        try:
            compact = datetime.strptime(digits.ljust(14, "0"), "%Y%m%d%H%M%S")  # noqa: DTZ007  (it names no zone)
        except ValueError:
            if len(digits) == 14:
                raise Unreadable("not a date and time") from None
    if compact and len(digits) == 12:
        raise Unreadable("a date and time or milliseconds, nobody can tell")
    if compact:
        return compact
    if 10**8 <= size < _IN_2100:
        unit = 10**6
    elif 10**10 <= size < 10**15:
        unit = 1000
    elif 10**15 <= size < _IN_2100 * 10**6:
        unit = 1
    else:
        raise Unreadable("a number that is no date and time for sure")
    try:
        return _EPOCH + timedelta(microseconds=int(number * unit))
    except OverflowError as error:
        raise Unreadable("date and time out of range") from error


def _day(text: str, *, day_first: bool) -> tuple[str, str]:
    """Return the date at the begin of a text as ISO 8601 has it, and what follows."""
    if match := _YEAR_FIRST.match(text):
        year, month, day = match[1], match[3], match[4]
    elif match := _MONTH_FIRST.match(text):
        year, month, day = match[4], match[3 if day_first else 1], match[1 if day_first else 3]
        if len(year) == 2:
            year = f"{'20' if year < '30' else '19'}{year}"  # as spreadsheets read it
    else:
        text = _WEEKDAY.sub("", text, count=1)
        match = _NAMED.match(text)
        if match is None or bool(match["day"]) == bool(match["day_after"]):
            raise Unreadable("not a date")
        year, day = match["year"], match["day"] or match["day_after"]
        month = str(1 + _MONTHS.index(match["month"].lower()))
    return f"{year}-{month:0>2}-{day:0>2}", text[match.end() :]


def _clock(text: str) -> str:
    """Return a time of day, and its zone if it has one, as ISO 8601 has them."""
    text = text.lstrip(", \t")
    match = _CLOCK.match(text)
    if match is None:
        raise Unreadable("not a time of day")
    hour, minute, second, half = match.groups(default="")
    if half:
        if not 1 <= int(hour) <= 12:
            raise Unreadable("not a time of day")
        hour = str(int(hour) % 12 + 12 * (half in "pP"))
    zone = re.sub(r"^\s*(UTC|GMT|[zZ])$", "+00:00", text[match.end() :])
    zone = re.sub(r"^\s+([+-]\d\d:?(?:\d\d)?)$", r"\1", zone)
    second = re.sub(r"(\.\d{6})\d+", r"\1", second)
    return f"{hour:0>2}{minute or ':00'}{second}{zone}"


def _written(value: Any, *, day_first: bool) -> datetime | None:
    """Return the moment that a value says, in the zone in which it says it, or in none."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal | float):
        raise Unreadable("not a date and time")
    text = _text(value).strip(BLANKS)
    if not text or _NO_DATE.fullmatch(text):
        return None
    try:
        if _NUMBER.fullmatch(text):
            moment = _counted(text)
        elif re.fullmatch(r"\d{8}T\d{4}(?:\d\d)?(?:Z|[+-]\d{4})?", text, re.ASCII):
            moment = datetime.fromisoformat(text)
        else:
            day, rest = _day(text, day_first=day_first)
            rest = rest[1:] if rest[:1] in ("T", "t") else rest
            moment = datetime.fromisoformat(f"{day}T{_clock(rest)}" if rest else day)
    except (ValueError, OverflowError, InvalidOperation) as error:
        raise error if isinstance(error, Unreadable) else Unreadable("not a date and time") from error
    return moment


def read_datetime(value: Any, *, day_first: bool = False, zone: tzinfo = UTC) -> datetime | None:
    """ISO 8601 with or without a zone (then ``zone``), a date (midnight there), the forms of the US, or a number.

    ``12/31/2025 2:05 PM``, ``Jan 5, 2026`` and the like are read; the month comes first unless ``day_first``. So
    31/12/2025 is unreadable: where it comes from, 03/04/2025 means another day than here, and a warning is better
    than a wrong date. A number is read by its magnitude (``_counted``).

    Raises ``Unreadable``, also for a year before ``FIRST_YEAR``.
    """
    moment = _written(value, day_first=day_first)
    if moment is None:
        return None
    try:
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except OverflowError as error:
        raise Unreadable("date and time out of range") from error
    if moment.year < FIRST_YEAR:
        raise Unreadable("a year before 1000")
    return moment


def read_date(value: Any, *, day_first: bool = False) -> date | None:
    """The day that is written in anything that ``read_datetime`` reads, whatever its zone; of a number the UTC day.

    Raises ``Unreadable``.
    """
    try:
        moment = _written(value, day_first=day_first)
    except Unreadable as error:
        raise Unreadable("not a date") from error
    if moment is not None and moment.year < FIRST_YEAR:
        raise Unreadable("a year before 1000")
    return None if moment is None else moment.date()


def read_json(value: Any) -> str | None:
    """The text of a JSON value; a string that holds JSON is taken for what it holds."""
    if value is None:
        return None
    raw = bytes(value) if isinstance(value, msgspec.Raw | bytes) else msgspec.json.encode(value)
    if raw in (b"", b"null", b'""'):
        return None
    if raw[:1] == b'"':
        inner = msgspec.json.decode(raw, type=str).strip()
        if not inner:
            return None
        if inner[0] in "[{":
            inner = re.sub(NUL, r"\1", mended(inner.encode()).decode())
            try:
                msgspec.json.decode(inner.encode(), type=msgspec.Raw)
            except (msgspec.DecodeError, RecursionError):
                pass
            else:
                return inner
    return raw.decode()


READERS: Mapping[str, Callable[[Any], Any]] = {
    "text": read_text,
    "id": read_id,
    "uuid": read_uuid,
    "email": read_email,
    "phone": read_phone,
    "url": read_trimmed,
    "boolean": read_boolean,
    "integer": read_integer,
    "numeric": read_numeric,
    "date": read_date,
    "timestamptz": read_datetime,
    "jsonb": read_json,
}

SHAPES: Mapping[str, str] = {"id": OBJECT_ID, "email": EMAIL, "url": URL}
"""What text of a kind should look like, as a regular expression that Python and RE2 read alike."""
