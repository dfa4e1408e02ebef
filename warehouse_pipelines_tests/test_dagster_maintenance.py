"""Old runs of Dagster are deleted, and what the UI shows of an asset stays; on both storages."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable

from warehouse_pipelines import dagster_maintenance
from warehouse_pipelines.definitions import defs
from warehouse_pipelines.local import dagster_home
from warehouse_pipelines.local.postgres import Server

NOW = datetime.now(UTC)
DAYS = [(NOW - timedelta(days=age)).date().isoformat() for age in (2, 1)]
KEPT = {dg.DagsterRunStatus.SUCCESS: 7, dg.DagsterRunStatus.CANCELED: 7, dg.DagsterRunStatus.FAILURE: 30}


@dg.asset
def whole() -> None:
    """Has no partitions."""
    print("a line for the compute log")


@dg.asset(partitions_def=dg.DailyPartitionsDefinition("2026-01-01", end_offset=1))
def daily() -> None:
    """Has a partition a day."""


@dg.asset_check(asset=whole)
def good() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@dg.asset
def broken() -> None:
    """Fails."""
    raise ValueError("planted")


@pytest.fixture(params=["sqlite", "postgresql"])
def instance(
    request: pytest.FixtureRequest, tmp_path: Path, test_server: Server, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    name = f"dagster_{tmp_path.name.lower()}"
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    if request.param == "postgresql":
        monkeypatch.setenv("DAGSTER_STORAGE_URL", test_server.url(name))
    dagster_home.prepare(tmp_path, pools={})
    with dg.DagsterInstance.from_config(str(tmp_path)) as made:
        yield made
    test_server.drop_database(name)


def run(instance: dg.DagsterInstance, *assets: Any, partition: str | None = None) -> str:
    result = dg.materialize(assets, instance=instance, partition_key=partition, raise_on_error=False)
    return result.run_id


def stored(instance: dg.DagsterInstance, table: sa.Table) -> set[str]:
    """Return the runs of which a table has rows."""
    storage: Any = instance.event_log_storage
    with storage.index_connection() as connection:
        return {run_id for (run_id,) in connection.execute(sa.select(table.c.run_id).distinct())}


def test_old_runs_go_and_what_the_ui_needs_stays(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    first, second, third = (run(instance, whole, good) for _ in range(3))
    day_again, day, last_day = (run(instance, daily, partition=key) for key in (DAYS[0], DAYS[0], DAYS[1]))
    failed = run(instance, broken)
    logs = {path.name for path in (tmp_path / "storage").iterdir()}
    assert {first, second, third} <= logs

    assert dagster_maintenance.prune(instance, KEPT, NOW)["runs_deleted"] == 0, "none is old"
    facts = dagster_maintenance.prune(instance, KEPT, NOW + timedelta(days=8))
    assert facts == {"runs_deleted": 3, "old_runs_kept_for_their_assets": 3, "runs_left": 4}

    gone, left = {first, second, day_again}, {third, day, last_day, failed}
    assert {found.run_id for found in instance.get_runs()} == left
    for run_id in gone:
        assert not (tmp_path / "history" / "runs" / f"{run_id}.db").exists()
    assert instance.all_logs(third)
    assert not gone & {path.name for path in (tmp_path / "storage").iterdir()}
    assert not gone & stored(instance, SqlEventLogStorageTable)
    assert stored(instance, AssetCheckExecutionsTable) == {third}

    latest = instance.get_latest_materialization_event(whole.key)
    assert latest is not None
    assert latest.run_id == third
    assert instance.get_materialized_partitions(daily.key) == {*DAYS}
    [check] = instance.event_log_storage.get_latest_asset_check_execution_by_key([good.check_key]).values()
    assert check.run_id == third

    dagster_maintenance.prune(instance, KEPT, NOW + timedelta(days=31))
    assert {found.run_id for found in instance.get_runs()} == {third, day, last_day}, "failed ones live longer"
    later = NOW + timedelta(days=dagster_maintenance.PARTITION_DAYS + 3)
    assert dagster_maintenance.prune(instance, KEPT, later)["runs_deleted"] == 1
    assert {found.run_id for found in instance.get_runs()} == {third, last_day}, "the last of each asset stays"


def test_runs_that_have_not_ended_are_never_deleted(instance: dg.DagsterInstance) -> None:
    from dagster._core.test_utils import create_run_for_test

    going = create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED).run_id
    dagster_maintenance.prune(instance, KEPT, NOW + timedelta(days=1000))
    assert [found.run_id for found in instance.get_runs()] == [going]


def test_it_is_a_job_with_a_schedule_that_is_on(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    schedule = next(found for found in defs.schedules or () if found.name == "prune_dagster")
    assert isinstance(schedule, dg.ScheduleDefinition)
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    run(instance, whole, good)
    monkeypatch.setenv("WAREHOUSE_RUN_DAYS", "1")
    result = defs.resolve_job_def("prune_dagster").execute_in_process(instance=instance)
    [event] = result.get_asset_materialization_events()
    assert event.materialization.metadata["runs_deleted"].value == 0
    assert event.materialization.metadata["runs_left"].value == 2
