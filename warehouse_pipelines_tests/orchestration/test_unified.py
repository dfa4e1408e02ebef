"""The assets of the unified CRM: the way from a vendor's table to a lead, and a run of both steps."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import psycopg
import pytest
from dagster._core.test_utils import create_run_for_test

from warehouse_pipelines import warehouse
from warehouse_pipelines.definitions import defs
from warehouse_pipelines.orchestration import asset_facts, unified
from warehouse_pipelines.orchestration.asset_facts import key_of, rows_of
from warehouse_pipelines.queries import query
from warehouse_pipelines.settings import settings
from warehouse_pipelines.unified import feed, marts
from warehouse_pipelines.unified.identity import resolve
from warehouse_pipelines.unified.identity.entered import ENTERED
from warehouse_pipelines.unified.people_rows import (
    PEOPLE,
)


def ancestors(key: dg.AssetKey) -> set[dg.AssetKey]:
    graph = defs.resolve_asset_graph()
    found: set[dg.AssetKey] = set()
    todo = [key]
    while todo:
        for parent in graph.get(todo.pop()).parent_keys - found:
            found.add(parent)
            todo.append(parent)
    return found


def test_a_lead_is_downstream_of_every_table_that_holds_people_and_of_its_vendor() -> None:
    above = ancestors(dg.AssetKey(["crm", "leads"]))
    assert {key_of(row.table) for row in (*PEOPLE, ENTERED)} <= above
    assert {dg.AssetKey(["vendor", "hubspot"]), dg.AssetKey(["identity", "person"])} <= above


def test_a_run_makes_people_and_leads_of_what_the_sources_brought(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        for number, name in enumerate(["Ana", "Ana", "Bob"]):
            connection.execute(
                "INSERT INTO hubspot_contact (id, firstname, lastname, email, phone, lifecyclestage, raw_data)"
                " VALUES (%s, %s, 'Rivera', %s, '+19372250101', 'lead', '{}')",
                [number, name, f"{name.lower()}@example.test"],
            )
        job = defs.resolve_job_def(unified.JOB)
        with dg.DagsterInstance.ephemeral() as instance:
            assert job.execute_in_process(instance=instance).success
            event = instance.get_latest_materialization_event(dg.AssetKey(["identity", "person"]))
        assert event is not None
        assert event.asset_materialization is not None
        assert event.asset_materialization.metadata["dagster/row_count"].value == 2
        people = connection.execute("SELECT display_name, record_count FROM identity.person ORDER BY 1").fetchall()
        leads = connection.execute("SELECT first_name FROM crm.leads ORDER BY 1").fetchall()
        assert people == [("Ana Rivera", 2), ("Bob Rivera", 1)]
        assert leads == [("Ana",), ("Bob",)]


BEGUN = datetime.now(UTC)


def tick(instance: dg.DagsterInstance, url: str, at: datetime = BEGUN) -> dg.RunRequest | str:
    """Return what the schedule asks for, or why it does not."""
    [schedule] = unified.schedules([], lambda: url)
    with dg.build_schedule_context(instance=instance, scheduled_execution_time=at) as context:
        evaluated = schedule.evaluate_tick(context)
    return evaluated.run_requests[0] if evaluated.run_requests else str(evaluated.skip_message)


def ended(instance: dg.DagsterInstance, asked: dg.RunRequest | str, status: dg.DagsterRunStatus) -> None:
    """Put a run as the schedule asked for it, which ended so."""
    assert isinstance(asked, dg.RunRequest)
    create_run_for_test(instance, job_name=unified.JOB, status=status, tags=dict(asked.tags))


def test_a_tick_asks_for_a_run_only_if_anything_was_written(database_url: str, tmp_path: Path) -> None:
    with (
        dg.DagsterInstance.local_temp(str(tmp_path)) as instance,
        psycopg.connect(database_url, autocommit=True) as connection,
    ):
        ended(instance, tick(instance, database_url), dg.DagsterRunStatus.FAILURE)
        ended(instance, tick(instance, database_url), dg.DagsterRunStatus.SUCCESS)
        assert "nothing was written since the run of" in str(tick(instance, database_url))
        for written in (
            "INSERT INTO hubspot_contact (id, raw_data) VALUES (1, '{}')",
            "UPDATE hubspot_contact SET city = 'Elyria'",
            "DELETE FROM hubspot_contact",
            "TRUNCATE crm.fx_rate",
        ):
            connection.execute(written)
            connection.execute("SELECT pg_stat_force_next_flush()")
            connection.execute("SELECT")
            ended(instance, tick(instance, database_url), dg.DagsterRunStatus.SUCCESS)
            assert "nothing was written" in str(tick(instance, database_url))


def test_what_depends_on_the_time_alone_is_computed_every_hour(database_url: str, tmp_path: Path) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        ended(instance, tick(instance, database_url), dg.DagsterRunStatus.SUCCESS)
        assert "nothing was written" in str(tick(instance, database_url))
        assert isinstance(tick(instance, database_url, BEGUN + timedelta(hours=4)), dg.RunRequest)


def test_a_run_that_finds_nothing_new_asks_for_no_other(database_url: str) -> None:
    """What it writes each time, how far it has read, does not count."""
    job = defs.resolve_job_def(unified.JOB)
    digests = []
    with dg.DagsterInstance.ephemeral() as instance, warehouse.session(database_url) as session:
        session.execute(
            "INSERT INTO hubspot_contact (id, firstname, email, raw_data) VALUES (1, 'Ana', 'a@b.test', '{}')"
        )
        resolve.run(session)
        feed.run(session)
        marts.run(session)
        session.execute("SELECT pg_stat_force_next_flush()")
        for _ in range(2):
            assert job.execute_in_process(instance=instance).success
            time.sleep(1.1)  # a session reports what it wrote once a second at most
            digests.append(session.execute(query("unify_written")).fetchone())
    assert digests[0] == digests[1]


def test_a_run_does_not_count_what_is_large(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small tables and views are counted; of a large one the estimate is told, by another name, parts included."""
    with warehouse.session(database_url) as session:
        for day in range(3):
            session.execute(
                "INSERT INTO crm.lead_source_costs (organization_id, source, month, amount) VALUES (%s, %s, %s, 1)",
                [settings().crm_organization_id, f"source {day}", "2026-01-01"],
            )
        assert rows_of(session, "crm.lead_source_costs") == {"dagster/row_count": 3}
        assert rows_of(session, "marts.unmapped_status") == {"dagster/row_count": 0}
        monkeypatch.setattr(asset_facts, "COUNTED_BYTES", 0)
        assert rows_of(session, "crm.lead_source_costs") == {"dagster/row_count": 3}, "never analysed"
        session.execute("ANALYZE crm.lead_source_costs")
        session.execute("DELETE FROM crm.lead_source_costs WHERE source = 'source 1'")
        assert rows_of(session, "crm.lead_source_costs") == {"estimated_rows": 3}
        for table in (*unified.IDENTITY, *unified.CRM):
            assert list(rows_of(session, table)) in (["dagster/row_count"], ["estimated_rows"])
