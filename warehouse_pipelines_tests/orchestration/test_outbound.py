"""The assets of what is written back: their lineage, their schedules, and a run that plans and one that applies."""

import dagster as dg
import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.definitions import defs
from warehouse_pipelines.orchestration import outbound
from warehouse_pipelines.orchestration.asset_facts import key_of
from warehouse_pipelines.outbound import run
from warehouse_pipelines.outbound.targets import DIVISIONS, TARGETS
from warehouse_pipelines.simulators.hubspot.simulator import HubSpot
from warehouse_pipelines.simulators.server import start


def test_a_target_stands_on_what_it_reads_and_its_schedule_is_off() -> None:
    graph = defs.resolve_asset_graph()
    for target in TARGETS:
        assert graph.get(outbound.asset_key(target)).parent_keys >= {key_of(table) for table in target.reads}
    stopped = {schedule.name: schedule.default_status for schedule in outbound.schedules()}
    assert set(stopped.values()) == {dg.DefaultScheduleStatus.STOPPED}
    assert len(stopped) == len(TARGETS)


def test_each_field_comes_from_a_column_that_there_is(shared_url: str) -> None:
    with warehouse.session(shared_url) as session:
        for origin in {field.origin for target in TARGETS for field in target.fields}:
            table, _, column = origin.rpartition(".")
            found = session.execute(
                "SELECT FROM pg_attribute WHERE attrelid = %s::regclass AND attname = %s", [table, column]
            ).fetchall()
            assert found, origin


def test_a_run_writes_only_when_it_is_told_to(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with start(["hubspot"], contacts=20) as simulators, dg.DagsterInstance.ephemeral() as instance:
        for name, value in simulators.environment().items():
            monkeypatch.setenv(name, value)
        hubspot = simulators.of(HubSpot)
        with warehouse.session(database_url) as session:
            session.execute("INSERT INTO genius_division (id, label, raw_data) VALUES (7, 'Akron', '{}')")
        with run.connected(database_url, DIVISIONS) as at_work:
            at_work.partner.prepare()
        name = outbound.step_name(DIVISIONS)
        job = defs.resolve_job_def(outbound.job_name(DIVISIONS))
        before = hubspot.counts()["live"]["divisions"]
        for apply, made in ((False, 0), (True, 1), (True, 1)):
            config = {"ops": {name: {"config": {"apply": apply}}}}
            assert job.execute_in_process(instance=instance, run_config=config).success
            assert hubspot.counts()["live"]["divisions"] == before + made
        event = instance.get_latest_materialization_event(outbound.asset_key(DIVISIONS))
    assert event is not None
    assert event.asset_materialization is not None
    assert event.asset_materialization.metadata["unchanged"].value == 1
