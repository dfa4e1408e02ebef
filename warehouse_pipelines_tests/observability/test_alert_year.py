"""Half a year in fast motion: every planted fault is alarmed once and its end told, and nothing else ever is.

The clock is simulated, PostgreSQL and the receiver of messages are real. Runs come every four hours and every day, in a
business with nights, weekends, holidays and ends of months, with single failures, partial runs and imports of lists,
which nobody need hear of. History older than 90 days and deliveries older than a week are deleted, as in operation.
"""

import json
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.loading import retention
from warehouse_pipelines.observability.alerts.rules import Fault, Rule
from warehouse_pipelines_tests.harness.alerting import DAY, HOUR, Alerting, receiving
from warehouse_pipelines_tests.harness.operation import Workload

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

BEGIN = datetime(2027, 7, 5, tzinfo=UTC)
STEP = 4 * HOUR
"""As often as runs come: between two of them nothing happens but that time passes."""
CALM_STEPS = 7
"""Alerts are evaluated at each step with something unusual and around each planted fault, else at one of so many steps,
another hour of the day each time."""
AROUND = DAY
"""How long after a planted fault an alert may still have to be told, or to end."""
EPSILON = 1e-6


def just(days: float) -> bool:
    """Whether something so many days ago began with this step."""
    return -EPSILON <= days < STEP / DAY - EPSILON


@dataclass(frozen=True)
class Planted:
    """A fault of one rule, between two days."""

    rule: str
    begins: float
    lasts: float

    def at(self, day: float) -> bool:
        return self.begins - EPSILON <= day < self.begins + self.lasts - EPSILON


HALF_A_YEAR = tuple(
    Planted(rule, 58 + 7 * place, lasts)
    for place, (rule, lasts) in enumerate(
        [
            ("credential_refused", 2),
            ("failing", 1.5),
            ("volume", 3),
            ("values_lost", 3),
            ("dead_letters", 1),
            ("daemon_silent", 2),
            ("stuck", 1.2),
            ("webhook_gap", 3),
            ("channel_expires", 2),  # from a day on which a channel is renewed
            ("budget", 1),
            ("duration", 2),
            ("called_though_listed", 1),
            ("disk", 1),
            ("partial", 3),
            ("unmapped_statuses", 5),
            ("sensor_failing", 1),
            ("delivery_failing", 1),
            ("failing", 3),
            ("stale", 2),
        ]
    )
)
MONTH = tuple(
    Planted(rule, 57 + 2.5 * place, lasts)
    for place, (rule, lasts) in enumerate(
        [
            ("credential_refused", 1),
            ("failing", 1),
            ("stuck", 1),
            ("dead_letters", 1),
            ("daemon_silent", 1),
            ("volume", 1),
        ]
    )
)


@dataclass
class Operation:
    """The warehouse of the year, and who reads it."""

    url: str
    planted: tuple[Planted, ...]
    rng: random.Random = field(default_factory=lambda: random.Random(11))  # noqa: S311  (a seed is the point)
    workloads: tuple[Workload, ...] = (
        Workload("hubspot", "contacts", 4 * HOUR, 40),
        Workload("hubspot", "deals", 4 * HOUR, 20),
        Workload("callrail", "calls", 4 * HOUR, 30),
        Workload("hubspot", "owners", DAY, 5, full=True, rows=900),
    )
    unusual: datetime | None = None
    """When something last failed or was partial by chance."""

    def begin(self, session: "Session") -> None:
        session.execute("DELETE FROM orchestration.sync_schedule")
        for one in self.workloads:
            session.execute(
                "INSERT INTO orchestration.sync_schedule (name, crm_source, model_name, mode, recurrence_type, every,"
                " period) VALUES (%s, %s, %s, 'delta', 'interval', %s, 'hours')",
                [f"{one.crm} {one.entity}", one.crm, one.entity, round(one.every / HOUR)],
            )

    def active(self, rule: str, day: float) -> bool:
        return any(one.rule == rule and one.at(day) for one in self.planted)

    def calm(self, at: datetime) -> bool:
        """Whether nothing happens that an alert might be about."""
        planted = any(-STEP <= at - (BEGIN + one.begins * DAY) <= one.lasts * DAY + AROUND for one in self.planted)
        return not planted and (self.unusual is None or at - self.unusual > STEP)

    def live(self, session: "Session", at: datetime) -> None:
        """Let a step pass."""
        day = (at - BEGIN) / DAY
        hour = round((at - BEGIN) / HOUR)
        for one in self.workloads:
            if hour % round(one.every / HOUR) == 0 and not self.active("daemon_silent", day):
                self.run(session, one, at, day)
        if hour % 4 == 0 and not self.active("webhook_gap", day):
            self.deliver(session, at)
        if hour % 24 == 0:
            if hour % 120 == 0:
                self.retain(session, at)
            if hour % 144 == 0 and not self.active("channel_expires", day):
                self.renew(session, at)
        self.edges(session, at, day)

    def run(self, session: "Session", one: Workload, at: datetime, day: float) -> None:
        records = one.found(at, self.rng)
        seconds = one.seconds(records, self.rng)
        status, error, metrics = "success", None, {"columns_filled": {"name": records}, "total_api_calls": 20}
        hubspot, contacts = one.crm == "hubspot", one.entity == "contacts"
        if hubspot and self.active("credential_refused", day):
            status, error = "failed", "CredentialRefused: HubSpot answered 401"
        elif one.crm == "callrail" and self.active("failing", day):
            status, error = "failed", f"VendorUnavailable: CallRail answered {self.rng.choice([500, 502, 503])}"
        elif self.rng.random() < 0.01 and one.every < DAY:
            status, error, self.unusual = "failed", "VendorUnavailable: a single failure", at
        elif contacts and self.active("partial", day):
            status, metrics["partial_reason"] = "partial", "safety_limit: it did not end"
        elif self.rng.random() < 0.01:
            status, metrics["partial_reason"], self.unusual = "partial", "a single partial run", at
        if contacts and self.active("values_lost", day):
            metrics["losses"] = {"amount": {"lost": 60, "of": 100}}
        if contacts and self.active("volume", day):
            records = 0
        if contacts and self.active("duration", day):
            seconds = seconds * 12 + 300
        if hubspot:
            self.request(session, at, 400 if contacts and self.active("budget", day) else 20)
        if one.entity == "deals" and (self.active("stuck", day) or self.active("stale", day)):
            begins = next(each for each in self.planted if each.rule in ("stuck", "stale") and each.at(day)).begins
            if self.active("stuck", day) and abs(day - begins) < 4 / 24:
                status = "running"
            else:
                return
        count = records if status in ("success", "partial") else 0
        session.execute(
            """
            INSERT INTO orchestration.sync_history (crm_source, sync_type, start_time, end_time, status,
                records_processed, records_created, error_message, configuration, performance_metrics)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
            """,
            [
                one.crm, one.entity, at, None if status == "running" else at + timedelta(seconds=seconds), status,
                count, count, error,
                json.dumps({"mode": "full" if one.full else "delta", "dry_run": False, "max_records": 0}),
                json.dumps(metrics),
            ],
        )  # fmt: skip

    def request(self, session: "Session", at: datetime, requests: int) -> None:
        """Take requests from the budget of a day, as the loader does at its own time."""
        session.execute(
            "INSERT INTO orchestration.request_budget AS b (credential, budget, slot, used, crm_source, maximum,"
            " window_seconds) VALUES ('hash', 'day', floor(extract(epoch FROM %s::timestamptz) / 4320), %s, 'hubspot',"
            " 1000, 86400) ON CONFLICT (credential, budget, slot) DO UPDATE SET used = b.used + excluded.used",
            [at, requests],
        )

    def deliver(self, session: "Session", at: datetime) -> None:
        session.execute(
            "INSERT INTO orchestration.webhook_inbox (source, dedupe_key, received_at, signature_valid, status,"
            " processed_at) VALUES ('hubspot', %s, %s, true, 'done', %s)",
            [at.isoformat(), at, at],
        )
        session.execute(
            "INSERT INTO orchestration.webhook_outcome (source, outcome, hour, deliveries, last_at)"
            " VALUES ('hubspot', 'accepted', date_trunc('hour', %s::timestamptz, 'UTC'), 1, %s)",
            [at, at],
        )

    def renew(self, session: "Session", at: datetime) -> None:
        session.execute("UPDATE pipedesk.calendar_sync_states SET active = false, updated_at = %s WHERE active", [at])
        session.execute(
            "INSERT INTO pipedesk.calendar_sync_states (channel_id, calendar_id, expiration, active, updated_at)"
            " VALUES (%s, 'office', %s, true, %s)",
            [at.isoformat(), at + 7 * DAY, at],
        )

    def retain(self, session: "Session", at: datetime) -> None:
        retention.run(session, (), now=at)

    def edges(self, session: "Session", at: datetime, day: float) -> None:
        """Do what begins or ends now and is no run."""
        for one in self.planted:
            begins, ends = just(day - one.begins), just(day - one.begins - one.lasts)
            if one.rule == "dead_letters" and begins:
                session.execute(
                    "INSERT INTO orchestration.dead_letter (sync_history_id, last_sync_history_id, crm_source,"
                    " sync_type, stage, rule, error_message, payload, payload_hash, created_at)"
                    " SELECT 1, 1, 'hubspot', 'deals', 'coerce', 'number', 'no number', to_jsonb(n), n, %s"
                    " FROM generate_series(1, 60) AS n",
                    [at],
                )
            elif one.rule == "dead_letters" and ends:
                session.execute("UPDATE orchestration.dead_letter SET status = 'resolved', resolved_at = %s", [at])
            elif one.rule == "stuck" and ends:
                session.execute(
                    "UPDATE orchestration.sync_history SET status = 'failed', end_time = %s, error_message = 'killed'"
                    " WHERE status = 'running'",
                    [at],
                )
            elif one.rule == "channel_expires" and ends:
                self.renew(session, at)
            elif one.rule == "called_though_listed" and begins:
                session.execute(
                    "INSERT INTO marts.dnc_conflicts (organization_id, channel, source_table, source_key, contacted_at,"
                    " phone, listed_at, reason, found_at) VALUES (gen_random_uuid(), 'call', 'callrail_call', '1', %s,"
                    " '+15550109999', %s, 'requested', %s)",
                    [at, at - DAY, at],
                )
            elif one.rule == "unmapped_statuses" and begins:
                session.execute(
                    "INSERT INTO crm.source_status (source, source_status, loaded_as, records)"
                    " VALUES ('genius.lead', 'ODD', 'new', 9)"
                )
            elif one.rule == "unmapped_statuses" and ends:
                session.execute("DELETE FROM crm.source_status")


def collectors(operation: Operation, now: Callable[[], datetime]) -> Mapping[str, Callable[[Rule], list[Fault]]]:
    """Return what Dagster and `serve` would say; the disk is at its limit and flickers."""

    def day() -> float:
        return (now() - BEGIN) / DAY

    def disk(rule: Rule) -> list[Fault]:
        return [Fault("/data", "9.9 % free")] if operation.active("disk", day()) and now().hour % 8 else []

    return {
        "disk": disk,
        "daemon_silent": lambda rule: [Fault("daemon", "silent")] if operation.active("daemon_silent", day()) else [],
        "sensor_failing": lambda rule: (
            [Fault("looker", "it throws")] if operation.active("sensor_failing", day()) else []
        ),
    }


def operate(
    url: str, planted: tuple[Planted, ...], days: int, tables: Counter[str], *, since: int = 0
) -> list[dict[str, Any]]:
    """Let the days pass, alerts watching ``since`` one; return the messages. ``tables`` gets their most rows."""
    operation = Operation(url, planted)
    at = BEGIN
    with receiving() as receiver, receiving() as second, warehouse.session(url) as session:
        operation.begin(session)
        alerting = Alerting(
            url, [receiver.url, second.url], ("hubspot", "callrail", "gcalendar"),
        )  # fmt: skip
        session.execute("UPDATE orchestration.alert_rule SET calm = interval '5 hours' WHERE name = 'disk'")
        told = collectors(operation, lambda: at)
        while at < BEGIN + days * DAY:
            day = (at - BEGIN) / DAY
            operation.live(session, at)
            if day < since or (operation.calm(at) and round((at - BEGIN) / STEP) % CALM_STEPS):
                at += STEP
                continue
            second.status = 500 if operation.active("delivery_failing", day) else 200
            silent = operation.active("daemon_silent", day)
            alerting.collectors = {name: ask for name, ask in told.items() if not silent or name == "daemon_silent"}
            if operation.active("delivery_failing", day):
                one = next(each for each in planted if each.rule == "delivery_failing")
                if just(day - one.begins):  # something to be told of, or nobody would notice
                    session.execute(
                        "UPDATE orchestration.alert_rule SET threshold = 0.001, remind_after = NULL"
                        " WHERE name = 'database_large'"
                    )
            alerting.at(at + HOUR, warehouse_rules=not silent)
            if round((at - BEGIN) / HOUR) % 24 == 0:
                for table in ("alert_event", "alert_delivery", "alert_silence", "alert_evaluation"):
                    row = session.execute(f"SELECT count(*) AS n FROM orchestration.{table}").fetchone()
                    tables[table] = max(tables[table], int(row["n"] if row else 0))
            at += STEP
        return receiver.got


def judge(messages: list[dict[str, Any]], url: str, planted: tuple[Planted, ...], *, by_chance: int = 0) -> None:
    """Hold that each planted fault was told once and resolved, and nothing else; ``by_chance``: of unusual numbers."""
    with warehouse.session(url) as session:
        titles = {
            row["title"]: row["name"] for row in session.execute("SELECT name, title FROM orchestration.alert_rule")
        }
        events = session.execute(
            "SELECT rule, cause, first_seen_at, resolved_at FROM orchestration.alert_event"
        ).fetchall()
    opened: Counter[str] = Counter()
    resolved: Counter[str] = Counter()
    for message in messages:
        words = message["title"].partition("] ")[2]
        kind = resolved if words.startswith("Resolved: ") else opened
        if not words.startswith("Still: "):
            title = next(each for each in titles if words.removeprefix("Resolved: ").startswith(f"{each}: "))
            kind[titles[title]] += 1
    wanted = Counter(one.rule for one in planted)
    if "delivery_failing" in wanted:
        wanted["database_large"] += 1
    others = opened - wanted
    assert not wanted - opened, wanted - opened
    assert others.total() <= by_chance, [str(event) for event in events if event["rule"] in others]
    assert others.keys() <= {"volume"}, others
    assert resolved == opened - Counter({"database_large": 1})
    for one in planted:  # each where it was planted, and not before
        begins = BEGIN + one.begins * DAY
        assert any(
            event["rule"] == one.rule and timedelta(0) <= event["first_seen_at"] - begins <= 2.2 * DAY
            for event in events
        ), (one, events)


def test_three_weeks_of_operation(database_url: str) -> None:
    tables: Counter[str] = Counter()
    judge(operate(database_url, MONTH, 74, tables, since=55), database_url, MONTH)


@pytest.mark.slow("half a year of operation, 500 evaluations")
@pytest.mark.timeout(2400)
def test_half_a_year_of_operation(database_url: str) -> None:
    """A number of records is unusual by chance too: less than once for each of the four entities and quarter."""
    tables: Counter[str] = Counter()
    judge(operate(database_url, HALF_A_YEAR, 194, tables), database_url, HALF_A_YEAR, by_chance=4 * 2 - 1)
    assert tables["alert_event"] <= 30, "one row for each incident"
    assert tables["alert_delivery"] <= 100, "a month's messages"
    assert tables["alert_silence"] == 0
