"""``warehouse alerts`` and ``warehouse report``."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner, Result

from warehouse_pipelines import warehouse
from warehouse_pipelines.commands import alerts_page
from warehouse_pipelines.commands.cli import main
from warehouse_pipelines_tests.harness.alerting import HOUR, Alerting, Receiver, plant, receiving


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiving() as made:
        monkeypatch.setenv("WAREHOUSE_ALERT_URLS", made.url)
        yield made


@pytest.fixture
def incident(database_url: str) -> Alerting:
    """An open incident: number 1."""
    alerting = Alerting(database_url).only("stuck")
    plant(database_url, datetime.now(UTC) - 20 * HOUR, "running")
    alerting.at(datetime.now(UTC))
    return alerting


def test_list(incident: Alerting) -> None:
    shown = run("alerts", "list", "--format", "json")
    assert shown.exit_code == 1
    [row] = json.loads(shown.stdout)
    assert (row["id"], row["rule"], row["state"]) == (1, "stuck", "open")
    assert "A run does not end: hubspot contacts" in run("alerts", "list").stdout
    rules = run("alerts", "list", "--rules")
    assert rules.exit_code == 0
    assert "12.0 hours" in rules.stdout or "12 hours" in rules.stdout


def test_an_empty_list(database_url: str) -> None:
    shown = run("alerts", "list")
    assert (shown.exit_code, shown.stdout) == (0, "No incident is open.\n")


def test_ack(incident: Alerting) -> None:
    assert run("alerts", "ack", "1", "--by", "kim").stdout == "kim took on incident 1: stuck, hubspot contacts.\n"
    assert "acknowledged by kim" in run("alerts", "list").stdout
    wrong = run("alerts", "ack", "7")
    assert wrong.exit_code == 2
    assert "No incident 7 is open" in wrong.output


def test_silence(database_url: str) -> None:
    told = run("alerts", "silence", "stale", "--subject", "hubspot", "--for", "2d", "--by", "kim")
    assert "Nobody is told of stale of hubspot until" in told.stdout
    with warehouse.session(database_url) as session:
        row = session.execute(
            "SELECT rule, subject, made_by, ends_at - created_at > interval '47 hours' AS long"
            " FROM orchestration.alert_silence"
        ).fetchone()
    assert row == {"rule": "stale", "subject": "hubspot", "made_by": "kim", "long": True}
    assert run("alerts", "silence", "stale", "--subject", "hubspot", "--end").stdout == "Ended 1 silence(s) of stale.\n"
    assert "Did you mean 'stale'?" in run("alerts", "silence", "stael").output
    assert "write 30min, 4h or 2d" in run("alerts", "silence", "all", "--for", "long").output


def test_test(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = run("alerts", "test")
    assert shown.exit_code == 0
    assert "took it" in shown.stdout
    assert receiver.titles == ["[info] A test of the warehouse's alerts"]
    monkeypatch.setenv("WAREHOUSE_ALERT_URLS", f"{receiver.url} json://127.0.0.1:1/T0K3N9876X nonsense://T0K3N9876X")
    shown = run("alerts", "test")
    assert shown.exit_code == 1
    assert "2 of 3 channels did not take the message" in shown.output
    assert "T0K3N9876X" not in shown.output
    assert len(receiver.titles) == 2
    monkeypatch.delenv("WAREHOUSE_ALERT_URLS")
    assert run("alerts", "test").exit_code == 2


def test_config_show_hides_the_whole_of_their_urls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_ALERT_URLS", "slack://T0K3N9876X/B0K3N9876X/C0K3N9876X")
    monkeypatch.setenv("WAREHOUSE_HEARTBEAT_URL", "https://hc.example.com/T0K3N9876X")
    shown = run("config", "show", "--format", "json").stdout
    assert "K3N9876X" not in shown
    found = {row["setting"]: row["value"] for row in json.loads(shown)["settings"]}
    assert found["WAREHOUSE_ALERT_URLS"] == found["WAREHOUSE_HEARTBEAT_URL"] == "***"


def test_report(database_url: str, receiver: Receiver) -> None:
    shown = run("report", "--format", "json")
    assert shown.exit_code == 0
    assert json.loads(shown.stdout)["right"] is True
    shown = run("report", "--send")
    assert shown.stdout.startswith("Warehouse: last night is right")
    assert len(receiver.titles) == 1


def test_the_page_has_the_rules_as_their_rows_are(database_url: str) -> None:
    """``python -m warehouse_pipelines.commands.docs --schemas`` writes it."""
    written = alerts_page.ALERTS_PAGE.read_text(encoding="utf-8")
    with warehouse.session(database_url) as session:
        assert alerts_page.page(written, session) == written
