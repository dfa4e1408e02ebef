"""The ten validators, one value at a time: what a value of each kind may look like, and what is made of it.

This is the reference. ``coerce`` reads whole columns at once and comes here only for the values that are not of the
plain form; a property test holds the two against each other. None passes through every validator. An empty string is
null for every kind but ``text``. Text is cleaned of NUL, which PostgreSQL cannot hold.
"""

import functools
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

import msgspec
import phonenumbers

BIGINT = range(-(2**63), 2**63)
LARGEST_EXPONENT = 1000
"""Of a number: PostgreSQL's numeric holds more, no CRM does, and 1e99999 is a way to fill a disk."""

EMAIL = r"^[^@\s,;<>]+@[^@\s,;<>]+\.[^@\s,;<>.]+$"
URL = r"^[A-Za-z][A-Za-z0-9+.-]*://[^\s]+$"
OBJECT_ID = r"^[!-~]{1,255}$"
ANY_UUID = r"^[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}$"
REGION = "US"
"""Where a phone number without a country code is taken to be."""

_TRUE = frozenset({"true", "t", "yes", "y", "on", "1"})
_FALSE = frozenset({"false", "f", "no", "n", "off", "0"})


NUL = r"(?<!\\)((?:\\\\)*)\\u0000"
"""A NUL as JSON writes it: after an even number of backslashes, which are the first group."""


class Unreadable(ValueError):
    """The value cannot be read as its kind; the message says why and does not contain the value."""


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
    return None if value is None else _text(value).strip().lower() or None


def read_trimmed(value: Any) -> str | None:
    """Trimmed; used for URLs."""
    return None if value is None else _text(value).strip() or None


def read_id(value: Any) -> str | None:
    """Trimmed; a UUID in lower case, as PostgreSQL writes it, since two systems may spell the same one otherwise."""
    text = read_trimmed(value)
    return text.lower() if text and re.fullmatch(ANY_UUID, text) else text


def read_uuid(value: Any) -> str | None:
    """A UUID as PostgreSQL writes it: in lower case, with four hyphens; it may come in braces, or without hyphens."""
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
    """true/false, yes/no, on/off, y/n, t/f, 1/0 in any case."""
    if value is None or isinstance(value, bool):
        return value
    text = _text(value).strip().lower()
    if not text:
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise Unreadable("not a boolean")


def _decimal(value: Any) -> Decimal | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise Unreadable("not a number")
    text = _text(value).strip()
    if not text:
        return None
    if re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?", text):
        text = text.replace(",", "")
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
        raise Unreadable("number out of range")
    return number


def read_numeric(value: Any) -> str | None:
    """A decimal number, as text so that no digit is lost on the way to ``numeric``."""
    number = _decimal(value)
    return None if number is None else format(number, "f")


def read_integer(value: Any) -> int | None:
    """A whole number of 64 bits; ``12.0`` is one, ``12.5`` is not."""
    number = _decimal(value)
    if number is None:
        return None
    if number != number.to_integral_value():
        raise Unreadable("not a whole number")
    if int(number) not in BIGINT:
        raise Unreadable("number out of range")
    return int(number)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_datetime(value: Any) -> datetime | None:
    """ISO 8601 with or without a zone (then UTC), a date (midnight UTC), or milliseconds since 1970."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal | float):
        raise Unreadable("not a date and time")
    text = _text(value).strip()
    if not text:
        return None
    if re.fullmatch(r"-?\d{1,3}|-?\d{9,16}", text) or (isinstance(value, int) and abs(value) < 10**16):
        try:
            return _EPOCH + timedelta(milliseconds=int(text))
        except OverflowError as error:
            raise Unreadable("date and time out of range") from error
    if not re.match(r"\d{4}-\d\d-\d\d", text):
        raise Unreadable("not a date and time")
    text = re.sub(r"\s*(UTC|GMT|[zZ])$", "+00:00", text)
    text = re.sub(r"\s+([+-]\d\d:?(\d\d)?)$", r"\1", text)
    text = re.sub(r"(\.\d{6})\d+", r"\1", text)
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Unreadable("not a date and time") from error
    return moment


def read_date(value: Any) -> date | None:
    """A date, or the UTC date of anything that ``read_datetime`` reads."""
    if isinstance(value, str) and re.fullmatch(r"\s*\d{4}-\d\d-\d\d\s*", value):
        try:
            return date.fromisoformat(value.strip())
        except ValueError as error:
            raise Unreadable("not a date") from error
    try:
        moment = read_datetime(value)
    except Unreadable as error:
        raise Unreadable("not a date") from error
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
            try:
                msgspec.json.decode(inner.encode(), type=msgspec.Raw)
            except msgspec.DecodeError:
                pass
            else:
                return re.sub(NUL, r"\1", inner)
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


@functools.lru_cache(maxsize=100_000)
def e164(text: str | None) -> str | None:
    """Return a phone number in E.164, or None when it is none that ``phonenumbers`` holds for valid."""
    if not text:
        return None
    try:
        number = phonenumbers.parse(text, REGION)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


@functools.lru_cache(maxsize=1)
def nanp_pattern() -> str:
    """Return a regular expression of the ten-digit numbers that are valid anywhere under country code 1.

    Made of ``phonenumbers``' own metadata, so that a whole column can be tested at once; ``e164`` costs 20 to 50 µs.
    """
    patterns: set[str] = set()
    for region in phonenumbers.region_codes_for_country_code(1):
        metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
        for kind in (
            "fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost", "personal_number", "voip",
            "pager", "uan", "voicemail",
        ):  # fmt: skip
            described = getattr(metadata, kind)
            if described is not None and described.national_number_pattern not in (None, "NA"):
                patterns.add(described.national_number_pattern)
    return f"^(?:{'|'.join(sorted(patterns))})$"
