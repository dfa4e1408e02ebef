"""The sensor that closes what killed processes left open."""

import sys
from collections.abc import Callable

import dagster as dg
import psycopg
import pytest
from dagster._core.test_utils import create_run_for_test

from warehouse_pipelines import warehouse
from warehouse_pipelines.definitions import defs
from warehouse_pipelines.orchestration import run_lock
from warehouse_pipelines.orchestration.sensors import sensors
from warehouse_pipelines.orchestration.ticks import TickFailed, told_plainly

AWAY = "postgresql://a:b@127.0.0.1:1/none"


@pytest.fixture
def running(bare_url: str) -> Callable[[str], int]:
    """Return a function that plants a row that a run left open, and returns its id."""

    def plant(run_id: str) -> int:
        with psycopg.connect(bare_url, autocommit=True) as connection:
            row = connection.execute(
                "INSERT INTO orchestration.sync_history (crm_source, sync_type, start_time, run_id) "
                "VALUES ('store', 'gadgets', now(), %s) RETURNING id",
                [run_id],
            ).fetchone()
        assert row is not None
        return int(row[0])

    return plant


def status(url: str, history_id: int) -> tuple[str, str | None]:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT status, error_message FROM orchestration.sync_history WHERE id = %s", [history_id]
        ).fetchone()
    assert row is not None
    return row[0], row[1]


def test_it_runs_by_default() -> None:
    assert "close_stale_runs" in {sensor.name for sensor in defs.sensors or ()}
    assert {each.default_status for each in sensors(lambda: AWAY)} == {dg.DefaultSensorStatus.RUNNING}


def test_a_row_of_a_run_that_failed_says_why(running: Callable[[str], int], bare_url: str) -> None:
    one, other = (f"00000000-0000-0000-0000-00000000000{n}" for n in (1, 2))
    ours, theirs = running(one), running(other)
    with dg.DagsterInstance.ephemeral() as instance, psycopg.connect(bare_url) as alive:
        alive.execute("SELECT pg_advisory_lock(hashtextextended('store:gadgets', 0))")
        run = create_run_for_test(instance, run_id=one, status=dg.DagsterRunStatus.STARTED)
        create_run_for_test(instance, run_id=other, status=dg.DagsterRunStatus.STARTED)
        instance.report_run_failed(run, "the worker was killed")
        close_stale_runs(bare_url, instance)
    assert status(bare_url, ours) == ("failed", "the worker was killed")
    assert status(bare_url, theirs)[0] == "running"


def test_a_row_of_a_run_that_was_cancelled_is_cancelled(running: Callable[[str], int], bare_url: str) -> None:
    """Its process is as dead as that of a run that was killed, and nobody but Dagster knows why."""
    one, other = (f"00000000-0000-0000-0000-00000000000{n}" for n in (1, 2))
    ours, theirs = running(one), running(other)
    with dg.DagsterInstance.ephemeral() as instance:
        create_run_for_test(instance, run_id=one, status=dg.DagsterRunStatus.CANCELED)
        create_run_for_test(instance, run_id=other, status=dg.DagsterRunStatus.STARTED)
        close_stale_runs(bare_url, instance)
    assert status(bare_url, ours) == ("cancelled", "cancelled")
    assert status(bare_url, theirs)[0] == "failed"


def test_the_rows_are_closed_whose_process_is_dead(running: Callable[[str], int], bare_url: str) -> None:
    dead = running("a")
    with psycopg.connect(bare_url) as alive:
        alive.execute("SELECT pg_advisory_lock(hashtextextended('store:gadgets', 0))")
        assert "nothing" in close_stale_runs(bare_url)
        assert status(bare_url, dead)[0] == "running"
    assert f"closed {dead}" in close_stale_runs(bare_url)
    assert status(bare_url, dead)[0] == "failed"


def test_the_runs_are_ended_whose_process_is_dead(bare_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_lock, "PING_SECONDS", 0.5)
    with dg.DagsterInstance.ephemeral() as instance, warehouse.connect(bare_url) as session:
        ids = [f"00000000-0000-0000-0000-00000000000{n}" for n in (1, 2)]
        for run_id in ids:
            tags = {run_lock.TAG: run_lock.tag(session, run_id)}
            create_run_for_test(instance, run_id=run_id, status=dg.DagsterRunStatus.STARTED, tags=tags)
        with run_lock.RunLock(bare_url, ids[1]):
            assert f"runs: {ids[0]}" in close_stale_runs(bare_url, instance)
        found = [instance.get_run_by_id(run_id) for run_id in ids]
    assert [run and run.status for run in found] == [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.STARTED]


def close_stale_runs(url: str, instance: dg.DagsterInstance | None = None) -> str:
    with dg.DagsterInstance.ephemeral() as empty:
        [sensor] = sensors(lambda: url)
        found = sensor(dg.build_sensor_context(instance=instance or empty))
    assert isinstance(found, dg.SkipReason)
    return found.skip_message or ""


def test_a_database_that_is_away_fails_the_tick() -> None:
    """A skipped tick looks like one that had nothing to do, and nobody would hear of it."""
    with pytest.raises(TickFailed, match="DatabaseUnavailable"):
        close_stale_runs(AWAY)


def test_what_a_failed_tick_keeps_has_no_credential_in_it() -> None:
    from dagster._utils.error import serializable_error_info_from_exc_info

    try:
        with told_plainly():
            raise ValueError("no connection to postgresql://ann:invented-word@db.example.test/warehouse")
    except TickFailed:
        told = str(serializable_error_info_from_exc_info(sys.exc_info()))
    assert "no connection" in told
    assert "invented-word" not in told
