"""The assets of the unified CRM: the way from a vendor's table to a lead, and a run of both steps."""

import dagster as dg
import psycopg
import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.definitions import defs
from warehouse_pipelines.orchestration import unified
from warehouse_pipelines.settings import settings
from warehouse_pipelines.unified.entered import ENTERED
from warehouse_pipelines.unified.people import PEOPLE


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
    assert {unified.key(row.table) for row in (*PEOPLE, ENTERED)} <= above
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


def test_a_run_does_not_count_what_is_large(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small tables and views are counted; of a large one the estimate is told, by another name, parts included."""
    with warehouse.session(database_url) as session:
        for day in range(3):
            session.execute(
                "INSERT INTO crm.lead_source_costs (organization_id, source, month, amount) VALUES (%s, %s, %s, 1)",
                [settings().crm_organization_id, f"source {day}", "2026-01-01"],
            )
        assert unified.rows_of(session, "crm.lead_source_costs") == {"dagster/row_count": 3}
        assert unified.rows_of(session, "marts.unmapped_status") == {"dagster/row_count": 0}
        monkeypatch.setattr(unified, "COUNTED_BYTES", 0)
        assert unified.rows_of(session, "crm.lead_source_costs") == {"dagster/row_count": 3}, "never analysed"
        session.execute("ANALYZE crm.lead_source_costs")
        session.execute("DELETE FROM crm.lead_source_costs WHERE source = 'source 1'")
        assert unified.rows_of(session, "crm.lead_source_costs") == {"estimated_rows": 3}
        for table in (*unified.IDENTITY, *unified.CRM):
            assert list(unified.rows_of(session, table)) in (["dagster/row_count"], ["estimated_rows"])
