"""What alerts ask Dagster: silent and stopped schedules, sensors that throw, failed checks and jobs. And the sensor."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import psycopg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteInstigatorOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    ScheduleInstigatorData,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.test_utils import instance_for_test
from dagster_shared.error import SerializableErrorInfo

from warehouse_pipelines import warehouse
from warehouse_pipelines.observability.alerts import rules
from warehouse_pipelines.observability.alerts.rules import Fault
from warehouse_pipelines.orchestration import alerts
from warehouse_pipelines.orchestration.dagster_facts import DagsterFacts
from warehouse_pipelines.orchestration.ticks import TickFailed
from warehouse_pipelines_tests.harness.alerting import HOUR, Alerting, plant, receiving

NOW = datetime(2026, 11, 4, 15, 7, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SCHEDULE = "sync_hubspot_every_15_minutes_schedule"


@dg.op
def nothing() -> None: ...


@dg.job
def nightly() -> None:
    nothing()


@dg.asset
def table() -> None: ...


@dg.asset_check(asset=table)
def sound(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed="bad" not in context.run.tags, severity=dg.AssetCheckSeverity.WARN, description="12 orphans"
    )


@dg.asset_check(asset=table)
def volume(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    """Has an alert of its own."""
    return dg.AssetCheckResult(passed=False)


@dg.sensor(name="looker", job=nightly, default_status=dg.DefaultSensorStatus.RUNNING)
def looker() -> None: ...


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with instance_for_test() as made:
        yield made


@pytest.fixture
def asked(database_url: str, instance: dg.DagsterInstance) -> "Asked":
    return Asked(database_url, instance)


class Asked:
    """Asks for the facts of a rule; and plants what Dagster's daemon would have written."""

    def __init__(self, url: str, instance: dg.DagsterInstance) -> None:
        self.url, self.instance = url, instance
        schedule = dg.ScheduleDefinition(
            name=SCHEDULE, job=nightly, cron_schedule="*/15 * * * *", default_status=dg.DefaultScheduleStatus.RUNNING
        )
        report = dg.ScheduleDefinition(
            name="report", job=nightly, cron_schedule="0 7 * * *", default_status=dg.DefaultScheduleStatus.RUNNING
        )
        defs = dg.Definitions(
            assets=[table], asset_checks=[sound, volume], jobs=[nightly], schedules=[schedule, report], sensors=[looker]
        )
        self.repository = defs.get_repository_def()

    def __call__(self, name: str, now: datetime = NOW) -> list[Fault]:
        dagster = DagsterFacts(self.instance, self.repository, self.url, ["hubspot", "table"], now)
        with warehouse.session(self.url) as session:
            [rule] = rules.enabled(session, [name])
        return list(dagster.collectors()[name](rule))

    def state(self, name: str, status: InstigatorStatus, kind: InstigatorType = InstigatorType.SCHEDULE) -> None:
        data = (
            ScheduleInstigatorData("*/15 * * * *", (NOW - 99 * HOUR).timestamp())
            if kind == InstigatorType.SCHEDULE
            else SensorInstigatorData()
        )
        found = InstigatorState(self.origin(name), kind, status, data)
        try:
            self.instance.add_instigator_state(found)
        except Exception:
            self.instance.update_instigator_state(found)

    def tick(
        self, name: str, at: datetime, status: TickStatus, kind: InstigatorType = InstigatorType.SCHEDULE,
        *, tries: int = 0,
    ) -> None:  # fmt: skip
        origin = self.origin(name)
        error = SerializableErrorInfo("KeyError: 'x'\n", [], "KeyError") if status == TickStatus.FAILURE else None
        self.instance.create_tick(
            TickData(origin.get_id(), name, kind, status, at.timestamp(), selector_id=origin.get_selector().get_id(),
                     error=error, consecutive_failure_count=tries)
        )  # fmt: skip

    def origin(self, name: str) -> RemoteInstigatorOrigin:
        return RemoteInstigatorOrigin(
            RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("warehouse"), "__repository__"), name
        )


def test_every_rule_of_dagster_has_its_function(asked: Asked) -> None:
    with warehouse.session(asked.url) as session:
        wanted = {rule.name for rule in rules.enabled(session) if rule.reads == "dagster"}
    assert DagsterFacts(asked.instance, asked.repository, asked.url, [], NOW).collectors().keys() == wanted


def test_a_schedule_that_is_stopped_though_its_crm_is_configured(asked: Asked) -> None:
    assert asked("schedule_off") == []
    asked.state(SCHEDULE, InstigatorStatus.STOPPED)
    [fault] = asked("schedule_off")
    assert (fault.subject, fault.crm, fault.cause) == (SCHEDULE, "hubspot", "hubspot")
    assert fault.entities == ("appointments", "contacts", "deals"), "those of the hourly schedule are not explained"
    with warehouse.session(asked.url) as session:
        session.execute("UPDATE orchestration.sync_schedule SET enabled = false WHERE crm_source = 'hubspot'")
    assert asked("schedule_off") == []


def test_what_waits_for_a_locked_table_is_given_up(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks holds the lock of alerts, without which nobody else evaluates."""
    monkeypatch.setattr(rules, "SECONDS", 1)
    with warehouse.session(asked.url) as other, other.transaction():
        other.execute("LOCK TABLE orchestration.sync_schedule")
        with pytest.raises(psycopg.errors.QueryCanceled):
            asked("schedule_off")


def test_a_schedule_that_is_on_and_does_not_tick(asked: Asked) -> None:
    asked.state(SCHEDULE, InstigatorStatus.DECLARED_IN_CODE)
    asked.tick(SCHEDULE, datetime(2026, 11, 4, 14, 30, tzinfo=UTC), TickStatus.SKIPPED)
    assert asked("schedule_silent") == []
    [fault] = asked("schedule_silent", NOW + 30 * MINUTE)
    assert fault.subject == SCHEDULE
    assert fault.text == "it was due at 2026-11-04 15:00 UTC and did not tick; last 2026-11-04 14:30 UTC"
    assert (fault.crm, fault.entities) == ("hubspot", ("appointments", "contacts", "deals"))
    asked.state(SCHEDULE, InstigatorStatus.STOPPED)
    assert asked("schedule_silent", NOW + 30 * MINUTE) == []


def test_a_silent_schedule_that_syncs_nothing_explains_nothing(asked: Asked) -> None:
    asked.state("report", InstigatorStatus.DECLARED_IN_CODE)
    asked.state(SCHEDULE, InstigatorStatus.DECLARED_IN_CODE)
    asked.tick(SCHEDULE, NOW - HOUR, TickStatus.SKIPPED)
    [report, sync] = sorted(asked("schedule_silent"), key=lambda fault: fault.subject)
    assert (report.subject, report.crm, report.entities) == ("report", None, ())
    assert report.cause != sync.cause, "a schedule that joins an incident is not told"
    alerting = Alerting(asked.url).only("schedule_silent", "stale", hold="0", remind_after=None)
    alerting.collectors = {"schedule_silent": lambda rule: [report, sync]}
    with warehouse.session(asked.url) as session:
        session.execute(
            "UPDATE orchestration.alert_rule SET statement = %s WHERE name = 'stale'",
            ["SELECT 'hubspot ' || e AS subject, 'hubspot' AS crm, e AS entity, 'old' AS text"
             " FROM unnest('{owners,contacts}'::text[]) AS e"],
        )  # fmt: skip
    told = [(one.rule.name, sorted(one.incident.members)) for one in alerting.at(NOW).changes]
    assert told == [("schedule_silent", ["report"]), ("schedule_silent", [SCHEDULE]), ("stale", ["hubspot owners"])]


def test_a_sensor_that_throws(asked: Asked) -> None:
    kind = InstigatorType.SENSOR
    asked.state("looker", InstigatorStatus.DECLARED_IN_CODE, kind)
    for minute, status in enumerate([TickStatus.SKIPPED, TickStatus.FAILURE, TickStatus.FAILURE]):
        asked.tick("looker", NOW + minute * MINUTE, status, kind)
    assert asked("sensor_failing") == []
    asked.tick("looker", NOW + 3 * MINUTE, TickStatus.FAILURE, kind)
    assert asked("sensor_failing") == [Fault("looker", "it failed 3 times in a row: KeyError: 'x'")]
    asked.tick("looker", NOW + 4 * MINUTE, TickStatus.SKIPPED, kind)
    assert asked("sensor_failing") == []
    asked.tick("looker", NOW + 5 * MINUTE, TickStatus.FAILURE, kind, tries=2)
    assert asked("sensor_failing") == []
    asked.tick("looker", NOW + 6 * MINUTE, TickStatus.FAILURE, kind, tries=3)
    assert [fault.text for fault in asked("sensor_failing")] == ["it failed 3 times in a row: KeyError: 'x'"]


@pytest.mark.slow("the same in other circumstances")
def test_a_failed_check_of_a_run_that_succeeded(asked: Asked) -> None:
    job = asked.repository.get_implicit_job_def_for_assets([table.key])
    assert job is not None
    assert job.execute_in_process(instance=asked.instance, tags={"bad": "1"}).success
    assert asked("check_failed") == [Fault("table sound", "the check sound failed: 12 orphans")]
    with warehouse.session(asked.url) as session:
        session.execute("UPDATE orchestration.source_table SET table_name = 'table' WHERE table_name = 'hubspot_deal'")
        assert asked("check_failed")[0].entity == "deals"
        session.execute("UPDATE orchestration.source_table SET crm_source = 'arrivy' WHERE table_name = 'table'")
    assert asked("check_failed") == []
    with warehouse.session(asked.url) as session:
        session.execute("UPDATE orchestration.source_table SET crm_source = 'hubspot' WHERE table_name = 'table'")
    assert job.execute_in_process(instance=asked.instance).success
    assert asked("check_failed") == []


def test_a_job_whose_last_run_failed(asked: Asked) -> None:
    assert asked("job_failing") == []
    run = asked.instance.create_run_for_job(asked.repository.get_job("nightly"))
    asked.instance.report_run_failed(run)
    [fault] = asked("job_failing")
    assert fault.subject == "nightly"
    assert f"(run {run.run_id[:8]})" in fault.text
    assert asked.repository.get_job("nightly").execute_in_process(instance=asked.instance).success
    assert asked("job_failing") == []


def test_a_disk_that_is_nearly_full(asked: Asked) -> None:
    assert asked("disk") == []
    with warehouse.session(asked.url) as session:
        session.execute("UPDATE orchestration.alert_rule SET threshold = 100 WHERE name = 'disk'")
    assert "of its disk are free" in asked("disk")[0].text


def evaluate(asked: Asked) -> str:
    [sensor] = alerts.sensors([], lambda: asked.url)
    found = sensor(dg.build_sensor_context(asked.instance, repository_def=asked.repository))
    assert isinstance(found, dg.SkipReason)
    return found.skip_message or ""


def test_the_sensor_evaluates_sends_and_leaves_a_heartbeat(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as receiver:
        monkeypatch.setenv("WAREHOUSE_ALERT_URLS", receiver.url)
        monkeypatch.setenv("WAREHOUSE_HEARTBEAT_URL", f"http://127.0.0.1:{receiver.port}/ping")
        plant(asked.url, datetime.now(UTC) - 20 * HOUR, "running")
        said = evaluate(asked)
        assert "stuck opened (1)" in said
        assert "sent 1" in said
        assert receiver.titles == ["[warning] A run does not end: hubspot contacts", "GET /ping"]
        with warehouse.session(asked.url) as session:
            assert session.execute("SELECT name FROM orchestration.heartbeat").fetchall() == [{"name": "alerts"}]
        assert "nothing new" in evaluate(asked)


def test_a_sensor_that_cannot_evaluate_is_a_failed_tick_and_no_heartbeat(asked: Asked) -> None:
    with warehouse.session(asked.url) as session:
        session.execute("ALTER TABLE orchestration.alert_rule RENAME TO elsewhere")
    with pytest.raises(TickFailed, match="not migrated"):
        evaluate(asked)
    with warehouse.session(asked.url) as session:
        assert session.execute("SELECT FROM orchestration.heartbeat").fetchall() == []


def test_the_report_is_sent_once_a_day(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    [job] = alerts.jobs([], lambda: asked.url)
    with receiving() as receiver:
        monkeypatch.setenv("WAREHOUSE_ALERT_URLS", receiver.url)
        for _ in range(2):
            assert job.execute_in_process(instance=asked.instance).success
        assert len(receiver.titles) == 1
        assert receiver.titles[0].startswith("Warehouse: last night is right")


def test_the_report_comes_at_seven_where_the_business_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_TIME_ZONE", "America/Denver")
    [schedule] = alerts.schedules()
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 7 * * *", "America/Denver")
