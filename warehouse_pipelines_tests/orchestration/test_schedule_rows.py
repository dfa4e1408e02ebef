"""``orchestration.sync_schedule`` and Dagster: rows ask for runs, and show what Dagster knows of its schedules."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import psycopg
import pytest
import sqlalchemy as sa
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    InProcessCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, ScheduleInstigatorData
from dagster._core.test_utils import create_run_for_test
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from warehouse_pipelines import warehouse
from warehouse_pipelines.definitions import defs
from warehouse_pipelines.loading import sync_schedule
from warehouse_pipelines.model.cadence import Cadence
from warehouse_pipelines.orchestration import schedule_rows
from warehouse_pipelines.orchestration.backfills import TAG
from warehouse_pipelines.orchestration.schedules import schedules
from warehouse_pipelines.orchestration.ticks import TickFailed
from warehouse_pipelines.schema.migrate import engine
from warehouse_pipelines_tests.harness import record_store

STORE = record_store.RecordStore().source()
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
QUARTER = "sync_store_every_15_minutes_schedule"


@dg.job
def nothing() -> None: ...


@pytest.fixture
def url(shared_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A warehouse with the declared rows of the store alone."""
    monkeypatch.setenv("STORE_KEY", "set")
    monkeypatch.setenv("WAREHOUSE_TIME_ZONE", "America/New_York")
    with engine(shared_url).begin() as connection:
        connection.execute(sa.text("DELETE FROM orchestration.sync_schedule WHERE crm_source = 'store'"))
        connection.execute(sa.text("DELETE FROM orchestration.sync_schedule WHERE NOT declared"))
        sync_schedule.align(connection, [STORE])
    return shared_url


def insert(url: str, **values: Any) -> None:
    row = {"crm_source": "store", "model_name": "gadgets", "mode": "full", "recurrence_type": "interval", **values}
    columns, places = ", ".join(row), ", ".join(f"%({name})s" for name in row)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"INSERT INTO orchestration.sync_schedule ({columns}) VALUES ({places})", row)


def stored(url: str, name: str) -> dict[str, Any]:
    with warehouse.connect(url) as connection:
        row = connection.execute("SELECT * FROM orchestration.sync_schedule WHERE name = %s", [name]).fetchone()
    assert row is not None
    return row


def look(instance: dg.DagsterInstance, url: str, now: datetime) -> list[dg.RunRequest]:
    """Let the sensor look at a time, as a tick of the daemon does."""
    with warehouse.connect(url) as connection:
        found = schedule_rows.look(instance, connection, [STORE], schedules([STORE], lambda: url), now)
    return list(found.run_requests or ()) if isinstance(found, dg.SensorResult) else []


def start(instance: dg.DagsterInstance, request: dg.RunRequest, status: dg.DagsterRunStatus) -> None:
    """Do what the daemon does with a request."""
    create_run_for_test(
        instance, job_name=request.job_name or "", tags=dict(request.tags), status=status,
        asset_selection=frozenset(request.asset_selection or ()),
    )  # fmt: skip


def test_schedule_row_produces_run_request(instance: dg.DagsterInstance, url: str) -> None:
    """An inserted row starts runs at its interval; when it was and will be asked for is written back."""
    insert(url, name="weekly", every=1, period="weeks")
    [asked] = look(instance, url, NOON)
    assert asked.job_name == "sync_store_all"
    assert asked.asset_selection == [dg.AssetKey("store_gadget")]
    assert asked.run_config == {"resources": {"sync": {"config": {"full": True}}}}
    start(instance, asked, dg.DagsterRunStatus.SUCCESS)
    assert look(instance, url, NOON + MINUTE) == []
    row = stored(url, "weekly")
    assert (row["last_run"], row["next_run"]) == (NOON, NOON + timedelta(weeks=1))
    assert row["dagster_status"] == "running"
    assert look(instance, url, NOON + timedelta(days=6)) == []
    assert len(look(instance, url, NOON + timedelta(days=7))) == 1


def test_what_was_asked_for_is_asked_again_until_there_is_a_run(instance: dg.DagsterInstance, url: str) -> None:
    """With one key, so that the daemon, which was killed after the first time or was not, starts one run."""
    insert(url, name="weekly", every=1, period="weeks")
    [first] = look(instance, url, NOON)
    [second] = look(instance, url, NOON + MINUTE)
    assert first.run_key == second.run_key
    assert stored(url, "weekly")["last_run"] is None


def test_a_row_waits_while_its_entity_is_synced(instance: dg.DagsterInstance, url: str) -> None:
    insert(url, name="weekly", every=1, period="weeks")
    tags = {"warehouse/crm": "store", "warehouse/sync_type": "gadgets"}
    create_run_for_test(instance, job_name="sync_store_gadgets", tags=tags, status=dg.DagsterRunStatus.STARTED)
    assert look(instance, url, NOON) == []
    instance.wipe()
    assert len(look(instance, url, NOON + timedelta(hours=2))) == 1
    create_run_for_test(instance, job_name="backfill_store_gadgets", tags=tags, status=dg.DagsterRunStatus.STARTED)
    [asked] = look(instance, url, NOON + timedelta(hours=2))
    assert asked.tags[TAG] == "store gadgets", "it waits in the queue for the month that is read, not for the last one"


def test_of_times_that_went_by_one_is_made_up_for(instance: dg.DagsterInstance, url: str) -> None:
    insert(url, name="hourly", every=1, period="hours", next_run=NOON - timedelta(hours=10))
    [asked] = look(instance, url, NOON)
    start(instance, asked, dg.DagsterRunStatus.SUCCESS)
    assert look(instance, url, NOON + MINUTE) == []
    assert stored(url, "hourly")["next_run"] == NOON + timedelta(hours=1)


@pytest.mark.parametrize("often", [{"every": 1, "period": "minutes"}, {"recurrence_type": "crontab"}])
def test_a_row_of_a_minute_is_asked_for_at_each_look(
    instance: dg.DagsterInstance, url: str, often: dict[str, Any]
) -> None:
    insert(url, name="often", next_run=NOON, **often)
    seconds = (1, 62, 125, 186)
    for looked_at in seconds:
        [asked] = look(instance, url, NOON + timedelta(seconds=looked_at))
        start(instance, asked, dg.DagsterRunStatus.SUCCESS)
    row = stored(url, "often")
    assert (row["last_run"], row["next_run"]) == (NOON + 2 * MINUTE, NOON + 3 * MINUTE)
    assert look(instance, url, NOON + timedelta(seconds=190)) == [], "no look asks twice for one time"


def test_a_crontab_is_read_where_the_business_is(instance: dg.DagsterInstance, url: str) -> None:
    insert(
        url, name="nightly", mode="force7", recurrence_type="crontab",
        crontab_minute="30", crontab_hour="2", crontab_day_of_week="1-5",
    )  # fmt: skip
    assert look(instance, url, NOON) == []  # a Sunday
    monday = datetime(2026, 3, 2, 7, 30, tzinfo=UTC)
    assert stored(url, "nightly")["next_run"] == monday
    [asked] = look(instance, url, monday)
    assert asked.run_config == {"resources": {"sync": {"config": {"force": True, "start_date": "2026-02-23"}}}}


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"crm_source": "stroe"}, "there is no CRM stroe"),
        ({"model_name": "gadget"}, "store has no entity gadget"),
        ({"recurrence_type": "crontab", "crontab_hour": "25"}, "'* 25 * * *' is no crontab"),
        (
            {"recurrence_type": "crontab", "crontab_day_of_month": "31", "crontab_month_of_year": "2,4"},
            "there is no time at which it would be asked for",
        ),
        ({"every": 2_000_000_000}, "there is no time at which it would be asked for"),
    ],
)
def test_a_row_that_cannot_be_run_says_why(
    instance: dg.DagsterInstance, url: str, row: dict[str, Any], says: str
) -> None:
    insert(url, **{"name": "wrong", "every": 1, "period": "weeks", **row})
    insert(url, name="right", every=1, period="weeks")
    assert len(look(instance, url, NOON)) == 1
    assert (stored(url, "wrong")["problem"], stored(url, "wrong")["next_run"]) == (says, None)


def test_a_row_of_a_crm_without_settings_waits_for_them(
    instance: dg.DagsterInstance, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(url, name="weekly", every=1, period="weeks")
    monkeypatch.delenv("STORE_KEY")
    assert look(instance, url, NOON) == []
    assert "STORE_KEY" in stored(url, "weekly")["problem"]
    assert "STORE_KEY" in stored(url, "store gadgets")["problem"]
    monkeypatch.setenv("STORE_KEY", "set")
    assert len(look(instance, url, NOON)) == 1
    assert stored(url, "store gadgets")["problem"] is None


def declaring(**words: Any) -> Any:
    cadence = replace(record_store.THINGS.cadence, **words)
    others = [entity for entity in STORE.entities if entity.name != "things"]
    return replace(STORE, entities=(*others, replace(record_store.THINGS, cadence=cadence)))


def test_declared_schedules_are_off_until_somebody_switches_them_on(instance: dg.DagsterInstance, url: str) -> None:
    both = declaring(full_schedule=timedelta(weeks=1), force7_schedule=timedelta(days=1))
    with engine(url).begin() as connection:
        assert sorted(sync_schedule.align(connection, [both])) == [
            "schedule of store things force7: every 1 days",
            "schedule of store things full: every 1 weeks",
        ]
        assert sync_schedule.align(connection, [both]) == []
    assert look(instance, url, NOON) == []
    with warehouse.connect(url) as connection:
        switched = sync_schedule.switch(connection, STORE, record_store.THINGS, on=True, modes=["full"])
        assert switched == [("things", "full")]
    [asked] = look(instance, url, NOON)
    assert asked.tags["warehouse/schedule"] == "store things full"
    with engine(url).begin() as connection:
        assert sync_schedule.align(connection, [declaring(full_schedule=timedelta(weeks=2))]) == [
            "schedule of store things full: every 2 weeks",
            "schedule of store things force7: no longer declared",
        ]
    assert stored(url, "store things full")["enabled"]


def test_a_schedule_that_is_too_frequent_is_refused() -> None:
    with pytest.raises(ValueError, match="a full_schedule of 0:10:00"):
        Cadence(full_schedule=timedelta(minutes=10))


def switch(instance: dg.DagsterInstance, name: str, status: InstigatorStatus) -> None:
    """Do what the switch of a schedule in the UI does."""
    location = InProcessCodeLocationOrigin(LoadableTargetOrigin(python_file="here.py"), location_name="warehouse")
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "__repository__"), name)
    state = InstigatorState(origin, InstigatorType.SCHEDULE, status, ScheduleInstigatorData("0 * * * *", None))
    if instance.get_instigator_state(origin.get_id(), state.selector_id):
        instance.update_instigator_state(state)
    else:
        instance.add_instigator_state(state)


def mirrored(url: str, names: Sequence[str]) -> list[tuple[str, datetime | None]]:
    return [(row["dagster_status"], row["next_run"]) for row in (stored(url, f"store {name}") for name in names)]


def test_the_mirror_shows_what_is_on_in_dagster_and_when_it_ticks(instance: dg.DagsterInstance, url: str) -> None:
    look(instance, url, NOON)
    quarters = [entity.name for entity in STORE.entities if entity.cadence.every == timedelta(minutes=15)]
    assert quarters
    assert mirrored(url, quarters) == [("running", NOON)] * len(quarters)
    switch(instance, QUARTER, InstigatorStatus.STOPPED)
    look(instance, url, NOON)
    assert mirrored(url, quarters) == [("stopped", None)] * len(quarters)
    switch(instance, QUARTER, InstigatorStatus.RUNNING)
    with warehouse.connect(url) as connection:
        entity = next(one for one in STORE.entities if one.name == quarters[0])
        sync_schedule.switch(connection, STORE, entity, on=False)
    look(instance, url, NOON + MINUTE)
    assert mirrored(url, quarters[:1]) == [("running", None)]
    assert set(mirrored(url, quarters[1:])) <= {("running", NOON + timedelta(minutes=15))}


def test_the_sensor_is_on_and_may_ask_for_every_crm() -> None:
    found = {sensor.name: sensor for sensor in defs.sensors or ()}["schedule_rows"]
    assert found.default_status == dg.DefaultSensorStatus.RUNNING
    assert "sync_hubspot_all" in {job.name for job in found.jobs}


def test_a_look_that_cannot_ask_the_warehouse_is_a_failed_tick(instance: dg.DagsterInstance) -> None:
    """A skip would look like one that had nothing to do, and nobody would hear that schedules are not read."""
    [sensor] = schedule_rows.sensors([STORE], [], [nothing], lambda: "postgresql://u:hidden@127.0.0.1:1/w")
    with pytest.raises(TickFailed, match="DatabaseUnavailable") as raised:
        sensor(dg.build_sensor_context(instance))
    assert "hidden" not in str(raised.value)


def test_what_a_row_asks_for_is_synced_as_it_says(
    instance: dg.DagsterInstance, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request of the sensor, run as the daemon runs it."""
    monkeypatch.setenv("STORE_KEY", "set")
    store = record_store.RecordStore()
    made = record_store.definitions(store, database_url)
    insert(database_url, name="weekly", model_name="things", every=1, period="weeks")
    for _ in range(2):  # the second run would be a delta, if the row did not say full
        with warehouse.connect(database_url) as connection:
            connection.execute("UPDATE orchestration.sync_schedule SET next_run = now(), last_run = NULL")
            found = schedule_rows.look(instance, connection, [store.source()], [], datetime.now(UTC))
        assert isinstance(found, dg.SensorResult)
        [asked] = found.run_requests or ()
        job = made.resolve_job_def(asked.job_name or "").get_subset(asset_selection=set(asked.asset_selection or ()))
        result = job.execute_in_process(instance=instance, run_config=asked.run_config, tags=dict(asked.tags))
        assert result.success
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT configuration ->> 'mode', status FROM orchestration.sync_history WHERE sync_type = 'things'"
        ).fetchall()
    assert rows == [("full", "success")] * 2
    assert [request.entity.name for request in store.asked] == ["things"] * 2
