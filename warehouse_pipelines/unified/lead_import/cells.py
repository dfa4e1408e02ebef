"""What a cell of a file says: without what cannot be seen, as numbers, addresses, a postal code, a time.

Decided:

- Spreadsheets change cells. ``1.93755e9`` has lost digits of a phone number unless all of them stand in the mantissa;
  ``2134`` is the ZIP code 02134. Days are read as year-month-day or, as in this country, month/day/year.
"""

import datetime as dt
import functools
import re
import unicodedata

from warehouse_pipelines.model.phones import REGION, e164, nanp_pattern

FURTHER_DIGITS = 4
"""As many beside a number may be another one: "206-555-0101/0102"."""


_INVISIBLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\ud800-\udfff]")


def cleaned(text: str) -> str:
    """Return a cell without what cannot be seen, in NFC, without blanks at its ends."""
    if text.isascii() and text.isprintable():
        return text.strip()
    text = unicodedata.normalize("NFC", _INVISIBLE.sub("", text.replace("\xa0", " ").replace("\t", " ")))
    return text.strip().strip("'" if text.strip().startswith("'") and text.strip()[1:].isdigit() else None)


_LOST = re.compile(r"\+?(\d)(?:[.,](\d+))?[eE]\+?(\d{1,2})")
NOTHING = frozenset({"", "n/a", "na", "none", "null", "nan", "-", "--", "unknown", "#n/a", "tbd", "?", "x"})


def number_written_out(text: str) -> str | None:
    """Return digits of ``1.2065550101E10``; None when some were lost. What is no such number stays as it is."""
    found = _LOST.fullmatch(text)
    if not found:
        return text.removesuffix(".0") if re.fullmatch(r"\d+\.0", text) else text
    digits = found[1] + (found[2] or "")
    return digits.ljust(int(found[3]) + 1, "0") if len(digits) > int(found[3]) else None


_PUNCTUATION = str.maketrans("", "", " ().-/")


@functools.cache
def _plain_number() -> re.Pattern[str]:
    return re.compile(nanp_pattern())


def phone(text: str) -> str | None:
    """Return a number in E.164. A plain one of North America is told by one pattern, at a twentieth of the time."""
    digits = text.translate(_PUNCTUATION).removeprefix("+1")
    if len(digits) == 11 and digits[0] == "1":
        digits = digits[1:]
    if len(digits) == 10 and digits.isascii() and _plain_number().match(digits):
        return f"+1{digits}"
    return e164(text)


def numbers(text: str) -> tuple[list[str], bool]:
    """Return the numbers of a cell in E.164, and whether its digits are theirs."""
    one = phone(text)
    digits = sum(character.isdigit() for character in text)
    if digits <= 11:
        return [one] if one else [], True
    import phonenumbers

    matches = list(phonenumbers.PhoneNumberMatcher(text, REGION))
    found = [str(phonenumbers.format_number(match.number, phonenumbers.PhoneNumberFormat.E164)) for match in matches]
    if len(found) < 2:
        found = [one] if one else found
    of_them = sum(character.isdigit() for match in matches for character in match.raw_string)
    return list(dict.fromkeys(found)), not matches or digits - of_them < FURTHER_DIGITS


_ADDRESS = re.compile(
    r"[a-z0-9!#$%&'*+/=?^_`{|}~.\u00a1-\uffff-]{1,64}@"
    r"(?:[a-z0-9\u00a1-\uffff](?:[a-z0-9\u00a1-\uffff-]{0,61}[a-z0-9\u00a1-\uffff])?\.)+[a-z\u00a1-\uffff]{2,63}"
)
_NOBODY = re.compile(
    r"(no-?reply|do-?not-?reply|none|noemail|no-?email|nomail|na|n/a|unknown|noone|nobody|declined|refused)@.*"
    r"|(test|email|xx+|aa+|asdf+)@(test|email|xx+|aa+|asdf+)\.[a-z]+|.*@(none|noemail|no)\.[a-z]+"
)


def addresses(text: str) -> tuple[list[str], bool]:
    """Return the e-mail addresses of a cell in lower case, and whether something in it is none."""
    found: list[str] = []
    odd = False
    for piece in re.split(r"[\s,;<>()\[\]\"]+|mailto:", text.lower()):
        part = piece.strip(".:'")
        if "@" not in part:
            continue
        if len(part) <= 254 and _ADDRESS.fullmatch(part) and ".." not in part and not _NOBODY.fullmatch(part):
            found.append(part)
        else:
            odd = True
    return found, odd or (not found and text.lower() not in NOTHING)


_ZIP = re.compile(r"(\d{3,5})(?:-?(\d{4}))?")
_CANADA = re.compile(r"([A-Za-z]\d[A-Za-z]) ?(\d[A-Za-z]\d)")


def postal_code(text: str) -> str | None:
    """Return five digits of a ZIP code, the zeros that a spreadsheet took at its beginning put back."""
    text = number_written_out(text) or ""
    if re.fullmatch(r"\d{7,9}", text):
        text = f"{text.zfill(9)[:5]}"
    if found := _ZIP.fullmatch(text):
        return found[1].zfill(5)
    if found := _CANADA.fullmatch(text):
        return f"{found[1]} {found[2]}".upper()
    return None


_DAY = re.compile(
    r"(?:(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})|(\d{1,2})[-/.](\d{1,2})[-/.](\d{4}|\d{2}))"
    r"(?:[T, ]+(\d{1,2}):(\d\d)(?::(\d\d)(?:\.\d+)?)?\s*([AaPp]\.?[Mm]\.?)?)?\s*(Z|UTC|[+-]\d\d:?\d\d)?"
)


def time(text: str) -> dt.datetime | None:
    """Return a day or time, in UTC where it says no zone; None when it cannot be read for certain."""
    if re.fullmatch(r"1\d{9}(\d{3})?", text):  # seconds or milliseconds since 1970
        return dt.datetime.fromtimestamp(int(text[:10]), dt.UTC)
    if re.fullmatch(r"[2-6]\d{4}(\.\d+)?", text):  # a day of Excel's whose cell was no date
        return dt.datetime(1899, 12, 30, tzinfo=dt.UTC) + dt.timedelta(days=float(text))
    found = _DAY.fullmatch(text)
    if not found:
        return None
    year, month, day = (found[1], found[2], found[3]) if found[1] else (found[6], found[4], found[5])
    hour, half = int(found[7] or 0), (found[10] or "").lower().replace(".", "")
    if half:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half == "pm" else 0)
    zone = found[11]
    if zone in (None, "Z", "UTC"):
        offset = dt.timedelta()
    else:
        offset = dt.timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:])) * (-1 if zone[0] == "-" else 1)
    try:
        number = int(year) + (0 if len(year) == 4 else 2000 if int(year) < 70 else 1900)
        local = dt.datetime(number, int(month), int(day), hour, int(found[8] or 0), int(found[9] or 0), tzinfo=dt.UTC)
        return local - offset
    except (ValueError, OverflowError):
        return None
