"""``warehouse retention`` and the job that does it every night."""

from pathlib import Path

import dagster as dg
import psycopg
import pytest
from click.testing import CliRunner, Result

from warehouse_pipelines.commands.cli import main
from warehouse_pipelines.definitions import build_definitions, defs
from warehouse_pipelines.orchestration import dagster_maintenance


@pytest.fixture
def warehouse(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    monkeypatch.setenv("COLUMNS", "300")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO orchestration.sync_history"
            " (crm_source, sync_type, start_time, end_time, status, configuration)"
            " SELECT 'hubspot', 'contacts', at, at, 'success',"
            """ '{"mode": "delta", "dry_run": false}' FROM generate_series(200, 1, -1) AS n,"""
            " LATERAL (SELECT now() - n * interval '1 day' + interval '1 hour') AS t (at)"
        )
    return database_url


def retention(*words: str) -> Result:
    return CliRunner().invoke(main, ["retention", *words])


def row(text: str, kind: str) -> list[str]:
    [line] = [line for line in text.splitlines() if f"│ {kind} " in line]
    return [cell.strip() for cell in line.split("│")[1:-1]]


def test_the_plan_lists_every_kind_and_what_is_due(warehouse: str) -> None:
    planned = retention("plan")
    assert planned.exit_code == 0, planned.output
    assert row(planned.stdout, "sync_history")[:4] == ["sync_history", "90 days", "200", "110"]
    assert row(planned.stdout, "dagster_runs")[:4] == ["dagster_runs", "7 days", "0", "0"]
    with psycopg.connect(warehouse) as connection:
        kinds = connection.execute("SELECT kind FROM orchestration.retention_policy").fetchall()
    assert all(row(planned.stdout, kind) for (kind,) in kinds)


def test_an_age_is_edited_and_what_is_due_goes(warehouse: str) -> None:
    assert retention("keep", "sync_history", "150").stdout == "sync_history: kept 150 days\n"
    done = retention("run", "sync_history")
    assert done.stdout == "sync_history: 50 removed\n"
    assert row(retention("plan").stdout, "sync_history_archive")[2] == "50"
    assert retention("keep", "sync_history", "forever").exit_code == 0
    assert row(retention("plan").stdout, "sync_history")[1:4] == ["for ever", "150", "0"]
    everything = retention("run")
    assert everything.exit_code == 0, everything.output
    assert "dagster runs: 0 removed" in everything.stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["keep", "sync_history", "0"], "is no number of days"),
        (["keep", "sync_history", "soon"], "is no number of days"),
        (["keep", "sync_histroy", "9"], "Did you mean 'sync_history'?"),
        (["run", "dead_letters"], "Did you mean 'dead_letters_"),
    ],
)
def test_what_cannot_be_meant_is_wrong_use(warehouse: str, words: list[str], says: str) -> None:
    result = retention(*words)
    assert result.exit_code == 2
    assert says in result.output


def test_the_job_reports_what_went(warehouse: str) -> None:
    schedule = next(found for found in defs.schedules or () if found.name == "daily_retention")
    assert isinstance(schedule, dg.ScheduleDefinition)
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    with dg.DagsterInstance.ephemeral() as instance:
        job = build_definitions([], url=lambda: warehouse).resolve_job_def("daily_retention")
        assert job.execute_in_process(instance=instance).success
        event = instance.get_latest_materialization_event(dg.AssetKey(["orchestration_maintenance", "daily_retention"]))
    assert event is not None
    assert event.asset_materialization is not None
    metadata = event.asset_materialization.metadata
    assert metadata["removed_sync_history"].value == 110
    assert metadata["attention"].value == "none"


def test_runs_of_dagster_are_kept_as_the_table_says_unless_a_setting_does(
    warehouse: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    success, failure = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE
    assert dagster_maintenance.ages(warehouse)[success] == 7
    retention("keep", "dagster_runs", "3")
    retention("keep", "dagster_failed_runs", "forever")
    found = dagster_maintenance.ages(warehouse)
    assert found[success] == found[dg.DagsterRunStatus.CANCELED] == 3
    assert failure not in found
    monkeypatch.setenv("WAREHOUSE_FAILED_RUN_DAYS", "5")
    assert dagster_maintenance.ages(warehouse)[failure] == 5
    assert dagster_maintenance.ages("postgresql://a:b@127.0.0.1:1/none")[success] == 7
