"""``sync``, ``backfill`` and ``replay`` against simulated vendors: what they do, and what they say came of it."""

import json
import os
import signal
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from warehouse_pipelines.commands import job_processes
from warehouse_pipelines.simulators.server import Simulators
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines_tests.harness.command_line import rows, warehouse
from warehouse_pipelines_tests.harness.subprocesses import FORKS, Command, eventually

pytestmark = pytest.mark.usefixtures("configured")


LAST = (
    "SELECT status, records_processed, records_created, run_id FROM orchestration.sync_history ORDER BY id DESC LIMIT 1"
)


def test_a_sync_runs_the_job_of_the_ui_and_reports_the_history(vendors: Simulators, database_url: str) -> None:
    result = warehouse("sync", "hubspot", "contacts")
    assert result.exit_code == 0, result.output
    assert "strategy=full since=None" in result.stderr
    assert "dagster" not in result.stderr.lower()
    status, processed, created, run_id = rows(database_url, LAST)[0]
    assert (status, processed) == ("success", 60)
    assert " ".join(result.stdout.split()).find(f"contacts success {created}") > 0

    import dagster as dg

    with dg.DagsterInstance.get() as instance:
        run = instance.get_run_by_id(run_id)
    assert run is not None
    assert (run.job_name, run.is_success) == ("sync_hubspot_contacts", True)

    again = warehouse("sync", "hubspot", "contacts")
    assert again.exit_code == 0
    assert "strategy=delta" in again.stderr
    assert rows(database_url, LAST)[0][2] == 0


@pytest.mark.parametrize(("at_a_time", "parts"), [(1, 1), (2, 2), (4, 3)])
def test_a_crm_has_as_many_parts_as_its_pool_and_the_setting_allow(
    database_url: str, at_a_time: int, parts: int
) -> None:
    found = job_processes.parts_of(("hubspot", "all"), database_url, at_a_time)
    assert len(found) == parts
    assert all(only for _, _, only in found) == (parts > 1)


@pytest.mark.slow("the same in other circumstances")
def test_all_crms_are_synced_side_by_side(small_vendors: Simulators, database_url: str) -> None:
    """All that are configured; the demo syncs the thirteen."""
    result = warehouse("sync", "all")
    assert result.exit_code == 0, result.output
    configured = [source for source in SOURCES if not source.missing_settings()]
    assert [source.name for source in configured] == ["salesrabbit", "leadconduit"]
    ((runs, entities),) = rows(
        database_url,
        "SELECT count(DISTINCT run_id), count(*) FROM orchestration.sync_history WHERE status = 'success'",
    )
    assert entities == sum(len(source.entities) for source in configured)
    assert runs == sum(min(source.pool, len(source.entities)) for source in configured)
    together = """
        SELECT EXISTS (SELECT FROM orchestration.sync_history a JOIN orchestration.sync_history b
            ON a.crm_source < b.crm_source AND a.start_time < b.end_time AND b.start_time < a.end_time)
    """
    assert rows(database_url, together) == [(True,)]


def test_entities_of_a_crm_are_synced_side_by_side_and_what_is_read_from_one_after_it(
    vendors: Simulators, database_url: str
) -> None:
    """An entity is in one run with what is read from it; one that fails stops no other; all share one budget."""
    vendors.control("hubspot", "set_fault", kind="missing_list", path="/objects/deals")
    vendors.control("hubspot", "set_fault", kind="slow", seconds=0.2, path="/objects/companies")
    result = warehouse("sync", "hubspot", "all")
    assert result.exit_code == 1, result.output
    found = dict(rows(database_url, "SELECT sync_type, status FROM orchestration.sync_history"))
    assert found.pop("deals") == "failed"
    assert set(found.values()) == {"success"}
    assert len(found) == 15
    for child in ("deal_to_line_item_associations", "deal_to_company_associations"):
        assert f"hubspot {child} failed: not run, because what it is read from failed" in result.stdout
    runs = rows(database_url, "SELECT array_agg(sync_type ORDER BY id) FROM orchestration.sync_history GROUP BY run_id")
    assert len(runs) == 3
    [family] = [names for (names,) in runs if "contacts" in names]
    assert next(name for name in family if name.startswith("contact")) == "contacts"
    assert {name for name in found if name.startswith("contact")} <= set(family)
    together = """
        SELECT EXISTS (SELECT FROM orchestration.sync_history a JOIN orchestration.sync_history b
            ON a.sync_type < b.sync_type AND a.start_time < b.end_time AND b.start_time < a.end_time)
    """
    assert rows(database_url, together) == [(True,)]
    credentials = "SELECT count(DISTINCT credential) FROM orchestration.request_budget WHERE budget = 'requests'"
    assert rows(database_url, credentials) == [(1,)]


def die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow("a program of its own, which is killed")
def test_a_process_that_died_is_the_failure_of_its_jobs(
    small_vendors: Simulators, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_processes, "_run_part", die)
    result = warehouse("sync", "all")
    assert result.exit_code == 1
    assert "its process died" in result.stdout


def run_and_die(*part: Any) -> None:
    job_processes._run_part(*part)
    die()


@pytest.mark.slow("a program of its own, which is killed")
def test_what_was_committed_before_a_process_died_is_reported_as_done(
    small_vendors: Simulators, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of its own part, and of those that are ended with it; nothing is reported as cancelled."""
    monkeypatch.setattr(job_processes, "_run_part", run_and_die)
    outcomes = job_processes.run_jobs([("salesrabbit", "all")], url=database_url)
    found = {outcome.sync_type: outcome.status for outcome in outcomes}
    [salesrabbit] = [source for source in SOURCES if source.name == "salesrabbit"]
    assert found.keys() == {entity.name for entity in salesrabbit.entities}
    history = dict(rows(database_url, "SELECT sync_type, status FROM orchestration.sync_history"))
    assert "success" in history.values()
    assert found == {name: "success" if history.get(name) == "success" else "failed" for name in found}


def begun(stopped: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    job_processes._interrupt(stopped)


def test_a_process_ends_with_its_starter_whoever_its_parent_is() -> None:
    """And not because it is asked to stop: it says what it did."""
    stopped, stop = FORKS.Pipe(duplex=False)
    process: Any = FORKS.Process(target=begun, args=(stopped,), daemon=True)
    with stopped, stop:
        process.start()
        stop.send_bytes(b".")
        process.join(0.3)
        assert process.exitcode is None
    process.join(60)
    assert process.exitcode == 1


@pytest.mark.usefixtures("in_a_terminal")
def test_a_second_signal_interrupts() -> None:
    stopped, stop = FORKS.Pipe(duplex=False)
    with stopped, stop, job_processes._interrupts_set(stop):
        signal.raise_signal(signal.SIGHUP)
        assert stopped.poll()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)


def test_a_limited_sync_leaves_the_cursor(vendors: Simulators, database_url: str) -> None:
    """What was left out is read by the next run."""
    assert warehouse("sync", "callrail", "calls", "--max-records", "25", "--batch-size", "10").exit_code in (0, 3)
    assert rows(database_url, LAST)[0][1] == 25
    assert rows(database_url, "SELECT configuration ->> 'cursor' FROM orchestration.sync_history") == [(None,)]


def test_a_dry_run_in_json_prints_json_lines_only(vendors: Simulators, database_url: str) -> None:
    """So that a program can read it."""
    result = warehouse("sync", "callrail", "calls", "--dry-run", "--log-format", "json")
    assert result.exit_code == 0
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["stream"] for line in lines] == ["sync", "sync", "sync", "general"]
    assert lines[-1]["dry_run"] is True
    assert rows(database_url, "SELECT count(*) FROM callrail_call") == [(0,)]


def test_debug_prints_debug_lines(vendors: Simulators) -> None:
    result = warehouse("sync", "callrail", "tags", "--dry-run", "--debug")
    assert result.exit_code == 0, result.output
    assert "DEBUG" in result.stderr


def test_all_goes_on_after_an_entity_failed(vendors: Simulators, one_run: None, database_url: str) -> None:
    vendors.control("callrail", "set_fault", kind="missing_list", path="tags.json")
    result = warehouse("sync", "callrail", "all")
    assert result.exit_code == 1, result.output
    found = dict(rows(database_url, "SELECT DISTINCT ON (sync_type) sync_type, status FROM orchestration.sync_history"))
    assert found.pop("tags") == "failed"
    assert set(found.values()) == {"success"}
    assert len(found) == 7
    assert "callrail tags failed" in result.stdout


@pytest.mark.slow("the same in other circumstances")
def test_what_depends_on_a_failed_entity_is_named(
    vendors: Simulators, one_run: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "planted-wrong-token")
    result = warehouse("sync", "hubspot", "all")
    assert result.exit_code == 1
    assert "contact_to_deal_associations failed: not run, because what it is read from failed" in result.stdout
    assert "planted-wrong-token" not in result.output


def test_a_backfill_leaves_the_cursor(vendors: Simulators, database_url: str) -> None:
    today = datetime.now(UTC).date()
    days = ["--from", str(today - timedelta(days=3)), "--to", str(today - timedelta(days=1))]
    result = warehouse("backfill", "callrail", "calls", *days)
    assert result.exit_code == 0, result.output
    ((configuration,),) = rows(database_url, "SELECT configuration FROM orchestration.sync_history")
    assert configuration["mode"] == "backfill"
    assert configuration["cursor"] is None
    assert configuration["window_start"][:10] == str(today - timedelta(days=3))
    assert configuration["window_end"][:10] == str(today)


def test_a_database_that_is_not_migrated_is_named(
    vendors: Simulators, empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAREHOUSE_DATABASE_URL", empty_url)
    result = warehouse("sync", "hubspot", "contacts")
    assert result.exit_code == 1
    assert "warehouse migrate" in result.stderr
    assert warehouse("check", "hubspot").exit_code == 1


def test_a_migration_is_undone_and_done_again(database_url: str) -> None:
    assert warehouse("migrate", "--down", "1").exit_code == 0
    done = warehouse("migrate")
    assert (done.exit_code, done.stdout != "Nothing to do.\n") == (0, True)
    again = warehouse("migrate")
    assert (again.exit_code, again.stdout) == (0, "Nothing to do.\n")


def test_a_database_that_is_away_ends_the_command_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_DATABASE_URL", "postgresql://ask:planted-password@127.0.0.1:1/none")
    for words in (["sync", "hubspot", "contacts"], ["status"], ["check"], ["replay"]):
        result = warehouse(*words)
        assert result.exit_code == 1, result.output
        assert "planted-password" not in result.output
        assert "Traceback" not in result.output


def test_replay_says_when_nothing_waits(vendors: Simulators) -> None:
    result = warehouse("replay", "hubspot", "contacts")
    assert (result.exit_code, result.stdout) == (0, "No dead letters are waiting.\n")


def test_an_interrupt_ends_the_sync_and_closes_its_row(vendors: Simulators, database_url: str, tmp_path: Path) -> None:
    vendors.control("callrail", "set_fault", kind="slow", seconds=250, path="tags.json")
    child = Command(["sync", "callrail", "tags"], dict(os.environ), tmp_path / "said")
    eventually(lambda: "callrail tags: asking CallRail" in child.said, "it asks")
    child.send(signal.SIGINT)
    code, out = child.ended(120)  # before the answer comes
    assert code == 130, out
    assert "Cancelled. 0 of 1 were done before. It was in the middle of callrail tags" in out
    ((status, run_id),) = rows(database_url, "SELECT status, run_id FROM orchestration.sync_history")
    assert status == "cancelled"

    import dagster as dg

    with dg.DagsterInstance.get() as instance:
        run = instance.get_run_by_id(run_id)
    assert run is not None
    assert run.status == dg.DagsterRunStatus.CANCELED
