"""The assets of the marts: what they are built on, their steps and checks, and the job that runs them after crm."""

from typing import Any

import dagster as dg
import psycopg
import pytest

from warehouse_pipelines.definitions import defs
from warehouse_pipelines.orchestration import marts, unified
from warehouse_pipelines.orchestration.asset_facts import key_of
from warehouse_pipelines.unified.marts.mart import Mart
from warehouse_pipelines.unified.marts.rows import BY_NAME, MARTS

TIMELINE = dg.AssetKey(["marts", "activity_timeline"])


def test_each_mart_is_an_asset_that_stands_on_what_it_reads() -> None:
    graph = defs.resolve_asset_graph()
    for mart in MARTS:
        assert graph.get(key_of(mart.table)).parent_keys == {key_of(table) for table in mart.reads}


def test_what_a_mart_reads_is_there_before_it() -> None:
    """Or a run of all would compute it of what its parents were."""
    done: set[str] = set()
    for mart in MARTS:
        assert {table for table in mart.reads if table.removeprefix("marts.") in BY_NAME} <= done
        done.add(mart.table)


def test_the_sources_of_the_timeline_are_above_it() -> None:
    graph = defs.resolve_asset_graph()
    above: set[dg.AssetKey] = set()
    todo = [TIMELINE]
    while todo:
        for parent in graph.get(todo.pop()).parent_keys - above:
            above.add(parent)
            todo.append(parent)
    assert {dg.AssetKey("hubspot_deal"), dg.AssetKey(["vendor", "genius"])} <= above


def test_the_job_computes_the_marts_checks_them_and_tells_their_lineage(database_url: str) -> None:
    """Of a value of ``crm.leads`` too: where it comes from stands at its asset."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO hubspot_contact (id, firstname, lastname, email, createdate, lifecyclestage, raw_data)"
            " VALUES ('1', 'Ana', 'Rivera', 'ana@example.test', '2026-01-02', 'lead', '{}')"
        )
    job = defs.resolve_job_def(unified.JOB)
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance)
        assert result.success
        event = instance.get_latest_materialization_event(TIMELINE)
        check_lineage(instance)
    assert event is not None
    assert event.asset_materialization is not None
    facts = event.asset_materialization.metadata
    assert (facts["dagster/row_count"].value, facts["inserted"].value) == (1, 1)
    shown: Any = facts["dagster/column_schema"]
    about = {column.name: column.description for column in shown.schema.columns}
    assert about["occurred_day"]
    checked = {(check.asset_key, check.check_name): check.passed for check in result.get_asset_check_evaluations()}
    assert {(key_of(mart.table), marts.KEY_CHECK) for mart in MARTS} <= checked.keys()
    assert {(key_of(mart.table), check.name) for mart in MARTS for check in mart.checks} <= checked.keys()
    assert all(checked.values())


def check_lineage(instance: dg.DagsterInstance) -> None:
    found = {}
    for table in ("crm.leads", "marts.sale", "marts.source_roi"):
        event = instance.get_latest_materialization_event(key_of(table))
        assert event is not None
        assert event.asset_materialization is not None
        shown: Any = event.asset_materialization.metadata["dagster/column_lineage"]
        found[table] = shown.lineage.deps_by_column
    value = dg.TableColumnDep(dg.AssetKey(["genius_job"]), "contract_amount")
    assert value in found["crm.leads"]["value_usd"]
    assert dg.TableColumnDep(dg.AssetKey(["hubspot_contact"]), "hge_primary_source") in found["crm.leads"]["source"]
    assert dg.TableColumnDep(key_of("marts.activity_timeline"), "amount") in found["marts.sale"]["amount"]
    assert dg.TableColumnDep(key_of("crm.lead_source_costs"), "amount_usd") in found["marts.source_roi"]["spent"]


@pytest.mark.slow("the same in other circumstances")
def test_a_check_that_does_not_hold_says_how_many_faults_there_are(database_url: str) -> None:
    """An activity of a person that is none: as if identity had lost one while the marts stood still."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION marts.lose() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN NEW.person_id := gen_random_uuid(); RETURN NEW; END'"
        )
        connection.execute(
            "CREATE TRIGGER lose BEFORE INSERT ON marts.activity_timeline FOR EACH ROW EXECUTE FUNCTION marts.lose()"
        )
        connection.execute("INSERT INTO hubspot_contact (id, createdate, raw_data) VALUES ('1', '2026-01-02', '{}')")
    job = defs.resolve_job_def(marts.JOB)
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance, raise_on_error=False)
        checked = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert not checked["has_people"].passed
    assert checked["has_people"].metadata["faults"].value == 1


@pytest.mark.parametrize("mart", MARTS, ids=lambda mart: mart.name)
@pytest.mark.every_case
def test_every_column_says_what_it_is(shared_url: str, mart: Mart) -> None:
    with psycopg.connect(shared_url) as connection:
        silent = connection.execute(
            "SELECT a.attname FROM pg_attribute AS a WHERE a.attrelid = %s::regclass AND a.attnum > 0"
            " AND NOT a.attisdropped AND col_description(a.attrelid, a.attnum) IS NULL",
            [mart.table],
        ).fetchall()
        about = connection.execute("SELECT obj_description(%s::regclass)", [mart.table]).fetchone()
    assert not silent
    assert about is not None
    assert about[0]
