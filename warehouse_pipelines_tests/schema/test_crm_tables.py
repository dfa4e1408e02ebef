"""The tables of ``crm``: what the schema promises, what each constraint refuses and accepts, up, down and seed."""

import os
import re
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from warehouse_pipelines.commands.cli import main
from warehouse_pipelines.errors import WrongUse
from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines.local.postgres_programs import find_binaries
from warehouse_pipelines.schema.migrate import migrate, seed
from warehouse_pipelines_tests.harness.crm_database import (
    FEED_TABLES,
    IMPORTS,
    SEQUENCES,
    TABLES,
    USER,
    A,
    B,
    Connection,
    add,
    dump,
    one,
    populate,
    references,
    session,
    sqlstate,
    undone_by,
)

SCHEMAS = "crm", "crm_archive"
ORGANIZATION = "00000000-0000-0000-0000-000000000001"


@pytest.fixture
def owner(shared_url: str) -> Iterator[Connection]:
    """The superuser, in a transaction that is undone."""
    with session(shared_url, role=None) as connection:
        yield connection


COLUMNS = {
    "leads": (
        "id organization_id first_name last_name email phone status lead_score lead_score_factors source"
        " source_metadata tags timezone owner_id consent created_at updated_at deleted_at golden_id"
    ),
    "lead_audit_log": (
        "id organization_id lead_id action field_name old_value new_value changed_by ip_address created_at"
    ),
    "lead_status_history": (
        "id organization_id lead_id from_status to_status triggered_by changed_by time_in_previous created_at"
    ),
    "dnc_list": (
        "id organization_id phone reason detected_by detection_confidence evidence expires_at created_by created_at"
    ),
    "lead_source_costs": "id organization_id source month amount currency fx_rate_to_usd amount_usd created_at",
    "nurture_sequences": "id organization_id name steps trigger_conditions is_active created_at updated_at",
    "lead_sequence_enrollments": (
        "id organization_id lead_id sequence_id current_step status execution_log next_run_at enrolled_at completed_at"
    ),
    "segments": "id organization_id name filter_criteria is_public created_by created_at updated_at",
    "budget_transactions": (
        "id organization_id account_id amount_usd balance_before_usd balance_after_usd kind description"
        " reference_id created_by created_at"
    ),
    "lead_assignments": "id organization_id lead_id from_user_id to_user_id strategy context created_at",
    "lead_score_history": "id organization_id lead_id score factors model_version created_at",
    "system_config": "organization_id key value",
}

NAMES = ", ".join(f"'{table}'" for table in TABLES)
INSERT_LEAD = f"INSERT INTO crm.leads(organization_id,%s) VALUES ('{ORGANIZATION}',%s)"
INSERT_COST = (
    "INSERT INTO crm.lead_source_costs(organization_id,source,month,amount,currency)"
    f" VALUES ('{ORGANIZATION}','google','2025-01-01',%s)"
)


def state(statement: str, *states: str) -> str:
    return f"chk.state($q${statement}$q$) IN ({', '.join(repr(one_state) for one_state in states)})"


CHECKS = {
    "every table is there": (
        f"NOT EXISTS (SELECT FROM unnest(ARRAY[{NAMES}]) t WHERE to_regclass(concat('crm.',t)) IS NULL)"
    ),
    "is_on_dnc_list fixes its search_path": (
        "(SELECT proconfig::text LIKE '%search_path%' FROM pg_proc WHERE oid = to_regproc('crm.is_on_dnc_list'))"
    ),
    "tags are an array of texts": "chk.typ('crm.leads','tags') = 'text[]'",
    "a phone is unique in its organization": "chk.idx('crm.leads','organization_id phone', true, true)",
    "costs in euros are refused": state(INSERT_COST % "10,'EUR'", "23514"),
    "the extensions that the server has are installed": (
        "(SELECT count(*) FROM pg_extension WHERE extname IN ('uuid-ossp','pg_trgm','pgcrypto')) ="
        " (SELECT count(*) FROM pg_available_extensions WHERE name IN ('uuid-ossp','pg_trgm','pgcrypto'))"
    ),
    "is_on_dnc_list runs as its owner": "(SELECT prosecdef FROM pg_proc WHERE oid = to_regproc('crm.is_on_dnc_list'))",
    "the seed fills the tables": (
        "(SELECT count(*) FROM crm.leads)=10 AND (SELECT count(*) FROM crm.dnc_list)=2 AND (SELECT count(*) FROM"
        " crm.nurture_sequences)=2 AND (SELECT count(*) FROM crm.lead_sequence_enrollments)>0 AND (SELECT count(*) FROM"
        " crm.budget_transactions)>0 AND (SELECT count(*) FROM crm.lead_assignments)>0 AND"
        " (SELECT count(DISTINCT status) FROM crm.leads)>=4"
    ),
    "leads have a uuid": "chk.typ('crm.leads','id') = 'uuid'",
    "a phone that is not E.164 is refused": state(INSERT_LEAD % ("phone", "'206-555-0010'"), "23514"),
    "an unknown status is refused": state(INSERT_LEAD % ("phone,status", "'+12065550999','banana'"), "23514"),
    "a score above 100 is refused": state(INSERT_LEAD % ("phone,lead_score", "'+12065550998',101"), "23514"),
    "time zones are those that PostgreSQL knows": (
        "NOT EXISTS (SELECT FROM crm.leads l WHERE timezone IS NOT NULL AND NOT EXISTS"
        " (SELECT 1 FROM pg_timezone_names z WHERE z.name=l.timezone))"
    ),
    "a negative cost is refused": state(INSERT_COST % "-1,'USD'", "23514"),
    "steps that are no list are refused": state(
        f"INSERT INTO crm.nurture_sequences(organization_id,name,steps) VALUES ('{ORGANIZATION}','x','{{}}'::jsonb)",
        "23514",
    ),
    "a lead is once in a sequence at a time": (
        "chk.idx('crm.lead_sequence_enrollments','lead_id sequence_id',true,true)"
    ),
    "balances have two decimals": "chk.typ('crm.budget_transactions','balance_after_usd') = 'numeric(10,2)'",
    "a key of the configuration is unique in its organization": (
        "chk.idx('crm.system_config','organization_id key',true)"
    ),
    "there are foreign keys": (
        "(SELECT count(*) >= 8 FROM pg_constraint WHERE contype='f' AND connamespace='crm'::regnamespace"
        " AND conparentid = 0)"
    ),
    "a listed number is found": f"crm.is_on_dnc_list('+12065550010','{ORGANIZATION}')",
    "a listed number is found in another spelling, and what is no number counts as listed": (
        f"crm.is_on_dnc_list('(206) 555-0010','{ORGANIZATION}') AND crm.is_on_dnc_list('garbage','{ORGANIZATION}')"
    ),
    "updated_at is kept by triggers": "(SELECT bool_and(chk.trg(concat('crm.',t)) >= 1) FROM"
    " unnest(ARRAY['leads','nurture_sequences','segments','system_config']) t)",
    "a score is between 0 and 100": "(SELECT crm.calculate_lead_score(id) BETWEEN 0 AND 100 FROM crm.leads LIMIT 1)",
    "every SECURITY DEFINER function fixes its search_path": (
        "NOT EXISTS (SELECT FROM pg_proc WHERE pronamespace='crm'::regnamespace AND prosecdef"
        " AND (proconfig IS NULL OR proconfig::text NOT LIKE '%search_path%'))"
    ),
    "leads are indexed by status, owner and creation": (
        "chk.idx('crm.leads','organization_id status') AND chk.idx('crm.leads','organization_id owner_id')"
        " AND chk.idx('crm.leads','organization_id created_at')"
    ),
    "tags have a GIN index": "chk.idx('crm.leads','tags',false,false,'gin')",
    "leads have an index for searching texts": (
        "(SELECT count(*) >= 1 FROM pg_indexes WHERE schemaname='crm' AND tablename='leads'"
        " AND (indexdef ILIKE '%gin_trgm_ops%' OR indexdef ILIKE '%to_tsvector%'))"
    ),
    "an index covers the living leads alone": (
        "(SELECT count(*) >= 1 FROM pg_indexes WHERE schemaname='crm' AND tablename='leads'"
        " AND indexdef ILIKE '%WHERE (deleted_at IS NULL)%')"
    ),
    "the do-not-call list is indexed by phone": "chk.idx('crm.dnc_list','organization_id phone')",
    "every foreign key is indexed": (
        "NOT EXISTS (SELECT FROM pg_constraint c WHERE c.contype='f' AND c.connamespace='crm'::regnamespace AND"
        " NOT EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid=c.conrelid AND i.indkey[0]=c.conkey[1]))"
    ),
    "an entry of the ledger is not updated": state(
        "UPDATE crm.budget_transactions SET amount_usd = 0", "42501", "P0001"
    ),
    "an entry of the ledger is not deleted": state("DELETE FROM crm.budget_transactions", "42501", "P0001"),
    "the ledger is not truncated": state("TRUNCATE crm.budget_transactions", "42501", "P0001"),
    "an entry's balances differ by its amount": "NOT EXISTS (SELECT FROM crm.budget_transactions"
    " WHERE balance_after_usd <> balance_before_usd + amount_usd)",
    "an entry begins with the balance of the one before": (
        "NOT EXISTS (SELECT FROM (SELECT balance_before_usd, lag(balance_after_usd) OVER"
        " (PARTITION BY account_id ORDER BY created_at, id) AS prev FROM crm.budget_transactions) x"
        " WHERE prev IS NOT NULL AND prev <> balance_before_usd)"
    ),
    "row-level security is enabled and forced on every table": (
        "NOT EXISTS (SELECT FROM pg_class WHERE relnamespace='crm'::regnamespace AND relkind='r'"
        " AND NOT (relrowsecurity AND relforcerowsecurity))"
    ),
    "policies read the organization once a statement": (
        "NOT EXISTS (SELECT FROM pg_policies WHERE schemaname='crm' AND concat(qual,' ',with_check) LIKE"
        " '%current_setting(%' AND concat(qual,' ',with_check) NOT ILIKE '%( SELECT%')"
    ),
    "crm_app obeys row-level security": "(SELECT NOT (rolsuper OR rolbypassrls) FROM pg_roles WHERE rolname='crm_app')",
    "consent is jsonb": "chk.typ('crm.leads','consent') = 'jsonb'",
    "an address in the audit log is an inet": "chk.typ('crm.lead_audit_log','ip_address') = 'inet'",
    "every lead has a score in the history": "NOT EXISTS (SELECT FROM crm.leads l WHERE NOT EXISTS"
    " (SELECT 1 FROM crm.lead_score_history h WHERE h.lead_id=l.id))",
}
"""What is promised of the seeded schema, and the condition that shows it."""


@pytest.fixture(scope="module")
def seeded_url(test_server: Server, template: str) -> Iterator[str]:
    name = f"seeded_{uuid.uuid4().hex[:12]}"
    url = test_server.create_database(name, template=template)
    assert seed(url) == seed(url) == ["seed crm"]
    with psycopg.connect(url) as connection:
        connection.execute(Path(__file__).with_name("crm_checks.sql").read_bytes())
    yield url
    test_server.drop_database(name)


@pytest.mark.parametrize("promise", CHECKS)
def test_the_schema_keeps_its_promises(seeded_url: str, promise: str) -> None:
    with psycopg.connect(seeded_url, autocommit=True) as connection:
        assert one(connection, f"SELECT {CHECKS[promise]}") is True


@pytest.mark.parametrize("table", COLUMNS)
def test_every_table_has_the_columns_that_its_users_rely_on(seeded_url: str, table: str) -> None:
    with psycopg.connect(seeded_url) as connection:
        assert connection.execute("SELECT * FROM chk.cols(%s, %s)", [f"crm.{table}", COLUMNS[table]]).fetchall() == []


def test_there_are_twelve_tables_who_may_and_why_and_what_comes_in(seeded_url: str) -> None:
    with psycopg.connect(seeded_url) as connection:
        found = connection.execute("SELECT relname FROM pg_class WHERE relnamespace = 'crm'::regnamespace"
                                   " AND relkind IN ('r', 'p') AND NOT relispartition").fetchall()  # fmt: skip
    assert {row[0] for row in found} == {
        *TABLES, *IMPORTS, *FEED_TABLES, *SEQUENCES, "organization_member", "dnc_reasons",
    }  # fmt: skip


CONSENT = {"channel": "sms", "at": "2025-01-01T00:00:00Z", "source": "form", "text_version": "1"}
REFUSED: list[tuple[str, str, list[Any], list[Any]]] = [
    ("leads", "phone", ["206-555-0010", "+0206555001", "+1", "12065550010", "+1206555001x", "+1234567890123456", ""],
     ["+12065550010", "+442079460958", "+6834002", None]),
    ("leads", "status", ["banana", "", "New"], ["new", "contacted", "won", "disqualified"]),
    ("leads", "lead_score", [-1, 101], [0, 100]),
    ("leads", "lead_score_factors", ["[]", "1"], ["{}"]),
    ("leads", "source_metadata", ["[]", '"x"'], ['{"utm": 1}']),
    ("leads", "tags", [["a", None]], [[], ["a", "b"]]),
    ("leads", "timezone", ["Mars/Olympus", "PDT", "europe/paris", "Foo/Bar5", "UTC+3", "+03", "", "America/", "Factory",
                           "posix/Europe/Paris", "../etc/passwd", "GMT+5", "Etc/GMT+13"],
     ["America/New_York", "America/Argentina/Buenos_Aires", "UTC", "Etc/GMT+5", "America/Port-au-Prince", None]),
    ("leads", "consent", ["{}", "[1]", '[{"channel": "sms"}]', "null"],
     ["[]", str([CONSENT]).replace("'", '"'), str([CONSENT, CONSENT]).replace("'", '"')]),
    ("leads", "value_usd", [-0.01], [0, 10.5, None]),
    ("dnc_list", "phone", ["206 555 0010", None], ["+12065550010"]),
    ("dnc_list", "channels", [[], ["fax"]], [["call"], ["sms", "email"]]),
    ("dnc_list", "detection_confidence", [-0.1, 1.1], [0, 1, 0.5, None]),
    ("lead_source_costs", "month", ["2025-01-02"], ["2025-02-01"]),
    ("lead_source_costs", "amount", [-0.01], [0, 10]),
    ("lead_source_costs", "currency", ["EUR", "usd", "US", ""], ["USD"]),
    ("lead_source_costs", "fx_rate_to_usd", [0.5], [1, None]),
    ("nurture_sequences", "name", [""], ["x"]),
    ("nurture_sequences", "steps", ["{}", "null", '"x"', "[1]", '[{"channel": "pigeon"}]', "[{}]",
                                    '[{"channel": "sms", "delay_minutes": -1}]',
                                    '[{"channel": "sms", "delay_minutes": "1"}]', '[[{"channel": "sms"}]]'],
     ["[]", '[{"channel": "sms", "delay_minutes": 0, "template": "x"}, {"channel": "call"}]']),
    ("nurture_sequences", "trigger_conditions", ["[]"], ["{}"]),
    ("segments", "name", [""], ["x"]),
    ("segments", "filter_criteria", ["[]", '{"x": 1}'], ["{}", '{"field": "tags", "op": "has", "value": "x"}']),
    ("budget_transactions", "amount_usd", [0], [0.01, -0.01]),
    ("budget_transactions", "kind", [""], ["deposit"]),
    ("budget_transactions", "description", ["for a@example.com", "call +12065550100"], ["invoice 2065550100", None]),
    ("lead_sequence_enrollments", "current_step", [-1], [0, 3]),
    ("lead_sequence_enrollments", "status", ["done", "completed"], ["active", "paused"]),
    ("lead_sequence_enrollments", "execution_log", ["{}"], ["[]"]),
    ("lead_assignments", "strategy", ["whim"], ["manual", "load"]),
    ("lead_assignments", "context", ["[]"], ["{}"]),
    ("lead_assignments", "to_user_id", [None], [USER]),
    ("lead_score_history", "score", [-1, 101], [0, 100]),
    ("lead_score_history", "factors", ["[]"], ["{}"]),
    ("lead_audit_log", "action", ["look"], ["create", "update", "delete", "erase"]),
    ("system_config", "key", [""], ["x"]),
]  # fmt: skip


@pytest.mark.parametrize(("table", "column", "wrong", "right"), REFUSED, ids=lambda value: str(value)[:30])
def test_each_constraint_refuses_and_accepts(
    owner: Connection, table: str, column: str, wrong: list[Any], right: list[Any]
) -> None:
    for value in wrong:
        with pytest.raises(psycopg.errors.CheckViolation), owner.transaction():
            add(owner, table, **{**references(owner, table, A), column: value})
    for value in right:
        with owner.transaction(force_rollback=True):
            add(owner, table, **{**references(owner, table, A), column: value})


@pytest.mark.parametrize("table", TABLES)
def test_every_row_has_an_organization(owner: Connection, table: str) -> None:
    given = references(owner, table, A)
    with pytest.raises(psycopg.errors.NotNullViolation):
        add(owner, table, **given, organization_id=None)


def test_a_foreign_currency_has_its_rate(owner: Connection) -> None:
    """Costs are kept in US dollars, since no rate of another currency is known."""
    add(owner, "lead_source_costs", amount="10.01", currency="EUR", fx_rate_to_usd="1.0837")
    assert str(one(owner, "SELECT amount_usd FROM crm.lead_source_costs")) == "10.85"
    for rate in (None, 0, -1):
        with pytest.raises(psycopg.errors.CheckViolation), owner.transaction():
            add(owner, "lead_source_costs", source="x", currency="EUR", fx_rate_to_usd=rate)
    with pytest.raises(psycopg.errors.GeneratedAlways):
        add(owner, "lead_source_costs", source="y", amount_usd=1)


def test_every_time_zone_of_the_server_is_known(owner: Connection) -> None:
    """What the check accepts is in the list, and the list's names are accepted."""
    missed = owner.execute(
        "SELECT name FROM pg_timezone_names WHERE name ~ '^[A-Z]' AND NOT crm.is_iana_timezone(name)"
    )
    assert set(missed.fetchall()) <= {("Factory",)}, "which means that nobody set a zone"
    assert one(owner, "SELECT count(*) FROM pg_timezone_names WHERE crm.is_iana_timezone(lower(name))") == 0
    assert one(owner, "SELECT current_setting('TimeZone')") == "UTC"


def test_phone_reusable_after_soft_delete(owner: Connection) -> None:
    """A phone is unique among the living of an organization; a deleted lead does not come back beside another."""
    first = add(owner, "leads", phone="+12065550101")
    with pytest.raises(psycopg.errors.UniqueViolation), owner.transaction():
        add(owner, "leads", phone="+12065550101")
    add(owner, "leads", phone="+12065550101", organization_id=B)
    owner.execute("UPDATE crm.leads SET deleted_at = now() WHERE id = %s", [first])
    add(owner, "leads", phone="+12065550101")
    assert sqlstate(owner, "UPDATE crm.leads SET deleted_at = NULL WHERE id = %s", first) == "23505"


def test_one_active_enrollment(owner: Connection) -> None:
    """A lead is in a sequence once at a time, and may begin it again after its end."""
    given = references(owner, "lead_sequence_enrollments", A)
    for status, ended in (("completed", "now"), ("stopped", "now"), ("active", None)):
        add(owner, "lead_sequence_enrollments", **given, status=status, completed_at=ended)
    for status in ("active", "paused"):
        with pytest.raises(psycopg.errors.UniqueViolation), owner.transaction():
            add(owner, "lead_sequence_enrollments", **given, status=status)


def test_cascades(owner: Connection) -> None:
    """What belongs to a lead goes with it; the audit log and the do-not-call entry stay."""
    populate(owner, A)
    lead = one(owner, "SELECT id FROM crm.leads")
    listed = add(owner, "dnc_list", lead_id=lead)
    owner.execute("DELETE FROM crm.leads WHERE id = %s", [lead])
    for table in ("lead_status_history", "lead_sequence_enrollments", "lead_assignments", "lead_score_history"):
        assert one(owner, f"SELECT count(*) FROM crm.{table}") == 0
    assert one(owner, "SELECT count(*) FROM crm.lead_audit_log WHERE action = 'delete'") > 0
    assert one(owner, "SELECT lead_id IS NULL AND organization_id = %s FROM crm.dnc_list WHERE id = %s", A, listed)
    sequence = add(owner, "nurture_sequences", name="two", segment_id=one(owner, "SELECT id FROM crm.segments"))
    owner.execute("DELETE FROM crm.segments")
    assert one(owner, "SELECT segment_id FROM crm.nurture_sequences WHERE id = %s", sequence) is None
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        add(owner, "lead_score_history", lead_id=str(uuid.uuid4()))


@pytest.mark.parametrize(
    "table",
    ["leads", "nurture_sequences", "segments", "system_config", "lead_sequence_enrollments", "lead_source_costs"],
)
def test_updated_at_follows_each_change(owner: Connection, table: str) -> None:
    add(owner, table, **references(owner, table, A), updated_at="2020-01-01")
    owner.execute(f"UPDATE crm.{table} SET organization_id = organization_id, updated_at = '2020-01-01'")
    assert one(owner, f"SELECT bool_and(updated_at = now()) FROM crm.{table}") is True


def test_the_key_of_a_lead_never_changes(owner: Connection) -> None:
    add(owner, "leads")
    for change in ("id = gen_random_uuid()", f"organization_id = '{B}'", "created_at = '2020-01-01'"):
        assert sqlstate(owner, f"UPDATE crm.leads SET {change}") == "23514"
    assert sqlstate(owner, "TRUNCATE crm.leads CASCADE") == "42501"


def test_a_thousand_leads_have_their_logs(shared_url: str) -> None:
    """One statement each; ``benchmarks/crm.py`` measures what it costs."""
    with session(shared_url) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO crm.leads (organization_id, first_name, phone, email, source, tags, timezone, consent)"
            " VALUES (%s, 'Ada', %s, 'a@example.com', 'import', '{a}', 'America/New_York', '[]')",
            [(A, f"+1206{2_000_000 + number}") for number in range(1000)],
        )
        assert one(connection, "SELECT count(*) FROM crm.lead_status_history") == 1000
        assert one(connection, "SELECT count(*) FROM crm.lead_audit_log") >= 7000


def months(connection: Connection, parent: str) -> list[str]:
    return [row[0] for row in connection.execute(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = %s::regclass"
        " ORDER BY 1", [f"crm.{parent}"]
    )]  # fmt: skip


def test_partitions_are_made_ahead(owner: Connection) -> None:
    assert one(owner, "SELECT count(*) FROM crm.ensure_partitions()") == 0
    made = owner.execute("SELECT crm.ensure_partitions('2019-11-30', '2020-01-01')").fetchall()
    assert sorted(row[0] for row in made) == [
        f"{table}_{month}" for table in ("lead_audit_log", "lead_status_history")
        for month in ("2019_11", "2019_12", "2020_01")
    ]  # fmt: skip
    now = one(owner, "SELECT to_char(now() AT TIME ZONE 'UTC', '_YYYY_MM')")
    assert f"lead_audit_log{now}" in months(owner, "lead_audit_log")
    assert one(owner, f"SELECT {CHECKS['row-level security is enabled and forced on every table']}") is True


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "America/Los_Angeles"])
def test_archiving_leaves_nothing_old_and_loses_nothing(owner: Connection, zone: str) -> None:
    """Rows of months that have a partition, of months that have none, and of a month archived before."""
    owner.execute("SELECT set_config('timezone', %s, true)", [zone])
    lead = add(owner, "leads")
    owner.execute(
        "SELECT crm.ensure_partitions((now() - interval '20 months')::date, (now() - interval '16 months')::date)"
    )
    fill = """INSERT INTO crm.{table} (organization_id, lead_id, {column}, created_at)
        SELECT %s, %s, {value}, now() - n * interval '7 days' FROM generate_series(0, 130) AS n"""
    for table, column, value in (
        ("lead_audit_log", "action", "'update'"),
        ("lead_status_history", "to_status", "'new'"),
    ):
        owner.execute(fill.format(table=table, column=column, value=value).encode(), [A, lead])

    def rows(schema: str) -> list[Any]:
        tables = owner.execute(
            "SELECT oid::regclass::text FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind = 'r'"
            " AND relname ~ '^lead_(audit_log|status_history)_'",
            [schema],
        ).fetchall()
        return sorted(
            row for (table,) in tables for row in owner.execute(f"SELECT id, created_at FROM {table}").fetchall()
        )

    before = rows("crm")
    archived = owner.execute("SELECT * FROM crm.archive_partitions()").fetchall()
    for table, stays in (("lead_audit_log", False), ("lead_status_history", True)):
        old = f"SELECT count(*) > 0 FROM crm.{table} WHERE created_at < now() - interval '13 months'"
        assert one(owner, old) is stays
    assert one(owner, "SELECT sum(entries) FROM crm.funnel('-infinity')") == 132, "131 by hand, and that of the lead"
    assert sorted(rows("crm") + rows("crm_archive")) == before
    assert sum(row[1] for row in archived) == len(rows("crm_archive")) > 60
    assert all(created < datetime.now(UTC) - timedelta(days=360) for _, created in rows("crm_archive"))
    assert owner.execute("SELECT * FROM crm.archive_partitions()").fetchall() == []
    late = "now() - interval '20 months'"
    owner.execute(f"INSERT INTO crm.lead_audit_log (organization_id, lead_id, action, created_at)"
                  f" VALUES (%s, %s, 'update', {late})".encode(), [A, lead])  # fmt: skip
    assert one(owner, "SELECT sum(archived_rows) FROM crm.archive_partitions()") == 1
    assert len(rows("crm") + rows("crm_archive")) == len(before) + 1
    unsafe = owner.execute("SELECT oid::regclass FROM pg_class WHERE relnamespace IN ('crm'::regnamespace,"
                           " 'crm_archive'::regnamespace) AND relkind = 'r' AND NOT (relrowsecurity AND"
                           " relforcerowsecurity)").fetchall()  # fmt: skip
    assert unsafe == []


def test_rows_that_waited_in_the_default_partition_move_to_their_month(owner: Connection) -> None:
    for day in ("2019-12-31T23:59:59Z", "2020-01-01T00:00:00Z", "2020-01-31T23:59:59Z", "2020-02-01T00:00:00Z"):
        add(owner, "lead_audit_log", lead_id=USER, created_at=day)
    owner.execute("SELECT crm.ensure_partitions('2020-01-15', '2020-01-15')")
    assert one(owner, "SELECT count(*) FROM crm.lead_audit_log_2020_01") == 2
    assert one(owner, "SELECT count(*) FROM crm.lead_audit_log_default") == 2


@pytest.mark.slow("revisions down and up")
def test_up_down_up_leaves_the_same_schema(database_url: str) -> None:
    """Down leaves no trace of the schema, and up after it gives the same schema."""
    first = dump(database_url, *SCHEMAS)
    assert first.count("CREATE POLICY") > 12
    undone = undone_by("0003_crm")
    assert migrate(database_url, down=len(undone)) == undone
    with psycopg.connect(database_url) as connection:
        assert one(connection, "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'crm%'") == 0
        assert one(connection, "SELECT count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace"
                   " WHERE n.nspname LIKE 'crm%'") == 0  # fmt: skip
    migrate(database_url)
    assert dump(database_url, *SCHEMAS) == first


def test_down_refuses_with_rows(database_url: str) -> None:
    """It names the tables and their counts, and changes nothing; forced, it goes."""
    with psycopg.connect(database_url) as connection:
        populate(connection, A)
    before = dump(database_url, *SCHEMAS)
    undone = undone_by("0003_crm")
    for down in (len(undone_by("0005_crm_tenants")), len(undone)):
        with pytest.raises(WrongUse, match=r"crm\.budget_transactions \(1\).*crm\.leads \(1\).*--force"):
            migrate(database_url, down=down)
    assert dump(database_url, *SCHEMAS) == before
    runner = CliRunner()
    refused = runner.invoke(main, ["migrate", "--down", str(len(undone))])
    assert refused.exit_code == 2
    assert "crm.leads (1)" in refused.output
    forced = runner.invoke(main, ["migrate", "--down", str(len(undone)), "--force"])
    assert (forced.exit_code, forced.stdout) == (0, "".join(f"{line}\n" for line in undone))


@pytest.mark.revisions
@pytest.mark.slow("revisions down and up")
def test_down_refuses_for_archived_rows(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        add(connection, "lead_audit_log", lead_id=USER, created_at="2020-01-15")
        connection.execute("SELECT crm.archive_partitions()")
    with pytest.raises(WrongUse, match=r"crm_archive\.lead_audit_log_2020_01 \(1\)"):
        migrate(database_url, down=len(undone_by("0005_crm_tenants")))


@pytest.mark.slow("a schema that is migrated again")
def test_the_seed_is_a_flag(database_url: str) -> None:
    runner = CliRunner()
    for _ in range(2):
        result = runner.invoke(main, ["migrate", "--seed"])
        assert (result.exit_code, result.stdout) == (0, "seed crm\n"), result.output
    for words in (["--seed", "--down", "1"], ["--force"]):
        assert runner.invoke(main, ["migrate", *words]).exit_code == 2


@pytest.mark.slow("a schema that is migrated again")
def test_a_backup_is_required_on_request(
    database_url: str, test_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dump is of this database, can be read, and is recent."""
    monkeypatch.setenv("PATH", f"{find_binaries()}:{os.environ['PATH']}")

    def run(archive: Path, *words: str) -> tuple[int, str]:
        result = CliRunner().invoke(main, ["migrate", "--require-backup", str(archive), *words])
        return result.exit_code, result.output

    def back_up(url: str) -> Path:
        archive = tmp_path / uuid.uuid4().hex
        subprocess.run([find_binaries() / "pg_dump", "-Fc", "-f", archive, url], check=True)
        return archive

    good = back_up(database_url)
    assert run(good) == (0, "Nothing to do.\n")
    code, said = run(good, "--backup-hours", "0.0000001")
    assert code == 2
    assert "hours old" in said
    code, said = run(back_up(test_server.url("postgres")))
    assert code == 2
    assert "is of the database postgres" in said
    broken = tmp_path / "broken"
    broken.write_bytes(good.read_bytes()[:100])
    code, said = run(broken)
    assert code == 2
    assert "warehouse backup" in said
    assert run(tmp_path / "nowhere")[0] == 2


VERSIONS = Path(__file__).parents[2] / "sql" / "migrations" / "versions"


def run_files(url: str, *patterns: str) -> None:
    """Run the migration's files as psql would, in one transaction; Alembic's state is the process's."""
    with psycopg.connect(url) as connection:
        for part in (part for pattern in patterns for part in sorted(VERSIONS.glob(pattern)) or [VERSIONS / pattern]):
            connection.execute(part.read_bytes())


SINCE = (
    "0012_identity",
    "0013_crm_feed",
    "0014_lead_import",
    "0015_erasure",
    "0018_identity_lookups",
    "0019_entered_leads",
    "0025_crm_activities",
    "0028_unread_rows",
    "0033_sequences",
    "0038_kept_promises",
)
"""The revisions whose tables the schema's file speaks of."""


def up(url: str) -> None:
    with psycopg.connect(url) as connection:  # schemas that other revisions make
        connection.execute("CREATE SCHEMA IF NOT EXISTS orchestration; CREATE SCHEMA IF NOT EXISTS pipedesk")
    since = [f"{revision}.sql" for revision in SINCE]
    run_files(url, "0003_crm_[0-9]_*.sql", "0005_crm_tenants.sql", *since, "../../schemas/crm.sql")


def down(url: str, *, force: bool = False) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(f"SET LOCAL warehouse.force_down = {'on' if force else 'off'}")
        for revision in [*reversed(SINCE), "0005_crm_tenants"]:
            connection.execute((VERSIONS / f"{revision}_down.sql").read_bytes())
        connection.execute("SET LOCAL warehouse.keep_roles = off")
        connection.execute((VERSIONS / "0003_crm_down.sql").read_bytes())


def plant(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute((VERSIONS.parents[1] / "seeds" / "crm.sql").read_bytes())


OLD_ROWS = """
SELECT set_config('app.organization_id', %(a)s, false), set_config('app.user_id', %(user)s, false);
INSERT INTO crm.leads (id, organization_id, phone, status, value_usd, source) VALUES
    (%(user)s, %(a)s, '+12065550101', 'won', 900, 'google');
INSERT INTO crm.dnc_list (organization_id, phone, reason, evidence, expires_at) VALUES
    (%(a)s, '+12065550111', 'opt_out', NULL, NULL), (%(a)s, '+12065550112', 'Opt-Out by phone', 'call 7', NULL),
    (%(a)s, '+12065550113', 'National DNC registry', NULL, NULL), (%(a)s, '+12065550114', 'STOP', NULL, NULL),
    (%(a)s, '+12065550115', 'on holiday', NULL, '2999-01-01'), (%(a)s, '+12065550116', 'wrong number', NULL, NULL),
    (%(b)s, '+12065550117', 'Temporary', NULL, '2999-01-01');
INSERT INTO crm.lead_status_history (organization_id, lead_id, to_status, created_at) VALUES
    (%(a)s, %(user)s, 'new', '2020-01-15'), (%(a)s, %(user)s, 'contacted', '2020-03-01');
INSERT INTO crm.lead_audit_log (organization_id, lead_id, action, created_at)
    VALUES (%(a)s, %(user)s, 'update', '2020-01-15');
INSERT INTO crm.budget_transactions (organization_id, account_id, amount_usd, kind) VALUES (%(a)s, %(a)s, 5, 'deposit');
SELECT crm.archive_partitions();
"""


@pytest.mark.revisions
@pytest.mark.slow("revisions down and up")
def test_a_warehouse_of_the_revision_before_comes_out_alike_with_its_rows(database_url: str) -> None:
    """Reasons that were free text are mapped and kept, archived statuses come back, the schema is that of a new one."""
    new = dump(database_url, "crm")
    undone = undone_by("0005_crm_tenants")
    assert migrate(database_url, down=len(undone)) == undone
    with psycopg.connect(database_url) as connection:
        assert one(connection, "SELECT to_regprocedure('crm.session_context()')") is None
        assert one(connection, "SELECT to_regprocedure('crm.is_on_dnc_list(text, uuid)')") is not None
        psycopg.ClientCursor(connection).execute(OLD_ROWS, {"a": A, "b": B, "user": USER})
        assert one(connection, "SELECT count(*) FROM crm_archive.lead_status_history_2020_01") == 1
    again = migrate(database_url)
    assert [line for line in again if line.startswith(("revision", "schema crm"))] == [
        *(line.removesuffix(" undone") for line in reversed(undone)), "schema crm",
    ]  # fmt: skip
    with session(database_url, role=None) as connection:
        reasons = connection.execute(
            "SELECT right(phone, 3), reason, evidence FROM crm.dnc_list ORDER BY phone"
        ).fetchall()
        assert reasons == [
            ("111", "opt_out", None), ("112", "opt_out", "call 7; Opt-Out by phone"),
            ("113", "national_list", "National DNC registry"), ("114", "opt_out", "STOP"),
            ("115", "other", "on holiday"), ("116", "wrong_number", "wrong number"), ("117", "temporary", "Temporary"),
        ]  # fmt: skip
        statuses = connection.execute("SELECT to_status FROM crm.lead_status_history ORDER BY created_at").fetchall()
        assert statuses == [("new",), ("contacted",), ("won",)]
        assert one(connection, "SELECT sum(entries) FROM crm.funnel('-infinity')") == 3
        assert one(connection, "SELECT count(*) FROM crm_archive.lead_audit_log_2020_01") == 1
        connection.execute("SELECT crm.archive_partitions()")
        assert one(connection, "SELECT sum(entries) FROM crm.funnel('-infinity')") == 3
        add(connection, "budget_transactions", account_id=A, amount_usd=1)
        assert one(connection, "SELECT max(entry_no) FROM crm.budget_transactions") == 2
    with psycopg.connect(database_url) as connection:
        # The old months are the one thing that a new schema lacks.
        connection.execute("DROP TABLE crm.lead_status_history_2020_01, crm.lead_status_history_2020_03")
        connection.execute("DROP TABLE crm.lead_audit_log_2020_03")
    assert without_order(dump(database_url, "crm")) == without_order(new)


def without_order(text: str) -> list[str]:
    return sorted(line.rstrip(",") for line in text.splitlines())


def test_no_extension_is_required(empty_url: str) -> None:
    """As on a server that has none: the index on parts of names is left out, and the search answers all the same."""
    with psycopg.connect(empty_url) as connection:
        connection.execute("CREATE SCHEMA orchestration; CREATE SCHEMA pipedesk")
        since = [f"{revision}.sql" for revision in SINCE]
        for pattern in ("0003_crm_[0-9]_*.sql", "0005_crm_tenants.sql", *since, "../../schemas/crm.sql"):
            for part in sorted(VERSIONS.glob(pattern)) or [VERSIONS / pattern]:
                text = re.sub("'(pg_trgm|pgcrypto|uuid-ossp)'", "'not_there'", part.read_text())
                connection.execute(text.encode())
    with session(empty_url, role=None) as connection:
        assert connection.execute("SELECT extname FROM pg_extension").fetchall() == [("plpgsql",)]
        add(connection, "leads", last_name="Quagmire")
        found = """SELECT last_name FROM crm.list_leads('{"field": "last_name", "op": "contains", "value": "AGMI"}')"""
        assert one(connection, found) == "Quagmire"
        assert one(connection, "SELECT to_regclass('crm.leads_names')") is None


@pytest.mark.slow("a server of its own")
def test_a_cluster_of_its_own(server: Server) -> None:
    """Roles are the cluster's: made once by migrations at a time, dropped with the last of its databases.

    By the owner of the databases, who may create roles and is no superuser: it does not see the rows that stop it.
    """
    server.start()
    with server.connect("postgres") as connection:
        connection.execute("CREATE ROLE migrator LOGIN CREATEROLE PASSWORD 'm'")
        for number in range(4):
            connection.execute(f"CREATE DATABASE d{number} OWNER migrator")
    first, *others = [re.sub("//[^@]*@", "//migrator:m@", server.url(f"d{number}")) for number in range(4)]
    failed: list[BaseException] = []

    def at_once(*calls: Callable[[], object]) -> None:
        def run(call: Callable[[], object]) -> None:
            try:
                call()
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=run, args=[call]) for call in calls]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        assert failed == []

    def roles() -> set[str]:
        with server.connect("postgres") as connection:
            return {row[0] for row in connection.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE 'crm%'")}

    all_of_them = {"crm_owner", "crm_definer", "crm_app", "crm_read"}
    for _ in range(2):
        at_once(*[partial(up, url) for url in (first, *others)])
        assert roles() == all_of_them
        at_once(partial(plant, first), *[partial(down, url) for url in others])
        assert roles() == all_of_them
        with pytest.raises(psycopg.errors.ObjectInUse, match=r"crm\.leads \(10\)"):
            down(first)
        at_once(partial(down, first, force=True), *[partial(up, url) for url in others])
        assert roles() == all_of_them
        for url in others:  # at a time each would see the others' tables, and leave the roles
            assert roles() == all_of_them
            down(url)
        assert roles() == set()
