"""Old runs of Dagster are deleted, and what the UI shows of an asset stays; on both storages."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable
from dagster._core.storage.tags import PARTITION_NAME_TAG, PARTITION_SET_TAG

from warehouse_pipelines.definitions import defs
from warehouse_pipelines.local import dagster_home
from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines.orchestration import dagster_maintenance

NOW = datetime.now(UTC)
MONTHS = ["2026-01-01", "2026-02-01"]
KEPT = {dg.DagsterRunStatus.SUCCESS: 7, dg.DagsterRunStatus.CANCELED: 7, dg.DagsterRunStatus.FAILURE: 30}


@dg.asset
def whole() -> None:
    """Is materialized."""
    print("a line for the compute log")


@dg.asset_check(asset=whole)
def good() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@dg.asset
def broken() -> None:
    """Fails."""
    raise ValueError("planted")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared_instance(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, test_server: Server
) -> Iterator[dg.DagsterInstance]:
    home = tmp_path_factory.mktemp("dagster")
    name = f"dagster_{uuid.uuid4().hex[:12]}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(home))
        if request.param == "postgresql":
            patch.setenv("DAGSTER_STORAGE_URL", test_server.url(name))
        dagster_home.prepare(home, pools={})
        with dg.DagsterInstance.from_config(str(home)) as made:
            yield made
    test_server.drop_database(name)


@pytest.fixture
def instance(shared_instance: dg.DagsterInstance) -> dg.DagsterInstance:
    """An instance without runs: emptying it is much cheaper than making one."""
    shared_instance.wipe()
    return shared_instance


def run(instance: dg.DagsterInstance, *assets: Any, month: str | None = None) -> str:
    """Materialize assets, as the run of a month of a backfill job if that is given."""
    tags = {PARTITION_NAME_TAG: month, PARTITION_SET_TAG: "backfill_partition_set"} if month else {}
    result = dg.materialize(assets, instance=instance, tags=tags, raise_on_error=False)
    return result.run_id


def stored(instance: dg.DagsterInstance, table: sa.Table) -> set[str]:
    """Return the runs of which a table has rows."""
    storage: Any = instance.event_log_storage
    with storage.index_connection() as connection:
        return {run_id for (run_id,) in connection.execute(sa.select(table.c.run_id).distinct())}


@pytest.mark.slow("the same in other circumstances")
def test_old_runs_go_and_what_the_ui_needs_stays(instance: dg.DagsterInstance) -> None:
    home = Path(instance.root_directory)
    month_again, month, last_month = (run(instance, whole, month=key) for key in (MONTHS[0], MONTHS[0], MONTHS[1]))
    first, second, third = (run(instance, whole, good) for _ in range(3))
    failed = run(instance, broken)
    logs = {path.name for path in (home / "storage").iterdir()}
    assert {first, second, third} <= logs

    assert dagster_maintenance.prune(instance, KEPT, NOW)["runs_deleted"] == 0, "none is old"
    facts = dagster_maintenance.prune(instance, KEPT, NOW + timedelta(days=8))
    assert facts == {"runs_deleted": 3, "old_runs_kept_for_their_assets": 3, "runs_left": 4,
                     "events_without_a_run_deleted": 0}  # fmt: skip

    removed, left = {first, second, month_again}, {third, month, last_month, failed}
    assert {found.run_id for found in instance.get_runs()} == left
    for run_id in removed:
        assert not (home / "history" / "runs" / f"{run_id}.db").exists()
    assert instance.all_logs(third)
    assert not removed & {path.name for path in (home / "storage").iterdir()}
    assert not removed & stored(instance, SqlEventLogStorageTable)
    assert stored(instance, AssetCheckExecutionsTable) == {third}

    latest = instance.get_latest_materialization_event(whole.key)
    assert latest is not None
    assert latest.run_id == third
    [check] = instance.event_log_storage.get_latest_asset_check_execution_by_key([good.check_key]).values()
    assert check.run_id == third

    dagster_maintenance.prune(instance, KEPT, NOW + timedelta(days=31))
    assert {found.run_id for found in instance.get_runs()} == {third, month, last_month}, "failed ones live longer"
    assert dagster_maintenance.prune(instance, KEPT, NOW + timedelta(days=1000))["runs_deleted"] == 0


def test_what_no_run_wrote_goes_but_for_the_last_of_each_asset(instance: dg.DagsterInstance) -> None:
    for count in (1, 2, 3):
        for key in ("one", "other"):
            made = dg.AssetMaterialization(key, metadata={"n": count}, tags={"dagster/data_version": str(count)})
            instance.report_runless_asset_event(made)
        instance.report_runless_asset_event(dg.AssetObservation("one"))
    prune = dagster_maintenance.prune
    assert prune(instance, KEPT, NOW + timedelta(days=6))["events_without_a_run_deleted"] == 0, "none is old"
    assert prune(instance, KEPT, NOW + timedelta(days=8))["events_without_a_run_deleted"] == 6
    assert prune(instance, KEPT, NOW + timedelta(days=8))["events_without_a_run_deleted"] == 0
    for key in ("one", "other"):
        (left,) = instance.fetch_materializations(dg.AssetKey(key), limit=10).records
        assert left.asset_materialization is not None
        assert left.asset_materialization.metadata["n"].value == 3
        assert instance.get_latest_materialization_event(dg.AssetKey(key)) == left.event_log_entry
        (tags,) = instance.get_event_tags_for_asset(dg.AssetKey(key))
        assert tags["dagster/data_version"] == "3"


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
