"""The maintenance of the schema ``crm``: what each job does on a real PostgreSQL, as a superuser and as none."""

import functools
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import psycopg
import pytest
from psycopg import sql

from warehouse_pipelines import warehouse
from warehouse_pipelines.definitions import build_definitions, defs
from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines.orchestration import crm_upkeep, maintenance
from warehouse_pipelines.orchestration.crm_maintenance import TASKS
from warehouse_pipelines.orchestration.crm_review import ANOMALIES
from warehouse_pipelines.orchestration.crm_session import Crm
from warehouse_pipelines.orchestration.failures import session_of_step
from warehouse_pipelines.orchestration.ticks import TickFailed
from warehouse_pipelines_tests.harness.crm_database import A, B, add, one, populate

NAMES = [task.name for task in TASKS]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


@pytest.fixture
def database(bare_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(bare_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def plain_url(database: psycopg.Connection, bare_url: str) -> Iterator[str]:
    """The warehouse as a user who is no superuser, and has what the migration gives to the user that runs it."""
    name = f"user_{uuid.uuid4().hex}"  # a kept session of one that was dropped is of nobody
    database.execute(
        sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'x' IN ROLE crm_owner, crm_definer").format(sql.Identifier(name))
    )
    yield psycopg.conninfo.make_conninfo(bare_url, user=name, password="x")
    database.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


@functools.cache
def definitions(url: str) -> dg.Definitions:
    """The definitions of a warehouse; the next test mostly borrows the same one."""
    return build_definitions([], url=lambda: url)


def run_job(name: str, url: str, instance: dg.DagsterInstance) -> dict[str, Any]:
    """Run a job as the definitions have it and return the metadata that it left; raise what it raised."""
    job = definitions(url).resolve_job_def(name)
    result = job.execute_in_process(instance=instance)
    assert result.success
    return latest(name, instance)


def latest(name: str, instance: dg.DagsterInstance) -> dict[str, Any]:
    event = instance.get_latest_materialization_event(dg.AssetKey(["crm_maintenance", name]))
    assert event is not None
    assert event.asset_materialization is not None
    return shown(event.asset_materialization)


def shown(materialization: dg.AssetMaterialization) -> dict[str, Any]:
    return {
        key: [record.data for record in value.records] if isinstance(value, dg.TableMetadataValue) else value.value
        for key, value in materialization.metadata.items()
    }


def run(name: str, url: str) -> dict[str, Any]:
    """Do what a job does, and return the metadata that it would leave; Dagster's run would take ten times as long."""
    [task] = [task for task in TASKS if task.name == name]
    with session_of_step(url) as session:
        return shown(dg.AssetMaterialization(name, metadata=task.run(session).metadata()))


def test_the_schedules_have_the_names_that_are_asked_for() -> None:
    names = {schedule.name for schedule in defs.schedules or () if isinstance(schedule, dg.ScheduleDefinition)}
    assert {"daily_slow_query_report", "daily_stuck_sequences", "daily_dnc_review"} <= names
    assert {"weekly_vacuum_analyze", "weekly_score_distribution", "weekly_anomalies"} <= names
    assert len([name for name in names if name.startswith("monthly_")]) == 4
    assert "reconcile_budget_monthly" in names
    for task in TASKS:
        assert defs.resolve_job_def(task.name).description == task.about


@pytest.mark.parametrize("name", NAMES)
def test_every_job_runs_on_an_empty_schema(name: str, bare_url: str, instance: dg.DagsterInstance) -> None:
    assert run_job(name, bare_url, instance)["attention"] in {"none", latest(name, instance)["attention"]}


@pytest.mark.parametrize("name", NAMES)
def test_every_job_runs_without_a_superuser(
    name: str, database: psycopg.Connection, plain_url: str, bare_url: str
) -> None:
    """And finds the same in both organizations as a superuser does."""
    for organization in (A, B):
        populate(database, organization)
    found = run(name, plain_url)
    if name not in {"daily_slow_query_report", "weekly_vacuum_analyze"}:
        assert found == run(name, bare_url)
    if "organizations" in found and name in {"reconcile_budget_monthly", "monthly_scoring_weights"}:
        assert found["organizations"] == 2


def test_a_user_without_the_roles_is_told_what_to_grant(
    database: psycopg.Connection, bare_url: str, instance: dg.DagsterInstance
) -> None:
    name = f"{database.info.dbname}_stranger"
    database.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'x'").format(sql.Identifier(name)))
    url = psycopg.conninfo.make_conninfo(bare_url, user=name, password="x")
    try:
        with pytest.raises(dg.Failure, match=rf"may not act as crm_definer.*GRANT crm_owner, crm_definer TO {name}"):
            run_job("daily_dnc_review", url, instance)
    finally:
        database.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def test_a_session_of_a_job_sees_one_organization_at_a_time(plain_url: str, database: psycopg.Connection) -> None:
    for organization in (A, B):
        add(database, "leads", organization_id=organization)
    with warehouse.connect(plain_url) as connection:
        crm = Crm(connection)
        rows = crm.each("SELECT count(*) AS n, count(DISTINCT organization_id) AS organizations FROM crm.leads")
        assert [(row["n"], row["organizations"]) for row in rows] == [(1, 1), (1, 1)]
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            crm.each("DELETE FROM crm.leads")
        with crm.role("crm_owner"):
            assert connection.execute("SELECT count(*) AS n FROM crm.leads").fetchone() == {"n": 0}


def test_an_organization_that_has_only_a_ledger_is_found(database: psycopg.Connection, bare_url: str) -> None:
    add(database, "budget_transactions", organization_id=B, account_id=A)
    add(database, "leads", organization_id=A)
    with warehouse.connect(bare_url) as connection:
        assert [str(found) for found in Crm(connection).organizations()] == [A, B]


def test_slow_queries_say_where_they_come_from(bare_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crm_upkeep, "LONG_SECONDS", 0.2)
    with psycopg.connect(bare_url) as other:
        other.execute("SELECT 1, pg_sleep(0.3), 'a secret'")
        found = run("daily_slow_query_report", bare_url)
    assert "Past statements are known to pg_stat_statements alone" in found["source"]
    assert found["long_transactions"] == 1
    assert found["transactions"][0]["state"] == "idle in transaction"
    assert "secret" not in str(found)


def test_slow_queries_are_those_of_pg_stat_statements_where_it_runs(server: Server) -> None:
    server.start()
    with server.connect() as connection:
        connection.execute("ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'")
    server.stop()
    url = server.start()
    with server.connect() as connection:
        connection.execute("CREATE EXTENSION pg_stat_statements")
        connection.execute("SELECT pg_sleep(0.2), 'a secret'")
        connection.execute("SELECT 1")
    found = run("daily_slow_query_report", url)
    assert (found["source"], found["slow_statements"]) == ("pg_stat_statements", 1)
    assert found["statements"][0]["query"] == "SELECT pg_sleep($1), $2"
    assert found["statements"][0]["mean_ms"] >= 200
    assert "1 statements take over 100 ms" in found["attention"]


def test_stuck_sequences(database: psycopg.Connection, bare_url: str) -> None:
    late = datetime.now(UTC) - timedelta(days=2)
    on, off = add(database, "nurture_sequences"), add(database, "nurture_sequences", is_active=False)
    stuck = [
        add(
            database,
            "lead_sequence_enrollments",
            lead_id=add(database, "leads"),
            sequence_id=sequence,
            next_run_at=due,
            status=status,
        )
        for sequence, due, status in [
            (on, late, "active"),
            (on, datetime.now(UTC), "active"),
            (on, late, "paused"),
            (off, late, "active"),
        ]
    ]
    found = run("daily_stuck_sequences", bare_url)
    assert (found["stuck"], found["in_switched_off_sequences"], found["organizations"]) == (1, 1, 1)
    assert {row["oldest_enrollment"] for row in found["sequences"]} == {str(stuck[0]), str(stuck[3])}
    assert found["attention"] == "1 enrollments have been due for over 1 day: does the worker run?"


def test_entries_of_the_ai_are_listed_without_the_person(database: psycopg.Connection, bare_url: str) -> None:
    sure = {"detected_by": "ai", "detection_confidence": 0.97, "evidence": "do not call me"}
    add(database, "dnc_list", phone="+12065550101", **sure)
    add(database, "dnc_list", phone="+12065550102", **{**sure, "detection_confidence": 0.4})
    add(database, "dnc_list", phone="+12065550103", **sure, created_at=datetime.now(UTC) - timedelta(days=3))
    add(database, "dnc_list", phone="+12065550104", detected_by="user")
    found = run("daily_dnc_review", bare_url)
    assert (found["new"], found["last_7_days"], found["unsure"]) == (2, 3, 1)
    assert [row["confidence"] for row in found["entries"]] == [0.4, 0.97, 0.97]
    assert "+1206" not in str(found)
    assert "call me" not in str(found)


def test_vacuum_leaves_no_dead_rows(database: psycopg.Connection, plain_url: str) -> None:
    for _ in range(20):
        add(database, "leads")
    database.execute("UPDATE crm.leads SET division = 'north'")
    database.execute("SELECT pg_stat_force_next_flush()")
    found = run("weekly_vacuum_analyze", plain_url)
    assert found["tables"] == 27
    assert found["dead_rows_before"] >= 20
    assert found["dead_rows"] == 0
    assert one(database, "SELECT reltuples FROM pg_class WHERE oid = 'crm.leads'::regclass") == 20


def test_the_distribution_of_scores(database: psycopg.Connection, bare_url: str) -> None:
    for organization, score in [(A, 0), (A, 5), (A, 100), (B, 42)]:
        factors = f'{{"source": {score}}}' if score else "{}"
        add(database, "leads", organization_id=organization, lead_score=score, lead_score_factors=factors)
    add(database, "leads", lead_score=50, deleted_at=datetime.now(UTC))
    found = run("weekly_score_distribution", bare_url)
    assert (found["leads"], found["never_scored"], found["mean"]) == (4, 1, 36.8)
    assert (found["from_0"], found["from_40"], found["from_90"]) == (2, 1, 1)
    assert [row["median"] for row in found["by_organization"]] == [5, 42]


def test_anomalies_are_counted(database: psycopg.Connection, bare_url: str) -> None:
    assert run("weekly_anomalies", bare_url)["attention"] == "none"
    add(database, "leads", status="won", value_usd=10)
    add(database, "leads", status="won", value_usd=10, status_changed_at="2020-01-01")
    assert run("weekly_anomalies", bare_url)["attention"] == "none"

    add(database, "leads", status="won")
    add(database, "leads", lead_score=7, lead_score_factors='{"source": 5}')
    add(database, "leads", organization_id=B, created_at=datetime.now(UTC) - timedelta(days=8))
    lead = add(database, "leads", deleted_at=datetime.now(UTC))
    add(database, "lead_sequence_enrollments", lead_id=lead, sequence_id=add(database, "nurture_sequences"))
    add(database, "lead_audit_log", lead_id=lead, created_at=datetime.now(UTC) - timedelta(days=1000))
    database.execute("SET session_replication_role = replica")
    add(database, "leads")
    add(database, "leads", created_at=datetime.now(UTC) + timedelta(days=3), owner_id=A, status_changed_at="2020-01-01")
    found = run("weekly_anomalies", bare_url)
    assert {row["anomaly"]: row["n"] for row in found["found"]} == dict.fromkeys(ANOMALIES, 1)
    assert all(found[name] == 1 for name in ANOMALIES)


def test_a_week_with_few_new_leads_is_an_anomaly(database: psycopg.Connection, bare_url: str) -> None:
    database.execute(
        "INSERT INTO crm.leads (organization_id, owner_id, created_at) SELECT %(a)s, %(a)s, "
        "now() - week * interval '7 days' FROM generate_series(0, 8) AS week, generate_series(1, 30) AS n "
        "WHERE week > 0 OR n < 5",
        {"a": A},
    )
    found = run("weekly_anomalies", bare_url)
    assert (found["found"][0]["anomaly"], found["found"][0]["n"]) == ("new_leads_of_the_week", 4)
    assert found["found"][0]["usual"] == 30


def test_old_months_are_archived(database: psycopg.Connection, plain_url: str) -> None:
    for days in (1, 1000, 1001):
        add(database, "lead_audit_log", lead_id=A, created_at=datetime.now(UTC) - timedelta(days=days))
    found = run("monthly_archive_audit", plain_url)
    assert found["rows_archived"] == sum(row["archived_rows"] for row in found["partitions"]) == 2
    assert one(database, "SELECT count(*) FROM crm.lead_audit_log WHERE created_at < now() - interval '13 months'") == 0
    assert run("monthly_archive_audit", plain_url)["partitions_archived"] == 0


def test_partitions_are_made_ahead(database: psycopg.Connection, plain_url: str) -> None:
    now = datetime.now(UTC)
    years, month = divmod(now.month - 1 + 3, 12)
    last = f"_{now.year + years}_{month + 1:02}"
    assert run("monthly_make_partitions", plain_url)["made"] == 0
    database.execute(f"DROP TABLE crm.lead_audit_log{last}")
    assert run("monthly_make_partitions", plain_url)["partitions"] == [{"partition": f"lead_audit_log{last}"}]


@pytest.mark.slow("sessions that wait for each other")
def test_work_on_partitions_does_not_wait_long_for_its_lock(bare_url: str) -> None:
    with psycopg.connect(bare_url) as reader, warehouse.connect(bare_url) as connection:
        reader.execute("SELECT count(*) FROM crm.lead_audit_log")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            crm_upkeep.archive_audit(Crm(connection))


def test_indexes_that_are_contained_in_another_are_listed(database: psycopg.Connection, bare_url: str) -> None:
    found = run("monthly_index_review", bare_url)
    assert found["contained_in_another"] == 0
    assert found["invalid"] == 0
    assert "leads_tags" in {row["index"] for row in found["unused_indexes"]}
    assert "leads_pkey" not in {row["index"] for row in found["unused_indexes"]}
    database.execute("CREATE INDEX twice ON crm.lead_score_history (organization_id, lead_id)")
    contained = run("monthly_index_review", bare_url)["contained_indexes"]
    assert contained == [{"index": "crm.twice", "contained_in": "crm.lead_score_history_lead"}]


def test_weights_are_proposed_from_what_was_won_and_lost(database: psycopg.Connection, bare_url: str) -> None:
    past = datetime.now(UTC) - timedelta(days=10)
    few = [("won", 25, 5)] * 30 + [("lost", 5, 5)] * 29
    for status, reachable, source in [*few, ("lost", 5, 5)]:
        if (status, reachable) == ("lost", 5) and one(database, "SELECT count(*) FROM crm.leads") == 59:
            assert run("monthly_scoring_weights", bare_url)["proposals"] == 0
        lead = add(database, "leads", status=status)
        factors = f'{{"reachable": {reachable}, "source": {source}, "stage": 6}}'
        add(database, "lead_score_history", lead_id=lead, score=36, factors=factors, created_at=past)
        after = '{"reachable": 0, "source": 20, "stage": 30}'
        late = datetime.now(UTC) + timedelta(minutes=5)
        add(database, "lead_score_history", lead_id=lead, score=50, factors=after, created_at=late)
    found = run("monthly_scoring_weights", bare_url)
    assert found["proposals"] == 1
    weights = {row["factor"]: row["proposed_weight"] for row in found["factors"]}
    assert weights == {"reachable": 100, "source": 0, "stage": 0, "recency": 0, "consent": 0}
    assert one(database, "SELECT count(*) FROM crm.system_config") == 0


def test_the_ledger_is_reconciled(database: psycopg.Connection, bare_url: str) -> None:
    for organization, account, amount in [(A, A, 100), (A, A, "-30.5"), (B, B, 5)]:
        add(database, "budget_transactions", organization_id=organization, account_id=account, amount_usd=amount)
    found = run("reconcile_budget_monthly", bare_url)
    assert (found["accounts"], found["entries"], found["organizations"]) == (2, 3, 2)
    assert {row["balance_usd"] for row in found["balances"]} == {"69.50", "5.00"}


def test_a_ledger_with_a_gap_fails_the_run(
    database: psycopg.Connection, bare_url: str, instance: dg.DagsterInstance
) -> None:
    for _ in range(3):
        add(database, "budget_transactions", account_id=A, amount_usd=10)
    database.execute("ALTER TABLE crm.budget_transactions DISABLE TRIGGER refuse_change")
    database.execute("DELETE FROM crm.budget_transactions WHERE entry_no = 2")
    with pytest.raises(dg.Failure, match=r"1 accounts of .* do not add up"):
        run_job("reconcile_budget_monthly", bare_url, instance)
    found = latest("reconcile_budget_monthly", instance)
    assert found["wrong"][0]["breaks"] == 1
    assert (found["wrong"][0]["sum_usd"], found["wrong"][0]["balance_usd"]) == ("20.00", "30.00")


def test_a_tick_skips_while_the_schema_is_not_there(bare_url: str, database: psycopg.Connection) -> None:
    def tick() -> dg.RunRequest | str | None:
        (schedule,) = maintenance.schedules({"crm": TASKS[:1]}, lambda: bare_url)
        with dg.build_schedule_context() as context:
            evaluated = schedule.evaluate_tick(context)
        return evaluated.run_requests[0] if evaluated.run_requests else evaluated.skip_message

    assert isinstance(tick(), dg.RunRequest)
    database.execute("ALTER SCHEMA crm RENAME TO renamed")
    assert tick() == "there is no schema crm; run `warehouse migrate`"


def test_a_tick_fails_while_the_warehouse_is_away() -> None:
    """A skipped one looks like one that had nothing to do."""
    url = "postgresql://nobody:secret@127.0.0.1:1/none"
    (schedule,) = maintenance.schedules({"crm": TASKS[:1]}, lambda: url)
    with dg.build_schedule_context() as context, pytest.raises(TickFailed) as failed:
        schedule.evaluate_tick(context)
    assert "cannot connect to the warehouse" in str(failed.value)
    assert "secret" not in str(failed.value)
