"""Cadences as cron, and what a schedule does when its time comes."""

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa
import yaml
from dagster._core.execution.plan.objects import StepSuccessData
from dagster._core.remote_origin import InProcessCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.storage.tags import RUN_KEY_TAG, SCHEDULE_NAME_TAG, SCHEDULED_EXECUTION_TIME_TAG
from dagster._core.test_utils import create_run_for_test
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._scheduler.scheduler import _get_existing_run_for_request
from dagster._utils.tags import TagConcurrencyLimitsCounter

from warehouse_pipelines import settings, warehouse
from warehouse_pipelines.definitions import build_definitions, defs
from warehouse_pipelines.loading import sync_schedule
from warehouse_pipelines.loading.sync_schedule import dagster_name
from warehouse_pipelines.model.cadence import Cadence
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.orchestration.backfills import TAG, after_the_month
from warehouse_pipelines.orchestration.schedules import UNFINISHED, cron, schedule
from warehouse_pipelines.orchestration.ticks import TickFailed
from warehouse_pipelines.schema.migrate import engine
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines_tests.harness import record_store

STORE = record_store.RecordStore().source()
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

MINUTES = [5, 6, 10, 15, 20, 30, 36, 40, 45, 48, 60, 72, 90, 96, 120, 160, 180, 240, 360, 480, 720, 1440, 7 * 1440]


@pytest.mark.parametrize("offset", [0, 4, 55])
@pytest.mark.parametrize("minutes", MINUTES)
def test_a_cadence_is_a_true_interval(minutes: int, offset: int) -> None:
    from dagster._utils.schedules import schedule_execution_time_iterator

    start = datetime(2026, 3, 1, tzinfo=UTC)
    ticks = schedule_execution_time_iterator(start.timestamp(), cron(timedelta(minutes=minutes), offset), "UTC")
    times = [next(ticks) for _ in range(1 + max(4, 2 * 1440 // minutes))]
    assert {after - before for before, after in pairwise(times)} == {timedelta(minutes=minutes)}
    assert times[0].minute == offset % min(minutes, 60) or minutes < 60


@pytest.mark.parametrize("every", [timedelta(minutes=7), timedelta(seconds=90), timedelta(hours=5), timedelta(days=2)])
def test_a_cadence_that_cron_cannot_express_is_refused(every: timedelta) -> None:
    with pytest.raises(ValueError, match="is no cron schedule"):
        cron(every)


def test_every_entity_has_a_job_and_is_in_one_schedule() -> None:
    names = {job.name for job in defs.resolve_all_job_defs()}
    ticking = {each.name: each for each in defs.schedules or () if isinstance(each, dg.ScheduleDefinition)}
    for source in SOURCES:
        assert f"sync_{source.name}_all" in names
        for entity in source.entities:
            assert f"sync_{source.name}_{entity.name}" in names
            found = ticking[dagster_name(source, entity.cadence.every)]
            assert found.job_name == f"sync_{source.name}_all"
            assert entity.name in (found.description or "").split(": ")[1].rstrip(".").split(", ")
    assert sum(name.startswith("sync_") for name in ticking) == len(
        {(source.name, entity.cadence.every) for source in SOURCES for entity in source.entities}
    )


def test_no_two_crms_fire_at_one_minute() -> None:
    minutes: dict[str, set[int]] = {}
    for each in defs.schedules or ():
        if isinstance(each, dg.ScheduleDefinition) and each.name.startswith("sync_"):
            assert isinstance(each.cron_schedule, list)
            at = {int(minute) for line in each.cron_schedule for minute in line.split()[0].split(",")}
            minutes.setdefault(each.name.split("_")[1], set()).update(at)
    crowd = Counter(minute for found in minutes.values() for minute in found)
    assert max(crowd.values()) == 1, crowd


@pytest.mark.parametrize(("key", "status"), [("set", "RUNNING"), ("", "STOPPED")])
def test_a_schedule_is_off_until_the_crm_is_configured(monkeypatch: pytest.MonkeyPatch, key: str, status: str) -> None:
    if key:
        monkeypatch.setenv("STORE_KEY", key)
    made = build_definitions([record_store.RecordStore().source()])
    found = {each.name: each for each in made.schedules or ()}
    tick = found["sync_store_every_15_minutes_schedule"]
    assert isinstance(tick, dg.ScheduleDefinition)
    assert tick.default_status == dg.DefaultScheduleStatus(status)
    assert tick.cron_schedule == ["0,15,30,45 * * * *"]


@pytest.fixture
def url(shared_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A warehouse where the store's switches are as a migration writes them."""
    monkeypatch.setenv("STORE_KEY", "set")
    with engine(shared_url).begin() as connection:
        connection.execute(sa.text("DELETE FROM orchestration.sync_schedule WHERE crm_source = 'store'"))
        sync_schedule.align(connection, [STORE])
    return shared_url


def tick(instance: dg.DagsterInstance, url: str) -> dg.RunRequest | dg.SkipReason:
    """Evaluate the schedule of all of the store's entities, as if they had one cadence."""
    with dg.build_schedule_context(instance=instance, scheduled_execution_time=NOON) as context:
        evaluated = schedule(STORE, record_store.ENTITIES, lambda: url).evaluate_tick(context)
    return evaluated.run_requests[0] if evaluated.run_requests else dg.SkipReason(evaluated.skip_message)


def asked_for(found: dg.RunRequest | dg.SkipReason) -> set[str]:
    assert isinstance(found, dg.RunRequest), found
    assert {check.asset_key for check in found.asset_check_keys or ()} == set(found.asset_selection or ())
    return {key.path[-1].rpartition("_")[2] for key in found.asset_selection or ()}


def test_a_tick_skips_and_names_the_settings_that_are_missing(
    instance: dg.DagsterInstance, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STORE_KEY")
    skipped = tick(instance, url)
    assert isinstance(skipped, dg.SkipReason)
    assert "STORE_KEY" in (skipped.skip_message or "")


def test_a_tick_fails_while_the_warehouse_is_away(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORE_KEY", "set")
    with pytest.raises(TickFailed, match="DatabaseUnavailable"):
        tick(instance, "postgresql://a:b@127.0.0.1:1/none")


def test_what_webhooks_tell_of_is_polled_less_often(
    instance: dg.DagsterInstance, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And again as usual once a poll has found what no delivery told."""
    told = replace(
        record_store.GADGETS, cadence=replace(record_store.GADGETS.cadence, with_webhooks=timedelta(hours=1))
    )
    entities = (record_store.PARTS, record_store.THINGS, told)
    monkeypatch.setattr(record_store, "ENTITIES", entities)
    run = (
        "INSERT INTO orchestration.sync_history (crm_source, sync_type, start_time, end_time, status, records_created,"
        " records_processed, configuration)"
        " VALUES ('store', 'gadgets', now() - %(age)s::interval, now() - %(age)s::interval, 'success',"
        " %(new)s, %(new)s, %(how)s)"
    )
    how = {"dry_run": False, "max_records": 0, "previous_cursor": None}
    with warehouse.connect(url) as connection:
        connection.execute("DELETE FROM orchestration.sync_history WHERE crm_source = 'store'")
        connection.execute(run, {"age": "14 minutes", "new": 0, "how": json.dumps(how | {"mode": "full"})})
        assert asked_for(tick(instance, url)) == {"part", "thing", "gadget"}, "there are no webhooks"
        connection.execute(run, {"age": "3 minutes", "new": 7, "how": json.dumps(how | {"mode": "webhook"})})
        asked = tick(instance, url)
        assert asked_for(asked) == {"part", "thing"}
        assert isinstance(asked, dg.RunRequest)
        why = "gadgets: its webhooks deliver, so it is polled every hour (last 14 minutes ago)"
        assert asked.tags["warehouse/left_out"] == why
        connection.execute(run, {"age": "1 minute", "new": 1, "how": json.dumps(how | {"mode": "full"})})
        assert asked_for(tick(instance, url)) == {"part", "thing", "gadget"}, "an eighth came only by polling"
        connection.execute("DELETE FROM orchestration.sync_history WHERE crm_source = 'store'")


def took(connection: "warehouse.Session", **seconds: int) -> None:
    """Write how long the last good run of each entity took, and nothing else, into the history."""
    connection.execute("DELETE FROM orchestration.sync_history WHERE crm_source = 'store'")
    for name, count in seconds.items():
        connection.execute(
            "INSERT INTO orchestration.sync_history"
            " (crm_source, sync_type, start_time, end_time, status, configuration)"
            " VALUES ('store', %s, now() - make_interval(secs => %s), now(), 'success', %s)",
            [name, count, json.dumps({"mode": "delta", "dry_run": False, "max_records": 0})],
        )


def test_what_takes_long_is_asked_for_in_runs_side_by_side(instance: dg.DagsterInstance, url: str) -> None:
    """Each with a key, by which Dagster knows them apart, also in a tick that is resumed after the first of two."""
    with warehouse.connect(url) as connection:
        took(connection, parts=40, things=30, gadgets=80)
        with dg.build_schedule_context(instance=instance, scheduled_execution_time=NOON) as context:
            asked = schedule(STORE, record_store.ENTITIES, lambda: url).evaluate_tick(context).run_requests or ()
        assert [asked_for(one) for one in asked] == [{"gadget"}, {"part", "thing"}]
        first, second = asked
        tags = {SCHEDULE_NAME_TAG: "ticking", SCHEDULED_EXECUTION_TIME_TAG: NOON.isoformat()}
        create_run_for_test(
            instance, job_name="sync_store_all", status=dg.DagsterRunStatus.STARTED,
            tags={**tags, RUN_KEY_TAG: str(first.run_key)}, asset_selection=frozenset(first.asset_selection or ()),
        )  # fmt: skip
        ticking: Any = SimpleNamespace(name="ticking")
        assert _get_existing_run_for_request(instance, ticking, NOON, first)
        assert not _get_existing_run_for_request(instance, ticking, NOON, second)
        resumed = tick(instance, url)
        assert asked_for(resumed) == {"part", "thing"}
        assert isinstance(resumed, dg.RunRequest)
        assert not _get_existing_run_for_request(instance, ticking, NOON, resumed)
        took(connection)


def test_a_tick_asks_for_no_more_runs_than_the_pool_has_places_left(instance: dg.DagsterInstance, url: str) -> None:
    """More would wait for a place of the pool, and occupy a place of all runs meanwhile."""
    source = replace(STORE, pool=2)
    tags = {"warehouse/crm": "store", "warehouse/sync_type": "parts"}
    with warehouse.connect(url) as connection:
        took(connection, things=70, gadgets=80)
        create_run_for_test(instance, job_name="sync_store_parts", tags=tags, status=dg.DagsterRunStatus.STARTED)
        with dg.build_schedule_context(instance=instance, scheduled_execution_time=NOON) as context:
            asked = schedule(source, record_store.ENTITIES, lambda: url).evaluate_tick(context).run_requests or ()
        took(connection)
    assert [asked_for(one) for one in asked] == [{"thing", "gadget"}]


def test_a_tick_asks_for_one_run_of_all_that_is_due(instance: dg.DagsterInstance, url: str) -> None:
    """It asks for nothing else, so a manual and a scheduled run have the same config."""
    asked = tick(instance, url)
    assert asked_for(asked) == {"part", "thing", "gadget"}
    assert isinstance(asked, dg.RunRequest)
    assert not asked.run_config
    assert asked.partition_key is None
    with warehouse.connect(url) as connection:
        rows = sync_schedule.rows(connection)
    row = rows["store", "things"]
    assert (row["last_run"], row["next_run"]) == (NOON, NOON + record_store.PARTS.cadence.every)


def test_what_is_switched_off_is_left_out_and_said_so(instance: dg.DagsterInstance, url: str) -> None:
    with warehouse.connect(url) as connection:
        assert sync_schedule.switch(connection, STORE, record_store.GADGETS, on=False) == [("gadgets", "delta")]
        assert sync_schedule.switch(connection, STORE, record_store.GADGETS, on=False) == []
        asked = tick(instance, url)
        assert asked_for(asked) == {"part", "thing"}
        assert isinstance(asked, dg.RunRequest)
        assert asked.tags["warehouse/left_out"] == "gadgets: switched off"
        assert sync_schedule.switch(connection, STORE, None, on=False) == [("parts", "delta"), ("things", "delta")]
        skipped = tick(instance, url)
        assert isinstance(skipped, dg.SkipReason)
        assert "no run is needed: " in (skipped.skip_message or "")
        switched = sync_schedule.switch(connection, STORE, None, on=True)
        assert switched == [(name, "delta") for name in ("gadgets", "parts", "things")]
    assert asked_for(tick(instance, url)) == {"part", "thing", "gadget"}


def test_a_migration_leaves_the_switches_and_follows_the_cadence(url: str) -> None:
    with warehouse.connect(url) as connection:
        sync_schedule.switch(connection, STORE, record_store.GADGETS, on=False)
    often = Cadence(every=timedelta(minutes=5))
    faster = replace(
        STORE,
        entities=(record_store.PARTS, record_store.THINGS, replace(record_store.GADGETS, cadence=often)),
    )
    with engine(url).begin() as connection:
        assert sync_schedule.align(connection, [STORE]) == []
        assert sync_schedule.align(connection, [faster]) == ["schedule of store gadgets: every 5 minutes"]
    with warehouse.connect(url) as connection:
        row = sync_schedule.rows(connection)["store", "gadgets"]
    assert (row["enabled"], row["every"], row["period"]) == (False, 5, "minutes")
    assert row["dagster_schedule_name"] == "sync_store_every_5_minutes_schedule"


GOING = [
    ({"job_name": "sync_store_gadgets"}, {"warehouse/crm": "store", "warehouse/sync_type": "gadgets"}, {"gadget"}),
    (
        {"job_name": "sync_store_all"},
        {"warehouse/crm": "store", "warehouse/sync_type": "all"},
        {"gadget", "part", "thing"},
    ),
    ({"job_name": "sync_other_all"}, {"warehouse/crm": "other", "warehouse/sync_type": "all"}, set()),
    ({"job_name": "__ASSET_JOB", "asset_selection": {dg.AssetKey("store_thing")}}, {}, {"thing"}),
    (
        {"job_name": "sync_store_all", "asset_selection": {dg.AssetKey("store_thing")}},
        {"warehouse/crm": "store", "warehouse/sync_type": "all"},
        {"thing"},
    ),
]


OTHERS = pytest.mark.slow("other runs in other states")
STATES = [
    pytest.param(*going, status, marks=() if going is GOING[0] or status == dg.DagsterRunStatus.STARTED else OTHERS)
    for status in [*UNFINISHED[1:], dg.DagsterRunStatus.SUCCESS]  # a queued run needs a workspace
    for going in GOING
]
"""Every run that has started, and one run in every state."""


@pytest.mark.parametrize(("run", "tags", "busy", "status"), STATES)
def test_what_another_run_has_still_to_sync_is_left_out(
    instance: dg.DagsterInstance,
    url: str,
    run: dict[str, Any],
    tags: dict[str, str],
    busy: set[str],
    status: dg.DagsterRunStatus,
) -> None:
    made = create_run_for_test(instance, tags=tags, status=status, **run)
    if status == dg.DagsterRunStatus.SUCCESS:
        busy = set()
    asked = tick(instance, url)
    if busy == {"part", "thing", "gadget"}:
        assert isinstance(asked, dg.SkipReason)
        assert made.run_id in (asked.skip_message or "")
    else:
        assert asked_for(asked) == {"part", "thing", "gadget"} - busy


def backfill_run(instance: dg.DagsterInstance, status: dg.DagsterRunStatus) -> None:
    """Make a run of a month of things."""
    location = InProcessCodeLocationOrigin(LoadableTargetOrigin(python_file="here.py"), location_name="warehouse")
    origin = RemoteJobOrigin(RemoteRepositoryOrigin(location, "__repository__"), "backfill_store_things")
    create_run_for_test(
        instance, job_name="backfill_store_things", status=status, remote_job_origin=origin,
        tags={"warehouse/crm": "store", "warehouse/sync_type": "things", TAG: "store things"},
    )  # fmt: skip


def test_a_sync_waits_for_the_month_that_a_backfill_reads_and_goes_before_those_that_are_queued(
    instance: dg.DagsterInstance, url: str
) -> None:
    def asked() -> list[tuple[set[str], str | None]]:
        with dg.build_schedule_context(instance=instance, scheduled_execution_time=NOON) as context:
            found = schedule(STORE, record_store.ENTITIES, lambda: url).evaluate_tick(context).run_requests or ()
        assert all((TAG in one.tags) == (one.tags.get("dagster/priority") == "1") for one in found)
        return [(asked_for(one), one.tags.get(TAG)) for one in found]

    backfill_run(instance, dg.DagsterRunStatus.QUEUED)
    assert asked() == [({"part", "thing", "gadget"}, None)]
    backfill_run(instance, dg.DagsterRunStatus.STARTED)
    assert asked() == [({"part", "gadget"}, None), ({"thing"}, "store things")]
    create_run_for_test(
        instance, job_name="sync_store_all", status=dg.DagsterRunStatus.STARTING, tags={TAG: "store things"},
        asset_selection=frozenset({dg.AssetKey("store_thing")}),
    )  # fmt: skip
    assert asked() == [({"part", "gadget"}, None)], "one waits already"


def test_of_the_runs_that_load_one_entity_for_a_backfill_one_is_started_at_a_time() -> None:
    limits = yaml.safe_load((settings.project_root() / "dagster.yaml").read_text())["concurrency"]["runs"]

    def month(job: str) -> dg.DagsterRun:
        return dg.DagsterRun(job, tags={**defs.resolve_job_def(job).run_tags, "dagster/backfill": "a"})

    def sync_of(source: Source, name: str) -> dg.DagsterRun:
        [entity] = [one for one in source.entities if one.name == name]
        return dg.DagsterRun(f"sync_{source.name}_all", tags=after_the_month(source, entity))

    [callrail] = [source for source in SOURCES if source.name == "callrail"]
    going = TagConcurrencyLimitsCounter(limits["tag_concurrency_limits"], [month("backfill_callrail_calls")])
    assert going.is_blocked(month("backfill_callrail_calls"))
    assert going.is_blocked(sync_of(callrail, "calls"))
    assert not going.is_blocked(month("backfill_callrail_text_messages"))
    assert not going.is_blocked(
        dg.DagsterRun("sync_callrail_all", tags=defs.resolve_job_def("sync_callrail_all").run_tags)
    )


def test_a_month_and_the_job_of_its_entity_alone_wait_for_each_other_in_the_queue() -> None:
    limits = yaml.safe_load((settings.project_root() / "dagster.yaml").read_text())["concurrency"]["runs"]
    month, sync = (
        dg.DagsterRun(job, tags=defs.resolve_job_def(job).run_tags)
        for job in ("backfill_callrail_calls", "sync_callrail_calls")
    )
    for going, waiting in ((month, sync), (sync, month)):
        assert TagConcurrencyLimitsCounter(limits["tag_concurrency_limits"], [going]).is_blocked(waiting)
    assert int(sync.tags["dagster/priority"]) > int(month.tags.get("dagster/priority", "0"))


def test_what_another_run_has_synced_already_is_due_again(instance: dg.DagsterInstance, url: str) -> None:
    tags = {"warehouse/crm": "store", "warehouse/sync_type": "all"}
    going = create_run_for_test(instance, job_name="sync_store_all", tags=tags, status=dg.DagsterRunStatus.STARTED)
    for kind in (dg.DagsterEventType.STEP_START, dg.DagsterEventType.STEP_SUCCESS):
        data = StepSuccessData(duration_ms=1.0) if kind == dg.DagsterEventType.STEP_SUCCESS else None
        event = dg.DagsterEvent(kind.value, going.job_name, step_key="store_gadget", event_specific_data=data)
        instance.report_dagster_event(event, going.run_id)
    assert asked_for(tick(instance, url)) == {"gadget"}
