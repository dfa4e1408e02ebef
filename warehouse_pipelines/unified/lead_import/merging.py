"""What becomes of a row: a new lead, what it adds to one that is there, or nothing. Pure: no database.

Decided:

- A lead that is there keeps what it has; the file fills what is empty, and adds tags, further numbers and addresses.
  What differs is named in a remark. With ``overwrite`` the file's value is taken instead, except for the source (the
  first one stays), the owner, and a status that the state machine does not allow.
- A status is never moved without ``overwrite``: a list that was exported last month must not reopen what was won since.
- A number that another live lead has as its own goes to ``source_metadata.shared_phones``.
- Consents are added and never taken away, and one that was taken back stays so: its entry is added, too.
- The same row a second time changes nothing.
"""

import copy
import dataclasses
import datetime as dt
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from warehouse_pipelines.unified.lead_import.matching import Lead, Leads, listed, name_of
from warehouse_pipelines.unified.lead_import.refusals import refusal
from warehouse_pipelines.unified.lead_import.values import LeadRow

FILLED = ("first_name", "last_name", "postal_code", "division", "timezone", "value_usd", "owner_id")
NEVER_OVERWRITTEN = ("owner_id",)
ALL_THE_SAME = "its number or address is put on the do-not-call list all the same"


@dataclass
class Outcome:
    """What became of a row, as ``crm.lead_import_row`` has it."""

    row: int
    outcome: str
    lead_id: str | None = None
    same_as_row: int | None = None
    remarks: list[str] = field(default_factory=list)
    changes: dict[str, Any] = field(default_factory=dict)
    forbidden: list[str] = field(default_factory=list)
    phones: list[str] = field(default_factory=list)
    emails: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Rules:
    """What decides beside the row: how status words are meant, what may follow a status, and the user's choice."""

    import_id: str
    statuses: Mapping[str, tuple[str, Sequence[str]]]
    """By the word in lower case: our status, and the channels that it forbids."""
    next_statuses: Mapping[str, Sequence[str]]
    source: str
    """Of a new lead whose row names none."""
    overwrite: bool
    sources: Mapping[str, str]
    """By its folded spelling: the one name of a source of leads."""

    def source_of(self, row: LeadRow) -> str | None:
        """Return the name of the row's source, None where it names none."""
        written = (row.source or "").strip().lower()
        return self.sources.get(" ".join(re.split(r"[\s_-]+", written)).strip(), written) or None


def in_our_words(row: LeadRow, rules: Rules, timezones: Mapping[str, str | None]) -> LeadRow:
    """Return a row with our status, the channels that its word for it forbids, and the name of its time zone."""
    remarks = list(row.remarks)
    status, forbidden = _status(row, rules, remarks)
    if row.refused:
        return dataclasses.replace(row, forbidden=forbidden)
    zone = timezones[row.timezone] if row.timezone else None
    if row.timezone and not zone:
        remarks.append("timezone is none that is known")
    return dataclasses.replace(row, status=status, forbidden=forbidden, timezone=zone, remarks=remarks)


def apply(row: LeadRow, leads: Leads, rules: Rules, listed_keys: frozenset[str]) -> Outcome:
    """Put a row that is in our words into ``leads``, and return what became of it."""
    outcome = Outcome(
        row.number, "refused", remarks=[*row.remarks], forbidden=row.forbidden, phones=row.phones, emails=row.emails
    )
    remarks = outcome.remarks
    if row.refused:
        remarks.insert(0, row.refused)
        if row.forbidden and (row.phones or row.emails):
            remarks.append(ALL_THE_SAME)
        return outcome
    if (listed_phone := not listed_keys.isdisjoint(row.phones)) or not listed_keys.isdisjoint(row.emails):
        remarks.append(
            f"on the do-not-call list by its {'number' if listed_phone else 'e-mail address'}; it stays listed"
        )
    name = name_of(row.first_name, row.last_name, row.metadata.get("company"))
    lead = leads.of(name, row.phones, row.emails)
    if lead is None:
        lead = Lead(_new(row, leads, rules, remarks), name, row.number, is_new=True)
        outcome.outcome = "created"
    else:
        outcome.same_as_row = lead.row
        before = copy.deepcopy(lead.values)
        _merge(lead, row, leads, rules, remarks)
        lead.name = name_of(
            lead.values["first_name"], lead.values["last_name"], lead.values["source_metadata"].get("company")
        )
        outcome.changes = differences(before, lead.values)
        outcome.outcome = "updated" if outcome.changes else "duplicate"
        if outcome.changes and not lead.is_new and lead.before is None:
            lead.before = before
    leads.add(lead)
    outcome.lead_id = lead.id
    return outcome


def _status(row: LeadRow, rules: Rules, remarks: list[str]) -> tuple[str | None, list[str]]:
    """Return our status for the row's word, and the channels that must not be used."""
    if row.status is None:
        return None, row.forbidden
    found = rules.statuses.get(" ".join(row.status.lower().split())) or rules.statuses.get(
        " ".join(row.status.lower().replace("_", " ").replace("-", " ").split())
    )
    if found is None and (refused := refusal(row.status)):
        found = "disqualified", refused
    if found is None:
        remarks.append("status is not known, and is taken as new")
        row.metadata.setdefault("status", row.status)
        return "new", row.forbidden
    status, forbids = found
    return status, [*row.forbidden, *(one for one in forbids if one not in row.forbidden)]


def _new(row: LeadRow, leads: Leads, rules: Rules, remarks: list[str]) -> dict[str, Any]:
    free = [phone for phone in row.phones if leads.holds(phone) is None]
    shared = [phone for phone in row.phones if phone not in free]
    metadata = {"crm_source": "import", "import_id": rules.import_id, "import_row": row.number, **row.metadata}
    if shared:
        metadata["shared_phones"] = shared
        remarks.append("its number is that of another lead, of the same household perhaps")
    metadata.pop("other_phones", None)
    if free[1:]:
        metadata["other_phones"] = free[1:]
    return {
        "id": str(uuid.uuid4()), "first_name": row.first_name, "last_name": row.last_name,
        "email": row.emails[0] if row.emails else None, "phone": free[0] if free else None,
        "status": row.status or "new", "source": rules.source_of(row) or rules.source, "source_metadata": metadata,
        "tags": list(row.tags), "timezone": row.timezone, "division": row.division, "postal_code": row.postal_code,
        "owner_id": row.owner_id, "value_usd": row.value_usd, "consent": [*row.consent, *row.withdrawn],
        "created_at": row.created_at,
    }  # fmt: skip


def _merge(lead: Lead, row: LeadRow, leads: Leads, rules: Rules, remarks: list[str]) -> None:
    values = lead.values
    for name in FILLED:
        new = getattr(row, name)
        if new is None or same(new, values[name]):
            continue
        if values[name] is None or (rules.overwrite and name not in NEVER_OVERWRITTEN):
            values[name] = new
        else:
            remarks.append(f"{name} differs and was kept")
    if not values["source"]:
        values["source"] = rules.source_of(row)
    metadata = values["source_metadata"] = dict(values["source_metadata"])
    _reach(lead, row, leads, rules)
    for name, new in row.metadata.items():
        if name in {"other_phones", "other_emails"} or same(new, metadata.get(name)):
            continue
        if name not in metadata or rules.overwrite:
            metadata[name] = new
        elif name not in {"name", "status"}:
            remarks.append(f"{name} differs and was kept")
    values["tags"] = [*values["tags"], *(tag for tag in row.tags if tag not in values["tags"])]
    values["consent"] = with_consent(values["consent"], row)
    if row.status and row.status != values["status"]:
        if rules.overwrite and row.status in rules.next_statuses.get(values["status"], ()):
            values["status"] = row.status
        else:
            remarks.append(f"status differs and was kept: {values['status']}")


def _reach(lead: Lead, row: LeadRow, leads: Leads, rules: Rules) -> None:
    """Add the row's numbers and addresses: the first to the lead's own, if it has none or by ``overwrite``."""
    values, metadata = lead.values, lead.values["source_metadata"]
    has = lead.keys
    for phone in row.phones:
        if phone in has and not (rules.overwrite and phone == row.phones[0] != values["phone"]):
            continue
        holder = leads.holds(phone)
        if holder is not None and holder is not lead:
            _add(metadata, "shared_phones", phone)
        elif values["phone"] is None:
            values["phone"] = phone
        elif rules.overwrite and phone == row.phones[0]:
            _add(metadata, "other_phones", values["phone"])
            values["phone"] = phone
        else:
            _add(metadata, "other_phones", phone)
    for email in row.emails:
        if values["email"] is None:
            values["email"] = email
        elif rules.overwrite and email == row.emails[0] != values["email"].lower():
            _add(metadata, "other_emails", values["email"].lower())
            values["email"] = email
        elif email not in has:
            _add(metadata, "other_emails", email)


def _add(metadata: dict[str, Any], name: str, one: str) -> None:
    known = listed(metadata, name)
    if one not in known:
        metadata[name] = [*known, one]


def same(a: object, b: object) -> bool:
    """Whether two values say the same: texts without regard to case and blanks."""
    if isinstance(a, str) and isinstance(b, str):
        return " ".join(a.casefold().split()) == " ".join(b.casefold().split())
    return a == b


def with_consent(known: list[dict[str, Any]], row: LeadRow) -> list[dict[str, Any]]:
    """Return the consents with those of a row added."""
    found = list(known)
    for one in row.consent:
        if one not in found:
            found.append(one)
    for one in row.withdrawn:
        of_channel = [other for other in found if other.get("channel") == one["channel"]]
        back = [other for other in of_channel if "revoked_at" in other]
        if not back or any(_lives(other, back) for other in of_channel):
            found.append(one)
    return found


def _lives(one: dict[str, Any], back: list[dict[str, Any]]) -> bool:
    """Whether a consent was not taken back, as ``crm.has_consent`` has it."""
    if "revoked_at" in one:
        return False
    given = _time(one.get("at"))
    return all(given is not None and (at := _time(other["revoked_at"])) is not None and given > at for other in back)


def _time(written: object) -> dt.datetime | None:
    try:
        at = dt.datetime.fromisoformat(str(written))
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=dt.UTC)


def differences(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Return what changed, by column: the value before and after; of lists and ``source_metadata`` each part."""
    changed: dict[str, Any] = {}
    for name, new in after.items():
        old = before[name]
        if old == new:
            continue
        if name in {"tags", "consent"}:
            changed[name] = {"added": [one for one in new if one not in old]}
        elif name == "source_metadata":
            changed[name] = {key: [old.get(key), value] for key, value in new.items() if old.get(key) != value}
        else:
            changed[name] = [None if old is None else str(old), str(new)]
    return changed
