"""``orchestration.alert_event``: faults become incidents, told when they open, after a while, and when resolved.

Faults of one rule and one cause are one incident: a vendor that is down fails ten entities and is told once. A subject
stays in the incident that it is in, whatever its cause becomes, so that one outage with three kinds of errors is one
incident. A subject that joins later is not told, unless somebody has acknowledged the incident by then.

An incident opens when its fault has lasted for the rule's ``hold``, and is resolved when it has been over for ``calm``;
so what flickers is one incident. A fault that another rule explains (``unless``) opens none.

While an incident is silenced nobody is told of it; when the silence ends and it goes on, it is.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import masked
from warehouse_pipelines.observability.alerts.rules import Fault, Rule
from warehouse_pipelines.observability.redaction import redacted
from warehouse_pipelines.queries import query

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

Kind = Literal["opened", "reminded", "resolved"]

LONGEST_TEXT = 400


@dataclass
class Incident:
    """A row of ``orchestration.alert_event`` that is not resolved; ``id`` is 0 before it is written."""

    rule: str
    cause: str
    severity: str
    first_seen_at: datetime
    last_seen_at: datetime
    id: int = 0
    members: dict[str, dict[str, Any]] = field(default_factory=dict)
    ever: list[str] = field(default_factory=list)
    cleared_at: datetime | None = None
    opened_at: datetime | None = None
    notified_at: datetime | None = None
    reminders: int = 0
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    resolved_at: datetime | None = None

    @property
    def active(self) -> bool:
        """Whether its fault is met now."""
        return self.cleared_at is None


@dataclass(frozen=True)
class Change:
    """What is to be told of an incident."""

    kind: Kind
    incident: Incident
    rule: Rule


@dataclass(frozen=True)
class Silence:
    """A row of ``orchestration.alert_silence``."""

    rule: str | None
    subject: str | None

    def covers(self, incident: Incident) -> bool:
        """Whether everything that is at fault in an incident is silenced."""
        if self.rule not in (None, incident.rule):
            return False
        return self.subject is None or all(
            self.subject in (subject, member["crm"]) for subject, member in incident.members.items()
        )


def unresolved(session: "Session", rule: str | None = None) -> list[Incident]:
    """Return the incidents that are not resolved, those that have not opened yet as well, of a rule or of all."""
    return _read(session, rule=rule)


def opened(session: "Session", resolved_after: datetime | None = None) -> list[Incident]:
    """Return the incidents that are open, and those that were resolved after this time."""
    return [one for one in _read(session, resolved_after=resolved_after) if one.opened_at]


def _read(session: "Session", rule: str | None = None, resolved_after: datetime | None = None) -> list[Incident]:
    rows = session.execute(
        """
        SELECT id, rule, cause, severity, members, ever, first_seen_at, last_seen_at, cleared_at, opened_at,
            notified_at, reminders, acknowledged_at, acknowledged_by, resolved_at
        FROM orchestration.alert_event
        WHERE (resolved_at IS NULL OR resolved_at > %(resolved_after)s::timestamptz)
            AND (%(rule)s::text IS NULL OR rule = %(rule)s) ORDER BY id
        """,
        {"rule": rule, "resolved_after": resolved_after},
    ).fetchall()
    return [Incident(**row) for row in rows]


def acknowledge(session: "Session", number: int, by: str) -> Incident | None:
    """Write who takes an incident on; return it, or None where none of this number is open."""
    done = session.execute(
        "UPDATE orchestration.alert_event SET acknowledged_at = clock_timestamp(), acknowledged_by = %s "
        "WHERE id = %s AND resolved_at IS NULL AND opened_at IS NOT NULL",
        [by, number],
    )
    return next((one for one in opened(session) if one.id == number), None) if done.rowcount else None


def close_switched_off(session: "Session", now: datetime) -> None:
    """Close the incidents of rules that were switched off, and drop what waits to be told of them."""
    session.execute(query("alerts_close_switched_off"), {"now": now})


def silences(session: "Session", now: datetime) -> list[Silence]:
    """Return what is silenced now."""
    rows = session.execute("SELECT rule, subject FROM orchestration.alert_silence WHERE ends_at > %s", [now])
    return [Silence(**row) for row in rows.fetchall()]


def unexplained(rule: Rule, faults: Sequence[Fault], incidents: Sequence[Incident]) -> list[Fault]:
    """Return the faults that no other rule explains, and those that are part of an incident already."""
    own = {name for one in incidents if one.rule == rule.name and one.opened_at for name in one.members}
    others = [one for one in incidents if one.rule in rule.unless and one.active]
    reasons = [member for one in others for member in one.members.values()]

    return [
        fault for fault in faults if fault.subject in own or not any(_explains(reason, fault) for reason in reasons)
    ]


def _explains(reason: Mapping[str, Any], fault: Fault) -> bool:
    """Return whether a member of another rule's incident explains a fault."""
    entities = reason.get("entities")
    if reason["crm"] is None:
        return entities is None
    if reason["crm"] != fault.crm:
        return False
    return reason["entity"] in (None, fault.entity) if entities is None else fault.entity in entities


def settle(
    rule: Rule, faults: Sequence[Fault], before: Sequence[Incident], silenced: Sequence[Silence], now: datetime
) -> tuple[list[Incident], list[Change]]:
    """Return the incidents of a rule as they are with these faults, and what of them is to be told."""
    incidents = list(before)
    met: dict[int, dict[str, Fault]] = {}
    for fault in faults:
        place = _place(fault, incidents)
        if place is None:
            cause = fault.cause or fault.subject
            incidents.append(Incident(rule.name, cause, rule.severity, first_seen_at=now, last_seen_at=now))
            place = len(incidents) - 1
        met.setdefault(place, {})[fault.subject] = fault
    changes: list[Change] = []
    for place, incident in enumerate(incidents):
        _note(incident, met.get(place, {}), now)
        kind = _next(rule, incident, any(one.covers(incident) for one in silenced), now)
        if kind is not None:
            changes.append(Change(kind, incident, rule))
    return incidents, changes


def _place(fault: Fault, incidents: Sequence[Incident]) -> int | None:
    """Return which incident a fault belongs to: the one it is in, was in, or whose cause it has."""
    for wanted in (
        lambda one: fault.subject in one.members,
        lambda one: fault.subject in one.ever,
        lambda one: one.cause == (fault.cause or fault.subject),
    ):
        for place, incident in enumerate(incidents):
            if wanted(incident):
                return place
    return None


def _note(incident: Incident, faults: Mapping[str, Fault], now: datetime) -> None:
    """Write into an incident what of it is met now; one that is over keeps its last members."""
    if not faults:
        incident.cleared_at = incident.cleared_at or now
        return
    incident.cleared_at, incident.last_seen_at = None, now
    joined = [subject for subject in faults if subject not in incident.ever]
    if joined and incident.acknowledged_at:
        incident.acknowledged_at = incident.acknowledged_by = None
    incident.ever += joined
    since = {subject: member["since"] for subject, member in incident.members.items()}
    incident.members = {
        subject: {
            "crm": fault.crm,
            "entity": fault.entity,
            "entities": fault.entities,
            "text": redacted(masked(fault.text, LONGEST_TEXT)),
            "since": since.get(subject, now.isoformat()),
        }
        for subject, fault in faults.items()
    }


def _next(rule: Rule, incident: Incident, silenced: bool, now: datetime) -> Kind | None:
    """Move an incident on, and return what is to be told of it."""
    if incident.cleared_at is not None:
        if now - incident.cleared_at < rule.calm:
            return None
        incident.resolved_at = incident.cleared_at if incident.opened_at else None
        return "resolved" if incident.notified_at else None
    if incident.opened_at is None and now - incident.first_seen_at >= rule.hold:
        incident.opened_at = now
    if incident.opened_at is None or silenced:
        return None
    if incident.notified_at is None:
        incident.notified_at = now
        return None if incident.acknowledged_at else "opened"
    if _due(rule.remind_after, incident, now):
        incident.notified_at, incident.reminders = now, incident.reminders + 1
        return "reminded"
    return None


def _due(after: timedelta | None, incident: Incident, now: datetime) -> bool:
    told = incident.notified_at
    return after is not None and told is not None and not incident.acknowledged_at and now - told >= after


def keep(session: "Session", incident: Incident) -> None:
    """Write an incident, and give a new one its number. One that is over before it opened is deleted."""
    values = {**vars(incident), "members": json.dumps(incident.members)}
    if incident.id == 0:
        number = warehouse.value(
            session,
            """
            INSERT INTO orchestration.alert_event
                (rule, cause, severity, members, ever, first_seen_at, last_seen_at, opened_at, notified_at)
            VALUES (%(rule)s, %(cause)s, %(severity)s, %(members)s, %(ever)s, %(first_seen_at)s, %(last_seen_at)s,
                %(opened_at)s, %(notified_at)s)
            RETURNING id
            """,
            values,
        )
        incident.id = int(number)
    elif incident.cleared_at is not None and incident.opened_at is None:
        session.execute("DELETE FROM orchestration.alert_event WHERE id = %s", [incident.id])
    else:
        session.execute(
            """
            UPDATE orchestration.alert_event SET members = %(members)s, ever = %(ever)s, cleared_at = %(cleared_at)s,
                last_seen_at = %(last_seen_at)s, opened_at = %(opened_at)s, notified_at = %(notified_at)s,
                reminders = %(reminders)s, acknowledged_at = %(acknowledged_at)s,
                acknowledged_by = %(acknowledged_by)s, resolved_at = %(resolved_at)s
            WHERE id = %(id)s
            """,
            values,
        )
