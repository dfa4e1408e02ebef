"""What a row of a file says of a lead: its cells read, checked, and put into the form that ``crm.leads`` has.

Decided:

- A row is refused when it has neither a phone number nor an e-mail address that can be read: it could not be told from
  another row, nor reached. Any other cell that cannot be read is left out, and a remark says which and why.
- A remark names the field and never its value: remarks are kept, and printed.
- Spreadsheets spoil cells. ``1.93755e9`` has lost digits of a phone number unless all of them stand in the mantissa;
  ``2134`` is the ZIP code 02134. Days are read as year-month-day or, as in this country, month/day/year.
- A consent needs a channel, a source and a time, each from the file. It is a list of channels, with "yes", "ok" or
  "only" at most; "only" takes the others back. A word of refusal beside a channel ("no texts", "email: declined") takes
  it back, and beside none all of them; in such a cell a channel is given only where "yes" or the like stands with it.
  What is neither is not taken, and a remark says so.
- What takes a consent back, or forbids a channel, needs neither source nor time, so that nobody is contacted who may
  have refused. It counts from the import, because the file says how it stands then; ``consent_at`` is when it was
  given. A "no" alone in such a column forbids nothing and lifts nothing, and a "yes" beside it is none.
- What asks for it in words ("never call", "DNC") puts the number on the do-not-call list, in whichever of these columns
  and in a status. A cell of a ``do_not_`` column that cannot be read counts as yes.
- A refused row forbids what it says: its numbers and addresses that can be read are listed. Where it has more cells
  than headers, a yes counts from the column of its header on.
"""

import datetime as dt
import functools
import re
import unicodedata
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from nameparser import HumanName

from warehouse_pipelines.model.phones import REGION, e164, nanp_pattern
from warehouse_pipelines.unified.identity import names
from warehouse_pipelines.unified.identity.name_words import SUFFIXES
from warehouse_pipelines.unified.lead_import.columns import ColumnMap
from warehouse_pipelines.unified.lead_import.table_file import Row

LENGTHS = {"notes": 10_000, "street": 300, "company": 200, "tags": 1000, "consent_text": 200, "consent_source": 200}
LENGTH = 120
CHANNELS = ("call", "sms", "email")
FORBIDS = {
    "do_not_call": ("call",), "do_not_text": ("sms",), "do_not_email": ("email",), "do_not_contact": CHANNELS,
}  # fmt: skip
FURTHER_DIGITS = 4
"""As many beside a number may be another one: "206-555-0101/0102"."""
KEPT = ("company", "street", "unit", "city", "state", "notes", "owner", "external_id")
"""Fields that ``crm.leads`` has no column for; they stand in ``source_metadata``."""


@dataclass
class LeadRow:
    """A lead as a row has it. ``refused`` says why there is none."""

    number: int
    first_name: str | None = None
    last_name: str | None = None
    phones: list[str] = field(default_factory=list)
    emails: list[str] = field(default_factory=list)
    status: str | None = None
    source: str | None = None
    tags: list[str] = field(default_factory=list)
    value_usd: Decimal | None = None
    created_at: dt.datetime | None = None
    division: str | None = None
    timezone: str | None = None
    postal_code: str | None = None
    owner_id: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    consent: list[dict[str, str]] = field(default_factory=list)
    withdrawn: list[dict[str, str]] = field(default_factory=list)
    forbidden: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    refused: str | None = None


def read(row: Row, mapping: ColumnMap, now: dt.datetime) -> LeadRow:
    """Return what a row says."""
    lead = LeadRow(row.number, remarks=[*row.remarks], refused=row.problem)
    if lead.refused:
        return lead
    if any(cell.strip() for cell in row.cells[mapping.width :]):
        lead.refused = f"it has {len(row.cells)} cells, and the header {mapping.width}: is a separator in a value?"
        _forbidden_by_shifted(lead, row, mapping)
        return lead
    cells: dict[str, list[str]] = {}
    for column in mapping.columns:
        if not column.field:
            continue
        if column.place in row.unread and column.field in FORBIDS:
            cells.setdefault(column.field, []).append("cannot be read")
        if column.place <= len(row.cells) and (text := cleaned(row.cells[column.place - 1])):
            if len(text) > (limit := LENGTHS.get(column.field, LENGTH)):
                if column.field == "notes":
                    lead.remarks.append(f"notes were cut at {limit:,} characters")
                elif column.field not in FORBIDS:
                    lead.refused = lead.refused or f"{column.field} is longer than {limit} characters"
                text = text[: limit - 1] + "…"
            cells.setdefault(column.field, []).append(text)
    _reach(lead, cells)
    if lead.refused:
        lead.remarks = [*row.remarks]
        said = _said(cells, [])
        lead.forbidden = [channel for channel in CHANNELS if channel in said.forbidden | said.back]
        lead.status = next(iter(cells.get("status", ())), None)
        return lead
    if not lead.phones and not lead.emails:
        why = "; ".join(dict.fromkeys(remark for remark in lead.remarks if remark.startswith(("phone", "email"))))
        lead.refused = f"neither a phone number nor an e-mail address{f': {why}' if why else ''}"
        lead.remarks = [*row.remarks]
        return lead
    _name(lead, cells)
    _rest(lead, cells, now)
    _consent(lead, cells, now)
    lead.remarks = list(dict.fromkeys(lead.remarks))
    return lead


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


def _reach(lead: LeadRow, cells: dict[str, list[str]]) -> None:
    for text in cells.get("phone", ()):
        if text.lower() in NOTHING:
            continue
        written = number_written_out(text)
        if written is None:
            lead.remarks.append("phone has lost digits in a spreadsheet")
        else:
            found, whole = numbers(written)
            lead.phones += [number for number in found if number not in lead.phones]
            if not found:
                lead.remarks.append("phone cannot be read as a number")
            elif not whole:
                lead.remarks.append("phone holds digits beside the number that are read as none")
    for text in cells.get("email", ()):
        found, odd = addresses(text)
        lead.emails += [address for address in found if address not in lead.emails]
        if odd:
            lead.remarks.append("email cannot be read as an address")


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


_AND = re.compile(r"\s*(?:&|\+|/|\band\b|\by\b)\s*", re.IGNORECASE)
_PLAIN = re.compile(r"([^\W\d_][\w'’.-]*) ([^\W\d_][\w'’-]+)")


def _name(lead: LeadRow, cells: dict[str, list[str]]) -> None:
    first, last = (_one_line(cells.get(name, [""])[0]) for name in ("first_name", "last_name"))
    full = _one_line(cells.get("full_name", [""])[0])
    if full and not (first and last):
        if names.parse_name(None, None, full).business:
            lead.metadata["company"] = full
            return
        parsed = split_name(full)
        first, last = first or parsed[0], last or parsed[1]
    elif first and not last and " " in first:
        first, last = split_name(first)
    people = _AND.split(first, maxsplit=1)
    if len(people) > 1 and all(people) and not names.parse_name(f"{first} {last}", None).business:
        lead.metadata["name"] = f"{first} {last}".strip()
        first = people[0]
        lead.remarks.append("the name is of several people; the lead is the first")
    found = names.parse_name(first, last)
    if found.business and not found.first:
        lead.metadata.setdefault("company", f"{first} {last}".strip())
        return
    for name, text, real in (("first_name", first, found.first), ("last_name", last, found.last)):
        if text and (real or (name == "last_name" and found.first and text.lower() in SUFFIXES)):
            setattr(lead, name, _cased(text))
        elif text and text.lower() not in NOTHING:
            lead.remarks.append(f"{name} is no name")


def split_name(full: str) -> tuple[str, str]:
    """Return given name and surname of a name in one cell, with its suffix, in the case that it has."""
    if found := _PLAIN.fullmatch(full):
        return found[1], found[2]
    people = _AND.split(full)
    if len(people) == 2 and all(people) and "," not in full:  # "John & Mary Smith"
        last = people[1].rpartition(" ")[2] if " " in people[1] and " " not in people[0] else ""
        if last:
            return f"{people[0]} & {people[1].removesuffix(last).strip()}", last
    name = HumanName(full)
    return name.first, " ".join(part for part in (name.last, name.suffix) if part)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _cased(text: str) -> str:
    """Return a name that is all in capitals or all small as a name is written; any other stays."""
    if len(text) > 2 and (text.isupper() or text.islower()):
        text = re.sub(r"[^\W\d_]+", lambda word: word[0].capitalize(), text.lower())
        text = re.sub(r"\bMc([a-z])", lambda found: f"Mc{found[1].upper()}", text)
        return re.sub(r"\b(Ii|Iii|Iv)$", lambda found: found[1].upper(), text)
    return text


_SURELY = frozenset({"yes", "y", "true", "t", "1", "x", "checked", "on", "dnc", "listed", "✓", "✔"})
_PLAIN_NO = frozenset({"no", "n", "false", "f", "0", "off", "unchecked"})
_NO = frozenset({*_PLAIN_NO, "ok", "not listed", *NOTHING}) - {"x"}
_WORDS = {
    "call": "call calls calling phone phones voice telephone", "sms": "sms text texts texting",
    "email": "email emails emailing mail newsletter",
}  # fmt: skip
_CHANNEL_OF = {word: channel for channel, words in _WORDS.items() for word in words.split()}
_YES = frozenset({"yes", "y", "true", "ok", "okay", "only", "1", "x", "✓", "✔"})
_FILLERS = frozenset({"by", "via", "per", "to", "for", "message", "messages", "number"})
_CLAUSES = re.compile(r"[,;|/\n\r&+.!]|\b(?:and|or|but)\b")
_REFUSED = re.compile(
    r"\b(?:no|not|non|none|nope|never|n|false|0|off|without|cannot|dont|wont|dn[cd]|donot\w*|declin\w*|refus\w*|reject\w*"
    r"|den(?:y|ied|ies)|stop\w*|end|ended|quit|cease|cancel\w*|opt(?:ed|s|ing)?[ -]?out\w*|unsub\w*|revok\w*|withdr\w*"
    r"|remov\w*|object\w*|block\w*|blacklist\w*|suppress\w*|forb[aio]d\w*|prohibit\w*|expired|lapsed)\b|n't\b|[✗✘✕❌]"
)
_ASKED = re.compile(
    r"\b(?:do ?not|don'?t|never)[ -]*(?:to )?(?:be )?(?:call|phone|text|sms|e?mail|contact|solicit|disturb|reach)"
    r"|\bdn[cd]\b|\bno (?:more )?(?:calls|calling|texts|texting|emails|mails|sms)\b"
    r"|\b(?:stop|cease|quit)\w* (?:call|phon|text|sms|e?mail|contact)"
)
_LEFT = re.compile(r"\bopt(?:ed|s|ing)?[ -]?out|\bunsubscri|\bremove (?:me|from)\b|^\W*stop\W*$")


_BLANKS = str.maketrans({"_": " ", "-": " ", "\u2010": " ", "\u2011": " ", "\u2019": "'"})


def _folded(text: str) -> str:
    return text.lower().replace("e-mail", "email").translate(_BLANKS)


def _channels(text: str) -> list[str]:
    """Return the channels that a folded text names; a mobile is called and written to."""
    words = set(re.findall(r"[a-z]+", text))
    if "all" in words:
        return list(CHANNELS)
    mobile = words & {"mobile", "cell"}
    return [one for one in CHANNELS if words & set(_WORDS[one].split()) or (mobile and one != "email")]


def refusal(status: str) -> list[str]:
    """Return the channels that a word of status forbids: of "Do Not Call" text messages too, as elsewhere."""
    text = _folded(status)
    if not _ASKED.search(text) and not _LEFT.search(text):
        return []
    named = _channels(text) or (["call"] if re.search(r"\bdnc\b", text) else list(CHANNELS))
    return ["call", "sms", *(one for one in named if one == "email")] if "call" in named else named


def _plain(text: str) -> list[str]:
    """Return the channels of a folded text that is a list of them and no more, with "yes" or the like at most."""
    words = [word for clause in _CLAUSES.split(text) for word in re.findall(r"[^\s():=-]+", clause)]
    if not all(word in _CHANNEL_OF or word in _YES or word in _FILLERS or word == "all" for word in words):
        return []
    return list(CHANNELS) if "all" in words else [_CHANNEL_OF[word] for word in words if word in _CHANNEL_OF]


@dataclass
class _Said:
    """What a row says of how its person may be reached, by channel."""

    given: set[str] = field(default_factory=set)
    back: set[str] = field(default_factory=set)
    forbidden: set[str] = field(default_factory=set)
    no: set[str] = field(default_factory=set)
    """Where a cell says no to a consent, which takes none back."""

    def refuse(self, text: str, of_column: Sequence[str] = ()) -> bool:
        """Note what a folded text refuses, and what it gives beside that; return whether it refuses anything."""
        if not _REFUSED.search(text):
            return False
        asked = False
        for clause in _CLAUSES.split(text):
            named, yes = _channels(clause), not _YES.isdisjoint(re.findall(r"[^\s():=-]+", clause))
            if _REFUSED.search(clause):
                asked = _ASKED.search(clause) is not None
                named = named or list(of_column or CHANNELS)
                self.back |= {*named, *of_column}
            elif yes and _plain(clause):
                self.given |= {*_plain(clause)}
                continue
            self.back |= {*named}
            if asked:
                self.forbidden |= {*named}
        return True

    def give(self, text: str) -> bool:
        """Note what a folded text that refuses nothing gives; return whether it is a list of channels."""
        channels = _plain(text)
        self.given |= {*channels}
        if "only" in text.split():
            self.back |= {*CHANNELS} - {*channels} if channels else set()
        return bool(channels)


def _said(cells: dict[str, list[str]], remarks: list[str]) -> _Said:
    said = _Said()
    for name, channels in FORBIDS.items():
        for text in cells.get(name, ()):
            # Of a formula that finds nothing, or fails, nobody knows what it would have said.
            if text.lower() not in _NO or text.startswith("#"):
                said.forbidden |= {*channels}
                if text.lower() not in _SURELY and time(text) is None:
                    remarks.append(f"{name} is neither yes nor no; it is taken as yes")
    for text in cells.get("other_status", ()):
        said.forbidden |= {*refusal(text)}
    for text in cells.get("consent", ()):
        if text.lower() in _PLAIN_NO:
            said.no |= {*CHANNELS}
        elif text.lower() not in _NO and not said.refuse(_folded(text)) and not said.give(_folded(text)):
            remarks.append(
                "consent is no list of channels alone; it is not taken"
                if _channels(_folded(text))
                else "consent names no channel (call, sms, email); it is not taken"
            )
    for channel in CHANNELS:
        for text in cells.get(f"{channel}_consent", ()):
            if text.lower() in _PLAIN_NO:
                said.no.add(channel)
            elif text.lower() in _SURELY - {"dnc", "listed"}:
                said.given.add(channel)
            elif text.lower() not in _NO and not said.refuse(_folded(text), (channel,)):
                remarks.append(f"{channel}_consent is neither yes nor no; it is not taken")
    return said


def _consent(lead: LeadRow, cells: dict[str, list[str]], now: dt.datetime) -> None:
    said = _said(cells, lead.remarks)
    lead.forbidden = [channel for channel in CHANNELS if channel in said.forbidden]
    at = time(cells.get("consent_at", [""])[0])
    source = cells.get("consent_source", [""])[0]
    wording = cells.get("consent_text", ["not stated"])[0]
    if at is not None and at > now:
        lead.remarks.append("consent_at is a time to come")
        at = None
    for channel in (one for one in CHANNELS if one in said.back):
        lead.withdrawn.append({
            "channel": channel, "at": _written(at or now), "source": source or "a file of leads",
            "text_version": wording, "revoked_at": _written(now),
        })  # fmt: skip
    yes = [channel for channel in CHANNELS if channel in said.given - said.back - said.forbidden]
    wanted = [channel for channel in yes if channel not in said.no]
    if wanted != yes:
        lead.remarks.append("consent is yes in one column and no in another; it is not taken")
    if wanted and (at is None or not source):
        lead.remarks.append("consent has no time or no source (consent_at, consent_source); it is not taken")
    elif wanted and at is not None:
        lead.consent += [
            {"channel": channel, "at": _written(at), "source": source, "text_version": wording} for channel in wanted
        ]


def _forbidden_by_shifted(lead: LeadRow, row: Row, mapping: ColumnMap) -> None:
    """Read what a row with too many cells forbids: they may stand further to the right than their headers."""
    more = len(row.cells) - mapping.width
    cells = [cleaned(cell)[:LENGTH] for cell in row.cells]
    forbidden: set[str] = set()
    for column in mapping.columns:
        for text in cells[column.place - 1 : column.place + more]:
            if column.field in FORBIDS and text.lower() in _SURELY:
                forbidden |= {*FORBIDS[column.field]}
            elif column.field in {"consent", "call_consent", "sms_consent", "email_consent", "status", "other_status"}:
                forbidden |= {*refusal(text)}
    lead.forbidden = [channel for channel in CHANNELS if channel in forbidden]
    if lead.forbidden:
        lead.phones = list(dict.fromkeys(number for text in cells for number in numbers(text)[0]))
        lead.emails = list(dict.fromkeys(one for text in cells if "@" in text for one in addresses(text)[0]))


def _written(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_ZIP = re.compile(r"(\d{3,5})(?:-?(\d{4}))?")
_CANADA = re.compile(r"([A-Za-z]\d[A-Za-z]) ?(\d[A-Za-z]\d)")
_MONEY = re.compile(r"(?:US?\$|USD|\$)?\s*(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?\s*(?:USD|\$)?", re.IGNORECASE)


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


def _rest(lead: LeadRow, cells: dict[str, list[str]], now: dt.datetime) -> None:
    one = {name: _one_line(texts[0]) for name, texts in cells.items() if texts[0].lower() not in NOTHING}
    if text := one.get("postal_code"):
        lead.postal_code = postal_code(text)
        if lead.postal_code is None:
            lead.remarks.append("postal_code cannot be read")
            lead.metadata["postal_code"] = text
    if text := one.get("value_usd"):
        if (found := _MONEY.fullmatch(text)) and len(found[1].replace(",", "")) <= 9:
            lead.value_usd = Decimal(found[1].replace(",", "") + (found[2] or "")).quantize(Decimal("0.01"))
        else:
            lead.remarks.append("value_usd is no amount of dollars")
    if text := one.get("created_at"):
        at = time(text)
        if at is not None and dt.datetime(1980, 1, 1, tzinfo=dt.UTC) <= at <= now:
            lead.created_at = at
        else:
            lead.remarks.append("created_at is no day before today that can be read (such as 2025-01-31)")
    if text := one.get("owner"):
        try:
            lead.owner_id = str(uuid.UUID(text))
        except ValueError:
            lead.metadata["owner"] = text
    lead.status = one.get("status")
    lead.source = one.get("source")
    lead.division = one.get("division")
    lead.timezone = one.get("timezone")
    tags = (tag.strip().lower() for text in cells.get("tags", ()) for tag in re.split(r"[;,|\n]", text))
    lead.tags = list(dict.fromkeys(tag for tag in tags if tag and tag not in NOTHING))[:50]
    for name in KEPT:
        if name != "owner" and name not in lead.metadata and (texts := cells.get(name)):
            lead.metadata[name] = "\n".join(texts) if name == "notes" else _one_line(texts[0])
    if len(lead.phones) > 1:
        lead.metadata["other_phones"] = lead.phones[1:]
    if len(lead.emails) > 1:
        lead.metadata["other_emails"] = lead.emails[1:]


_DAY = re.compile(
    r"(?:(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})|(\d{1,2})[-/.](\d{1,2})[-/.](\d{4}|\d{2}))"
    r"(?:[T, ]+(\d{1,2}):(\d\d)(?::(\d\d)(?:\.\d+)?)?\s*([AaPp]\.?[Mm]\.?)?)?\s*(Z|UTC|[+-]\d\d:?\d\d)?"
)


def time(text: str) -> dt.datetime | None:
    """Return a day or time, in UTC where it says no zone; None when it cannot be read beyond doubt."""
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
