"""How faults become incidents: what is told, and when."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from warehouse_pipelines.observability.alerts import messages
from warehouse_pipelines.observability.alerts.incidents import Incident, Silence, settle, unexplained
from warehouse_pipelines.observability.alerts.rules import Fault, Rule, in_order
from warehouse_pipelines.observability.alerts.settings import AlertSettings, quiet_until

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
ZERO = timedelta(0)


def rule(name: str = "failing", **given: Any) -> Rule:
    values: dict[str, Any] = {
        "title": "Runs keep failing", "advice": "Look.", "severity": "critical", "reads": "warehouse",
        "statement": None, "threshold": 3.0, "every": ZERO, "hold": ZERO, "calm": ZERO, "remind_after": None,
        "unless": (),
    }  # fmt: skip
    return Rule(name=name, **{**values, **given})


def fault(entity: str, cause: str | None = None) -> Fault:
    return Fault(f"hubspot {entity}", "3 runs failed", "hubspot", entity, cause)


class Time:
    """Settles again and again, and keeps what was told."""

    def __init__(self, of: Rule, silenced: Sequence[Silence] = ()) -> None:
        self.rule, self.silenced = of, silenced
        self.incidents: list[Incident] = []
        self.told: list[str] = []

    def at(self, minutes: float, *faults: Fault) -> "Time":
        now = NOW + minutes * MINUTE
        after, changes = settle(self.rule, faults, self.incidents, self.silenced, now)
        self.incidents = [one for one in after if not one.resolved_at and not (one.cleared_at and not one.opened_at)]
        self.told += [change.kind for change in changes]
        return self


def test_an_incident_is_told_once_and_when_it_is_over() -> None:
    time = Time(rule()).at(0).at(1, fault("contacts")).at(2, fault("contacts")).at(3, fault("contacts")).at(4).at(5)
    assert time.told == ["opened", "resolved"]
    assert time.at(6, fault("contacts")).told == ["opened", "resolved", "opened"]


def test_ten_entities_with_one_cause_are_one_incident() -> None:
    ten = [fault(f"e{n}", "hubspot: VendorUnavailable") for n in range(10)]
    time = Time(rule()).at(0, *ten[:4]).at(1, *ten)
    assert time.told == ["opened"]
    assert len(time.incidents[0].members) == 10
    assert time.at(2, *ten[:1]).told == ["opened"]
    assert time.at(3).told == ["opened", "resolved"]


def test_without_a_cause_each_is_its_own() -> None:
    assert Time(rule()).at(0, fault("contacts"), fault("deals")).told == ["opened", "opened"]


def test_a_subject_stays_in_its_incident_when_its_error_changes() -> None:
    time = Time(rule()).at(0, fault("contacts", "hubspot: VendorUnavailable"))
    assert time.at(1, fault("contacts", "hubspot: SyncRunning")).told == ["opened"]


def test_what_passes_sooner_than_it_must_hold_is_not_told() -> None:
    time = Time(rule(hold=10 * MINUTE)).at(0, fault("contacts")).at(9, fault("contacts")).at(10).at(12)
    assert time.told == []
    assert Time(rule(hold=10 * MINUTE)).at(0, fault("contacts")).at(11, fault("contacts")).told == ["opened"]


def test_what_flickers_is_one_incident() -> None:
    time = Time(rule(calm=10 * MINUTE))
    for minute in range(0, 60, 5):
        time.at(minute, *([fault("contacts")] if minute % 10 == 0 else []))
    assert time.told == ["opened"]
    assert time.at(60).at(66).told == ["opened", "resolved"]
    assert not time.incidents


def test_reminders_end_when_somebody_takes_it_on_and_come_back_when_it_grows() -> None:
    time = Time(rule(remind_after=HOUR))
    for minute in range(0, 130, 10):
        time.at(minute, fault("contacts", "down"))
    assert time.told == ["opened", "reminded", "reminded"]
    time.incidents[0].acknowledged_at, time.incidents[0].acknowledged_by = NOW, "kim"
    for minute in range(130, 300, 10):
        time.at(minute, fault("contacts", "down"))
    assert time.told == ["opened", "reminded", "reminded"]
    assert time.at(300, fault("contacts", "down"), fault("deals", "down")).told[-1] == "reminded"
    assert len(time.told) == 4


def test_what_is_silenced_is_told_only_if_it_outlasts_the_silence() -> None:
    silenced = [Silence("failing", "hubspot")]
    time = Time(rule(), silenced).at(0, fault("contacts"))
    assert time.at(1).told == []
    time.at(2, fault("contacts")).silenced = []
    assert time.at(3, fault("contacts")).told == ["opened"]
    assert Time(rule(), [Silence("failing", "hubspot deals")]).at(0, fault("contacts")).told == ["opened"]
    assert Time(rule(), [Silence(None, None)]).at(0, fault("contacts")).told == []


def test_what_another_rule_explains_is_not_told() -> None:
    refused = Time(rule("credential_refused")).at(0, Fault("hubspot", "refused", "hubspot")).incidents
    stale = rule("stale", unless=("credential_refused",))
    assert unexplained(stale, [fault("contacts")], refused) == []
    assert unexplained(stale, [Fault("callrail calls", "old", "callrail", "calls")], refused)
    assert unexplained(rule("volume"), [fault("contacts")], refused), "it does not name the other"
    everything = Time(rule("daemon_silent")).at(0, Fault("daemon", "silent")).incidents
    assert unexplained(rule("stale", unless=("daemon_silent",)), [fault("contacts")], everything) == []


def test_a_schedule_explains_its_entities_and_nothing_else() -> None:
    stopped = Fault("sync_hubspot_daily", "it is stopped", "hubspot", entities=("deals", "owners"))
    found = Time(rule("schedule_off")).at(0, stopped).incidents
    stale = rule("stale", unless=("schedule_off",))
    assert unexplained(stale, [fault("contacts"), fault("deals")], found) == [fault("contacts")]
    assert unexplained(stale, [Fault("callrail deals", "old", "callrail", "deals")], found)
    report = (
        Time(rule("schedule_off")).at(0, Fault("morning_report_schedule", "it did not tick", entities=())).incidents
    )
    assert unexplained(stale, [fault("contacts")], report) == [fault("contacts")]


def test_an_incident_that_is_told_already_is_not_taken_for_over_when_another_rule_explains_it() -> None:
    stale = rule("stale", unless=("credential_refused",))
    own = Time(stale).at(0, fault("contacts")).incidents
    refused = Time(rule("credential_refused")).at(1, Fault("hubspot", "refused", "hubspot")).incidents
    assert unexplained(stale, [fault("contacts")], [*own, *refused])


def test_rules_come_after_those_that_explain_them() -> None:
    names = [one.name for one in in_order([rule("a", unless=("b",)), rule("b", unless=("c",)), rule("c")])]
    assert names == ["c", "b", "a"]
    assert len(in_order([rule("a", unless=("b",)), rule("b", unless=("a",))])) == 2


def test_a_message_says_what_since_when_and_what_to_do() -> None:
    after, [change] = settle(rule(), [fault("contacts")], [], [], NOW)
    after[0].id = 17
    message = messages.of(change, ZoneInfo("America/New_York"), "http://dagster.test/")
    assert message.key == "17 opened"
    assert message.title == "[critical] Runs keep failing: hubspot contacts"
    assert message.body.splitlines() == [
        "hubspot contacts: 3 runs failed",
        "Since 2026-11-02 07:00 EST, 0 s ago.",
        "Look.",
        "http://dagster.test/locations/warehouse/jobs/sync_hubspot_contacts",
        "Incident 17: `warehouse alerts ack 17` stops reminders.",
    ]
    _, [over] = settle(rule(), [], after, [], NOW + 3 * HOUR + 20 * MINUTE)
    resolved = messages.of(over, ZoneInfo("America/New_York"), "")
    assert resolved.title == "[critical] Resolved: Runs keep failing: hubspot contacts"
    assert "It lasted 3 h 20 min: 2026-11-02 07:00 EST to 2026-11-02 10:20 EST." in resolved.body


def test_no_personal_data_and_no_secret_in_a_text() -> None:
    said = "RequestRefused: jane.doe@example.com, +1 (555) 010-9999, https://kim:word@api.test, Bearer abcdef1234567890"
    incidents, _ = settle(rule(), [Fault("hubspot contacts", said, "hubspot", "contacts")], [], [], NOW)
    text = str(incidents[0].members)
    for secret in ("jane", "555", "word", "abcdef"):
        assert secret not in text


@pytest.mark.parametrize(
    ("at", "until"),
    [
        ("2026-11-02 21:59", None),
        ("2026-11-02 22:00", "2026-11-03 07:00"),
        ("2026-11-03 03:00", "2026-11-03 07:00"),
        ("2026-11-03 07:00", None),
        ("2026-11-01 00:30", "2026-11-01 07:00"),  # the clock is set back at two
    ],
)
def test_quiet_hours(at: str, until: str | None) -> None:
    zone = ZoneInfo("America/New_York")
    now = datetime.fromisoformat(at).replace(tzinfo=zone).astimezone(UTC)
    found = quiet_until("22:00-07:00", now, zone)
    assert (found and f"{found.astimezone(zone):%Y-%m-%d %H:%M}") == until
    assert quiet_until("", now, zone) is None


@pytest.mark.parametrize("night", ["2026-03-08", "2026-11-01", "2026-06-30"])
@pytest.mark.parametrize("hours", ["22:00-07:00", "22:00-01:30", "23:30-02:30", "01:15-02:45", "00:00-03:00"])
def test_quiet_hours_end_when_the_wall_clock_says_so(night: str, hours: str) -> None:
    """Also when clocks are changed at two: times then come twice, or not at all."""
    zone = ZoneInfo("America/New_York")
    begin, end = hours.split("-")
    at = datetime.fromisoformat(f"{night} 18:00").replace(tzinfo=zone).astimezone(UTC) - timedelta(days=1)
    quiet = {}
    for minutes in range(0, 24 * 60, 5):
        now = at + timedelta(minutes=minutes)
        clock = f"{now.astimezone(zone):%H:%M}"
        quiet[now] = begin <= clock < end if begin < end else clock >= begin or clock < end
    for now, is_quiet in quiet.items():
        until = quiet_until(hours, now, zone)
        assert (until is not None) is is_quiet, (now, until)
        if until is not None:
            assert until == next(one for one, still in quiet.items() if one > now and not still)


@pytest.mark.parametrize("hours", ["at night", "22:00", "22:00-07:00-08:00", "22:00-22:00", "22:00+01:00-07:00"])
def test_quiet_hours_that_cannot_be_read_are_refused(hours: str) -> None:
    with pytest.raises(ValueError, match=r"two (different )?times"):
        AlertSettings(warehouse_alert_quiet_hours=hours)
