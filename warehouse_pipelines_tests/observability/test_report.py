"""The morning report: what it counts, what needs a person, and when last night is right."""

from datetime import UTC, datetime

import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.observability.alerts.report import Report, build
from warehouse_pipelines.observability.alerts.rules import Circumstances
from warehouse_pipelines_tests.harness.alerting import DAY, HOUR, ZONE, Alerting, plant

NOW = datetime(2026, 11, 4, 12, tzinfo=UTC)


def report(url: str) -> Report:
    with warehouse.session(url) as session:
        return build(session, Circumstances(NOW, ["hubspot"], str(ZONE)), "http://dagster.test")


@pytest.fixture
def url(database_url: str) -> str:
    with warehouse.session(database_url) as session:
        session.execute(
            "DELETE FROM orchestration.sync_schedule WHERE NOT (crm_source = 'hubspot' AND model_name = ANY(%s))",
            [["contacts", "deals"]],
        )
        session.execute("UPDATE orchestration.sync_schedule SET every = 1, period = 'hours'")
    return database_url


def test_a_night_that_is_right(url: str) -> None:
    plant(url, NOW - 30 * HOUR, "failed")
    for hours in reversed(range(24)):
        plant(url, NOW - (hours + 0.5) * HOUR, records=10)
        plant(url, NOW - (hours + 0.5) * HOUR, entity="deals", records=2)
    found = report(url)
    assert found.right
    assert found.title == "Warehouse: last night is right (2026-11-04)"
    assert found.text().splitlines() == [
        "From 2026-11-03 07:00 EST to 2026-11-04 07:00 EST.",
        "",
        "hubspot: 48 runs, 0 failed, 0 partial; 288 records read, 288 new, 0 changed; 0 dead letters; "
        "2 of 2 entities fresh",
        "",
        "Runs: http://dagster.test/runs",
    ]


def test_a_night_that_is_not(url: str) -> None:
    plant(url, NOW - 2 * HOUR)
    plant(url, NOW - HOUR, "failed", run_id="a-run", error="VendorUnavailable: jane@example.com got 503")
    plant(url, NOW - 7 * HOUR, entity="deals")
    with warehouse.session(url) as session:
        session.execute(
            "INSERT INTO orchestration.dead_letter (sync_history_id, last_sync_history_id, crm_source, sync_type,"
            " stage, rule, error_message, payload, payload_hash, created_at)"
            " VALUES (1, 1, 'hubspot', 'deals', 'coerce', 'number', 'no number', '1', 1, %s)",
            [NOW - HOUR],
        )
    found = report(url)
    assert not found.right
    assert found.title == "Warehouse: 3 things need a person, 0 incidents are open"
    assert found.crms[0].needs == [
        ("contacts failed: VendorUnavailable: *** got 503", "http://dagster.test/runs/a-run"),
        ("deals is late: last good 7 h ago, target 2 h", ""),
        ("deals: 1 new dead letters", ""),
    ]


def test_incidents_of_the_night_are_in_it(url: str) -> None:
    alerting = Alerting(url).only("stuck")
    plant(url, NOW - 30 * HOUR, "running")
    alerting.at(NOW - 10 * HOUR)
    with warehouse.session(url) as session:
        session.execute("DELETE FROM orchestration.sync_history")
    alerting.at(NOW - 8 * HOUR)
    plant(url, NOW - DAY, "running", entity="deals")
    alerting.at(NOW)
    texts = [line for line in report(url).text().splitlines() if "A run does not end" in line]
    assert texts == [
        "  1 [warning] A run does not end: hubspot contacts; lasted 2 h",
        "  2 [warning] A run does not end: hubspot deals; open for 0 s",
    ]


def test_without_any_crm(database_url: str) -> None:
    with warehouse.session(database_url) as session:
        found = build(session, Circumstances(NOW, [], str(ZONE)))
    assert found.right
    assert "No CRM is configured." in found.text()


@pytest.mark.parametrize("last", ["cancelled", "limited", "backfill"])
def test_what_failed_is_told_though_a_run_that_did_not_ask_for_all_news_came_after_it(url: str, last: str) -> None:
    plant(url, NOW - 1.2 * HOUR)
    plant(url, NOW - 0.2 * HOUR, entity="deals")
    plant(url, NOW - HOUR, "failed", error="VendorUnavailable: 503")
    status, mode = ("cancelled", "delta") if last == "cancelled" else ("success", last.replace("limited", "delta"))
    plant(url, NOW - 0.5 * HOUR, status, mode=mode, error="somebody cancelled it" if last == "cancelled" else None)
    if last == "limited":
        with warehouse.session(url) as session:
            session.execute(
                "UPDATE orchestration.sync_history SET configuration = configuration || '{\"max_records\": 5}'"
                " WHERE id = (SELECT max(id) FROM orchestration.sync_history)"
            )
    assert [need for crm in report(url).crms for need, _ in crm.needs] == ["contacts failed: VendorUnavailable: 503"]


def test_a_crm_whose_settings_cannot_be_used_needs_a_person(url: str) -> None:
    plant(url, NOW - 0.2 * HOUR)
    plant(url, NOW - 0.2 * HOUR, entity="deals")
    problem = "HubSpot is not configured: set HUBSPOT_ACCESS_TOKEN, in the environment or in .env"
    about = Circumstances(NOW, ["hubspot"], str(ZONE), settings_problems={"hubspot": problem})
    with warehouse.session(url) as session:
        found = build(session, about)
    assert not found.right
    assert f"  - {problem}" in found.text().splitlines()
