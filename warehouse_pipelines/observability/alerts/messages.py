"""What a message says: what is wrong, with what, since when, what to do, and where to look. No personal data.

Texts are what rules say, which is counts, names of CRMs and entities and masked errors; they are masked once more when
an incident takes them over.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from warehouse_pipelines.observability.alerts.incidents import Change, Incident

SHOWN = 10
"""Subjects that a message lists; the incident has all."""

WORDS = {"opened": "", "reminded": "Still: ", "resolved": "Resolved: "}


@dataclass(frozen=True)
class Message:
    """What a channel is given. ``key`` tells messages apart: a channel gets each once."""

    key: str
    kind: str
    severity: str
    title: str
    body: str
    event_id: int | None = None


def of(change: Change, zone: ZoneInfo, dagster_url: str) -> Message:
    """Return the message of a change."""
    incident, rule = change.incident, change.rule
    key = f"{incident.id} {change.kind}{f' {incident.reminders}' if change.kind == 'reminded' else ''}"
    title = f"[{incident.severity}] {WORDS[change.kind]}{rule.title}: {who(incident)}"
    lines = texts(incident)
    begun, ended = incident.first_seen_at, incident.resolved_at
    if ended is not None:
        lines = [f"It lasted {lasted(ended - begun)}: {clock(begun, zone)} to {clock(ended, zone)}.", *lines]
        lines.append(f"Incident {incident.id}.")
    else:
        lines.append(f"Since {clock(begun, zone)}, {lasted(incident.last_seen_at - begun)} ago.")
        lines += [rule.advice] if rule.advice else []
        lines += [link] if (link := where(incident, dagster_url)) else []
        lines.append(f"Incident {incident.id}: `warehouse alerts ack {incident.id}` stops reminders.")
    return Message(key, change.kind, incident.severity, title, "\n".join(lines), incident.id)


def who(incident: Incident) -> str:
    """Return what is at fault, in a few words."""
    subjects = sorted(incident.members)
    if len(subjects) == 1:
        return subjects[0]
    crms = {member["crm"] for member in incident.members.values()}
    of_one = next(iter(crms)) if len(crms) == 1 else None
    return f"{len(subjects)} entities of {of_one}" if of_one else f"{len(subjects)} subjects"


def texts(incident: Incident) -> list[str]:
    """Return a line for each subject, the first of many."""
    found = sorted(incident.members.items())
    lines = [f"{subject}: {member['text']}" for subject, member in found[:SHOWN]]
    return [*lines, f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else lines


def where(incident: Incident, dagster_url: str) -> str:
    """Return the place in Dagster's UI: the asset of an entity, the group of a CRM; empty for anything else."""
    members = list(incident.members.values())
    crms = {member["crm"] for member in members}
    if len(crms) != 1 or None in crms or not dagster_url:
        return ""
    base, crm = dagster_url.rstrip("/"), next(iter(crms))
    return f"{base}/locations/warehouse/jobs/sync_{crm}_{members[0]['entity'] if _one(members) else 'all'}"


def _one(members: Sequence[dict[str, str | None]]) -> bool:
    return len(members) == 1 and members[0]["entity"] is not None


def clock(at: datetime, zone: ZoneInfo) -> str:
    """Return a time as people of the business read it."""
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M %Z}"


def lasted(length: timedelta) -> str:
    """Return a length of time in its two largest units.

    >>> lasted(timedelta(hours=3, minutes=20, seconds=5))
    '3 h 20 min'
    """
    seconds = max(0, int(length.total_seconds()))
    parts = [
        (seconds // 86400, "d"),
        (seconds % 86400 // 3600, "h"),
        (seconds % 3600 // 60, "min"),
        (seconds % 60, "s"),
    ]
    first = next((place for place, (count, _) in enumerate(parts) if count), 3)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count) or "0 s"
