"""The morning report: is last night right? Per CRM its runs, records, failures, freshness, and what needs a person.

``build`` asks the warehouse and returns data; ``text`` of it is what a message and `warehouse report` say, and a page
may say the same otherwise. The freshness of an entity is the age of its last good run, its target that of
``orchestration.source_table``, by which `warehouse status` judges too. No personal data.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from warehouse_pipelines.errors import masked
from warehouse_pipelines.observability.alerts import incidents, messages, rules
from warehouse_pipelines.observability.alerts.rules import Circumstances
from warehouse_pipelines.observability.redaction import redacted
from warehouse_pipelines.queries import query

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

DAY = timedelta(days=1)
SHOWN = 5


@dataclass(frozen=True)
class EntityReport:
    """How an entity did. ``age`` is that of its last good run; None without one."""

    crm: str
    entity: str
    enabled: bool
    runs: int
    failed: int
    partial: int
    records: int
    created: int
    updated: int
    waiting: int
    new_waiting: int
    age: timedelta | None
    target: timedelta
    last_status: str | None
    error: str | None
    link: str

    @property
    def late(self) -> bool:
        """Whether its last good run is older than it should be."""
        return self.enabled and (self.age is None or self.age > self.target)


@dataclass(frozen=True)
class CrmReport:
    """How the entities of a CRM did, and why it cannot be read where its settings cannot be used."""

    crm: str
    entities: Sequence[EntityReport]
    settings_problem: str | None = None

    def total(self, what: str) -> int:
        """Return the sum of a count over its entities."""
        return sum(int(getattr(entity, what)) for entity in self.entities)

    @property
    def needs(self) -> list[tuple[str, str]]:
        """What needs a person: a sentence, and a link or nothing."""
        needed = [(self.settings_problem, "")] if self.settings_problem else []
        for entity in self.entities:
            if entity.last_status == "failed":
                needed.append((f"{entity.entity} failed: {entity.error}", entity.link))
            elif entity.late:
                age = "never loaded" if entity.age is None else f"last good {messages.lasted(entity.age)} ago"
                needed.append((f"{entity.entity} is late: {age}, target {messages.lasted(entity.target)}", entity.link))
            elif entity.last_status == "partial":
                needed.append((f"{entity.entity} is partial", entity.link))
            if entity.new_waiting:
                needed.append((f"{entity.entity}: {entity.new_waiting} new dead letters", ""))
        return needed


@dataclass(frozen=True)
class IncidentReport:
    """An incident that is open, or was in the time of the report."""

    number: int
    severity: str
    title: str
    who: str
    since: datetime
    until: datetime | None


@dataclass(frozen=True)
class Report:
    """The report of the time from ``since`` to ``at``."""

    since: datetime
    at: datetime
    zone: ZoneInfo
    crms: Sequence[CrmReport]
    incidents: Sequence[IncidentReport]
    dagster_url: str = ""

    @property
    def right(self) -> bool:
        """Whether nothing needs a person."""
        return not any(crm.needs for crm in self.crms) and not any(one.until is None for one in self.incidents)

    @property
    def title(self) -> str:
        """Its first line."""
        needed = sum(len(crm.needs) for crm in self.crms)
        opened = sum(one.until is None for one in self.incidents)
        if self.right:
            return f"Warehouse: last night is right ({self.at.astimezone(self.zone):%Y-%m-%d})"
        return f"Warehouse: {needed} things need a person, {opened} incidents are open"

    def text(self) -> str:
        """Return it as text."""
        begun, ended = messages.clock(self.since, self.zone), messages.clock(self.at, self.zone)
        lines = [f"From {begun} to {ended}.", ""]
        if not self.crms:
            lines.append("No CRM is configured.")
        for crm in self.crms:
            lines += self._of_crm(crm)
        if self.incidents:
            lines += ["", "Incidents:"]
        for one in self.incidents:
            length = messages.lasted((one.until or self.at) - one.since)
            state = f"open for {length}" if one.until is None else f"lasted {length}"
            lines.append(f"  {one.number} [{one.severity}] {one.title}: {one.who}; {state}")
        if self.dagster_url:
            lines += ["", f"Runs: {self.dagster_url.rstrip('/')}/runs"]
        return "\n".join(lines)

    def _of_crm(self, crm: CrmReport) -> list[str]:
        on = [entity for entity in crm.entities if entity.enabled]
        fresh = sum(not entity.late for entity in on)
        lines = [
            f"{crm.crm}: {crm.total('runs'):,} runs, {crm.total('failed'):,} failed, {crm.total('partial'):,} partial; "
            f"{crm.total('records'):,} records read, {crm.total('created'):,} new, {crm.total('updated'):,} changed; "
            f"{crm.total('waiting'):,} dead letters; {fresh} of {len(on)} entities fresh"
        ]
        for sentence, link in crm.needs[:SHOWN]:
            lines.append(f"  - {sentence}{f' {link}' if link else ''}")
        if len(crm.needs) > SHOWN:
            lines.append(f"  - and {len(crm.needs) - SHOWN} more")
        return lines


def build(session: "Session", circumstances: Circumstances, dagster_url: str = "") -> Report:
    """Return the report of the day before ``circumstances.now``."""
    now, since = circumstances.now, circumstances.now - DAY
    rows = session.execute(query("report"), {"since": since, "now": now, "crms": list(circumstances.crms)}).fetchall()
    crms: dict[str, list[EntityReport]] = {}
    for row in rows:
        crms.setdefault(row["crm"], []).append(_entity(row, now, dagster_url))
    return Report(
        since=since,
        at=now,
        zone=ZoneInfo(circumstances.zone),
        crms=[CrmReport(crm, entities, circumstances.settings_problems.get(crm)) for crm, entities in crms.items()],
        incidents=_incidents(session, since),
        dagster_url=dagster_url,
    )


def _entity(row: dict[str, Any], now: datetime, dagster_url: str) -> EntityReport:
    run = row["failed_run"] if row["last_status"] == "failed" else None
    return EntityReport(
        crm=row["crm"],
        entity=row["entity"],
        enabled=row["enabled"],
        runs=row["runs"],
        failed=row["failed"],
        partial=row["partial"],
        records=int(row["records"]),
        created=int(row["created"]),
        updated=int(row["updated"]),
        waiting=row["waiting"],
        new_waiting=row["new_waiting"],
        age=None if row["good_at"] is None else now - row["good_at"],
        target=row["target"],
        last_status=row["last_status"],
        error=None if row["error"] is None else redacted(masked(row["error"], 200)),
        link=f"{dagster_url.rstrip('/')}/runs/{run}" if run and dagster_url else "",
    )


def _incidents(session: "Session", since: datetime) -> list[IncidentReport]:
    titles = rules.titles(session)
    return [
        IncidentReport(one.id, one.severity, titles[one.rule], messages.who(one), one.first_seen_at, one.resolved_at)
        for one in incidents.opened(session, resolved_after=since)
    ]
