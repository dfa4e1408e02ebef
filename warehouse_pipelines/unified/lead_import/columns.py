"""Which column of a file fills which field of a lead: by its header, and by what the user says.

Decided:

- A header is compared without case, accents and punctuation, whole: "E-Mail Address" is known, "Spouse email" is not.
  What is not known is left out, and the preview says so; nothing is guessed from the cells.
- The header is the row of the first twenty that has the most known headers. Without one the file is refused: the first
  person would be lost as a header.
- Several columns may fill a field that takes several (phones, e-mail addresses, tags, notes, who sent the person, and
  all that says how a person may be reached); of any other field the first column counts, and the second is left out and
  named. Of a second status what it refuses is read.
- A header that speaks of a refusal and is not known, such as "Phone 1 DNC" or "National DNC", stops the import: nobody
  is imported as if they had not refused. Whose refusal it is, and of which channel, the user says.
"""

import functools
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from warehouse_pipelines.errors import WrongUse
from warehouse_pipelines.unified.lead_import.table_file import LeadFile, Row, Unreadable

HEADER_ROWS = 20


@dataclass(frozen=True)
class Field:
    """A field that a column may fill, and the headers by which it is known."""

    name: str
    headers: str
    """Headers as ``folded`` makes them, apart by commas; the name itself is one too."""
    several: bool = False
    shown: bool = False
    """Whether the preview shows its cells as they are: they are no personal data."""

    @property
    def known(self) -> frozenset[str]:
        return frozenset({self.name.replace("_", " "), *(header.strip() for header in self.headers.split(","))})


FIELDS: Mapping[str, Field] = {
    field.name: field
    for field in (
        Field("full_name", "name, contact, contact name, customer, customer name, client, client name, lead name, "
              "homeowner, homeowner name, fullname, prospect, prospect name, contact full name, your name"),
        Field("first_name", "first, firstname, given name, fname, forename, first name s, contact first name, "
              "customer first name, lead first name, primary first name, nombre"),
        Field("last_name", "last, lastname, surname, family name, lname, contact last name, customer last name, "
              "lead last name, primary last name, apellido"),
        Field("company", "company name, business, business name, organization, organisation, account name"),
        Field("phone", "phone number, telephone, tel, phone no, phone 1, primary phone, best phone, contact phone, "
              "customer phone, contact number, phone number 1, lead phone, phone primary, telefono, phonenumber, "
              "mobile, mobile phone, mobile number, cell, cell phone, cellphone, cell number, home phone, home, "
              "home phone number, work phone, business phone, office phone, day phone, evening phone, "
              "alternate phone, alt phone, other phone, secondary phone, phone 2, phone 3, phone2, phone3, phone1, "
              "phone number 2, phone mobile, phone home, phone work", several=True),
        Field("email", "e mail, email address, e mail address, mail, email 1, primary email, contact email, "
              "customer email, email2, email 2, email1, secondary email, alternate email, alt email, other email, "
              "personal email, work email, lead email, emailaddress, correo, correo electronico, your email",
              several=True),
        Field("street", "address, street address, address 1, address1, address line 1, mailing address, "
              "property address, home address, addr, street 1, street1, service address, job address"),
        Field("unit", "apt, apartment, suite, address 2, address2, address line 2, unit number, street 2, street2"),
        Field("city", "town, locality, mailing city, property city, service city"),
        Field("state", "province, region, st, state province, mailing state, property state, state code", shown=True),
        Field("postal_code", "zip, zip code, zipcode, postcode, postal, zip postal code, zip postal, mailing zip, "
              "property zip, zip5, postal zip code, postalcode, service zip"),
        Field("status", "lead status, stage, lead stage, disposition, pipeline stage, contact status, lifecycle stage, "
              "result, outcome", shown=True),
        Field("source", "lead source, original source, utm source, referral source, how did you hear about us, "
              "marketing source, channel, source name, lead origin, origin", shown=True),
        Field("referred_by", "referrer, referrer name, referrer phone, referrer email, referring customer, "
              "referral name, referral phone, referral email, referred by name, referred by phone, "
              "referred by email", several=True),
        Field("tags", "tag, labels, label, lists, groups, keywords, interest, interests, product, products, "
              "product interest, service", several=True, shown=True),
        Field("notes", "note, comments, comment, description, message, remarks, details, memo, additional notes",
              several=True),
        Field("value_usd", "value, deal value, amount, deal amount, estimate, estimate amount, job value, price, "
              "opportunity amount, contract amount, estimated value, budget, lead value", shown=True),
        Field("created_at", "created, created on, create date, date created, date, date added, lead date, "
              "created time, timestamp, submitted at, submission date, date received, received, entry date, "
              "inquiry date, created date, added, date entered, creation date", shown=True),
        Field("division", "branch, office, location, territory, market, team, business unit", shown=True),
        Field("timezone", "time zone, tz", shown=True),
        Field("owner", "sales rep, salesperson, rep, assigned to, lead owner, contact owner, owner name, agent, "
              "owner id, salesrep, account owner", shown=False),
        Field("external_id", "id, lead id, contact id, record id, customer id, reference, external lead id, "
              "crm id, ref, client id"),
        Field("other_status", "email status, sms status, text status, phone status, call status, subscription status, "
              "subscriber status, email marketing status, marketing status", several=True, shown=True),
        Field("do_not_call", "dnc, do not call list, no call, do not phone, on dnc, is dnc, dnc flag, "
              "donotcall, dnc status, dnc y n, dnc date, dnc listed, dnc list, on dnc list, do not call flag, "
              "do not call y n, do not call date, opt out call, call opt out, opted out of calls, phone opt out, "
              "internal dnc", several=True, shown=True),
        Field("do_not_text", "do not sms, no text, no sms, sms opt out, text opt out, opt out sms, opt out text, "
              "sms unsubscribed, do not text message, opted out of sms, opted out of texts, sms opted out, "
              "text opted out, sms opt out date, text opt out date, sms dnd, dnd sms", several=True, shown=True),
        Field("do_not_email", "no email, email opt out, unsubscribed, opt out email, "
              "unsubscribed from all email, unsubscribe, unsubscribed from email, has opted out of email, do not mail, "
              "email unsubscribed, opted out of email, email opted out, is unsubscribed, unsubscribe date, "
              "unsubscribed at, unsubscribed date, email opt out date, email unsubscribe date, dnd email",
              several=True, shown=True),
        Field("do_not_contact", "opt out, opted out, optout, no contact, opt out all, global opt out, dnd, "
              "do not contact flag, opt out date, opted out at, opted out date, marketing opt out, "
              "opted out of marketing, do not solicit, do not disturb", several=True, shown=True),
        Field("consent", "consent channels, consented to, opt in channels, permission, opted in to, contact permission",
              several=True, shown=True),
        Field("call_consent", "consent to call, call opt in, phone consent, opt in call, tcpa consent, "
              "consent call, may call", several=True, shown=True),
        Field("sms_consent", "sms opt in, text consent, text opt in, opt in sms, consent sms, consent to text, "
              "may text, opted in to sms, sms marketing consent, accepts sms marketing", several=True, shown=True),
        Field("email_consent", "email opt in, opt in email, consent email, consent to email, may email, "
              "newsletter, marketing consent email, email marketing consent, accepts email marketing",
              several=True, shown=True),
        Field("consent_at", "consent date, consent time, opt in date, consent timestamp, opted in at, opt in time, "
              "consented at, consented on, date of consent, tcpa date", shown=True),
        Field("consent_source", "opt in source, consent origin, source of consent, consent form, consent url, "
              "consented by", shown=True),
        Field("consent_text", "consent text version, consent version, consent language, consent wording, "
              "text version", shown=True),
    )
}  # fmt: skip

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\ud800-\udfff]")

KNOWN: Mapping[str, str] = {header: field.name for field in FIELDS.values() for header in field.known}
KEYS = ("phone", "email")
UNKNOWN = "not known"
LEFT_OUT = ("", "-", "ignore", "none")

_REFUSES = re.compile(
    r"dnc|\bdnd|donot|\bdo not\b|\bdo ?n t\b|\bdont|\bopt(?:ed|s|ing)? ?out|unsubscri|blacklist|litigat"
    r"|\bno (?:more )?(?:call|phone|text|sms|e ?mail|contact|solicit|marketing)"
)
"""Of a folded header: it says who must not be reached."""


@dataclass(frozen=True)
class Column:
    """A column of the file: its place from 1, its header, and the field that it fills; why it is left out, if it is."""

    place: int
    header: str
    field: str | None
    why: str = ""


@dataclass(frozen=True)
class ColumnMap:
    """All columns of a file, and the number of the row that has the headers; 0 when none does."""

    header_row: int
    columns: tuple[Column, ...]

    @property
    def width(self) -> int:
        return len(self.columns)

    def of(self, field: str) -> list[Column]:
        """Return the columns that fill a field."""
        return [column for column in self.columns if column.field == field]

    def stored(self) -> dict[str, str]:
        """Return place and field of what is imported. Headers stay out: a file without any has people there."""
        return {str(column.place): column.field for column in self.columns if column.field}


def folded(header: str) -> str:
    """Return a header as it is compared: lower case, without accents, words apart by one blank."""
    plain = unicodedata.normalize("NFKD", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", header))
    plain = "".join(character for character in plain if not unicodedata.combining(character))
    return " ".join(re.findall(r"[a-z0-9]+", plain.lower()))


@functools.lru_cache(maxsize=10_000)
def field_of(header: str) -> str | None:
    """Return the field that a header is known to mean."""
    words = folded(header)
    return KNOWN.get(words) or KNOWN.get(words.replace(" ", "")) or KNOWN.get(folded(header.lower()))


def refuses(header: str) -> bool:
    """Whether a header speaks of people who must not be reached."""
    return any(_REFUSES.search(words) for words in (folded(header), folded(header.lower())))


def mapped(
    file: LeadFile, given: Sequence[str] = (), *, header_row: int | None = None, no_header: bool = False
) -> ColumnMap:
    """Return which column fills which field. ``given`` are ``Header=field`` of the user.

    Raises ``WrongUse`` when no header is known, when what was given names none, when one that is not known speaks of a
    refusal, or when neither a phone number nor an e-mail address is among the fields.
    """
    first = _first_rows(file)
    said = [_given(one) for one in given]
    if no_header:
        width = max((len(row.cells) for row in first), default=0)
        number, headers = 0, [f"Column {place}" for place in range(1, width + 1)]
    else:
        found = _header(first, header_row, [header for header, _ in said])
        number, headers = found.number, _without_blank_tail(found.cells)
    columns = _columns(headers, said)
    if unread := [column for column in columns if column.why == UNKNOWN and refuses(column.header)]:
        raise WrongUse(
            f"It is not known how to read who must not be reached: {_listed([one.header for one in unread])}. Say it "
            f'for each, such as --map "{unread[0].header}=do_not_call" (or do_not_text, do_not_email, do_not_contact: '
            f'of all numbers and addresses of the row); --map "{unread[0].header}=ignore" leaves it out.'
        )
    mapping = ColumnMap(number, tuple(columns))
    if not any(mapping.of(key) for key in KEYS):
        raise WrongUse(
            "No column is a phone number or an e-mail address, without which a lead cannot be told from another. "
            f'Say which one is: --map "Header=phone". The headers in row {number}: {_listed(headers)}.'
            if number
            else 'Say what the columns are, such as --map "Column 1=full_name" --map "Column 2=phone".'
        )
    return mapping


def _first_rows(file: LeadFile) -> list[Row]:
    first: list[Row] = []
    try:
        for row in file.rows():
            if row.number > 200:
                break
            if not row.blank:
                first.append(row)
            if len(first) == HEADER_ROWS:
                break
    except Unreadable:
        if not first:
            raise
    if not first:
        raise WrongUse("The file has no rows.")
    return first


def _header(first: Sequence[Row], wanted: int | None, said: Iterable[str]) -> Row:
    """Return the row that has the headers. Raises ``WrongUse`` when none has."""
    if wanted is not None:
        for row in first:
            if row.number == wanted:
                return row
        raise WrongUse(f"Row {wanted} is blank or beyond the first {HEADER_ROWS}; it cannot hold the headers.")
    named = {folded(header) for header in said}

    def known(row: Row) -> int:
        return len({folded(cell) for cell in row.cells if field_of(cell) or (cell and folded(cell) in named)} - {""})

    best = max(first, key=known)
    if known(best) == 0:
        raise WrongUse(
            "No row among the first has headers that are known. Say where they are (--header-row 3) and what they mean "
            '(--map "Header=phone"), or that there are none (--no-header --map "Column 2=phone").'
        )
    return best


def _without_blank_tail(cells: Sequence[str]) -> list[str]:
    # As they may stand on a screen: a control character would act on a terminal.
    headers = [" ".join(_CONTROLS.sub(" ", cell).split())[:100] for cell in cells]
    while headers and not headers[-1]:
        headers.pop()
    return headers


def _given(one: str) -> tuple[str, str | None]:
    header, separator, field = one.rpartition("=")
    field = field.strip().lower()
    if not separator or not header.strip():
        raise WrongUse(f'--map takes "Header=field", such as --map "Cell #=phone"; {one!r} is not.')
    if field in LEFT_OUT:
        return header.strip(), None
    field = {"name": "full_name", "zip": "postal_code", "value": "value_usd", "address": "street"}.get(field, field)
    if field not in FIELDS:
        raise WrongUse(f"There is no field {field!r}. There are: {', '.join(FIELDS)}; and `ignore`, to leave it out.")
    return header.strip(), field


def _columns(headers: Sequence[str], said: Sequence[tuple[str, str | None]]) -> list[Column]:
    columns: list[Column] = []
    filled: set[str] = set()
    wanted = _placed(headers, said)
    taken = {field for field in wanted.values() if field}
    for place, header in enumerate(headers, 1):
        if place in wanted:
            field, why = wanted[place], "" if wanted[place] else "by --map"
        else:
            field = field_of(header)
            why = "" if field else "no header" if not header else UNKNOWN
            if field == "status" and field in taken:
                field = "other_status"
            elif field and field in taken and not FIELDS[field].several:
                field, why = None, f"--map gives {field} to another column"
        if field == "status" and field in filled:
            field = "other_status"
        elif field and field in filled and not FIELDS[field].several:
            field, why = None, f"a column before it is {field} already"
        if field:
            filled.add(field)
        columns.append(Column(place, header, field, why))
    return columns


def _placed(headers: Sequence[str], said: Sequence[tuple[str, str | None]]) -> dict[int, str | None]:
    """Return the field that the user gives to a column, by its place. Of equal headers ``Email (2)`` is the second."""
    count: dict[str, int] = {}
    places: dict[str, int] = {}
    for place, header in enumerate(headers, 1):
        name = folded(header)
        count[name] = count.get(name, 0) + 1
        places.setdefault(name, place)
        places.setdefault(f"{name} {count[name]}", place)
        places.setdefault(f"column {place}", place)
    wanted: dict[int, str | None] = {}
    for header, field in said:
        place = next((at for at, one in enumerate(headers, 1) if one == header), 0) or places.get(folded(header), 0)
        if not place:
            raise WrongUse(f"--map names a header that the file has not: {header!r}. There are: {_listed(headers)}.")
        wanted[place] = field
    return wanted


def _listed(headers: Sequence[str]) -> str:
    return ", ".join(repr(header) for header in headers[:60] if header) or "none"
