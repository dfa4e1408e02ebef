"""A run that lost its worker is tried again, whatever happens while the daemon looks for it."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.events import DagsterEvent, JobFailureData, RunFailureReason
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, WILL_RETRY_TAG
from dagster._core.test_utils import create_run_for_test
from dagster._daemon.auto_run_reexecution import auto_run_reexecution, event_log_consumer

from warehouse_pipelines.orchestration import daemon_pace, daemon_retries

pytestmark = pytest.mark.filterwarnings("ignore:The 'warn' method is deprecated")  # of Dagster's

STARTED, NOT_STARTED = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.NOT_STARTED
RETRIES = {"run_retries": {"enabled": True, "max_retries": 1, "retry_on_asset_or_op_failure": False}}


class Daemon:
    """The thread of the daemon that tries runs again; ``retried`` has the runs that it did."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.retried: list[str] = []
        self.error: Exception | None = None
        self._consumer = event_log_consumer.EventLogConsumerDaemon()

    def retry(self, run: dg.DagsterRun, context: Any) -> None:
        """Stand for the part that asks the code server."""
        if self.error is not None:
            raise self.error
        again = create_run_for_test(self.instance, status=STARTED)
        self.instance.add_run_tags(run.run_id, {AUTO_RETRY_RUN_ID_TAG: again.run_id})
        self.retried.append(run.run_id)

    def look(self) -> None:
        context: Any = SimpleNamespace(instance=self.instance)
        list(self._consumer.run_iteration(context))


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    """It looks for what is left over each time."""
    for owner, name in (
        (auto_run_reexecution, "retry_run"), (event_log_consumer.EventLogConsumerDaemon, "run_iteration"),
    ):  # fmt: skip
        monkeypatch.setattr(owner, name, getattr(owner, name))
    monkeypatch.setattr(auto_run_reexecution, "_retry_once", None, raising=False)
    monkeypatch.delattr(auto_run_reexecution, "_retry_once")
    monkeypatch.setattr(daemon_retries, "LOOK_SECONDS", 0.0)
    monkeypatch.setitem(sys.modules, daemon_pace.DAEMON, ModuleType(daemon_pace.DAEMON))
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=RETRIES) as instance:
        made = Daemon(instance)
        monkeypatch.setattr(auto_run_reexecution, "retry_run", made.retry)
        daemon_retries.retry_until_done()
        daemon_retries.retry_until_done()
        made.look()  # Dagster ignores what was before its first look
        yield made


def fail(instance: dg.DagsterInstance, run: dg.DagsterRun, reason: RunFailureReason | None = None) -> None:
    failure = JobFailureData(error=None, failure_reason=reason) if reason else None
    instance.report_run_failed(run, "its worker is away", failure)


def tags(daemon: Daemon, run: dg.DagsterRun) -> dict[str, str]:
    stored = daemon.instance.get_run_by_id(run.run_id)
    assert stored is not None
    return dict(stored.tags)


def test_a_run_is_tried_again_once(daemon: Daemon) -> None:
    run = create_run_for_test(daemon.instance, status=STARTED)
    fail(daemon.instance, run)
    daemon.look()
    daemon.look()
    assert daemon.retried == [run.run_id]


def test_a_run_is_tried_again_of_which_the_daemon_read_the_event_before_its_status_was_stored(daemon: Daemon) -> None:
    run = create_run_for_test(daemon.instance, status=STARTED)
    event = DagsterEvent(event_type_value="PIPELINE_FAILURE", job_name=run.job_name, message="its worker is away")
    entry = EventLogEntry(
        error_info=None, level=40, user_message="", run_id=run.run_id, timestamp=time.time(), dagster_event=event
    )
    daemon.instance.event_log_storage.store_event(entry)
    daemon.look()
    assert daemon.retried == []
    daemon.instance.run_storage.handle_run_event(run.run_id, event)
    daemon.instance.add_run_tags(run.run_id, {WILL_RETRY_TAG: "true"})  # the third transaction of Dagster's
    daemon.look()
    assert daemon.retried == [run.run_id]


def test_a_run_is_tried_again_once_the_code_server_is_back(daemon: Daemon) -> None:
    run = create_run_for_test(daemon.instance, status=STARTED)
    daemon.error = DagsterUserCodeUnreachableError("it is away")
    fail(daemon.instance, run)
    daemon.look()
    assert tags(daemon, run)[WILL_RETRY_TAG] == "true"
    daemon.error = None
    daemon.look()
    assert daemon.retried == [run.run_id]


def test_a_run_is_given_up_when_the_code_server_stays_away(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    run = create_run_for_test(daemon.instance, status=STARTED)
    daemon.error = DagsterUserCodeUnreachableError("it is away")
    fail(daemon.instance, run)
    monkeypatch.setattr(daemon_retries, "GIVE_UP_SECONDS", -1.0)
    daemon.look()
    assert tags(daemon, run)[WILL_RETRY_TAG] == "false"


def test_the_other_runs_of_a_batch_are_tried_again_when_one_fails_with_the_storage(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [create_run_for_test(daemon.instance, status=STARTED) for _ in range(2)]
    for run in runs:
        fail(daemon.instance, run)

    def broken(*given: Any) -> Iterator[None]:
        raise ConnectionError("the storage is away")
        yield

    with monkeypatch.context() as patch:
        patch.setattr(event_log_consumer, "consume_new_runs_for_automatic_reexecution", broken)
        patch.setattr(daemon_retries, "LOOK_SECONDS", 3600.0)
        daemon.look()
    assert daemon.retried == []
    daemon.look()
    assert sorted(daemon.retried) == sorted(run.run_id for run in runs)


def test_a_run_that_was_made_and_not_submitted_does_not_count(daemon: Daemon) -> None:
    again = create_run_for_test(daemon.instance, status=NOT_STARTED)
    run = create_run_for_test(daemon.instance, status=STARTED)
    fail(daemon.instance, run)
    daemon.instance.add_run_tags(run.run_id, {AUTO_RETRY_RUN_ID_TAG: again.run_id})
    assert [one.dagster_run.run_id for one in daemon_retries.left_over(daemon.instance)] == [run.run_id]


def test_a_run_whose_asset_failed_is_not_tried_again(daemon: Daemon) -> None:
    run = create_run_for_test(daemon.instance, status=STARTED)
    fail(daemon.instance, run, RunFailureReason.STEP_FAILURE)
    daemon.look()
    assert daemon.retried == []
    assert tags(daemon, run)[WILL_RETRY_TAG] == "false"
