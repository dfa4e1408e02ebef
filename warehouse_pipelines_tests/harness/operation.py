"""Simulated operation: how many records runs find in a business with nights, weekends, holidays and ends of months.

``Workload`` is an entity: at what rate its records change, and how often it is read. ``found`` draws what one run
finds. Counts are more uneven than chance alone makes them (a negative binomial, and days that are good or bad as a
whole), grow over the year, double at the end of a month, and jump now and then because somebody imported a list.

``operate`` lets weeks pass with planted outages, and asks the alerts ``volume`` and ``duration`` after every run.
"""

import json
import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from warehouse_pipelines import warehouse
from warehouse_pipelines.observability.alerts import rules
from warehouse_pipelines.observability.alerts.rules import Circumstances
from warehouse_pipelines_tests.harness.alerting import DAY, HOUR, ZONE

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

HISTORY = timedelta(weeks=8)
DETECTABLE = 10.0
KINDS = ("nothing", "little", "slow")

BY_HOUR = (
    0.02, 0.01, 0.01, 0.01, 0.02, 0.05, 0.2, 0.6, 1.0, 1.3, 1.4, 1.3,
    1.1, 1.2, 1.3, 1.3, 1.2, 1.0, 0.8, 0.6, 0.4, 0.2, 0.1, 0.05,
)  # fmt: skip
"""How lively an hour of the day is, against a mean of the working day."""

BY_WEEKDAY = (1.1, 1.05, 1.0, 1.0, 0.9, 0.45, 0.25)


def is_holiday(day: date) -> bool:
    """Whether a business of the United States is closed, or nearly so."""
    fixed = {(1, 1), (7, 4), (12, 24), (12, 25), (12, 31)}
    return (
        (day.month, day.day) in fixed
        or (day.month == 5 and day.weekday() == 0 and day.day > 24)
        or (day.month == 9 and day.weekday() == 0 and day.day < 8)
        or (day.month == 11 and day.weekday() == 3 and 22 <= day.day <= 28)
        or (day.month == 11 and day.weekday() == 4 and 23 <= day.day <= 29)
    )


def is_half_holiday(day: date) -> bool:
    """Days on which some people are away, that no list of holidays has."""
    return day.weekday() == 0 and (day.month, (day.day - 1) // 7) in {(1, 2), (2, 2), (10, 1)}


@dataclass
class Workload:
    """An entity that is read ``every`` so often, by its changes at ``per_hour`` of a working day, or whole."""

    crm: str
    entity: str
    every: timedelta
    per_hour: float
    full: bool = False
    evenness: float = 10.0
    rows: float = field(default=0.0)

    def rate(self, at: datetime) -> float:
        """Return how many records change in an hour at this time."""
        local = at.astimezone(ZONE)
        day = local.date()
        rate = self.per_hour * BY_HOUR[local.hour] * BY_WEEKDAY[local.weekday()]
        rate *= 1 + 0.3 * (local.timetuple().tm_yday / 365)
        if is_holiday(day):
            rate *= 0.12
        if is_half_holiday(day):
            rate *= 0.75
        rate *= random.Random(f"{self.crm} {self.entity} {day}").lognormvariate(0, 0.2)  # noqa: S311  (a day's luck)
        return rate * (1.8 if (day + timedelta(days=2)).month != day.month else 1)

    def expected(self, at: datetime) -> float:
        """Return how many records a run at this time finds on average."""
        if self.full:
            return self.rows
        hours = max(1, round(self.every / HOUR))
        return sum(self.rate(at - n * HOUR) for n in range(hours)) * min(1.0, self.every / HOUR)

    def found(self, at: datetime, rng: random.Random) -> int:
        """Draw how many records a run finds."""
        if self.full:
            self.rows += self.rate(at) * 0.01
            return round(self.rows)
        mean = self.expected(at)
        if rng.random() < 0.0005:  # somebody imported a list
            return round(mean) + rng.randint(500, 5000)
        return poisson(rng.gammavariate(self.evenness, mean / self.evenness), rng) if mean > 0 else 0

    def seconds(self, records: int, rng: random.Random) -> float:
        """Draw how long a run takes."""
        return (8 + 0.05 * records) * math.exp(rng.gauss(0, 0.25)) * (8 if rng.random() < 0.004 else 1)


def poisson(mean: float, rng: random.Random) -> int:
    """Draw from a Poisson distribution."""
    if mean > 50:
        return max(0, round(rng.gauss(mean, math.sqrt(mean))))
    limit, product, count = math.exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        count += 1
    return count


@dataclass
class Outage:
    """What was planted, and after how many runs that could show it it was alarmed."""

    kind: str
    begins: datetime
    ends: datetime
    could_show: int = 0
    found_after: int | None = None


@dataclass
class Entity:
    """A workload with what was planted and what was alarmed."""

    workload: Workload
    outages: list[Outage]
    alarmed: bool = False
    false_alarms: list[str] = field(default_factory=list)

    def outage(self, at: datetime) -> Outage | None:
        """Return the outage of this time."""
        return next((one for one in self.outages if one.begins <= at < one.ends), None)


def planted(workload: Workload, begin: datetime, weeks: int, rng: random.Random) -> list[Outage]:
    """Return an outage of each kind, weeks apart, at any hour of a working day."""
    kinds = [kind for kind in KINDS if kind != "slow" or not workload.full]
    apart = weeks * 7 / (len(kinds) + 0.5)
    found = []
    for place, kind in enumerate(kinds):
        at = begin + timedelta(days=(place + 0.5) * apart)
        while at.astimezone(ZONE).weekday() > 2:
            at += DAY
        at = at.replace(hour=0) + timedelta(hours=rng.randrange(24))
        length = max(timedelta(hours=30), 4 * workload.every)
        found.append(Outage(kind, at, at + length))
    return found


def run(session: "Session", entity: Entity, at: datetime, rng: random.Random) -> None:
    """Write the row of a run, and count those of an outage that could show it."""
    workload, outage = entity.workload, entity.outage(at)
    records = workload.found(at, rng)
    seconds = workload.seconds(records, rng)
    failed = outage is None and rng.random() < 0.01
    if outage is not None:
        records = {"nothing": 0, "little": round(records / 10), "slow": records}[outage.kind]
        seconds = seconds * 10 + 120 if outage.kind == "slow" else seconds
        outage.could_show += outage.kind == "slow" or workload.expected(at) >= DETECTABLE
    mode = "full" if workload.full else "delta"
    session.execute(
        """
        INSERT INTO orchestration.sync_history (crm_source, sync_type, start_time, end_time, status, records_processed,
            records_created, configuration, error_message)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
        """,
        [
            workload.crm, workload.entity, at, at + timedelta(seconds=seconds), "failed" if failed else "success",
            0 if failed else records, 0 if failed else records,
            json.dumps({"mode": mode, "dry_run": False, "max_records": 0}),
            "VendorUnavailable: 503" if failed else None,
        ],
    )  # fmt: skip


def due(workload: Workload, hour: int) -> bool:
    """Whether an entity is read in this hour since the beginning."""
    return hour % round(workload.every / HOUR) == 0


def judge(session: "Session", entities: Sequence[Entity], at: datetime) -> None:
    """Ask both rules, and note what is alarmed that was not before."""
    about = Circumstances(at, sorted({entity.workload.crm for entity in entities}), str(ZONE))
    at_fault = {}
    for rule in rules.enabled(session, ["volume", "duration"]):
        for fault in rules.ask(session, rule, about):
            at_fault[fault.subject] = f"{rule.name} at {at:%Y-%m-%d %H:%M}: {fault.text}"
    for entity in entities:
        text = at_fault.get(f"{entity.workload.crm} {entity.workload.entity}")
        outage = entity.outage(at) or entity.outage(at - 2 * entity.workload.every)
        if text and outage:
            if outage.found_after is None:
                outage.found_after = outage.could_show
        elif text and not entity.alarmed:
            entity.false_alarms.append(text)
        entity.alarmed = text is not None


def operate(url: str, weeks: int, workloads: Sequence[Workload], seed: int = 7) -> list[Entity]:
    """Let the weeks pass in the warehouse at ``url``; return what was found."""
    rng = random.Random(seed)  # noqa: S311  (a seed is the point)
    begin = datetime(2026, 9, 7, tzinfo=UTC)
    entities = [Entity(one, planted(one, begin, weeks, rng)) for one in workloads]
    names = [f"{one.crm} {one.entity}" for one in workloads]
    with warehouse.session(url) as session:
        session.execute("DELETE FROM orchestration.sync_schedule WHERE name <> ALL(%s)", [names])
        for one in workloads:
            session.execute(
                "INSERT INTO orchestration.sync_schedule "
                "(name, crm_source, model_name, mode, recurrence_type, every, period) "
                "VALUES (%s, %s, %s, 'delta', 'interval', %s, 'hours') "
                "ON CONFLICT (name) DO UPDATE SET every = excluded.every, period = excluded.period",
                [f"{one.crm} {one.entity}", one.crm, one.entity, round(one.every / HOUR)],
            )
        for hour in range(round((HISTORY + timedelta(weeks=weeks)) / HOUR)):
            at = begin - HISTORY + hour * HOUR + timedelta(minutes=4)
            for entity in entities:
                if due(entity.workload, hour):
                    run(session, entity, at + timedelta(seconds=rng.randrange(90)), rng)
            if hour == round(HISTORY / HOUR):
                session.execute("ANALYZE orchestration.sync_history")
            if at >= begin:
                judge(session, entities, at + timedelta(minutes=30))
    return entities


def summary(entities: Sequence[Entity], weeks: int) -> dict[str, object]:
    """Return the figures: of outages in which nothing comes or runs are slow, and of those that leave a tenth."""
    outages = [outage for entity in entities for outage in entity.outages if outage.could_show >= 2]
    whole = [outage.found_after for outage in outages if outage.kind != "little"]
    little = [outage.found_after for outage in outages if outage.kind == "little"]
    return {
        "outages": len(whole),
        "found": sum(after is not None for after in whole),
        "most_runs": max((after for after in whole if after is not None), default=0),
        "little": len(little),
        "little_found": sum(after is not None for after in little),
        "little_median_runs": statistics.median(after for after in little if after is not None)
        if any(little)
        else None,
        "false_alarms": sum(len(entity.false_alarms) for entity in entities),
        "most_false_alarms_per_entity_and_quarter": max(len(one.false_alarms) for one in entities) / max(1, weeks / 13),
    }
