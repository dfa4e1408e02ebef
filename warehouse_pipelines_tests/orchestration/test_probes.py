"""What a schedule's tick syncs itself, and what Dagster shows of that."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import psycopg
import pytest
import sqlalchemy as sa
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.definitions.data_version import CachingStaleStatusResolver
from dagster._core.loader import LoadingContextForTest
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable as Checks
from dagster._core.test_utils import create_run_for_test

from warehouse_pipelines.errors import VendorUnavailable
from warehouse_pipelines.orchestration import probes
from warehouse_pipelines.orchestration.checks import at_once, hourly
from warehouse_pipelines.orchestration.dagster_maintenance import prune
from warehouse_pipelines.orchestration.schedules import schedule
from warehouse_pipelines_tests.harness import record_store
from warehouse_pipelines_tests.harness.record_store import RecordStore, definitions, run
from warehouse_pipelines_tests.harness.source_harness import history

NAMES = {entity.table.split(".")[-1]: entity for entity in record_store.ENTITIES}
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
VENDOR = dg.AssetKey(["vendor", "store"])


@pytest.fixture
def store(bare_url: str, monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance) -> RecordStore:
    """A vendor of which everything was synced twice, the second time without anything new."""
    monkeypatch.setenv("STORE_KEY", "set")
    made = RecordStore()
    defs = definitions(made, bare_url)
    for _ in range(2):
        assert run(defs, "sync_store_all", instance).success
    made.asked.clear()
    return made


def tick(store: RecordStore, instance: dg.DagsterInstance, url: str) -> tuple[set[str], str]:
    """Tick the schedule of all of the store's entities; return those that a run is asked for, and why not of others."""
    with dg.build_schedule_context(instance=instance, scheduled_execution_time=NOON) as context:
        found = schedule(store.source(), record_store.ENTITIES, lambda: url).evaluate_tick(context)
    asked = found.run_requests or []
    told = found.skip_message or "; ".join(one.tags.get("warehouse/left_out", "") for one in asked)
    return {key.path[-1].rpartition("_")[2] for one in asked for key in one.asset_selection or ()}, told


def materializations(instance: dg.DagsterInstance, table: str) -> list[dg.EventLogEntry]:
    """Return those that no run made."""
    key = dg.AssetKey(table.split("."))
    found = instance.fetch_materializations(key, limit=100).records
    return [one.event_log_entry for one in found if not one.event_log_entry.run_id]


def test_where_nothing_is_new_no_run_is_asked_for(
    store: RecordStore, instance: dg.DagsterInstance, bare_url: str
) -> None:
    asked, told = tick(store, instance, bare_url)
    assert (asked, len(store.asked)) == (set(), 3)
    assert told == "no run is needed: parts: nothing is new; things: nothing is new; gadgets: nothing is new"
    for entity in record_store.ENTITIES:
        (entry,) = materializations(instance, entity.table)
        assert entry.asset_materialization is not None
        facts = {name: fact.value for name, fact in entry.asset_materialization.metadata.items()}
        row = history(bare_url, store.source(), entity)[-1]
        assert (facts["sync_history_id"], row["status"], row["run_id"]) == (row["id"], "success", None)
        assert facts["dagster/row_count"] == len(store.records[entity.name])
    observed = instance.fetch_observations(VENDOR, limit=1).records[0].event_log_entry
    assert observed.asset_observation is not None
    assert observed.asset_observation.metadata["api_calls"].value == 0, "a store without a network"


async def shown(instance: dg.DagsterInstance, keys: Iterable[dg.AssetCheckKey]) -> dict[str, bool]:
    """Return which of these checks Dagster shows as passed, and not as not evaluated."""
    found = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(keys))
    context = LoadingContextForTest(instance)
    return {
        f"{key.asset_key.to_user_string()} {key.name}": last.status == AssetCheckExecutionRecordStatus.SUCCEEDED
        and await last.targets_latest_materialization(context)
        for key, last in found.items()
    }


def test_the_results_of_checks_stand_after_a_probe(
    store: RecordStore, instance: dg.DagsterInstance, bare_url: str
) -> None:
    """Dagster shows those of the last materialization alone. They are recorded once, and not after each probe."""
    defs = definitions(store, bare_url)
    keys = [*hourly(record_store.ENTITIES), *(key for entity in record_store.ENTITIES for key in at_once(entity))]
    assert run(defs, "check_warehouse", instance).success
    for _ in range(3):
        assert tick(store, instance, bare_url)[0] == set()
        found = asyncio.run(shown(instance, keys))
        assert len(found) == 3 * 5 + 1
        assert all(found.values()), found
    storage: Any = instance.event_log_storage
    with storage.index_connection() as connection:
        rows = connection.execute(sa.select(Checks.c.id).where(Checks.c.run_id == "")).fetchall()
    assert len(rows) == 3 * 5 + 1
    for _ in range(2):
        instance.report_runless_asset_event(dg.AssetCheckEvaluation(keys[0].asset_key, keys[0].name, passed=True))
    done = prune(instance, {dg.DagsterRunStatus.SUCCESS: 1}, datetime.now(UTC) + timedelta(days=3))
    assert done["runs_left"] == 0, "no run is needed for what is shown"
    assert asyncio.run(shown(instance, keys)) == found
    with storage.index_connection() as connection:
        left = connection.execute(sa.select(Checks.c.id).where(Checks.c.run_id == "")).fetchall()
    assert len(left) == len(rows), "older results of a check are deleted"


def test_a_check_that_a_run_is_about_to_make_is_left_to_it(
    store: RecordStore, instance: dg.DagsterInstance, bare_url: str
) -> None:
    assert run(definitions(store, bare_url), "check_warehouse", instance).success
    going = create_run_for_test(instance, job_name="check_warehouse", status=dg.DagsterRunStatus.STARTED)
    volume = next(key for key in hourly([record_store.GADGETS]) if key.name == "volume")
    planned = dg.DagsterEvent(
        dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED.value, "check_warehouse",
        event_specific_data=AssetCheckEvaluationPlanned(asset_key=volume.asset_key, check_name=volume.name),
    )  # fmt: skip
    instance.report_dagster_event(planned, going.run_id)
    assert tick(store, instance, bare_url)[0] == set()
    (last,) = instance.event_log_storage.get_latest_asset_check_execution_by_key([volume]).values()
    assert (last.run_id, last.status) == (going.run_id, AssetCheckExecutionRecordStatus.PLANNED)


def test_a_run_is_asked_for_what_has_something_new_and_only_for_that(
    store: RecordStore, instance: dg.DagsterInstance, bare_url: str
) -> None:
    store.records["gadgets"].append({"id": "new", "size": 3})
    asked, told = tick(store, instance, bare_url)
    assert asked == {"gadget"}
    assert told == "parts: nothing is new; things: nothing is new"
    assert not materializations(instance, "store_gadget")
    assert len(history(bare_url, store.source(), record_store.GADGETS)) == 2, "the probe left no row"
    assert run(definitions(store, bare_url), "sync_store_gadgets", instance).success
    store.asked.clear()
    assert tick(store, instance, bare_url)[0] == {"gadget"}, "which found something the last time"
    assert {request.entity.name for request in store.asked} == {"parts", "things"}


def test_what_is_read_from_it_goes_with_it(store: RecordStore, instance: dg.DagsterInstance, bare_url: str) -> None:
    """The records of a parent that is new are asked for in the run that loads it."""
    store.records["things"].append({"id": "4", "name": "new", "updated_at": "2024-02-04T12:00:00Z"})
    assert tick(store, instance, bare_url)[0] == {"thing", "part"}
    assert {request.entity.name for request in store.asked} == {"things", "gadgets"}


def test_a_vendor_that_fails_is_asked_by_a_run_which_tells_of_it(
    store: RecordStore, instance: dg.DagsterInstance, bare_url: str
) -> None:
    store.errors["things"] = [VendorUnavailable("503")]
    assert tick(store, instance, bare_url)[0] == {"thing", "part"}
    assert [row["status"] for row in history(bare_url, store.source(), record_store.THINGS)] == ["success"] * 2


def test_what_a_check_failed_of_is_synced_by_a_run_and_everything_about_once_a_day(
    store: RecordStore, instance: dg.DagsterInstance, bare_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A probe makes no check again."""
    defs = definitions(store, bare_url)
    with psycopg.connect(bare_url, autocommit=True) as connection:
        connection.execute("INSERT INTO store_gadget (id, raw_data, archived) VALUES ('', '{}', true)")
        run(defs, "sync_store_gadgets", instance)
        connection.execute("DELETE FROM store_gadget WHERE id = ''")
    assert tick(store, instance, bare_url)[0] == {"gadget"}
    assert run(defs, "sync_store_gadgets", instance).success
    assert tick(store, instance, bare_url)[0] == set()
    monkeypatch.setattr(probes, "CHECKED_SECONDS", 0.0)
    assert tick(store, instance, bare_url)[0] == {"part", "thing", "gadget"}


def test_a_tick_probes_no_longer_than_it_may(
    store: RecordStore, instance: dg.DagsterInstance, bare_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes, "TICK_SECONDS", 0.0)
    assert tick(store, instance, bare_url)[0] == {"part", "thing", "gadget"}
    assert not store.asked


def test_while_a_run_of_the_crm_goes_on_nothing_is_probed(
    store: RecordStore, instance: dg.DagsterInstance, bare_url: str
) -> None:
    """The vendor's pool may have one place."""
    tags = {"warehouse/crm": "store", "warehouse/sync_type": "things"}
    create_run_for_test(instance, job_name="sync_store_things", tags=tags, status=dg.DagsterRunStatus.STARTED)
    assert tick(store, instance, bare_url)[0] == {"part", "gadget"}
    assert not store.asked


def test_an_asset_that_was_probed_is_not_stale(store: RecordStore, instance: dg.DagsterInstance, bare_url: str) -> None:
    tick(store, instance, bare_url)
    graph = definitions(store, bare_url).get_repository_def().asset_graph
    resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
    for entity in record_store.ENTITIES:
        assert resolver.get_status(dg.AssetKey(entity.table.split("."))).value == "FRESH", entity.name
