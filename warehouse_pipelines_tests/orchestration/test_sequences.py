"""The job of sequences: its schedule is off, and a run works on what is due."""

import dagster as dg
import pytest

from warehouse_pipelines.definitions import defs
from warehouse_pipelines.orchestration import sequences
from warehouse_pipelines_tests.harness.sequence_rows import EMAIL, KEY, SequenceRows


def test_its_schedule_is_off() -> None:
    (schedule,) = sequences.schedules()
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED


def test_a_run_works_on_what_is_due_and_says_what_needs_a_person(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAREHOUSE_UNSUBSCRIBE_KEY", KEY)
    rows = SequenceRows(database_url)
    rows.enrolled(EMAIL)
    rows.enrolled({**EMAIL, "body": "{{ lead.division }}"})
    job = defs.resolve_job_def(sequences.JOB)
    with dg.DagsterInstance.ephemeral() as instance:
        assert job.execute_in_process(instance=instance).success
        event = instance.get_latest_materialization_event(dg.AssetKey(["crm", sequences.JOB]))
    rows.connection.close()
    assert event is not None
    assert event.asset_materialization is not None
    facts = {name: value.value for name, value in event.asset_materialization.metadata.items()}
    assert (facts["kept_in_the_outbox"], facts["parked"]) == (1, 1)
    assert "a value is missing" in str(facts["problems"])
