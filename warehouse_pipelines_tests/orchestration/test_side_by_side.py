"""A run of a whole CRM that the UI launches: its parts side by side, one that is killed, and how it is cancelled.

Cancelled by Dagster's own processes it is in ``test_terminate``.
"""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from datetime import datetime

import dagster as dg
import psycopg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.execute_in_process import core_execute_in_process
from dagster._core.storage.tags import SCHEDULE_NAME_TAG

from warehouse_pipelines.loading import sync_history
from warehouse_pipelines.model.reading import Pages, ReadContext, ReadRequest
from warehouse_pipelines.orchestration import side_by_side
from warehouse_pipelines_tests.harness import record_store

pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # of Python 3.12, about forks

POOL = "store_api"

SECONDS = 40
"""How long a part waits for the other one, or to be interrupted."""

Doing = Callable[[ReadRequest], object]


def launched(
    instance: dg.DagsterInstance, url: str, monkeypatch: pytest.MonkeyPatch, doing: Doing, **tags: str
) -> dg.ExecuteInProcessResult:
    """Execute the run as its process does, while each read of the vendor begins by ``doing`` something."""
    monkeypatch.setenv("STORE_KEY", "set")
    store = record_store.RecordStore()
    read = store.fetch

    def fetch(request: ReadRequest, context: ReadContext) -> Pages:
        doing(request)
        return (yield from read(request, context))

    monkeypatch.setattr(store, "fetch", fetch)
    job = record_store.definitions(store, url).resolve_job_def("sync_store_all")
    instance.event_log_storage.set_concurrency_slots(POOL, 3)
    return core_execute_in_process({}, InMemoryJob(job), instance, False, False, run_tags=tags)


def history(url: str) -> dict[str, tuple[str, datetime, datetime | None]]:
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT sync_type, status, start_time, end_time FROM orchestration.sync_history")
        return {name: (status, began, ended) for name, status, began, ended in found}


def test_the_parts_of_a_run_read_side_by_side(
    instance: dg.DagsterInstance, bare_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = multiprocessing.get_context("fork").Barrier(2)

    def meet(request: ReadRequest) -> None:
        if request.entity.name in ("things", "gadgets"):  # the parts are read from the things, and after them
            both.wait(SECONDS)

    result = launched(instance, bare_url, monkeypatch, meet)
    assert result.success
    assert {event.step_key for event in result.all_events if event.is_step_success} == {
        "store_thing", "store_annex__part", "store_gadget",
    }  # fmt: skip
    found = history(bare_url)
    assert {status for status, _, _ in found.values()} == {"success"}
    (_, things, things_ended), (_, gadgets, gadgets_ended) = found["things"], found["gadgets"]
    assert things_ended is not None
    assert gadgets_ended is not None
    assert max(things, gadgets) < min(things_ended, gadgets_ended)
    assert found["parts"][1] > things_ended
    stored = {
        record.asset_key.to_user_string()
        for record in instance.get_records_for_run(
            result.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
        ).records
        if record.asset_key
    }
    assert stored == {"store_thing", "store_annex/part", "store_gadget"}
    assert not instance.event_log_storage.get_concurrency_info(POOL).active_run_ids


def test_a_killed_part_fails_its_step_and_the_others_end(
    instance: dg.DagsterInstance, bare_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(request: ReadRequest) -> None:
        if request.entity.name == "things":
            os.kill(os.getpid(), signal.SIGKILL)

    result = launched(instance, bare_url, monkeypatch, die)
    assert not result.success
    assert [event.step_key for event in result.all_events if event.is_step_failure] == ["store_thing"]
    assert [event.step_key for event in result.all_events if event.is_step_success] == ["store_gadget"]
    [ended] = [event for event in result.all_events if event.is_failure and not event.is_step_event]
    assert ended.job_failure_data.failure_reason is not None
    assert ended.job_failure_data.failure_reason.value == "RUN_EXCEPTION", "which Dagster tries again"
    assert "SIGKILL" in str(ended.job_failure_data.error)
    assert not instance.event_log_storage.get_concurrency_info(POOL).active_run_ids
    sync_history.close_stale_runs(bare_url)  # as each command does, and a sensor each minute
    assert {name: status for name, (status, _, _) in history(bare_url).items()} == {
        "things": "failed",
        "gadgets": "success",
    }


def test_an_interrupt_stops_every_part(
    instance: dg.DagsterInstance, bare_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = multiprocessing.get_context("fork").Barrier(2)
    run = os.getpid()

    def cancel(request: ReadRequest) -> None:
        if both.wait(SECONDS) == 0:
            os.kill(run, signal.SIGINT)
        time.sleep(SECONDS)

    began = time.monotonic()
    result = launched(instance, bare_url, monkeypatch, cancel)
    assert time.monotonic() - began < SECONDS
    assert not result.success
    [ended] = [event for event in result.all_events if event.is_failure and not event.is_step_event]
    assert "interrupted" in str(ended.message)
    assert {name: status for name, (status, _, _) in history(bare_url).items()} == {
        "things": "cancelled",
        "gadgets": "cancelled",
    }
    assert multiprocessing.active_children() == []


def test_a_run_has_no_more_parts_than_the_setting_allows(bare_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_PARTS_AT_A_TIME", "1")
    steps = ["store_thing", "store_gadget"]
    by_hand = dg.DagsterRun("sync_store_all")
    assert side_by_side.parts_of(by_hand, steps, [record_store.RecordStore().source()], bare_url) == [steps]


def test_a_run_of_a_tick_is_not_divided_again(bare_url: str) -> None:
    sources, steps = [record_store.RecordStore().source()], ["store_thing", "store_gadget"]
    by_hand = dg.DagsterRun("sync_store_all", asset_selection=frozenset({dg.AssetKey("store_thing")}))
    of_tick = dg.DagsterRun(
        "sync_store_all", asset_selection=by_hand.asset_selection, tags={SCHEDULE_NAME_TAG: "store"}
    )
    assert len(side_by_side.parts_of(by_hand, steps, sources, bare_url)) == 2
    assert side_by_side.parts_of(of_tick, steps, sources, bare_url) == [steps]
    assert side_by_side.parts_of(by_hand, [*steps, "marts"], sources, bare_url) == [[*steps, "marts"]]
