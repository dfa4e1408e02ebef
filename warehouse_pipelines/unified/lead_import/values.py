"""What a row of a file says of a lead: its cells read, checked, and put into the form that ``crm.leads`` has.

Decided:

- A row is refused when it has neither a phone number nor an e-mail address that can be read: it could not be told from
  another row, nor reached. Any other cell that cannot be read is left out, and a remark says which and why.
- A remark names the field and never its value: remarks are kept, and printed.
- A refused row forbids what it says: its numbers and addresses that can be read are listed.
"""

import datetime as dt
import re
import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from nameparser import HumanName

from warehouse_pipelines.unified.identity import names
from warehouse_pipelines.unified.identity.name_words import SUFFIXES
from warehouse_pipelines.unified.lead_import import refusals
from warehouse_pipelines.unified.lead_import.cells import (
    NOTHING,
    addresses,
    cleaned,
    number_written_out,
    numbers,
    postal_code,
    time,
)
from warehouse_pipelines.unified.lead_import.columns import ColumnMap
from warehouse_pipelines.unified.lead_import.table_file import Row

LENGTHS = {
    "notes": 10_000, "street": 300, "company": 200, "tags": 1000, "consent_text": 200, "consent_source": 200,
    "referred_by": 500,
}  # fmt: skip
LENGTH = 120
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
        shifted = [cleaned(cell)[:LENGTH] for cell in row.cells]
        lead.forbidden = refusals.forbidden_by_shifted(shifted, mapping)
        if lead.forbidden:
            lead.phones = list(dict.fromkeys(number for text in shifted for number in numbers(text)[0]))
            lead.emails = list(dict.fromkeys(one for text in shifted if "@" in text for one in addresses(text)[0]))
        return lead
    cells: dict[str, list[str]] = {}
    for column in mapping.columns:
        if not column.field:
            continue
        if column.place in row.unread and column.field in refusals.FORBIDS:
            cells.setdefault(column.field, []).append("cannot be read")
        if column.place <= len(row.cells) and (text := cleaned(row.cells[column.place - 1])):
            if len(text) > (limit := LENGTHS.get(column.field, LENGTH)):
                if column.field == "notes":
                    lead.remarks.append(f"notes were cut at {limit:,} characters")
                elif column.field not in refusals.FORBIDS:
                    lead.refused = lead.refused or f"{column.field} is longer than {limit} characters"
                text = text[: limit - 1] + "…"
            cells.setdefault(column.field, []).append(text)
    _reach(lead, cells)
    if lead.refused:
        lead.remarks = [*row.remarks]
        lead.forbidden = refusals.forbidden(cells)
        lead.status = next(iter(cells.get("status", ())), None)
        return lead
    if not lead.phones and not lead.emails:
        why = "; ".join(dict.fromkeys(remark for remark in lead.remarks if remark.startswith(("phone", "email"))))
        lead.refused = f"neither a phone number nor an e-mail address{f': {why}' if why else ''}"
        lead.remarks = [*row.remarks]
        return lead
    _name(lead, cells)
    _rest(lead, cells, now)
    lead.consent, lead.withdrawn, lead.forbidden = refusals.consents(cells, now, lead.remarks)
    lead.remarks = list(dict.fromkeys(lead.remarks))
    return lead


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


_MONEY = re.compile(r"(?:US?\$|USD|\$)?\s*(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?\s*(?:USD|\$)?", re.IGNORECASE)


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
    if texts := [text for text in map(_one_line, cells.get("referred_by", ())) if text.lower() not in NOTHING]:
        sent_by = next((by for text in texts if (by := referrer(text))), None)
        if sent_by is None:
            lead.remarks.append("referred_by has no number, address or id, and joins nobody")
        lead.metadata["referred_by"] = sent_by or texts[0]
    if len(lead.phones) > 1:
        lead.metadata["other_phones"] = lead.phones[1:]
    if len(lead.emails) > 1:
        lead.metadata["other_emails"] = lead.emails[1:]


def referrer(text: str) -> str | None:
    """Return the id of a lead or person, the address or the number in a cell, as ``marts.relationships`` joins it."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        found = addresses(text)[0] or numbers(number_written_out(text) or "")[0]
        return found[0] if found else None
