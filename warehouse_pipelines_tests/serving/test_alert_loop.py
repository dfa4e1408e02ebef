"""`warehouse serve` outside of Dagster: a dead daemon, a warehouse that is away, deliveries that are refused."""

import asyncio
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from dagster._core.test_utils import instance_for_test
from dagster._daemon.types import DaemonHeartbeat

from warehouse_pipelines import warehouse
from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines.observability.alerts import program
from warehouse_pipelines.observability.alerts.evaluate import LOCK
from warehouse_pipelines.serving import alert_loop
from warehouse_pipelines.serving.alert_loop import AlertLoop
from warehouse_pipelines_tests.harness.alerting import Alerting, Receiver, receiving

NOW = datetime(2026, 11, 4, 15, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiving() as made:
        monkeypatch.setenv("WAREHOUSE_ALERT_URLS", made.url)
        yield made


def beat(url: str, at: datetime) -> None:
    with warehouse.session(url) as session:
        session.execute(
            "INSERT INTO orchestration.heartbeat VALUES ('alerts', %s) "
            "ON CONFLICT (name) DO UPDATE SET last_alive_at = excluded.last_alive_at",
            [at],
        )


def test_a_daemon_that_was_never_there_is_not_missed(database_url: str, receiver: Receiver) -> None:
    looking = AlertLoop(database_url, dict)
    for minutes in range(5):
        looking.look(NOW + minutes * MINUTE)
    assert receiver.titles == []


def test_a_silent_evaluation_is_told_and_its_return_too(database_url: str, receiver: Receiver) -> None:
    beat(database_url, NOW)
    looking = AlertLoop(database_url, dict)
    for minutes in range(0, 10):
        looking.look(NOW + minutes * MINUTE)
    assert receiver.titles == ["[critical] Dagster evaluates no alerts: the sensor that evaluates alerts"]
    beat(database_url, NOW + 10 * MINUTE)
    for minutes in range(10, 14):
        looking.look(NOW + minutes * MINUTE)
    assert receiver.titles[1:] == ["[critical] Resolved: Dagster evaluates no alerts: the sensor that evaluates alerts"]


@pytest.mark.parametrize("storage", ["sqlite", "postgresql"])
@pytest.mark.slow("the same in other circumstances")
def test_the_heartbeat_of_the_daemon_is_read_from_its_storage(
    storage: str, test_server: Server, monkeypatch: pytest.MonkeyPatch, empty_url: str
) -> None:
    overrides = None
    if storage == "postgresql":
        monkeypatch.setenv("DAGSTER_STORAGE_URL", empty_url)
        overrides = {"storage": {"postgres": {"postgres_url": empty_url}}}
    with instance_for_test(overrides=overrides) as instance:
        monkeypatch.setenv("DAGSTER_HOME", instance.root_directory)
        assert alert_loop.last_heartbeat() is None
        for minutes, kind in enumerate(("SENSOR", "SCHEDULER", "BACKFILL")):
            at = NOW - minutes * MINUTE
            instance.add_daemon_heartbeat(DaemonHeartbeat(at.timestamp(), kind, "id"))
        assert alert_loop.last_heartbeat() == NOW


@pytest.mark.slow("a program of its own, which is killed")
def test_a_daemon_whose_heartbeats_cease_is_told(
    database_url: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alert_loop, "last_heartbeat", lambda: NOW)
    looking = AlertLoop(database_url, dict)
    for minutes in range(0, 70, 1):
        looking.look(NOW + minutes * MINUTE)
    title = "Dagster's daemon is silent: Dagster's daemon"
    assert receiver.titles == [f"[critical] {title}", f"[critical] Still: {title}"]


def test_refused_deliveries_are_one_alert(database_url: str, receiver: Receiver) -> None:
    """A key of another environment gives a stream of invalid signatures: one alert, and not one for each."""
    counts = {"callrail": {"refused": 0, "accepted": 0}, "hubspot": {"refused": 0}}
    looking = AlertLoop(database_url, lambda: counts)
    for minutes in range(12):
        looking.look(NOW + minutes * MINUTE)
        counts["callrail"] = {"refused": 9 * minutes, "accepted": 900 * minutes}
        counts["hubspot"] = {"refused": minutes}
    assert receiver.titles == ["[warning] Webhooks are refused: callrail"]


def test_a_warehouse_that_is_away_is_told_from_memory(
    database_url: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking = AlertLoop(database_url, dict)
    looking.look(NOW)
    monkeypatch.setattr(looking, "_url", "postgresql://a:b@127.0.0.1:1/none")
    for minutes in range(1, 8):
        looking.look(NOW + minutes * MINUTE)
    assert receiver.titles == ["[critical] The warehouse does not answer"]
    monkeypatch.setattr(looking, "_url", database_url)
    looking.look(NOW + 9 * MINUTE)
    assert receiver.titles[1:] == ["[critical] Resolved: The warehouse does not answer"]
    assert "8 minutes" in json.dumps(receiver.got[1])


def test_a_warehouse_that_takes_no_writes_is_told_from_memory(
    database_url: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a failover to a standby, or on a full disk: it answers all the same."""
    looking = AlertLoop(database_url, dict)
    looking.look(NOW)
    options = f"{warehouse.PARAMETERS['options']} -c default_transaction_read_only=on"
    warehouse.close_kept()
    monkeypatch.setitem(warehouse.PARAMETERS, "options", options)
    for minutes in range(1, 63):
        looking.look(NOW + minutes * MINUTE)
        if minutes == 3:
            assert receiver.titles == []
    assert receiver.titles == ["[critical] Alerts cannot be evaluated"], "once in an hour"
    assert "ReadOnlySqlTransaction" in receiver.got[0]["message"]
    looking.look(NOW + 65 * MINUTE)
    warehouse.close_kept()
    monkeypatch.undo()
    monkeypatch.setenv("WAREHOUSE_ALERT_URLS", receiver.url)
    looking.look(NOW + 66 * MINUTE)
    assert receiver.titles[1:] == [
        "[critical] Alerts cannot be evaluated",
        "[critical] Resolved: Alerts cannot be evaluated",
    ]


def test_a_typo_in_the_quiet_hours_silences_nothing(
    database_url: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAREHOUSE_ALERT_QUIET_HOURS", "22-7")
    looking = AlertLoop(database_url, dict)
    looking.look(NOW)
    evaluated = program.run(database_url, (), now=NOW)[0]
    assert evaluated is not None
    assert "alert_settings" in [change.rule.name for change in evaluated.changes]
    assert receiver.titles == ["[warning] A setting of alerts cannot be used: WAREHOUSE_ALERT_QUIET_HOURS"]
    assert "write two times, such as 22:00-07:00" in receiver.got[0]["message"]
    monkeypatch.setattr(looking, "_url", "postgresql://a:b@127.0.0.1:1/none")
    for minutes in range(1, 6):
        looking.look(NOW + minutes * MINUTE)
    assert receiver.titles[1:] == ["[critical] The warehouse does not answer"]


def test_what_no_channel_took_is_said_again_a_minute_later(
    database_url: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking = AlertLoop(database_url, dict)
    monkeypatch.setattr(looking, "_url", "postgresql://a:b@127.0.0.1:1/none")
    receiver.status = 500
    for minutes in range(5):
        looking.look(NOW + minutes * MINUTE)
    receiver.status = 200
    looking.look(NOW + 5 * MINUTE)
    assert receiver.titles == ["[critical] The warehouse does not answer"]


def test_urls_that_cannot_be_used_any_more_are_told_at_those_before(
    database_url: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking = AlertLoop(database_url, dict)
    looking.look(NOW)
    monkeypatch.delenv("WAREHOUSE_ALERT_URLS")
    monkeypatch.setenv("WAREHOUSE_ALERT_URLS_FILE", "/nowhere/alert-urls")
    for minutes in range(1, 6):
        looking.look(NOW + minutes * MINUTE)
    assert receiver.titles == ["[critical] Alerts cannot be sent"]
    assert "no alert could be sent: WAREHOUSE_ALERT_URLS cannot be used" in receiver.got[0]["message"]


def test_a_process_that_hangs_while_it_evaluates_is_told_from_memory(database_url: str, receiver: Receiver) -> None:
    """It is the one that would have to be told of, and it keeps all others from telling."""
    looking = AlertLoop(database_url, dict)
    looking.look(NOW)
    with warehouse.session(database_url) as other, warehouse.try_lock(other, LOCK) as held:
        assert held
        for minutes in range(1, 10):
            looking.look(NOW + minutes * MINUTE)
    assert receiver.titles == ["[critical] Alerts cannot be evaluated"]
    assert "another process is at it and does not end" in receiver.got[0]["message"]
    looking.look(NOW + 10 * MINUTE)
    assert receiver.titles[1:] == ["[critical] Resolved: Alerts cannot be evaluated"]


def test_a_process_that_evaluates_each_time_is_not_told(database_url: str, receiver: Receiver) -> None:
    looking, other = AlertLoop(database_url, dict), Alerting(database_url)
    for minutes in range(10):
        other.at(NOW + minutes * MINUTE, send=False)
        with warehouse.session(database_url) as session, warehouse.try_lock(session, LOCK):
            looking.look(NOW + minutes * MINUTE)
    assert receiver.titles == []


def test_a_look_that_does_not_end_is_told(
    database_url: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alert_loop, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(alert_loop, "AWAY", timedelta(seconds=0.1))
    hanging = threading.Event()
    monkeypatch.setattr(program, "write_heartbeat", lambda *given: hanging.wait(20))

    async def go() -> None:
        running = asyncio.create_task(AlertLoop(database_url, dict).run())
        try:
            while not receiver.titles:
                await asyncio.sleep(0.05)
            hanging.set()
            while len(receiver.titles) < 2:
                await asyncio.sleep(0.05)
        finally:
            hanging.set()
            running.cancel()

    asyncio.run(asyncio.wait_for(go(), 15))
    assert receiver.titles == [
        "[critical] Alerts cannot be evaluated", "[critical] Resolved: Alerts cannot be evaluated",
    ]  # fmt: skip


def test_its_own_heartbeat_goes_with_it(database_url: str) -> None:
    looking = AlertLoop(database_url, dict)
    looking.look(NOW)
    with psycopg.connect(database_url) as session:
        assert session.execute("SELECT name, last_alive_at FROM orchestration.heartbeat").fetchall() == [("serve", NOW)]
    asyncio.run(looking.close())
    with psycopg.connect(database_url) as session:
        assert session.execute("SELECT FROM orchestration.heartbeat").fetchall() == []


class Fast(datetime):
    """The clock of a machine that is three hours ahead."""

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return datetime.now(tz) + timedelta(hours=3)


def test_a_machine_whose_clock_is_wrong_judges_by_that_of_the_warehouse(
    database_url: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (alert_loop, program):
        monkeypatch.setattr(module, "datetime", Fast)
    with warehouse.session(database_url) as session:
        session.execute("UPDATE orchestration.alert_rule SET every = '0', enabled = name IN ('daemon_silent', 'own')")
        session.execute(
            "INSERT INTO orchestration.alert_rule (name, title, statement)"
            " VALUES ('own', 'Own', 'SELECT 1 AS subject, %(now)s::text AS text')"
        )
        session.execute("INSERT INTO orchestration.heartbeat VALUES ('alerts', clock_timestamp())")
    looking = AlertLoop(database_url, dict)
    looking.look()
    program.run(database_url, ())
    with psycopg.connect(database_url) as plain:
        apart = "SELECT {} BETWEEN clock_timestamp() - interval '5 minutes' AND clock_timestamp() FROM orchestration.{}"
        assert plain.execute(apart.format("last_alive_at", "heartbeat WHERE name = 'serve'")).fetchone() == (True,)
        assert plain.execute(apart.format("first_seen_at", "alert_event")).fetchall() == [(True,)]
    assert receiver.titles == ["[warning] Own: 1"]
