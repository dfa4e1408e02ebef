"""The asset checks, against tables that are right, wrong and absent."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.definitions import build_definitions
from warehouse_pipelines.orchestration import checks
from warehouse_pipelines.orchestration.checks import _references
from warehouse_pipelines_tests.harness import record_store

STORE = record_store.RecordStore()


@pytest.fixture
def store() -> record_store.RecordStore:
    STORE.reset()
    return STORE


@pytest.fixture
def definitions(monkeypatch: pytest.MonkeyPatch, bare_url: str, store: record_store.RecordStore) -> dg.Definitions:
    monkeypatch.setenv("STORE_KEY", "a key")
    monkeypatch.setenv("WAREHOUSE_RETRY_SECONDS", "0.001")
    return record_store.definitions(store, bare_url)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


@pytest.fixture
def database(bare_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(bare_url, autocommit=True) as connection:
        yield connection


Found = dict[tuple[str, str], dg.AssetCheckEvaluation]


def evaluations(result: dg.ExecuteInProcessResult) -> Found:
    return {(found.asset_key.path[-1], found.check_name): found for found in result.get_asset_check_evaluations()}


def hourly(definitions: dg.Definitions, instance: dg.DagsterInstance) -> Found:
    result = definitions.resolve_job_def("check_warehouse").execute_in_process(instance=instance)
    assert result.success
    return evaluations(result)


def test_after_a_sync_all_is_well(definitions: dg.Definitions, instance: dg.DagsterInstance) -> None:
    result = record_store.run(definitions, "sync_store_all", instance)
    assert result.success
    found = evaluations(result)
    assert {name for _, name in found} == {"key", "dead_letters", "values"}
    found |= hourly(definitions, instance)
    assert len(found) == 3 * 5 + 1
    assert {key for key, check in found.items() if not check.passed} == set()


def test_a_tick_asks_for_the_hourly_checks_whose_result_is_to_be_stored(
    definitions: dg.Definitions,
    store: record_store.RecordStore,
    bare_url: str,
    database: psycopg.Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All of them once a day; else what is bad, got well or is not shown any more, and what it did not come to."""
    (schedule,) = (found for found in definitions.schedules or () if found.name == "check_warehouse_schedule")
    assert isinstance(schedule, dg.ScheduleDefinition)

    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:

        def asked() -> set[tuple[str, str]]:
            """Tick, and run what is asked for."""
            with dg.build_schedule_context(instance=instance) as context:
                found = schedule.evaluate_tick(context).run_requests or []
            keys = [key for one in found for key in one.asset_check_keys or ()]
            if keys:
                job = definitions.resolve_job_def("check_warehouse")
                assert job.get_subset(asset_check_selection=set(keys)).execute_in_process(instance=instance).success
            return {(key.asset_key.path[-1], key.name) for key in keys}

        assert record_store.run(definitions, "sync_store_all", instance).success
        everything = asked()
        assert len(everything) == 3 * 2 + 1
        assert asked() == set()
        database.execute("UPDATE store_annex.part SET thing_id = 'nowhere'")
        assert asked() == asked() == {("part", "references")}, "it is bad"
        database.execute("UPDATE store_annex.part SET thing_id = '1'")
        assert asked() == {("part", "references")}, "it is well again"
        assert asked() == set()
        assert record_store.run(definitions, "sync_store_gadgets", instance).success
        again = {("store_gadget", "volume"), ("store_gadget", "health")}
        assert asked() == again, "Dagster shows no results of before a materialization"
        assert asked() == set()
        with psycopg.connect(bare_url, autocommit=True) as other, other.transaction():
            other.execute("LOCK TABLE store_annex.part IN ACCESS EXCLUSIVE MODE")
            monkeypatch.setattr(checks, "JUDGE_SECONDS", 0.5)
            with warehouse.session(bare_url) as session:
                worth = checks.worth_a_run(session, instance, [store.source()], bare_url)
            assert ("references", "part") in {(key.name, key.asset_key.path[-1]) for key in worth}, (
                "nobody waits for it"
            )
        monkeypatch.setattr(checks, "JUDGE_SECONDS", 0.0)
        assert len(asked()) == len(everything) - 1
        monkeypatch.setattr(checks, "JUDGE_SECONDS", 60.0)
        monkeypatch.setattr(checks, "STORE_SECONDS", 0.0)
        assert asked() == everything


def test_a_wrong_key_fails_the_run(
    definitions: dg.Definitions, instance: dg.DagsterInstance, database: psycopg.Connection
) -> None:
    database.execute("INSERT INTO store_gadget (id, raw_data, archived) VALUES ('', '{}', true)")
    result = record_store.run(definitions, "sync_store_gadgets", instance)
    check = evaluations(result)["store_gadget", "key"]
    assert "whose id is empty" in (check.description or "")
    assert check.severity == dg.AssetCheckSeverity.ERROR
    assert not result.success


def test_another_primary_key_is_noticed(
    definitions: dg.Definitions, instance: dg.DagsterInstance, database: psycopg.Connection
) -> None:
    database.execute("ALTER TABLE store_gadget DROP CONSTRAINT store_gadget_pkey")
    found = check_only(definitions, instance, "store_gadget")
    assert "has no primary key" in (found["store_gadget", "key"].description or "")
    database.execute("ALTER TABLE store_gadget ADD PRIMARY KEY (id, archived)")
    found = check_only(definitions, instance, "store_gadget")
    assert "is (id, archived), not (id)" in (found["store_gadget", "key"].description or "")


def check_only(definitions: dg.Definitions, instance: dg.DagsterInstance, table: str) -> Found:
    """Evaluate the checks of a table without syncing it."""
    job = dg.define_asset_job("only_checks", dg.AssetSelection.checks_for_assets(dg.AssetKey(table)))
    only = dg.Definitions(
        assets=definitions.assets, asset_checks=definitions.asset_checks, jobs=[job], resources=definitions.resources
    )
    return evaluations(only.resolve_job_def("only_checks").execute_in_process(instance=instance, raise_on_error=False))


def test_dead_letters_warn(
    definitions: dg.Definitions, instance: dg.DagsterInstance, database: psycopg.Connection
) -> None:
    database.execute(
        "INSERT INTO orchestration.dead_letter "
        "(sync_history_id, crm_source, sync_type, stage, rule, error_message, payload) "
        "SELECT 1, 'store', 'gadgets', 'coerce', 'integer', 'not a number', '{}' FROM generate_series(1, 3)"
    )
    result = record_store.run(definitions, "sync_store_gadgets", instance)
    check = evaluations(result)["store_gadget", "dead_letters"]
    assert result.success
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.WARN
    assert check.metadata["pending"].value == 3


def test_lost_values_warn(
    definitions: dg.Definitions, instance: dg.DagsterInstance, store: record_store.RecordStore
) -> None:
    store.records["gadgets"] = [{"id": str(n), "size": "large"} for n in range(9)]
    result = record_store.run(definitions, "sync_store_gadgets", instance)
    check = evaluations(result)["store_gadget", "values"]
    assert result.success
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.description == "values lost: size 9 of 9 (100%)"
    assert check.metadata["lost"].value == {"size": 9}


def test_orphans_warn_above_the_threshold(
    definitions: dg.Definitions, instance: dg.DagsterInstance, database: psycopg.Connection
) -> None:
    database.execute("INSERT INTO store_annex.part (id, thing_id, raw_data) VALUES ('q', 'nobody', '{}')")
    found = hourly(definitions, instance)["part", "references"]
    assert found.passed
    assert "still empty" in (found.description or "")
    database.execute("INSERT INTO store_thing (id, raw_data) VALUES ('1', '{}')")
    found = hourly(definitions, instance)["part", "references"]
    assert not found.passed
    assert found.metadata["thing_id_orphans"].value == 1
    database.execute(
        "INSERT INTO store_annex.part (id, thing_id, raw_data) SELECT n::text, '1', '{}' FROM generate_series(1, 19) n"
    )
    assert hourly(definitions, instance)["part", "references"].passed


def test_orphans_of_another_crm_are_normal_until_hardly_any_is_found(
    database: psycopg.Connection, definitions: dg.Definitions
) -> None:
    """It forgets some and never knew others; ids that are written otherwise, or another account's, find nothing."""
    by_table = {entity.table: entity for entity in record_store.ENTITIES}

    def judged(*, abroad: bool) -> bool:
        with warehouse.session(database.info.dsn + f" password={database.info.password}") as session:
            return bool(_references(session, record_store.PARTS, by_table, set() if abroad else by_table.keys()).passed)

    def parts(found: int, orphans: int) -> None:
        database.execute("TRUNCATE store_annex.part")
        database.execute(
            "INSERT INTO store_annex.part (id, thing_id, raw_data)"
            " SELECT n::text, CASE WHEN n <= %s THEN '1' ELSE 'x' END, '{}' FROM generate_series(1, %s) n",
            [found, found + orphans],
        )

    database.execute("INSERT INTO store_thing (id, raw_data) VALUES ('1', '{}')")
    parts(found=10, orphans=90)
    assert (judged(abroad=True), judged(abroad=False)) == (True, False)
    parts(found=4, orphans=96)
    assert judged(abroad=True) is False
    parts(found=0, orphans=19)
    assert (judged(abroad=True), judged(abroad=False)) == (True, False)


def test_a_reference_that_cannot_be_joined_is_refused() -> None:
    store = record_store.RecordStore()
    wrong = replace(record_store.GADGETS, refs={"size": "store_thing"})
    with pytest.raises(ValueError, match=r"store_gadget\.size is bigint and store_thing\.id is text"):
        build_definitions([replace(store.source(), entities=(record_store.PARTS, record_store.THINGS, wrong))])


def test_a_large_table_is_sampled(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    database: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("warehouse_pipelines.orchestration.checks.SAMPLE_BYTES", 64 * 1024)
    database.execute("INSERT INTO store_thing (id, raw_data) VALUES ('1', '{}')")
    database.execute(
        "INSERT INTO store_annex.part (id, thing_id, raw_data)"
        " SELECT n::text, '1', '{}' FROM generate_series(1, 9000) n"
    )
    found = hourly(definitions, instance)["part", "references"]
    assert found.passed
    assert found.metadata["sampled"].value is True
    assert int(str(found.metadata["thing_id_pointing"].value)) < 9000


def test_a_missing_table_is_a_clear_failure(
    definitions: dg.Definitions, instance: dg.DagsterInstance, database: psycopg.Connection
) -> None:
    database.execute("DROP TABLE store_annex.part, store_gadget")
    found = check_only(definitions, instance, "store_gadget")
    assert not found["store_gadget", "key"].passed
    assert "does not exist; run `warehouse migrate`" in (found["store_gadget", "key"].description or "")
    assert "does not exist" in (hourly(definitions, instance)["part", "references"].description or "")


def test_health_speaks_when_the_sync_fails(
    definitions: dg.Definitions, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = hourly(definitions, instance)["store_gadget", "health"]
    assert not shown.passed
    assert "no run ended" in (shown.description or "")
    monkeypatch.delenv("STORE_KEY")
    shown = hourly(definitions, instance)["store_gadget", "health"]
    assert shown.passed
    assert "not configured" in (shown.description or "")


def test_volume_anomaly_flags_planted_drop(
    definitions: dg.Definitions, instance: dg.DagsterInstance, database: psycopg.Connection
) -> None:
    """Two reads of everything that found a tenth of the usual; what was limited or dry does not count."""
    database.execute(
        "INSERT INTO orchestration.sync_schedule (name, crm_source, model_name, mode, recurrence_type, every, period) "
        "VALUES ('store gadgets', 'store', 'gadgets', 'delta', 'interval', 1, 'hours')"
    )
    database.execute(
        """
        INSERT INTO orchestration.sync_history
            (crm_source, sync_type, start_time, end_time, status, records_processed, records_created, configuration)
        SELECT 'store', 'gadgets', now() - (20 - o) * interval '1 day', now(), 'success', n, n, c::jsonb
        FROM (SELECT 100 AS n, '{"mode": "full", "dry_run": false, "max_records": 0}' AS c, g AS o
                FROM generate_series(1, 8) AS g
              UNION ALL SELECT 10, '{"mode": "full", "dry_run": false, "max_records": 0}', 10
              UNION ALL SELECT 3, '{"mode": "full", "dry_run": false, "max_records": 3}', 11
              UNION ALL SELECT 100, '{"mode": "full", "dry_run": true, "max_records": 0}', 12) planted ORDER BY o
        """
    )
    assert hourly(definitions, instance)["store_gadget", "volume"].passed
    database.execute(
        "INSERT INTO orchestration.sync_history (crm_source, sync_type, start_time, end_time, status,"
        " records_processed, records_created, configuration)"
        " SELECT 'store', 'gadgets', now() - interval '1 day', now(), 'success', 11, 11, configuration"
        " FROM orchestration.sync_history WHERE records_processed = 10"
    )
    found = hourly(definitions, instance)["store_gadget", "volume"]
    assert not found.passed
    assert "found 10 and 11 records, where 100 are usual" in (found.description or "")
