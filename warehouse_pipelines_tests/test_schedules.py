"""Cadences as cron, and what a schedule does when its time comes."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import dagster as dg
import pytest

from warehouse_pipelines.definitions import build_definitions, defs
from warehouse_pipelines.schedules import UNFINISHED, cron, schedule
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines_tests import toy

MINUTES = [5, 6, 10, 15, 20, 30, 36, 40, 45, 48, 60, 72, 90, 96, 120, 160, 180, 240, 360, 480, 720, 1440, 7 * 1440]


@pytest.mark.parametrize("minutes", MINUTES)
def test_a_cadence_is_a_true_interval(minutes: int) -> None:
    from dagster._utils.schedules import schedule_execution_time_iterator

    start = datetime(2026, 3, 1, tzinfo=UTC)
    ticks = schedule_execution_time_iterator(start.timestamp(), cron(timedelta(minutes=minutes)), "UTC")
    times = [next(ticks) for _ in range(1 + max(4, 2 * 1440 // minutes))]
    assert {after - before for before, after in pairwise(times)} == {timedelta(minutes=minutes)}


@pytest.mark.parametrize("every", [timedelta(minutes=7), timedelta(seconds=90), timedelta(hours=5), timedelta(days=2)])
def test_a_cadence_that_cron_cannot_express_is_refused(every: timedelta) -> None:
    with pytest.raises(ValueError, match="is no cron schedule"):
        cron(every)


def test_every_entity_has_a_job_and_a_schedule() -> None:
    names = {job.name for job in defs.resolve_all_job_defs()}
    ticking = {each.name: each for each in defs.schedules or () if isinstance(each, dg.ScheduleDefinition)}
    for source in SOURCES:
        assert f"sync_{source.name}_all" in names
        for entity in source.entities:
            assert f"sync_{source.name}_{entity.name}" in names
            assert ticking[f"sync_{source.name}_{entity.name}_schedule"].job_name == f"sync_{source.name}_{entity.name}"


@pytest.mark.parametrize(("key", "status"), [("set", "RUNNING"), ("", "STOPPED")])
def test_a_schedule_is_off_until_the_crm_is_configured(monkeypatch: pytest.MonkeyPatch, key: str, status: str) -> None:
    if key:
        monkeypatch.setenv("TOY_KEY", key)
    made = build_definitions([toy.Shelf().source()])
    found = {each.name: each for each in made.schedules or ()}
    tick = found["sync_toy_gadgets_schedule"]
    assert isinstance(tick, dg.ScheduleDefinition)
    assert tick.default_status == dg.DefaultScheduleStatus(status)
    assert tick.cron_schedule == ["*/15 * * * *"]


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as found:
        yield found


def tick(instance: dg.DagsterInstance) -> dg.RunRequest | dg.SkipReason:
    source = toy.Shelf().source()
    with dg.build_schedule_context(instance=instance) as context:
        evaluated = schedule(source, toy.GADGETS, on=True).evaluate_tick(context)
    return evaluated.run_requests[0] if evaluated.run_requests else dg.SkipReason(evaluated.skip_message)


def test_a_tick_skips_and_names_the_settings_that_are_missing(instance: dg.DagsterInstance) -> None:
    skipped = tick(instance)
    assert isinstance(skipped, dg.SkipReason)
    assert "TOY_KEY" in (skipped.skip_message or "")


@pytest.mark.parametrize("job", ["sync_toy_gadgets", "sync_toy_all"])
@pytest.mark.parametrize("status", [*UNFINISHED[1:], dg.DagsterRunStatus.SUCCESS])  # a queued run needs a workspace
def test_a_tick_skips_while_the_entity_is_being_synced(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, job: str, status: dg.DagsterRunStatus
) -> None:
    from dagster._core.test_utils import create_run_for_test

    monkeypatch.setenv("TOY_KEY", "set")
    create_run_for_test(instance, job_name=job, status=status)
    assert isinstance(tick(instance), dg.RunRequest) == (status == dg.DagsterRunStatus.SUCCESS)


def test_manual_and_scheduled_runs_same_config(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    """C-020: a tick asks for the job and nothing else, so both run with the defaults of the resource ``sync``."""
    monkeypatch.setenv("TOY_KEY", "set")
    asked = tick(instance)
    assert isinstance(asked, dg.RunRequest)
    assert not asked.run_config
    assert asked.partition_key is None
