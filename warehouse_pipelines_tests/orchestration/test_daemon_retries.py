"""Which runs the daemon tries again when it looks while a failure is being stored."""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import dagster as dg
import pytest
from dagster._core.events import JobFailureData, RunFailureReason
from dagster._core.storage.tags import WILL_RETRY_TAG
from dagster._core.test_utils import create_run_for_test
from dagster._daemon.auto_run_reexecution import auto_run_reexecution

from warehouse_pipelines.orchestration import daemon_pace, daemon_retries

RETRIES = {"run_retries": {"enabled": True, "max_retries": 1, "retry_on_asset_or_op_failure": False}}


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """As the daemon of this process has it."""
    find = auto_run_reexecution.filter_runs_to_should_retry
    monkeypatch.setattr(auto_run_reexecution, "filter_runs_to_should_retry", find)
    monkeypatch.setattr(auto_run_reexecution, "_find_failed", find, raising=False)
    monkeypatch.delattr(auto_run_reexecution, "_find_failed")
    monkeypatch.setitem(sys.modules, daemon_pace.DAEMON, ModuleType(daemon_pace.DAEMON))
    daemon_retries.wait_for_failures()
    daemon_retries.wait_for_failures()
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=RETRIES) as made:
        yield made


def retried(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[dg.DagsterRun]:
    return list(auto_run_reexecution.filter_runs_to_should_retry([run], instance))


def fail_later(instance: dg.DagsterInstance, run: dg.DagsterRun, reason: RunFailureReason) -> threading.Timer:
    failure = JobFailureData(error=None, failure_reason=reason)
    timer = threading.Timer(0.5, instance.report_run_failed, [run, "its worker is away", failure])
    timer.start()
    return timer


def test_a_run_is_tried_again_whose_failure_is_stored_after_the_daemon_read_it(instance: dg.DagsterInstance) -> None:
    run = create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED)
    fail_later(instance, run, RunFailureReason.RUN_EXCEPTION)
    (again,) = retried(instance, run)
    assert again.status == dg.DagsterRunStatus.FAILURE
    assert again.tags[WILL_RETRY_TAG] == "true"


def test_a_run_whose_asset_failed_is_not_tried_again_when_its_reason_is_stored_later(
    instance: dg.DagsterInstance,
) -> None:
    run = create_run_for_test(instance, status=dg.DagsterRunStatus.FAILURE)
    fail_later(instance, run, RunFailureReason.STEP_FAILURE)
    assert retried(instance, run) == []
    stored = instance.get_run_by_id(run.run_id)
    assert stored is not None
    assert stored.tags[WILL_RETRY_TAG] == "false"


def test_a_run_that_never_ends_is_not_waited_for(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon_retries, "LONGEST_SECONDS", 0.3)
    run = create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED)
    assert retried(instance, run) == []
