"""What a cell of a sheet means, by the locale and the time zone of its spreadsheet.

Dates and numbers that the sheet itself has recognized come as numbers. What was typed into a cell that is formatted as
text, or written there by a program, comes as text, and means what it would have meant to the sheet: a day first or a
month first, a decimal point or a comma, a time of the sheet's own zone. Forms of dates that are not read here, but by
the shared reader (``validate``), are read by it in the sheet's order and zone: by itself it would take the month first
and UTC. A text that nobody reads stays as it is, and is counted as a lost value.

The order of day and month is that of the locale alone: "05/06/2026" is the 6th of May in ``en_US`` and the 5th of June
in ``en_GB``. Where the locale is missing or its people use both orders (``en_CA``), nobody can tell, and neither does a
19th month mean anything in ``en_US``. The shared reader would read some of these as a date; therefore ``DOUBTFUL`` is
put behind them, so the column is null, the loss is counted, and ``raw_data`` says why.

A number before 1950 in a column of dates is lost too: it is a year, a time without a date or the result of a formula,
and would be a day of 1899 and after. Zero is an empty cell: formulas make it of one.
"""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from warehouse_pipelines.model import validate

EPOCH = datetime(1899, 12, 30)  # noqa: DTZ001  (a serial date has no zone)
FIRST_SERIAL = 18_264
"""1950-01-01. A smaller number is none of our dates: a year, a time without a date, what a formula made."""

LAST_SERIAL = 2_958_466
"""The first number past the year 9999, so no serial date any more."""

MONTH_FIRST = frozenset({"en", "en_US", "fil", "fil_PH"})
_BOTH_ORDERS = "en_CA en_PH"
_MONTH_FIRST_IN_CLDR = (
    "en_AS en_BI en_GU en_MH en_MP en_PR en_UM en_VI es_PA es_PR ceb ceb_PH chr chr_US ee ee_GH ee_TG iu iu_CA ks om "
    "om_ET om_KE or or_IN ti ti_ER ti_ET xh xh_ZA"
)
"""Whether Google puts the month first there too is unconfirmed."""

EITHER_ORDER = frozenset({"", *_BOTH_ORDERS.split(), *_MONTH_FIRST_IN_CLDR.split()})

DOUBTFUL = " (day or month first?)"
COMMA_LANGUAGES = (
    "af az be bg bs ca cs da de el es et eu fi fr gl hr hu hy id is it ka kk lt lv mk nb nl nn no pl pt ro ru sk sl sq "
    "sr sv tr uk uz vi"
)
"""Languages with a decimal comma, but for the next."""

POINT_LOCALES = "de_CH de_LI it_CH es_419 es_DO es_GT es_HN es_MX es_NI es_PA es_PE es_PR es_SV es_US"

_NAMES = (
    "jan january", "feb february", "mar march", "apr april", "may", "jun june", "jul july", "aug august",
    "sep sept september", "oct october", "nov november", "dec december",
)  # fmt: skip
_MONTHS = {name: number for number, names in enumerate(_NAMES, start=1) for name in names.split()}
_TIME = r"(?:(?:\s*,\s*|\s+|T)(\d{1,2}):(\d\d)(?::(\d\d)(?:\.(\d{1,6})\d*)?)?\s*(?:([AaPp])\.?[Mm]\.?)?)?"
_YEAR_FIRST = re.compile(rf"(\d{{4}})([-/.])(\d{{1,2}})\2(\d{{1,2}}){_TIME}")
_YEAR_LAST = re.compile(rf"(\d{{1,2}})([-/.])(\d{{1,2}})\2(\d{{4}}|\d\d){_TIME}")
_NAMED = re.compile(rf"([A-Za-z]{{3,9}})\.?\s+(\d{{1,2}})(?:st|nd|rd|th)?\s*,?\s+(\d{{4}}){_TIME}")
_NAMED_DAY_FIRST = re.compile(rf"(\d{{1,2}})(?:st|nd|rd|th)?[\s-]+([A-Za-z]{{3,9}})\.?,?[\s-]+(\d{{4}}){_TIME}")

_SPACES = str.maketrans({"\u00a0": " ", "\u202f": " ", "\u2009": " ", "\u2019": "'", "\u2212": "-"})
_EURO = "AT BE CY DE EE ES FI FR GR HR IE IT LT LU LV MT NL PT SI SK"
_CURRENCIES = {
    "US": r"(?:US)?\$|USD", "CA": r"(?:CA|C)?\$|CAD", "AU": r"(?:AU|A)?\$|AUD", "NZ": r"(?:NZ)?\$|NZD",
    "MX": r"(?:MX)?\$|MXN", "GB": "£|GBP", "CH": r"CHF|Fr\.", "JP": "[¥￥]|JPY", "IN": r"₹|Rs\.?|INR",
    "BR": r"R\$|BRL", "SE": "kr|SEK", "NO": r"kr\.?|NOK", "DK": r"kr\.?|DKK", "PL": "zł|PLN", "CZ": "Kč|CZK",
    "HU": "Ft|HUF", "RO": "lei|RON", "TR": "₺|TRY",
    **dict.fromkeys(_EURO.split(), "€|EUR"),
}  # fmt: skip
"""What stands before or behind an amount, by the country of the locale. Only the sheet's own currency is taken off:
an amount in another one would be mistaken for it afterwards."""

_AMOUNT = (
    r"(?P<open>\()?\s*(?P<sign>[-+])?\s*(?:{0})?\s*(?P<second>[-+])?\s*(?P<digits>\d[\d.,' ]*?)\s*(?:{0})?\s*"
    r"(?P<close>\))?"
)


def zone_of(name: str) -> tzinfo:
    """Return the time zone that a spreadsheet names: one of the CLDR, or an offset such as ``GMT-07:00``.

    Raises ``ValueError`` for one that is neither.
    """
    found = re.fullmatch(r"(?:GMT|UTC)([+-])(\d{1,2})(?::?(\d\d))?", name.strip())
    if found:
        offset = timedelta(hours=int(found[2]), minutes=int(found[3] or 0))
        return timezone(-offset if found[1] == "-" else offset)
    try:
        return ZoneInfo(name.strip())
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"no time zone {name!r}") from error


class Cells:
    """Reads cells as their columns are declared."""

    def __init__(self, locale: str, zone: tzinfo) -> None:
        self.zone = zone
        locale = locale.replace("-", "_")
        self.month_first = locale in MONTH_FIRST
        self.order_known = locale not in EITHER_ORDER
        language, _, country = locale.partition("_")
        country = country or {"en": "US", "cs": "CZ", "sv": "SE", "da": "DK"}.get(language, language.upper())
        self._in_us = country == "US"
        self._written = re.compile(_AMOUNT.format(_CURRENCIES.get(country, "(?!)")))
        comma = language in COMMA_LANGUAGES.split() and locale not in POINT_LOCALES.split()
        point, group = (",", r"\.") if comma else (r"\.", ",")
        self._number = re.compile(rf"\d+(?:{point}\d+)?|\d{{1,3}}(?:(?P<group>{group}|[' ])\d{{3}})"
                                  rf"(?:(?P=group)\d{{3}})*(?:{point}\d+)?")  # fmt: skip
        self._point = "," if comma else "."

    def read(self, kind: str, cell: Any) -> Any:
        """Return a cell of a column of this kind in the form that every source has: ISO 8601, plain numbers."""
        if kind in ("date", "timestamptz"):
            if type(cell) in (int, float) and cell == 0:
                return None  # a formula makes it of an empty cell
            at = self._moment(cell)
            if at is None:
                return self._as_shared(kind, cell)
            return at.date().isoformat() if kind == "date" else at.replace(tzinfo=self.zone).isoformat()
        if kind in ("integer", "numeric") and isinstance(cell, str):
            return self._amount(cell)
        return cell

    def postcode(self, cell: Any) -> Any:
        """Return a postcode; in a sheet of the US a number of three or four digits gets back its zeros."""
        return f"{cell:05}" if self._in_us and type(cell) is int and 100 <= cell <= 9_999 else cell

    def _moment(self, cell: Any) -> datetime | None:
        """Return the time on the sheet's own clock; None for what is no date, or has a zone of its own."""
        if isinstance(cell, bool):
            return None
        if isinstance(cell, int | float):
            if isinstance(cell, int) and len(str(cell)) == 8:
                return _compact(str(cell))
            if not FIRST_SERIAL <= cell < LAST_SERIAL:
                return None
            return EPOCH + timedelta(milliseconds=round(cell * 86_400_000))
        return self._typed(cell) if isinstance(cell, str) else None

    def _as_shared(self, kind: str, cell: Any) -> Any:
        """Return a cell in a form of which the shared reader makes what the sheet means by it, or nothing."""
        orders = (not self.month_first,) if self.order_known else (False, True)
        text = cell.translate(_SPACES) if isinstance(cell, str) else cell
        readings = {_shared(kind, text, zone=self.zone, day_first=day_first) for day_first in orders} - {None}
        alone = _shared(kind, cell)
        if len(readings) != 1:
            return cell if alone is None else f"{cell}{DOUBTFUL}"
        (reading,) = readings
        return cell if reading == alone else reading

    def _typed(self, cell: str) -> datetime | None:
        text = cell.translate(_SPACES).strip()
        if re.fullmatch(r"\d{8}", text):
            return _compact(text)
        if found := _YEAR_FIRST.fullmatch(text):
            return _at(found[1], found[3], found[4], found.groups()[4:])
        if found := _YEAR_LAST.fullmatch(text):
            first, second = found[1], found[3]
            year = found[4] if len(found[4]) == 4 else str(int(found[4]) + (2000 if int(found[4]) < 30 else 1900))
            if self.order_known:
                month, day = (first, second) if self.month_first else (second, first)
                return _at(year, month, day, found.groups()[4:])
            orders = {_at(year, first, second, found.groups()[4:]), _at(year, second, first, found.groups()[4:])}
            orders.discard(None)
            return orders.pop() if len(orders) == 1 else None
        if found := _NAMED.fullmatch(text):
            return _at(found[3], _MONTHS.get(found[1].lower()), found[2], found.groups()[3:])
        if found := _NAMED_DAY_FIRST.fullmatch(text):
            return _at(found[3], _MONTHS.get(found[2].lower()), found[1], found.groups()[3:])
        return None

    def _amount(self, cell: str) -> str:
        """Return a number as it was typed in plain digits; what is no number of this locale comes back as it is."""
        found = self._written.fullmatch(cell.translate(_SPACES).strip())
        if found is None or bool(found["open"]) != bool(found["close"]) or not self._number.fullmatch(found["digits"]):
            return cell
        digits = re.sub(rf"[^\d{self._point}]", "", found["digits"]).replace(self._point, ".")
        return f"-{digits}" if found["open"] or "-" in (found["sign"], found["second"]) else digits


def _shared(kind: str, cell: Any, *, zone: tzinfo = UTC, day_first: bool = False) -> str | None:
    """Return what the shared reader makes of a cell, in ISO 8601; None for what it cannot read."""
    try:
        if kind == "date":
            day = validate.read_date(cell, day_first=day_first)
            return day.isoformat() if day else None
        at = validate.read_datetime(cell, day_first=day_first, zone=zone)
        return at.isoformat() if at else None
    except validate.Unreadable:
        return None


def _compact(digits: str) -> datetime | None:
    if not "19000101" <= digits <= "21001231":
        return None
    return _at(digits[:4], digits[4:6], digits[6:], (None,) * 5)


def _at(year: str, month: str | int | None, day: str, time: Any) -> datetime | None:
    """Return a moment of the sheet's clock; None for one that no calendar has."""
    hour, minute, second, fraction, half = time
    if month is None or (half and not 1 <= int(hour) <= 12):
        return None
    try:
        at = datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0),
                      int((fraction or "").ljust(6, "0")), tzinfo=UTC)  # fmt: skip
    except ValueError:
        return None
    if half:
        at = at.replace(hour=at.hour % 12 + (12 if half in "Pp" else 0))
    return at.replace(tzinfo=None)
