"""The rules of health, on their own and against a history."""

import dataclasses
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from warehouse_pipelines.commands import cli
from warehouse_pipelines.observability import health
from warehouse_pipelines.sources import SOURCES

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("runs", "successes", "age", "healthy"),
    [
        (5, 4, HOUR, True),  # 80 % is enough
        (5, 3, HOUR, False),
        (100, 79, HOUR, False),
        (0, 0, HOUR, False),  # no runs = unhealthy
        (0, 0, None, False),
        (5, 5, 2 * HOUR, True),
        (5, 5, 2 * HOUR + timedelta(seconds=1), False),
    ],
)
def test_health_thresholds(runs: int, successes: int, age: timedelta | None, healthy: bool) -> None:
    found = health.problems(runs=runs, successes=successes, age=age, hours=24, expected_hours=2, rules=("rate", "age"))
    assert (not found) is healthy


def test_the_limits_follow_the_cadence_unless_they_are_given() -> None:
    contacts = SOURCES[0].entities[0]
    assert health.limits(contacts) == (24, 2)
    weekly = dataclasses.replace(contacts.cadence, every=timedelta(days=7), with_webhooks=None)
    assert health.limits(dataclasses.replace(contacts, cadence=weekly)) == (14 * 24, 14 * 24)
    told = dataclasses.replace(contacts.cadence, with_webhooks=timedelta(hours=3))
    assert health.limits(dataclasses.replace(contacts, cadence=told)) == (24, 3.25)
    assert health.limits(contacts, 6, 1) == (6, 1)


@pytest.fixture
def record_run(bare_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Give the first source its settings, and return a function that writes one run of its first entity."""
    monkeypatch.setenv("WAREHOUSE_DATABASE_URL", bare_url)
    for name in SOURCES[0].missing_settings():
        monkeypatch.setenv(name, "planted")

    def write(status: str, hours_ago: float, **more: Any) -> None:
        row = {
            "crm_source": SOURCES[0].name,
            "sync_type": SOURCES[0].entities[0].name,
            "status": status,
            "error_message": "planted" if status == "failed" else None,
            "records_processed": 1 if status == "partial" else 0,
            "records_failed": 1 if status == "partial" else 0,
            "configuration": '{"mode": "delta", "dry_run": false}',
            **more,
        }
        with psycopg.connect(bare_url) as connection:
            connection.execute(
                f"INSERT INTO orchestration.sync_history ({', '.join(row)}, start_time, end_time) VALUES "
                f"({', '.join(f'%({name})s' for name in row)}, now() - %(ago)s, "
                "%(ended)s)",
                {**row, "ago": timedelta(hours=hours_ago), "ended": None if status == "running" else datetime.now(UTC)},
            )

    return write


def first(bare_url: str, **limits: Any) -> health.Health:
    return health.judge(SOURCES[:1], url=bare_url, **limits)[0]


def test_an_entity_that_never_ran_is_unhealthy(bare_url: str, record_run: Callable[..., None]) -> None:
    found = first(bare_url)
    assert found.problems == ("no run ended in the last 24 h", "no good run yet")
    assert found.status is None


def test_a_recent_success_is_healthy(bare_url: str, record_run: Callable[..., None]) -> None:
    record_run("success", 0.5)
    found = first(bare_url)
    assert found.healthy
    assert (found.runs, found.successes, found.status) == (1, 1, "success")


def test_partial_does_not_count_as_success(bare_url: str, record_run: Callable[..., None]) -> None:
    """Decided by us: its records wait in the dead letters for a person, which is what health is there to tell."""
    for _ in range(4):
        record_run("partial", 0.5)
    record_run("success", 0.4)
    assert first(bare_url).problems == ("1 of 5 runs in 24 h succeeded, less than 80%",)


def test_a_success_makes_healthy_again_what_failed_before_it(bare_url: str, record_run: Callable[..., None]) -> None:
    """For ``status``; the rate, by which ``health`` judges, is that of all runs."""
    for ago in (1.0, 0.9, 0.8):
        record_run("failed", ago, error_message="HubSpot did not answer pat-na1-5f1c2ab9")
    result = CliRunner().invoke(cli.main, ["status", "--crm", SOURCES[0].name])
    assert f"{SOURCES[0].name} {SOURCES[0].entities[0].name}, last error: HubSpot did not answer ***" in result.stdout
    assert shown()["healthy"] is False
    record_run("success", 0.1)
    found = shown()
    assert found["healthy"] is True
    assert (found["problems"], found["status"], found["runs"], found["successes"]) == ([], "success", 4, 1)
    assert found["last_error"] == "HubSpot did not answer ***"
    assert found["last_error_at"] < datetime.now(UTC).isoformat()
    assert first(bare_url, rules=("rate",)).problems == ("1 of 4 runs in 24 h succeeded, less than 80%",)
    record_run("partial", 0.01)
    found = shown()
    assert found["healthy"] is False
    assert found["last_error"] == "1 records are in the dead letters"


def shown() -> dict[str, Any]:
    """Return what ``status --format json`` says of the first entity, and hold its exit code against it."""
    result = CliRunner().invoke(cli.main, ["status", "--crm", SOURCES[0].name, "--format", "json"])
    found: list[dict[str, Any]] = json.loads(result.stdout)
    assert result.exit_code == (0 if all(one["healthy"] for one in found) else 1)
    return found[0]


def test_running_dry_and_replayed_runs_are_not_counted(bare_url: str, record_run: Callable[..., None]) -> None:
    record_run("success", 0.5)
    record_run("running", 0.1)
    record_run("failed", 0.2, configuration='{"dry_run": true}')
    record_run("failed", 0.2, configuration='{"mode": "replay"}')
    found = first(bare_url)
    assert (found.runs, found.successes) == (1, 1)
    assert found.healthy
    assert found.status == "running"


def test_refused_runs_are_told_and_not_judged(bare_url: str, record_run: Callable[..., None]) -> None:
    """They say nothing about the vendor; the run that refused them does, and its row comes before theirs."""
    record_run("failed", 4, configuration='{"mode": "refused"}', error_message="SyncRunning: before the last run")
    record_run("success", 3)
    for minute in (2, 1):
        record_run(
            "failed", minute / 60, configuration='{"mode": "refused"}', error_message=f"SyncRunning: minute {minute}"
        )
    found = first(bare_url)
    assert (found.runs, found.successes, found.status) == (1, 1, "success")
    assert (found.refusals, found.refusal) == (2, "SyncRunning: minute 1")
    assert found.problems == ("last good run 3.0 h ago, expected within 2 h",), "a refused run is none"
    result = CliRunner().invoke(cli.main, ["status", "--crm", SOURCES[0].name])
    assert "success, 2 refused" in result.stdout
    assert "hubspot contacts, refused since then: SyncRunning: minute 1" in result.stdout
    record_run("success", 0.01)
    assert first(bare_url).refusals == 0


def test_a_dead_letter_without_a_key_is_told_while_it_stops_the_deletes(
    bare_url: str, record_run: Callable[..., None]
) -> None:
    """Each run is a success, and what the vendor deleted lives on."""
    record_run("success", 1)
    with psycopg.connect(bare_url) as connection:
        for key in (None, "known"):
            connection.execute(
                """
                INSERT INTO orchestration.dead_letter (sync_history_id, crm_source, sync_type, record_key, stage, rule,
                    error_message, payload, payload_hash)
                SELECT id, crm_source, sync_type, %s, 'coerce', 'key_missing', '', to_jsonb(%s::text), hashtext(%s)
                FROM orchestration.sync_history
                """,
                [key, str(key), str(key)],
            )
    found = first(bare_url)
    assert found.pending == 2
    assert found.problems == ("no row is counted as deleted while 1 dead letters without a key are pending",)
    assert first(bare_url, rules=("rate", "age")).healthy


def test_an_old_run_is_seen_by_its_age(bare_url: str, record_run: Callable[..., None]) -> None:
    record_run("success", 5)
    assert first(bare_url).problems == ("last good run 5.0 h ago, expected within 2 h",)
    assert first(bare_url, expected_hours=6).healthy
    assert first(bare_url, rules=("rate",)).healthy
    assert first(bare_url, hours=4, rules=("rate",)).problems == ("no run ended in the last 4 h",)


def test_another_entity_does_not_help(bare_url: str, record_run: Callable[..., None]) -> None:
    """Judged by entity, not by CRM as in S2: one of ten that always fails would leave its CRM at 90 %."""
    record_run("success", 0.5, sync_type=SOURCES[0].entities[1].name)
    assert not first(bare_url).healthy


def test_a_source_that_is_not_configured_is_not_judged(
    bare_url: str, record_run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    record_run("failed", 0.5)
    monkeypatch.delenv("HUBSPOT_ACCESS_TOKEN")
    found = first(bare_url)
    assert not found.judged
    assert found.healthy


def test_a_source_whose_settings_cannot_be_used_is_unhealthy_until_it_is_given_up(
    bare_url: str, record_run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A typo, or the file of a secret that is missing, must not look like a vendor that nobody uses."""
    problem = "HubSpot is not configured: HUBSPOT_REQUESTS_PER_DAY cannot be used (Input should be a valid integer"
    with monkeypatch.context() as patch:
        patch.setenv("HUBSPOT_REQUESTS_PER_DAY", "65O,000")
        found = first(bare_url)
        assert (found.judged, found.healthy) == (True, False), "without any run, by its other setting"
        assert found.problems[0].startswith(problem)
        record_run("success", 0.5)
        shown = CliRunner().invoke(cli.main, ["status"])
        assert shown.exit_code == 1
        assert problem in shown.stdout
        assert "If it is given up: `warehouse schedule off hubspot`." in shown.stdout
        assert "0 of 18 entities are healthy." in shown.stdout
    assert first(bare_url).healthy
    monkeypatch.delenv("HUBSPOT_ACCESS_TOKEN")
    assert first(bare_url).problems[0].startswith("HubSpot is not configured: set HUBSPOT_ACCESS_TOKEN"), "it has runs"
    assert CliRunner().invoke(cli.main, ["schedule", "off", "hubspot"]).exit_code == 0
    assert not first(bare_url).judged
    shown = CliRunner().invoke(cli.main, ["status"])
    assert "Not configured, not judged:" in shown.output
    assert "hubspot" in shown.output.partition("not judged:")[2]


LIMITED = {
    "limited": {"mode": "delta", "dry_run": False, "max_records": 1},
    "narrowed": {"mode": "full", "dry_run": False, "narrowed": True},
    "of some days": {"mode": "backfill", "dry_run": False},
    "since a date": {"mode": "start_date", "dry_run": False},
}


@pytest.mark.parametrize("configuration", LIMITED.values(), ids=LIMITED)
def test_a_run_that_did_not_ask_for_all_news_makes_nothing_healthy(
    configuration: dict[str, Any], bare_url: str, record_run: Callable[..., None]
) -> None:
    for ago in (30, 3, 2.5, 1):
        record_run("success" if ago == 30 else "failed", ago)
    before = first(bare_url, rules=health.STATUS)
    assert before.problems == (
        "0 of 3 runs in 24 h succeeded, less than 80%", "last good run 30.0 h ago, expected within 2 h"
    )  # fmt: skip
    record_run("success", 0.1, configuration=json.dumps(configuration))
    found = first(bare_url, rules=health.STATUS)
    assert found.problems == before.problems
    assert (found.runs, found.successes, found.status) == (3, 0, "success"), "it is shown all the same"
    record_run("success", 0.05)
    assert first(bare_url, rules=health.STATUS).healthy


def test_status_prints_a_row_and_exits_with_1(bare_url: str, record_run: Callable[..., None]) -> None:
    record_run("failed", 0.5)
    result = CliRunner().invoke(cli.main, ["status", "--crm", SOURCES[0].name])
    assert result.exit_code == 1
    assert "0 of 1 runs in 24 h succeeded" in result.stdout


def test_health_can_judge_one_rule(bare_url: str, record_run: Callable[..., None]) -> None:
    for entity in SOURCES[0].entities:
        record_run("failed", 0.5, sync_type=entity.name)
    words = ["health", "--crm", SOURCES[0].name]
    assert CliRunner().invoke(cli.main, [*words, "--hours", "24"]).exit_code == 1
    assert CliRunner().invoke(cli.main, [*words, "--frequency", "--expected-hours", "2"]).exit_code == 0
