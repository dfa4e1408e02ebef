"""What Dagster sees, and what a run of it does: the store vendor, a real PostgreSQL, an instance in memory."""

import contextlib
import logging
import re
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from dagster._core.storage.tags import PARTITION_NAME_TAG
from psycopg.rows import dict_row

from warehouse_pipelines.definitions import build_definitions, defs, to_merge
from warehouse_pipelines.errors import CredentialRefused, VendorUnavailable, WrongUse
from warehouse_pipelines.loading import lease
from warehouse_pipelines.loading.options import Options
from warehouse_pipelines.loading.sample import value
from warehouse_pipelines.local.database import database_url
from warehouse_pipelines.model.entity import Entity, columns
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.orchestration.asset_facts import key_of, preview
from warehouse_pipelines.orchestration.assets import SyncOptions, code_version, freshness
from warehouse_pipelines.orchestration.failures import find_in_chain
from warehouse_pipelines.orchestration.one_crm import definitions_of
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines_tests.harness import record_store

EVERY_ENTITY = [(source, entity) for source in SOURCES for entity in source.entities]
THING = dg.AssetKey("store_thing")
STORE = record_store.RecordStore()


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> record_store.RecordStore:
    monkeypatch.setenv("STORE_KEY", "a key")
    monkeypatch.setenv("WAREHOUSE_RETRY_SECONDS", "0.001")
    STORE.reset()
    return STORE


@pytest.fixture
def definitions(store: record_store.RecordStore, bare_url: str) -> dg.Definitions:
    return record_store.definitions(store, bare_url)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


def history(url: str) -> list[dict[str, Any]]:
    with psycopg.connect(url, row_factory=dict_row) as connection:
        return connection.execute("SELECT * FROM orchestration.sync_history ORDER BY id").fetchall()


def latest(instance: dg.DagsterInstance, key: dg.AssetKey) -> dict[str, Any]:
    event = instance.get_latest_materialization_event(key)
    assert event is not None
    assert event.asset_materialization is not None
    return {name: value.value for name, value in event.asset_materialization.metadata.items()}


def test_everything_loads_without_a_setting() -> None:
    dg.Definitions.validate_loadable(defs)


@pytest.mark.slow("programs of their own")
def test_importing_definitions_imports_neither_dlt_nor_a_driver() -> None:
    program = "import sys, warehouse_pipelines.definitions; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"dlt", "pyarrow", "psycopg", "adbc_driver_postgresql", "sqlglot", "boto3", "botocore"} & set(
        said.stdout.split()
    )
    assert "Warning" not in said.stderr


@pytest.mark.parametrize("source", SOURCES, ids=[source.name for source in SOURCES])
def test_a_command_runs_the_very_job_that_the_ui_has(source: Source) -> None:
    """What ``definitions_of`` leaves out is of no concern to the jobs of a CRM, so their snapshots are the same.

    Compared are a child and its parent, or the last entity and the first where the CRM has no such pair.
    """
    entities = {entity.table: entity for entity in source.entities}
    child = next((entity for entity in source.entities if entity.parent), source.entities[-1])
    parent = entities[child.parent] if child.parent else source.entities[0]
    names = {f"sync_{source.name}_all": "all"}
    for entity in (parent, child):
        names[f"sync_{source.name}_{entity.name}"] = entity.name
        if entity.cadence.backfill_since:
            names[f"backfill_{source.name}_{entity.name}"] = entity.name
    for name, part in names.items():
        own = definitions_of(source, part, database_url)
        job, listed = own.resolve_job_def(name), defs.resolve_job_def(name)
        assert job.get_job_snapshot_id() == listed.get_job_snapshot_id()
        assert job.run_tags == listed.run_tags


def beside(ours: dg.Definitions) -> dg.Definitions:
    """Merge with what a data engineer may have in a code location: an asset of ours is upstream of one of theirs."""

    @dg.asset(group_name="marts")
    def number() -> int:
        return 7

    @dg.asset(deps=["hubspot_contact", THING])
    def report(number: int) -> int:
        return number + 1

    theirs = dg.Definitions(
        assets=[number, report],
        jobs=[dg.define_asset_job("theirs", [number, report])],
        resources={"io_manager": dg.InMemoryIOManager()},
        executor=dg.multiprocess_executor,
        loggers={"console": dg.colored_console_logger},
    )
    return dg.Definitions.merge(to_merge(ours), theirs)


def test_definitions_are_merged_with_others_that_have_an_executor_and_an_io_manager() -> None:
    both = beside(defs)
    report = both.resolve_asset_graph().get(dg.AssetKey("report"))
    assert dg.AssetKey("hubspot_contact") in report.parent_keys
    implicit = defs.resolve_implicit_global_asset_job_def()
    for name in ("sync_hubspot_contacts", "unify", "refresh_marts_job", "feed_crm_job", "check_warehouse"):
        ours, merged = defs.resolve_job_def(name), both.resolve_job_def(name)
        assert merged.executor_def is ours.executor_def is implicit.executor_def
        assert merged.graph.node_dict.keys() == ours.graph.node_dict.keys()
    assert both.resolve_job_def("theirs").executor_def is dg.multiprocess_executor
    assert all(job.executor_def is implicit.executor_def for job in defs.jobs or [])


def test_assets_of_ours_are_materialized_together_with_those_of_others(
    definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    job = beside(definitions).resolve_implicit_global_asset_job_def()
    assert job.executor_def is dg.multiprocess_executor
    chosen = [THING, dg.AssetKey("number"), dg.AssetKey("report")]
    together = job.execute_in_process(instance=instance, asset_selection=chosen)
    assert (together.success, together.output_for_node("report")) == (True, 8)
    assert latest(instance, THING)["processed"] == 3


def test_asset_check_floor() -> None:
    """The key, the dead letters and the values of every table, its volume and its health."""
    checks = Counter(key.asset_key for key in defs.resolve_asset_graph().asset_check_keys)
    assert min(checks[key_of(entity.table)] for _, entity in EVERY_ENTITY) >= 5


@pytest.mark.parametrize(("source", "entity"), EVERY_ENTITY, ids=[entity.table for _, entity in EVERY_ENTITY])
def test_an_entity_is_an_asset_with_all_its_facts(source: Any, entity: Any) -> None:
    spec = defs.resolve_asset_graph().get(key_of(entity.table))
    assert spec.group_name == source.name
    assert spec.kinds == {"dlt", "postgres", source.name}
    assert spec.owners
    assert entity.about in (spec.description or "")
    assert spec.metadata["dagster/table_name"] == f"{entity.schema}.{entity.table_name}"
    assert [column.name for column in spec.metadata["dagster/column_schema"].columns] == list(entity.pg_types)
    assert spec.partitions_def is None
    assert spec.pools == {f"{source.name}_api"}
    assert spec.code_version == code_version(entity)
    parents = {dg.AssetKey(["vendor", source.name])}
    if entity.parent:
        parents.add(dg.AssetKey(entity.parent.split(".")))
    assert spec.parent_keys == parents
    for column, ref in entity.refs.items():
        linked = spec.metadata[f"refers to, by {column}"]
        assert linked == dg.MetadataValue.asset(dg.AssetKey(ref.partition("(")[0].split(".")))


def test_all_assets_have_freshness() -> None:
    """The limit is that of the health check."""
    from warehouse_pipelines.observability.health import limits

    graph = defs.resolve_asset_graph()
    for _, entity in EVERY_ENTITY:
        policy: Any = graph.get(key_of(entity.table)).freshness_policy
        assert policy == freshness(entity)
        assert policy.fail_window.to_timedelta() == timedelta(hours=limits(entity)[1])


def test_a_table_outside_public_has_a_key_of_two_parts(definitions: dg.Definitions) -> None:
    assert dg.AssetKey(["store_annex", "part"]) in definitions.resolve_asset_graph().get_all_asset_keys()


def test_vendors_are_external_assets_in_a_group_of_their_own() -> None:
    graph = defs.resolve_asset_graph()
    for source in SOURCES:
        spec = graph.get(dg.AssetKey(["vendor", source.name]))
        assert spec.is_external
        assert spec.group_name == "vendors"
        assert source.title in (spec.description or "")


def test_the_launchpad_scaffolds_every_option_with_its_explanation() -> None:
    """What Dagster's scaffold leaves out are fields whose default is null."""
    for name, field in SyncOptions.model_fields.items():
        assert field.default is not None, name
        assert len(field.description or "") > 10, name
    assert SyncOptions().options() == Options()
    assert SyncOptions(batch_size=None, start_date=None, end_date=None).options() == Options()


def test_a_parent_must_be_declared(store: record_store.RecordStore) -> None:
    import dataclasses

    orphan = dataclasses.replace(store.source(), entities=(record_store.PARTS,))
    with pytest.raises(ValueError, match="store_thing"):
        build_definitions([orphan])


def test_the_version_of_the_code_follows_the_declaration() -> None:
    import dataclasses

    assert code_version(record_store.THINGS) == code_version(
        dataclasses.replace(record_store.THINGS, about="Other words.")
    )
    assert code_version(record_store.THINGS) != code_version(dataclasses.replace(record_store.THINGS, key="name"))


def test_a_run_without_options_is_a_delta_and_says_what_it_did(
    definitions: dg.Definitions, instance: dg.DagsterInstance, bare_url: str
) -> None:
    assert record_store.run(definitions, "sync_store_things", instance).success
    facts = latest(instance, THING)
    assert (facts["processed"], facts["created"], facts["dagster/row_count"]) == (3, 3, 3)
    assert facts["sync_history_id"] == history(bare_url)[0]["id"]
    assert facts["preview"].startswith("| id |")
    assert record_store.run(definitions, "sync_store_things", instance).success
    first, second = history(bare_url)
    assert first["configuration"]["mode"] == "full"
    assert second["configuration"]["mode"] == "delta"


def test_the_parent_comes_first_in_the_job_of_the_crm(
    definitions: dg.Definitions, instance: dg.DagsterInstance, store: record_store.RecordStore
) -> None:
    assert record_store.run(definitions, "sync_store_all", instance).success
    names = [asked.entity.name for asked in store.asked]
    assert sorted(names) == ["gadgets", "parts", "things"]
    assert names.index("things") < names.index("parts")


BACKFILLS = [
    ({"start_date": "2024-02-02", "end_date": "2024-02-02"}, ("2024-02-02", "2024-02-03"), 1),
    ({"start_date": "2024-02-01", "end_date": "2024-02-02"}, ("2024-02-01", "2024-02-03"), 2),
    ({"start_date": "2023-12-01", "end_date": "2024-02-03"}, ("2023-12-01", "2024-02-04"), 3),
]


@pytest.mark.parametrize(("config", "window", "count"), BACKFILLS)
def test_a_backfill_loads_its_window_and_leaves_the_cursor_alone(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    bare_url: str,
    config: dict[str, str],
    window: tuple[str, str],
    count: int,
) -> None:
    """Its last day is included, and the first may lie before the first partition."""
    assert record_store.run(definitions, "backfill_store_things", instance, config=config).success
    [row] = history(bare_url)
    asked = row["configuration"]
    assert asked["mode"] == "backfill"
    assert (asked["window_start"][:10], asked["window_end"][:10]) == window
    assert asked["cursor"] is None
    assert row["records_created"] == count


def test_a_backfill_that_meets_a_sync_of_its_entity_waits_until_that_has_ended(
    definitions: dg.Definitions, instance: dg.DagsterInstance, bare_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that *Materialize* began, which has no tag by which Dagster's queue could hold the backfill back."""
    for name, seconds in (("LOCK_SECONDS", 1.0), ("UNHURRIED_SECONDS", 0.1), ("RENEW_SECONDS", 0.1)):
        monkeypatch.setattr(lease, name, seconds)
    with contextlib.ExitStack() as syncing:
        syncing.enter_context(lease.hold(bare_url, STORE.source(), record_store.THINGS))
        threading.Timer(2.0, syncing.pop_all().close).start()
        days = {"start_date": "2024-02-02", "end_date": "2024-02-02"}
        assert record_store.run(definitions, "backfill_store_things", instance, config=days).success
    assert [row["status"] for row in history(bare_url)] == ["success"], "none was refused, and tried again"


@pytest.mark.parametrize(("name", "says"), [
    ("things", "launch backfill_store_things, which has a partition a month"),
    ("gadgets", "store gadgets cannot be asked by date; read it with `full`"),
])  # fmt: skip
def test_a_sync_that_is_asked_for_a_partition_is_refused_and_not_a_delta(
    definitions: dg.Definitions, instance: dg.DagsterInstance, bare_url: str, name: str, says: str
) -> None:
    job = definitions.resolve_job_def(f"sync_store_{name}")
    done = job.execute_in_process(instance=instance, tags={PARTITION_NAME_TAG: "2024-02-01"}, raise_on_error=False)
    [failure] = [event for event in done.all_events if event.is_step_failure]
    error = failure.step_failure_data.error
    assert error is not None
    assert f"store {name} has no partitions: {says}. Nothing was read" in error.to_string()
    assert history(bare_url) == []


def test_a_month_of_a_backfill_job_asks_for_its_days(
    definitions: dg.Definitions, instance: dg.DagsterInstance, bare_url: str
) -> None:
    job = definitions.resolve_job_def("backfill_store_things")
    assert job.partitions_def is not None
    months = job.partitions_def.get_partition_keys()
    assert months[:2] == ["2024-01-01", "2024-02-01"]
    assert months[-1][:7] == f"{datetime.now(UTC):%Y-%m}", "the current month can be asked for"
    assert job.execute_in_process(partition_key="2024-02-01", instance=instance).success
    [row] = history(bare_url)
    asked = row["configuration"]
    assert (asked["mode"], asked["window_start"][:10], asked["window_end"][:10]) == (
        "backfill",
        "2024-02-01",
        "2024-03-01",
    )
    assert row["records_created"] == 3
    assert instance.get_latest_materialization_event(THING) is not None


def test_only_what_can_be_asked_by_date_has_a_backfill_job() -> None:
    names = {job.name for job in defs.resolve_all_job_defs()}
    for source, entity in EVERY_ENTITY:
        assert (f"backfill_{source.name}_{entity.name}" in names) == (entity.cadence.backfill_since is not None)


TODAY = datetime.now(UTC).date()
WRONG_RANGES = [
    ("backfill_store_things", {"start_date": "2024-02-02", "end_date": "2024-02-01"}, "is after end_date"),
    ("backfill_store_things", {"end_date": "2024-02-01"}, "start_date is missing"),
    ("sync_store_things", {"end_date": "2024-02-30"}, "must be a day written YYYY-MM-DD"),
    ("sync_store_gadgets", {"start_date": "2024-02-01", "end_date": "2024-02-02"}, "can: things"),
    (
        "backfill_store_things",
        {"start_date": str(TODAY + timedelta(days=2)), "end_date": str(TODAY + timedelta(days=3))},
        "is in the future",
    ),
]


@pytest.mark.parametrize(("job", "config", "message"), WRONG_RANGES)
def test_a_range_of_which_nothing_can_be_read_is_refused(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    bare_url: str,
    job: str,
    config: dict[str, str],
    message: str,
) -> None:
    result = record_store.run(definitions, job, instance, config=config)
    assert not result.success
    said = [f"{event.event_specific_data} {event.message}" for event in result.all_events if event.is_failure]
    assert message in " ".join(said)
    assert not history(bare_url)


def test_days_that_the_vendor_keeps_no_longer_are_refused() -> None:
    import dataclasses

    cadence = dataclasses.replace(record_store.THINGS.cadence, retention=timedelta(days=90))
    short = dataclasses.replace(record_store.THINGS, cadence=cadence)
    source, now = record_store.RecordStore().source(), datetime(2024, 6, 1, tzinfo=UTC)
    with pytest.raises(WrongUse, match=r"keeps things for 90 days, which is since 2024-03-03; 2024-02-28 is before"):
        Options(start_date=date(2024, 1, 1), end_date=date(2024, 2, 28)).purpose(source, short, now)
    assert Options(start_date=date(2024, 1, 1), end_date=date(2024, 3, 10)).purpose(source, short, now).window


def test_a_dry_run_is_an_observation(definitions: dg.Definitions, instance: dg.DagsterInstance, bare_url: str) -> None:
    result = record_store.run(definitions, "sync_store_all", instance, config={"dry_run": True})
    assert result.success
    assert not [event for event in result.all_events if event.is_step_materialization]
    assert instance.get_latest_materialization_event(THING) is None
    observed = [event for event in result.all_events if event.event_type_value == "ASSET_OBSERVATION"]
    assert len(observed) == len(record_store.ENTITIES)
    with psycopg.connect(bare_url) as connection:
        assert connection.execute("SELECT count(*) FROM store_thing").fetchone() == (0,)
    assert all(row["configuration"]["dry_run"] for row in history(bare_url))


def test_a_failure_that_may_pass_is_tried_again(
    definitions: dg.Definitions, instance: dg.DagsterInstance, store: record_store.RecordStore, bare_url: str
) -> None:
    store.errors["gadgets"] = [VendorUnavailable("Store is down"), VendorUnavailable("Store is still down")]
    assert record_store.run(definitions, "sync_store_gadgets", instance).success
    assert [row["status"] for row in history(bare_url)] == ["failed", "failed", "success"]


def test_a_failure_for_a_person_is_not_repeated_by_anyone(
    definitions: dg.Definitions, instance: dg.DagsterInstance, store: record_store.RecordStore, bare_url: str
) -> None:
    """style.md, the last trap: the run is tagged too, or the daemon would try it again."""
    store.errors["gadgets"] = [CredentialRefused("Store answered 401. Renew the credential.")] * 3
    result = record_store.run(definitions, "sync_store_gadgets", instance)
    [row] = history(bare_url)
    [failed] = [event for event in result.all_events if event.is_step_failure]
    failure = failed.step_failure_data.user_failure_data
    assert failure is not None
    assert failure.description == "Store answered 401. Renew the credential."
    assert failure.metadata["sync_history_id"].value == row["id"]
    assert failure.metadata["error"].value == "CredentialRefused"
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    assert run.tags["dagster/max_retries"] == "0"


def test_a_bug_is_not_repeated_and_its_text_is_masked(
    definitions: dg.Definitions, instance: dg.DagsterInstance, store: record_store.RecordStore, bare_url: str
) -> None:
    store.errors["gadgets"] = [KeyError("jane@example.com")] * 3
    result = record_store.run(definitions, "sync_store_gadgets", instance)
    [failed] = [event for event in result.all_events if event.is_step_failure]
    failure = failed.step_failure_data.user_failure_data
    assert failure is not None
    assert "KeyError" in (failure.description or "")
    assert "store.py" in str(failure.metadata["traceback"].value)
    logged = [f"{event.event_specific_data} {event.message}" for event in result.all_events]
    assert "jane" not in " ".join(logged)
    assert len(history(bare_url)) == 1


def test_all_job_continues_after_one_failure(
    definitions: dg.Definitions, instance: dg.DagsterInstance, store: record_store.RecordStore, bare_url: str
) -> None:
    """The failed entity fails the run, and the others are loaded."""
    store.errors["gadgets"] = [CredentialRefused("no")] * 3
    assert not record_store.run(definitions, "sync_store_all", instance).success
    assert {row["sync_type"]: row["status"] for row in history(bare_url)} == {
        "things": "success",
        "parts": "success",
        "gadgets": "failed",
    }


def test_a_crm_that_is_not_configured_fails_at_once_and_names_what_is_missing(
    definitions: dg.Definitions, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, bare_url: str
) -> None:
    monkeypatch.delenv("STORE_KEY")
    result = record_store.run(definitions, "sync_store_gadgets", instance)
    [failed] = [event for event in result.all_events if event.is_step_failure]
    failure = failed.step_failure_data.user_failure_data
    assert failure is not None
    assert "STORE_KEY" in (failure.description or "")
    assert len(history(bare_url)) == 1


def test_a_database_that_is_away_fails_the_step_with_a_clear_message(
    store: record_store.RecordStore, instance: dg.DagsterInstance
) -> None:
    away = build_definitions([store.source()], url=lambda: "postgresql://a:b@127.0.0.1:1/none")
    result = record_store.run(away, "sync_store_gadgets", instance)
    failed = [event for event in result.all_events if event.is_step_failure]
    failure = failed[0].step_failure_data.user_failure_data
    assert failure is not None
    assert "cannot connect to the warehouse" in (failure.description or "")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"batch_size": -1}, "batch_size is -1; it must be between 1 and 10000"),
        ({"max_records": -1}, "max_records is -1"),
        ({"start_date": "2025-13-01"}, "must be a day written YYYY-MM-DD"),
    ],
)
def test_a_wrong_option_fails_with_one_message(
    definitions: dg.Definitions, instance: dg.DagsterInstance, config: dict[str, Any], message: str
) -> None:
    with pytest.raises(dg.Failure, match=re.escape(message)):
        SyncOptions(**config).options()
    result = record_store.run(definitions, "sync_store_gadgets", instance, config=config)
    assert not result.success
    said = [f"{event.event_specific_data} {event.message}" for event in result.all_events if event.is_failure]
    assert message in " ".join(said)


def test_options_reach_the_loader(
    definitions: dg.Definitions, instance: dg.DagsterInstance, store: record_store.RecordStore, bare_url: str
) -> None:
    config = {"full": True, "batch_size": 7, "max_records": 1, "vendor": {"colour": "red"}}
    assert record_store.run(definitions, "sync_store_gadgets", instance, config=config).success
    assert (store.asked[0].page_size, store.asked[0].limit) == (7, 1)
    assert store.asked[0].options["colour"] == "red"
    assert history(bare_url)[0]["configuration"]["full"] is True


def test_a_vendor_s_flag_that_does_not_exist_fails_with_one_message(
    definitions: dg.Definitions, instance: dg.DagsterInstance, store: record_store.RecordStore
) -> None:
    result = record_store.run(definitions, "sync_store_gadgets", instance, config={"vendor": {"color": "red"}})
    said = [str(event.event_specific_data) for event in result.all_events if event.is_step_failure]
    assert "Store has no flag color of its own; it has colour" in " ".join(said)
    assert store.asked == []


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.slow("the same in other circumstances")
def test_debug_lets_the_lines_of_the_loader_into_the_log_of_the_run(
    store: record_store.RecordStore, bare_url: str, tmp_path: Path, debug: bool
) -> None:
    """With the top-level ``dagster.yaml``, which names the loggers."""
    shutil.copy(Path(__file__).parents[2] / "dagster.yaml", tmp_path)
    made = record_store.definitions(store, bare_url)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        result = record_store.run(made, "sync_store_gadgets", instance, config={"debug": debug})
        lines = [entry for entry in instance.all_logs(result.run_id) if not entry.is_dagster_event]
    assert any("Completed store gadgets sync" in entry.user_message for entry in lines)
    assert (logging.DEBUG in {entry.level for entry in lines}) is debug


def test_a_cause_is_found_in_the_whole_chain() -> None:
    class Wrapped(Exception):
        exception: Exception | None = None

    inner = CredentialRefused("no")
    outer = Wrapped("pipeline failed")
    outer.exception = inner
    assert find_in_chain(outer, CredentialRefused) is inner
    outermost = RuntimeError("outermost")
    outermost.__context__ = outer
    assert find_in_chain(outermost, CredentialRefused) is inner
    assert find_in_chain(outermost, KeyError) is None


SECRETS = {"id": "c-1", "owner_id": "7", "name": "Jane Roe", "email": "jane@example.com", "status": "open",
           "title": "Call Jane Roe", "amount": 1_234_567, "home_phone": "5135550100", "latitude": 39.1, "age": 44,
           "started_at": "2024-02-01T12:00:00Z", "calendar_id": "jane@example.com", "list_id": "the Roes of Mason",
           "page": "https://example.com/?e=jane"}  # fmt: skip


def test_a_sample_shows_ids_figures_and_states_and_masks_the_rest() -> None:
    entity = Entity(
        name="visits", table="store_visit", about="Visits.", path="visits", key="id",
        columns=columns(
            text="id owner_id name status title calendar_id list_id", email="email", integer="amount age",
            phone="home_phone", numeric="latitude", timestamptz="started_at", url="page",
        ),
    )  # fmt: skip
    assert {name: value(entity, name, found) for name, found in SECRETS.items()} == {
        "id": "c-1", "owner_id": "7", "status": "open", "amount": "1234567", "started_at": "2024-02-01T12:00:00Z",
        **dict.fromkeys(set(SECRETS) - {"id", "owner_id", "status", "amount", "started_at"}, "***"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "name", "found"),
    [
        ("text", "status", "Jane Roe"),
        ("text", "status", "Jane"),
        ("text", "status", "513-555-0100"),
        ("text", "owner_id", "513-555-0100"),
        ("integer", "size", 15135550100),
        ("text", "owner_id", "+15135550100"),
        ("id", "owner_id", "jane@example.com"),
        ("id", "owner_id", "513 555 0100"),
    ],
)
def test_what_was_typed_into_the_wrong_field_is_masked(kind: str, name: str, found: Any) -> None:
    entity = Entity(
        name="visits", table="store_visit", about="Visits.", path="visits", key="id",
        columns=columns(uuid="id", **{kind: name}),
    )  # fmt: skip
    assert value(entity, name, found) == "***"


def test_a_sample_has_five_rows_and_the_key_first(
    store: record_store.RecordStore, bare_url: str, instance: dg.DagsterInstance
) -> None:
    store.records["things"] = [
        {"id": str(n), "name": "Jane Roe", "updated_at": "2024-02-01T12:00:00Z"} for n in range(9)
    ]
    assert record_store.run(record_store.definitions(store, bare_url), "sync_store_things", instance).success
    lines = str(latest(instance, THING)["preview"]).splitlines()
    assert lines[0] == "| id | name | updated_at |"
    assert [line.split(" | ")[:2] for line in lines[2:]] == [[f"| {n}", "***"] for n in range(5)]


def test_a_run_that_reads_nothing_shows_rows_of_the_table(
    store: record_store.RecordStore, bare_url: str, instance: dg.DagsterInstance
) -> None:
    store.records["things"] = [
        {"id": str(n), "name": "Jane Roe", "updated_at": "2024-02-01T12:00:00Z"} for n in range(9)
    ]
    made = record_store.definitions(store, bare_url)
    assert record_store.run(made, "sync_store_things", instance).success
    store.records["things"] = []
    assert record_store.run(made, "sync_store_things", instance).success
    assert latest(instance, THING)["processed"] == 0
    lines = str(latest(instance, THING)["preview"]).splitlines()
    assert [line.split(" | ")[:2] for line in lines[2:]] == [[f"| {n}", "***"] for n in (8, 7, 6, 5, 4)]


def test_a_vendor_that_was_read_is_observed(definitions: dg.Definitions, instance: dg.DagsterInstance) -> None:
    """Its page in the UI shows when, and by how many calls."""
    assert record_store.run(definitions, "sync_store_things", instance).success
    [seen] = instance.fetch_observations(dg.AssetKey(["vendor", "store"]), limit=5).records
    assert seen.asset_observation is not None
    assert seen.asset_observation.metadata["api_calls"].value is not None


def test_a_preview_is_one_line_per_row_whatever_the_text_holds() -> None:
    shown = preview([{"a": "one\ntwo", "b": "x|y", "c": None}, {"a": "z" * 50, "b": 1, "c": {"d": 2}}])
    assert shown.splitlines() == ["| a | b | c |", "| --- | --- | --- |", "| one two | x\\|y |  |",
                                  f"| {'z' * 39}… | 1 | {{\"d\": 2}} |"]  # fmt: skip
