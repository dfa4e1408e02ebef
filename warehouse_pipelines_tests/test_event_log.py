"""The event log that keeps its connections: what Dagster's own class wrote it reads, and the other way round."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.event_log import SqliteEventLogStorage

from warehouse_pipelines.local import dagster_home
from warehouse_pipelines.local.event_log import KEPT, EventLog


@dg.job
def nothing() -> None:
    """Run no step."""


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.delenv("DAGSTER_STORAGE_URL", raising=False)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    dagster_home.prepare(tmp_path, pools={})
    with dg.DagsterInstance.from_config(str(tmp_path)) as made:
        yield made


def run(instance: dg.DagsterInstance) -> str:
    return nothing.execute_in_process(instance=instance).run_id


def test_the_prepared_home_uses_it_and_dagsters_own_class_reads_what_it_wrote(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    assert isinstance(instance.event_log_storage, EventLog)
    run_id = run(instance)
    plain = SqliteEventLogStorage(str(tmp_path / "history/runs"))
    kinds = [record.event_log_entry.dagster_event_type for record in plain.get_records_for_run(run_id).records]
    assert dg.DagsterEventType.RUN_START in kinds
    assert dg.DagsterEventType.RUN_SUCCESS in kinds


def test_a_database_is_opened_once_for_all_its_events(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails when a new Dagster no longer goes through ``_connect``."""
    opened: list[str] = []
    log = instance.event_log_storage
    assert isinstance(log, EventLog)
    real = log.conn_string_for_shard
    monkeypatch.setattr(log, "conn_string_for_shard", lambda shard: opened.append(shard) or real(shard))
    run_id = run(instance)
    assert opened.count(run_id) == 1
    assert opened.count("index") <= 1


def test_no_more_databases_stay_open_than_are_kept(instance: dg.DagsterInstance) -> None:
    log = instance.event_log_storage
    assert isinstance(log, EventLog)
    runs = [run(instance) for _ in range(KEPT + 3)]
    assert len(log._engines) == KEPT
    assert log.get_records_for_run(runs[0]).records, "one that was closed is opened again"


def test_after_a_wipe_it_begins_anew(instance: dg.DagsterInstance) -> None:
    first = run(instance)
    instance.event_log_storage.wipe()
    second = run(instance)
    assert not instance.all_logs(first)
    assert instance.all_logs(second)
