"""Messages: told at least once, by each channel for itself, to a receiver over HTTP."""

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import NotConfigured
from warehouse_pipelines.loading import retention
from warehouse_pipelines.observability import redaction
from warehouse_pipelines.observability.alerts import deliveries, evaluate, rules
from warehouse_pipelines.observability.alerts.channels import Channel, channels
from warehouse_pipelines.observability.alerts.rules import Fault
from warehouse_pipelines_tests.harness.alerting import DAY, HOUR, Alerting, Receiver, plant, receiving
from warehouse_pipelines_tests.harness.subprocesses import forked

pytestmark = pytest.mark.on_oldest(
    "test_quiet_hours_hold_back_what_is_not_critical",
    "test_many_messages_come_as_one",
    "test_subjects_of_any_type_are_read_as_text",
    "test_a_rule_that_cannot_be_asked_keeps_its_incidents",
    "test_what_ended_long_ago_is_deleted",
    "test_what_a_channel_says_of_a_refusal_has_no_url",
)

NOW = datetime(2026, 11, 4, 15, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
TITLE = "[critical] Runs keep failing: hubspot contacts"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def alerting(database_url: str, receiver: Receiver) -> Alerting:
    return Alerting(database_url, [receiver.url]).only("failing", "delivery_failing", "rule_failing")


def fail(url: str, entity: str = "contacts") -> None:
    for hours in (3, 2, 1):
        plant(url, NOW - hours * HOUR, "failed", entity=entity)


def rows(url: str, statement: str) -> list[dict[str, Any]]:
    with warehouse.session(url) as session:
        return session.execute(statement).fetchall()


def test_an_incident_is_sent_when_it_opens_and_when_it_is_over(alerting: Alerting, receiver: Receiver) -> None:
    fail(alerting.url)
    for minutes in range(3):
        alerting.at(NOW + minutes * MINUTE)
    assert receiver.titles == [TITLE]
    assert receiver.got[0]["type"] == "failure"
    assert "VendorUnavailable: the vendor answered 503" in receiver.got[0]["message"]
    plant(alerting.url, NOW)
    alerting.at(NOW + 5 * MINUTE)
    assert receiver.titles[1:] == ["[critical] Resolved: Runs keep failing: hubspot contacts"]
    assert "It lasted 5 min" in receiver.got[1]["message"]


def test_a_vendor_that_is_down_is_told_once(alerting: Alerting, receiver: Receiver) -> None:
    for entity in ("contacts", "deals", "owners", "tasks", "companies"):
        fail(alerting.url, entity)
    alerting.at(NOW)
    alerting.at(NOW + MINUTE)
    assert len(receiver.titles) == 1
    assert "entities of hubspot" in receiver.titles[0]


def test_a_channel_that_refuses_stops_no_other_and_is_told_of(alerting: Alerting, receiver: Receiver) -> None:
    with receiving() as broken:
        broken.status = 500
        alerting.urls = [broken.url, receiver.url]
        fail(alerting.url)
        for minutes in (0, 1, 5, 20, 21):
            alerting.at(NOW + minutes * MINUTE)
        assert receiver.titles[0] == TITLE
        assert receiver.titles[1].startswith("[warning] A channel of alerts refuses messages: json-")
        assert len(receiver.titles) == 2
        assert "500" in receiver.got[1]["message"]
        broken.status = 200
        alerting.at(NOW + 2 * HOUR)
        assert TITLE in broken.titles
        assert "[critical] Resolved" not in str(broken.titles)


def test_what_is_over_before_a_channel_could_be_told_is_not_told_there(alerting: Alerting, receiver: Receiver) -> None:
    receiver.status = 500
    fail(alerting.url)
    alerting.only("failing").at(NOW)
    plant(alerting.url, NOW)
    receiver.status = 200
    alerting.at(NOW + 2 * HOUR)
    assert receiver.titles == []
    assert [row["status"] for row in rows(alerting.url, "SELECT status FROM orchestration.alert_delivery")] == [
        "dropped"
    ]


def test_quiet_hours_hold_back_what_is_not_critical(database_url: str, receiver: Receiver) -> None:
    alerting = Alerting(database_url, [receiver.url], quiet_hours="22:00-07:00").only("failing", "stuck")
    night = datetime(2026, 11, 5, 5, tzinfo=UTC)  # midnight in New York
    for hours in (3, 2, 1):
        plant(database_url, night - hours * HOUR, "failed")
    plant(database_url, night - DAY, "running", entity="deals")
    alerting.at(night)
    assert receiver.titles == [TITLE]
    alerting.at(night + 7 * HOUR)
    assert receiver.titles == [TITLE, "[warning] A run does not end: hubspot deals"]


def test_many_messages_come_as_one(alerting: Alerting, receiver: Receiver) -> None:
    for number in range(8):
        alerting.collectors[f"own_{number}"] = lambda rule: [Fault(rule.name, "it is wrong")]
        with warehouse.session(alerting.url) as session:
            session.execute(
                "INSERT INTO orchestration.alert_rule (name, title, reads) VALUES (%s, 'Own', 'dagster')",
                [f"own_{number}"],
            )
    alerting.at(NOW)
    assert receiver.titles == ["[warning] 8 messages"]
    assert receiver.got[0]["message"].count("it is wrong") == 8


def test_a_rule_that_cannot_be_asked_stops_no_other_and_is_told_of(alerting: Alerting, receiver: Receiver) -> None:
    with warehouse.session(alerting.url) as session:
        session.execute(
            "INSERT INTO orchestration.alert_rule (name, title, statement) VALUES ('broken', 'Broken', 'SELECT 1/0')"
        )
    fail(alerting.url)
    found = alerting.at(NOW)
    assert found.failed == {"broken": "DivisionByZero: division by zero"}
    assert receiver.titles == [TITLE]
    alerting.at(NOW + 31 * MINUTE)
    assert receiver.titles[1:] == ["[warning] A rule cannot be asked: broken"]


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("SELECT 1 AS subject", "must return `subject` and `text`"),
        ("SELECT NULL AS subject, 'x' AS text", "must return `subject` and `text`"),
        ("SELECT 'a' AS subject, NULL AS text", "must return `subject` and `text`"),
        ("SELECT n AS subject, 'x' AS text FROM generate_series(1, 2001) AS n", "names 2,001 subjects"),
        ("SELECT 'a' AS subject WHERE 'x' LIKE '%x'", "ProgrammingError"),
        ("SELECT no_column FROM nowhere", "UndefinedTable"),
        ("this is no SQL", "SyntaxError"),
        ("SET default_transaction_read_only = off", "ProgrammingError"),
    ],
    ids=str,
)
def test_whatever_a_rule_says_it_stops_no_other(
    alerting: Alerting, receiver: Receiver, statement: str, why: str
) -> None:
    """Incidents of all rules are settled in one transaction, which a subject that is null ended."""
    with warehouse.session(alerting.url) as session:
        session.execute(
            "INSERT INTO orchestration.alert_rule (name, title, statement) VALUES ('broken', 'Broken', %s)", [statement]
        )
    fail(alerting.url)
    assert why in alerting.at(NOW).failed["broken"]
    assert receiver.titles == [TITLE]


def test_subjects_of_any_type_are_read_as_text(alerting: Alerting, receiver: Receiver) -> None:
    with warehouse.session(alerting.url) as session:
        session.execute(
            "INSERT INTO orchestration.alert_rule (name, title, statement) VALUES ('own', 'Own', %s)",
            ["SELECT n AS subject, now()::date AS text, 7 AS crm, 8.5 AS cause FROM generate_series(1, 2) AS n"],
        )
    assert alerting.at(NOW).failed == {}
    assert receiver.titles == ["[warning] Own: 2 entities of 7"]


@pytest.mark.slow("sessions that wait for each other")
def test_a_rule_that_hangs_delays_no_other(
    alerting: Alerting, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked last, and what is not reached in time waits: Dagster gives a sensor a minute."""
    monkeypatch.setattr(rules, "SECONDS", 1)
    monkeypatch.setattr(evaluate, "ASKING_SECONDS", 0.5)
    with warehouse.session(alerting.url) as session:
        session.execute(
            "INSERT INTO orchestration.alert_rule (name, title, statement)"
            " SELECT 'aa_hangs_' || n, 'Hangs', 'SELECT pg_sleep(60)' FROM generate_series(1, 3) AS n"
        )
    fail(alerting.url)
    began = time.monotonic()
    assert [*alerting.at(NOW).failed] == ["aa_hangs_1"]
    assert receiver.titles == []
    assert [*alerting.at(NOW + MINUTE).failed] == ["aa_hangs_2"]
    assert [*alerting.at(NOW + 2 * MINUTE).failed] == ["aa_hangs_3"]
    assert [*alerting.at(NOW + 3 * MINUTE).failed] == ["aa_hangs_1"]
    assert time.monotonic() - began < 60, "none of the three was waited for to its end"
    assert receiver.titles == [TITLE], "from the fourth on those that work are asked first"


def test_incidents_of_a_rule_that_is_switched_off_are_closed(alerting: Alerting, receiver: Receiver) -> None:
    fail(alerting.url)
    alerting.at(NOW)
    receiver.status = 500
    alerting.only("rule_failing").at(NOW + MINUTE)
    [event] = rows(alerting.url, "SELECT resolved_at, cleared_at FROM orchestration.alert_event")
    assert event == {"resolved_at": NOW + MINUTE, "cleared_at": NOW + MINUTE}
    receiver.status = 200
    alerting.at(NOW + 2 * MINUTE)
    assert receiver.titles == [TITLE], "nobody is told that it is over, because it may not be"
    alerting.only("failing").at(NOW + 3 * MINUTE)
    assert receiver.titles == [TITLE, TITLE], "a new incident"


def test_a_rule_that_cannot_be_asked_keeps_its_incidents(alerting: Alerting, receiver: Receiver) -> None:
    fail(alerting.url)
    alerting.at(NOW)
    with warehouse.session(alerting.url) as session:
        session.execute("UPDATE orchestration.alert_rule SET statement = 'SELECT 1/0' WHERE name = 'failing'")
    alerting.at(NOW + MINUTE)
    assert receiver.titles == [TITLE]
    assert [row["resolved_at"] for row in rows(alerting.url, "SELECT resolved_at FROM orchestration.alert_event")] == [
        None
    ]


def send_and_die(url: str, channel: str) -> None:
    class Killed(Channel):
        def send(self, title: str, body: str, severity: str) -> None:
            super().send(title, body, severity)
            os.kill(os.getpid(), signal.SIGKILL)

    deliveries.send(url, [Killed(channel)], NOW)


@pytest.mark.slow("a program of its own, which is killed")
def test_who_is_killed_between_sending_and_writing_it_down_sends_it_again(
    alerting: Alerting, receiver: Receiver
) -> None:
    """At least once: told twice is a nuisance, told never is an outage that nobody hears of."""
    fail(alerting.url)
    alerting.at(NOW, send=False)
    assert forked(send_and_die, alerting.url, receiver.url) == -signal.SIGKILL
    assert receiver.titles == [TITLE]
    alerting.at(NOW + MINUTE)
    assert receiver.titles == [TITLE, TITLE]
    alerting.at(NOW + 2 * MINUTE)
    assert receiver.titles == [TITLE, TITLE]


@pytest.mark.slow("sessions that wait for each other")
def test_a_channel_that_hangs_keeps_no_other_waiting(
    alerting: Alerting, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that takes the connection and says nothing, and one that says a letter now and then."""
    monkeypatch.setattr("warehouse_pipelines.observability.alerts.channels.SECONDS", 1.5)
    with hanging(b"") as silent, hanging(b"HTTP/1.1 200 OK\r\nX: ") as slow:
        alerting.urls = [silent, slow, receiver.url]
        fail(alerting.url)
        alerting.at(NOW)
    assert receiver.titles == [TITLE]
    statuses = rows(alerting.url, "SELECT status, attempts, error FROM orchestration.alert_delivery ORDER BY id")
    assert [(row["status"], row["attempts"]) for row in statuses] == [("pending", 1), ("pending", 1), ("sent", 0)]
    assert [row["error"] for row in statuses[:2]] == ["it did not answer within 2 s"] * 2


@contextlib.contextmanager
def hanging(first: bytes) -> Iterator[str]:
    """Listen, and answer each connection with these bytes and then a letter a second."""
    ended = threading.Event()

    def drip(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.sendall(first)
            while not ended.wait(0.5):
                if first:
                    connection.sendall(b"x")

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=drip, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield f"json://127.0.0.1:{listener.getsockname()[1]}/alerts"
        ended.set()
        listener.shutdown(socket.SHUT_RDWR)


def test_two_senders_at_once_send_it_once(alerting: Alerting, receiver: Receiver) -> None:
    fail(alerting.url)
    alerting.at(NOW, send=False)
    usable, _ = channels([receiver.url])
    with warehouse.session(alerting.url) as session, session.transaction():
        assert deliveries._due(session, usable[0].name, NOW)
        assert deliveries.send(alerting.url, usable, NOW) == {usable[0].name: 0}
    assert deliveries.send(alerting.url, usable, NOW) == {usable[0].name: 1}
    assert receiver.titles == [TITLE]


def test_an_evaluation_that_is_repeated_tells_nothing_twice(alerting: Alerting, receiver: Receiver) -> None:
    fail(alerting.url)
    for _ in range(3):
        alerting.at(NOW)
    assert receiver.titles == [TITLE]


def test_what_waits_for_a_channel_that_is_no_longer_set_is_dropped(alerting: Alerting, receiver: Receiver) -> None:
    fail(alerting.url)
    alerting.at(NOW, send=False)
    alerting.urls = []
    statuses = "SELECT status FROM orchestration.alert_delivery"
    alerting.at(NOW + MINUTE)
    assert rows(alerting.url, statuses) == [{"status": "pending"}], "another program may have that channel"
    alerting.at(NOW + DAY + MINUTE)
    assert rows(alerting.url, statuses) == [{"status": "dropped"}]


def test_what_ended_long_ago_is_deleted(alerting: Alerting) -> None:
    fail(alerting.url)
    alerting.at(NOW)
    plant(alerting.url, NOW)
    alerting.at(NOW + HOUR)
    with warehouse.session(alerting.url) as session:
        retention.run(session, (), now=NOW + 31 * DAY)
        assert rows(alerting.url, "SELECT FROM orchestration.alert_delivery") == []
        assert len(rows(alerting.url, "SELECT FROM orchestration.alert_event")) == 1
        retention.run(session, (), now=NOW + 500 * DAY)
    assert rows(alerting.url, "SELECT FROM orchestration.alert_event") == []


def test_nothing_of_a_url_is_printed() -> None:
    url = "jsons://kim:topsecretword@127.0.0.1:1/services/T0K3N9876X?key=AbCdEf123456"
    channel = Channel(url)
    assert channel.name.startswith("jsons-")
    shown = redaction.redacted(f"POST {url} and topsecretword, T0K3N9876X, AbCdEf123456")
    for secret in ("topsecretword", "T0K3N9876X", "AbCdEf123456"):
        assert secret not in shown
        assert secret not in channel.name


def test_what_a_channel_says_of_a_refusal_has_no_url(alerting: Alerting) -> None:
    alerting.urls = ["json://kim:topsecretword@127.0.0.1:1/T0K3N9876X"]
    fail(alerting.url)
    alerting.at(NOW)
    [row] = rows(alerting.url, "SELECT attempts, error, channel FROM orchestration.alert_delivery")
    assert row["attempts"] == 1
    assert row["error"]
    assert "topsecretword" not in str(row)
    assert "T0K3N9876X" not in str(row)


def test_a_url_that_is_none_stops_no_other_channel(receiver: Receiver) -> None:
    found, wrong = channels(["nonsense://topsecretword", receiver.url])
    assert len(found) == 1
    assert "topsecretword" not in wrong[0]
    with pytest.raises(NotConfigured):
        Channel("nonsense://topsecretword")


@pytest.mark.parametrize(
    ("url", "token"),
    [
        ("tgram://987654321:AAHsecretTokenOfABot_x/1234567/", "AAHsecretTokenOfABot_x"),
        ("tgram://987654321:AAHsecretTokenOfABot_x/1234567/", "987654321:AAHsecretTokenOfABot_x"),
        ("mailtos://ops:hunterhunter@smtp.example.com?name=Nightly&to=ops1@example.com", "hunterhunter"),
        ("discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js", "JHMHI8qBe7bk2ZwO5U711o3dV_js"),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/", "TIiajkdnlazkcOXrIdevi7FQ"),
    ],
)
def test_no_part_of_a_url_that_may_be_a_token_is_printed(url: str, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token may have a colon, and a login be followed by another address."""
    monkeypatch.setattr(redaction, "_hidden", set())
    Channel(url)
    assert token not in redaction.redacted(f"it answered: no such {token} (of smtp.example.com)")
    assert redaction.redacted("Nightly: smtp.example.com refused") == "Nightly: smtp.example.com refused"
