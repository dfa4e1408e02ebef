"""The archives of ``pipedesk``: what moves, what stays, and what is kept of a thing that comes again."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import psycopg
import pytest
from psycopg.rows import dict_row

from warehouse_pipelines.definitions import defs
from warehouse_pipelines.orchestration import maintenance
from warehouse_pipelines.orchestration.pipedesk_maintenance import TASKS
from warehouse_pipelines_tests.harness.source_harness import source_harness


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    with psycopg.connect(database_url, autocommit=True, row_factory=dict_row) as connection:
        yield connection


def archive(name: str) -> int:
    """Run a job as the definitions have it; return how many rows it says that it moved."""
    with dg.DagsterInstance.ephemeral() as instance:
        result = defs.resolve_job_def(name).execute_in_process(instance=instance)
        assert result.success
        event = instance.get_latest_materialization_event(dg.AssetKey(["pipedesk_maintenance", name]))
        assert event is not None
        assert event.asset_materialization is not None
        moved = event.asset_materialization.metadata["rows_archived"].value
    assert isinstance(moved, int)
    return moved


def keys(connection: psycopg.Connection[dict[str, Any]], table: str, key: str) -> list[str]:
    return [row["key"] for row in connection.execute(f"SELECT {key} AS key FROM pipedesk.{table} ORDER BY 1")]


def event(connection: psycopg.Connection[dict[str, Any]], key: str, **values: Any) -> None:
    row = {"google_event_id": key, "status": "cancelled", "sync_hash": 1, **values}
    columns, places = ", ".join(row), ", ".join(f"%({name})s" for name in row)
    connection.execute(f"INSERT INTO pipedesk.calendar_events ({columns}) VALUES ({places})", row)


def ago(connection: psycopg.Connection[dict[str, Any]], span: str) -> Any:
    found = connection.execute("SELECT now() - %s::interval AS at", [span]).fetchone()
    return found and found["at"]


def test_cancelled_events_are_archived_after_six_months(
    connection: psycopg.Connection[dict[str, Any]], database_url: str
) -> None:
    """By its end, else by its begin, else by when it was cancelled."""
    old, new = ago(connection, "7 months"), ago(connection, "5 months")
    event(connection, "old", end_time=old, summary="An estimate", raw_data='{"id": "old"}')
    event(connection, "new", end_time=new)
    event(connection, "held", end_time=old, status="confirmed")
    event(connection, "occurrence", start_time=old)
    event(connection, "bare", deleted_at=old)
    event(connection, "bare and new", deleted_at=new)
    assert archive("weekly_archive_calendar_events") == 3
    assert keys(connection, "calendar_events", "google_event_id") == ["bare and new", "held", "new"]
    assert keys(connection, "calendar_events_archive", "google_event_id") == ["bare", "occurrence", "old"]
    row = connection.execute("SELECT * FROM pipedesk.calendar_events_archive WHERE google_event_id = 'old'").fetchone()
    assert row is not None
    assert (row["calendar_id"], row["summary"], row["end_time"]) == ("primary", "An estimate", old)
    assert row["raw_data"] == {"id": "old"}
    assert archive("weekly_archive_calendar_events") == 0


def test_what_comes_again_is_archived_again_with_what_was_known(
    connection: psycopg.Connection[dict[str, Any]], database_url: str
) -> None:
    old = ago(connection, "7 months")
    event(
        connection,
        "e",
        end_time=old,
        summary="An estimate",
        location="here",
        raw_data='{"id": "e", "location": "here"}',
    )
    archive("weekly_archive_calendar_events")
    event(connection, "e", start_time=old, summary="Renamed", raw_data='{"id": "e", "status": "cancelled"}')
    assert archive("weekly_archive_calendar_events") == 1
    (row,) = connection.execute("SELECT * FROM pipedesk.calendar_events_archive").fetchall()
    assert (row["summary"], row["end_time"], row["start_time"]) == ("Renamed", old, old)
    assert row["raw_data"] == {"id": "e", "location": "here", "status": "cancelled"}


@pytest.mark.slow("the same in other circumstances")
def test_deleted_files_are_archived_after_six_months(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next sync does not miss them: a file that comes back is made anew."""
    with (
        source_harness("pipedesk.drive_files", database_url, monkeypatch, contacts=60) as it,
        psycopg.connect(database_url, autocommit=True, row_factory=dict_row) as db,
    ):
        it.sync()
        old, new = it.simulator.file_ids()[:2]
        for file in (old, new):
            it.simulator.trash_file(file)
        it.sync()
        db.execute("UPDATE pipedesk.drive_files SET deleted_at = now() - interval '7 months' WHERE file_id = %s", [old])
        known = it.rows()[old,]
        assert archive("weekly_archive_drive_files") == 1
        assert (old,) not in it.rows()
        assert (new,) in it.rows()
        (row,) = db.execute("SELECT * FROM pipedesk.drive_files_archive").fetchall()
        assert {name: row[name] for name in row.keys() & known.keys()}.items() <= known.items()
        assert it.sync().processed == 0
        it.simulator.untrash_file(old)
        assert it.sync().created == 1
        assert (old,) in it.living()


def test_the_jobs_and_their_schedules_are_there(database_url: str) -> None:
    names = {schedule.name for schedule in defs.schedules or () if isinstance(schedule, dg.ScheduleDefinition)}
    for task in TASKS:
        assert task.name in names
        assert defs.resolve_job_def(task.name).description == task.about
        with dg.build_schedule_context() as context:
            (schedule,) = maintenance.schedules({"pipedesk": [task]}, lambda: database_url)
            assert schedule.evaluate_tick(context).run_requests


def test_a_tick_skips_while_the_schema_is_not_there(database_url: str) -> None:
    (schedule,) = maintenance.schedules({"nowhere": TASKS[:1]}, lambda: database_url)
    with dg.build_schedule_context() as context:
        assert schedule.evaluate_tick(context).skip_message == "there is no schema nowhere; run `warehouse migrate`"
