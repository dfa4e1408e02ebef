"""A hostile tenant with a login of its own: what it tries against another organization, and what holds.

Every attack runs as a login that is a rightful member of A; B is the victim. The databases of tests are copies, so each
login may make temporary objects: what holds here holds without the privilege being taken away, which is tested apart.
"""

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines.schema.migrate import migrate
from warehouse_pipelines_tests.harness.crm_database import (
    CONSENT,
    FEED_TABLES,
    IMPORTS,
    OTHER_USER,
    SEQUENCES,
    TABLES,
    USER,
    A,
    B,
    Connection,
    add,
    login,
    one,
    populate,
    session,
    sqlstate,
)

VICTIM = "00000000-0000-0000-00bb-000000000001"
SECRET = "+13105550111"

REVIEWED = {
    "crm_read": {
        "session_context()", "normalize_phone(text)", "segment_condition(jsonb,text[])", "utc_time(text)",
        "is_utc_time(text)", "is_on_dnc_list(text,uuid,text)", "evaluate_filter(jsonb)",
        "list_leads(jsonb,integer,timestamp with time zone,uuid)", "evaluate_segment(uuid)",
        "funnel(timestamp with time zone,timestamp with time zone)", "source_roi(date,date)",
        "lead_source(text)",
    },
    "crm_app": {
        "is_iana_timezone(text)", "is_consent(jsonb)", "are_steps(jsonb)", "next_statuses(text)",
        "has_consent(jsonb,text)", "lead_block_reason(crm.leads,text)",
        "is_address_listed(text,uuid,text)", "enroll_lead(uuid,uuid)",
        "advance_enrollment(uuid,integer,jsonb,interval)", "calculate_lead_score(uuid)", "assign_lead(uuid,text)",
        "erase_lead(uuid)", "end_dnc_entry(uuid,text)", "delete_row(text,text)", "leads_of_person(uuid,boolean)",
        "merged_into(jsonb)",
        "add_person_to_dnc_list(uuid,text[],text,text,timestamp with time zone,timestamp with time zone)",
    },
    "public": set(),
}  # fmt: skip
"""What each role may execute; crm_app also what crm_read may. Who adds one has looked at what a tenant does with it."""


@pytest.fixture(scope="module")
def crm_url(shared_url: str) -> str:
    with psycopg.connect(shared_url) as connection:
        for organization in (A, B):
            populate(connection, organization)
        add(connection, "leads", id=VICTIM, organization_id=B, last_name="Secret", phone=SECRET, email="b@example.com")
        add(connection, "dnc_list", organization_id=B, phone=SECRET)
    return shared_url


@pytest.fixture(scope="module")
def url_of_a(crm_url: str) -> Iterator[str]:
    with login(crm_url) as url:
        yield url


@pytest.fixture(scope="module")
def url_of_a_reader(crm_url: str) -> Iterator[str]:
    with login(crm_url, role="crm_read") as url:
        yield url


def acting(url: str, organization: str | None = A) -> Connection:
    connection = psycopg.connect(url)
    connection.execute("SELECT set_config('app.organization_id', %s, false)", [organization or ""])
    connection.commit()
    return connection


@pytest.fixture
def tenant(url_of_a: str) -> Iterator[Connection]:
    with acting(url_of_a) as connection:
        yield connection
        connection.rollback()


def of_the_victim(url: str) -> dict[str, list[Any]]:
    """Every row of B in every table, as a superuser sees it."""
    with psycopg.connect(url) as connection:
        return {
            table: connection.execute(
                f"SELECT t::text FROM crm.{table} AS t WHERE organization_id = %s ORDER BY 1", [B]
            ).fetchall()
            for table in TABLES
        }


def attempt(connection: Connection, *statements: str) -> list[str]:
    """Run them one by one and keep what was done; return the state of each."""
    states = []
    for statement in statements:
        try:
            connection.execute(statement)
            connection.commit()
            states.append("done")
        except psycopg.Error as error:
            connection.rollback()
            states.append(error.sqlstate or "")
    return states


def test_every_function_of_ours_names_pg_temp_last(crm_url: str) -> None:
    """What the path does not name is looked for first: a type of the caller's would be ours.

    A body that was parsed when the function was made (``RETURN``) looks for nothing any more.
    """
    with psycopg.connect(crm_url) as connection:
        found = connection.execute(
            "SELECT p.oid::regprocedure::text, p.proconfig FROM pg_proc AS p JOIN pg_namespace AS n ON"
            " n.oid = pronamespace"
            " WHERE n.nspname !~ '^(pg_|information_schema)' AND p.prosqlbody IS NULL"
            " AND NOT EXISTS (SELECT FROM pg_depend AS d"
            " WHERE d.objid = p.oid AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e')"
        ).fetchall()
    assert len(found) > 35
    assert [name for name, settings in found if "search_path=pg_catalog, pg_temp" not in (settings or [])] == []


def test_only_the_loader_makes_temporary_objects(empty_url: str, test_server: Server) -> None:
    """Neither a copy nor a restored dump keeps the privileges of a database; the next migration sees to it."""

    def may(url: str) -> tuple[Any, ...]:
        with psycopg.connect(url) as connection:
            return tuple(connection.execute(
                "SELECT has_database_privilege('public', current_database(), 'TEMPORARY'),"
                " has_database_privilege('crm_app', current_database(), 'TEMPORARY'),"
                " (SELECT array_agg(DISTINCT pg_get_userbyid(a.grantee)::text) FROM pg_database AS d,"
                " aclexplode(d.datacl)"
                "  AS a WHERE d.datname = current_database() AND a.privilege_type = 'TEMPORARY') ="
                " ARRAY[current_user::text],"
                " has_schema_privilege('public', 'public', 'CREATE')"
            ).fetchone() or ())  # fmt: skip

    migrate(empty_url)
    assert may(empty_url) == (False, False, True, False)
    name = f"{psycopg.conninfo.conninfo_to_dict(empty_url)['dbname']}_copy"
    copy = test_server.create_database(name, template=str(psycopg.conninfo.conninfo_to_dict(empty_url)["dbname"]))
    try:
        assert may(copy)[0] is True
        assert migrate(copy) == []
        assert may(copy) == (False, False, True, False)
        with login(copy) as url, acting(url) as connection:
            assert attempt(
                connection, "CREATE TEMP TABLE t (id int)", "CREATE DOMAIN pg_temp.text AS pg_catalog.text",
                "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "CREATE TABLE public.t (id int)",
                "CREATE TABLE crm.t (id int)", "CREATE SCHEMA mine",
            ) == ["42501"] * 6  # fmt: skip
    finally:
        test_server.drop_database(name)


def test_the_owner_of_a_database_that_is_not_ours_is_asked(
    empty_url: str, caplog: pytest.LogCaptureFixture, test_server: Server
) -> None:
    """Who may not take the privilege away says who must."""
    from warehouse_pipelines.schema import migrate as migrations

    name = str(psycopg.conninfo.conninfo_to_dict(empty_url)["dbname"])
    with psycopg.connect(empty_url, autocommit=True) as administrator:
        administrator.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'x'").format(sql.Identifier(f"{name}_guest")))
        try:
            url = re.sub(r"//[^@]*@", f"//{name}_guest:x@", empty_url)
            with caplog.at_level("WARNING", "warehouse"), migrations.engine(url).connect() as connection:
                migrations._keep_strangers_from_making_objects(connection)
            assert f"REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC" in caplog.text
        finally:
            administrator.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(f"{name}_guest")))


@pytest.mark.parametrize("role", REVIEWED)
def test_a_role_executes_what_was_reviewed(crm_url: str, role: str) -> None:
    wanted = REVIEWED[role] | (REVIEWED["crm_read"] if role == "crm_app" else set())
    with psycopg.connect(crm_url) as connection:
        may = connection.execute(
            "SELECT replace(p.oid::regprocedure::text, 'crm.', '') FROM pg_proc AS p"
            " WHERE p.pronamespace = 'crm'::regnamespace AND has_function_privilege(%s, p.oid, 'EXECUTE')",
            [role],
        )
        assert {row[0] for row in may} == {name.replace("crm.", "") for name in wanted}
        triggers = connection.execute(
            "SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace IN ('crm'::regnamespace,"
            " 'pipedesk'::regnamespace) AND prorettype = 'trigger'::regtype AND has_function_privilege(%s,"
            " oid, 'EXECUTE')"
            " AND pronamespace = 'crm'::regnamespace",
            [role],
        )
        assert triggers.fetchall() == []


def test_the_domain_named_text_runs_as_nobody_else(crm_url: str, url_of_a: str, url_of_a_reader: str) -> None:
    """The caller's own domain with a CHECK, in place of a type that a function of ours names."""
    before = of_the_victim(crm_url)
    for url in (url_of_a, url_of_a_reader):
        with acting(url) as connection:
            assert attempt(
                connection,
                """CREATE FUNCTION pg_temp.evil(v pg_catalog.text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN
                     IF current_user <> session_user THEN
                       UPDATE crm.leads SET last_name = 'pwned';
                       RAISE division_by_zero;
                     END IF; RETURN true; END $$""",
                "CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (pg_temp.evil(VALUE))",
                "CREATE DOMAIN pg_temp.uuid AS pg_catalog.uuid CHECK (pg_temp.evil(VALUE::pg_catalog.text))",
                "CREATE DOMAIN pg_temp.jsonb AS pg_catalog.jsonb CHECK (pg_temp.evil(VALUE::pg_catalog.text))",
                "CREATE DOMAIN pg_temp.inet AS pg_catalog.inet CHECK (pg_temp.evil(VALUE::pg_catalog.text))",
            ) == ["done"] * 5  # fmt: skip
            calls = [
                f"SELECT crm.is_on_dnc_list('310 555 0111'::pg_catalog.text, '{A}')",
                f"SELECT crm.is_on_dnc_list('+44 20 7946 0001'::pg_catalog.text, '{A}', 'sms')",
                """SELECT count(*) FROM crm.list_leads('{"field": "last_name", "op": "contains", "value": "e"}')""",
                """SELECT count(*) FROM crm.evaluate_filter('{"field": "tags", "op": "has_any", "value": ["e"]}')""",
                "SELECT crm.session_context()",
            ]
            if url is url_of_a:
                calls += [
                    f"INSERT INTO crm.leads (organization_id, phone, consent) VALUES ('{A}',"
                    f" '+12065550191', '{CONSENT}')",
                    "UPDATE crm.leads SET status = 'contacted' WHERE phone = '+12065550191'",
                    "SELECT crm.erase_lead(id) FROM crm.leads WHERE phone = '+12065550191'",
                ]
            assert attempt(connection, *calls) == ["done"] * len(calls)
    assert of_the_victim(crm_url) == before


TRIGGER_FUNCTIONS = ("record_new_leads", "record_changed_leads", "record_deleted_leads", "chain_budget_transaction",
                     "check_dnc_entry", "check_lead_change", "touch_updated_at")  # fmt: skip


def test_no_trigger_function_is_attached_to_a_table_of_the_callers(crm_url: str, url_of_a: str) -> None:
    """It would write audit, status and assignment rows of whatever organization that table names."""
    before = of_the_victim(crm_url)
    with acting(url_of_a) as connection:
        assert attempt(
            connection,
            "CREATE TEMP TABLE forge (id uuid, organization_id uuid, status text, owner_id uuid, phone text)",
        ) == ["done"]
        for function in TRIGGER_FUNCTIONS:
            assert attempt(
                connection,
                "CREATE TRIGGER x AFTER INSERT ON forge REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT"
                f" EXECUTE FUNCTION crm.{function}()",
                f"CREATE TRIGGER y BEFORE INSERT ON forge FOR EACH ROW EXECUTE FUNCTION crm.{function}()",
                f"CREATE EVENT TRIGGER z ON ddl_command_start EXECUTE FUNCTION crm.{function}()",
            ) == ["42501"] * 3  # fmt: skip
        attempt(connection, f"INSERT INTO forge VALUES ('{VICTIM}', '{B}', 'won', '{USER}', '+13100000000')")
    assert of_the_victim(crm_url) == before


def test_a_cast_to_json_runs_as_nobody_else(crm_url: str, url_of_a: str) -> None:
    """to_jsonb of a row calls the cast of a column's type, so no row of the caller's may reach a trigger function."""
    before = of_the_victim(crm_url)
    with acting(url_of_a) as connection:
        states = attempt(
            connection,
            "CREATE TYPE pg_temp.trap AS ENUM ('a')",
            """CREATE FUNCTION pg_temp.j(pg_temp.trap) RETURNS json LANGUAGE plpgsql AS $$ BEGIN
                 UPDATE crm.leads SET last_name = 'cast'; RETURN '1'; END $$""",
            "CREATE CAST (pg_temp.trap AS json) WITH FUNCTION pg_temp.j(pg_temp.trap)",
            "CREATE TEMP TABLE f (id uuid, organization_id uuid, status text, owner_id uuid, t pg_temp.trap)",
            "CREATE TRIGGER x AFTER INSERT ON f REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT"
            " EXECUTE FUNCTION crm.record_new_leads()",
            f"INSERT INTO f VALUES ('{VICTIM}', '{B}', 'won', NULL, 'a')",
        )
        assert states == [*["done"] * 4, "42501", "done"]
    assert of_the_victim(crm_url) == before


@pytest.mark.parametrize("role", ["crm_app", "crm_read"])
def test_the_setting_only_chooses_among_the_organizations_of_the_login(crm_url: str, role: str) -> None:
    """Not even within one statement, by a function that the planner calls first."""
    with login(crm_url, role=role) as url, acting(url) as connection:
        assert one(connection, "SELECT count(DISTINCT organization_id) FROM crm.leads") == 1
        for organization in (B, "00000000-0000-0000-0000-0000000000ff", ""):
            connection.execute("SELECT set_config('app.organization_id', %s, true)", [organization])
            for table in TABLES:
                assert one(connection, f"SELECT count(*) FROM crm.{table}") == 0
            assert one(connection, "SELECT count(*) FROM crm.list_leads()") == 0
            assert one(connection, "SELECT count(*) FROM crm.evaluate_filter('{}')") == 0
            assert sqlstate(connection, f"SELECT crm.is_on_dnc_list('{SECRET}', '{B}')") == "42501"
            for change in (
                f"INSERT INTO crm.leads (organization_id) VALUES ('{B}')", f"SELECT crm.erase_lead('{VICTIM}')",
            ):  # fmt: skip
                assert sqlstate(connection, change) in {"42501", "P0002"}
        connection.rollback()
        switched = f"""SELECT count(*) FROM (SELECT set_config('app.organization_id', '{B}', true) AS o OFFSET 0) AS s,
            LATERAL crm.list_leads(jsonb_build_object('field', 'status', 'op', 'is_null', 'value', s.o IS NULL), 2)"""
        assert one(connection, switched) == 0
        connection.rollback()
        assert one(connection, f"SELECT count(*) FROM crm.leads, set_config('app.organization_id', '{B}', true)"
                   f" WHERE organization_id = '{B}'") == 0  # fmt: skip


def test_a_login_that_is_nobodys_sees_nothing(crm_url: str) -> None:
    with login(crm_url, organizations=()) as url, acting(url) as connection:
        for table in TABLES:
            assert one(connection, f"SELECT count(*) FROM crm.{table}") == 0
        assert sqlstate(connection, f"INSERT INTO crm.leads (organization_id) VALUES ('{A}')") == "42501"
        assert sqlstate(connection, f"SELECT crm.is_on_dnc_list('{SECRET}', '{A}')") == "42501"


def test_a_login_of_two_organizations_chooses(crm_url: str) -> None:
    with login(crm_url, organizations=(A, B)) as url, acting(url, B) as connection:
        assert one(connection, "SELECT last_name FROM crm.leads WHERE id = %s", VICTIM) == "Secret"
        connection.execute("SELECT set_config('app.organization_id', %s, true)", [A])
        assert one(connection, "SELECT count(*) FROM crm.leads WHERE organization_id = %s", B) == 0
        assert {row[0] for row in connection.execute("SELECT organization_id::text FROM crm.organization_member")} == {
            A, B,
        }  # fmt: skip


def test_a_login_sees_its_own_memberships_and_changes_none(tenant: Connection) -> None:
    assert tenant.execute("SELECT DISTINCT login = session_user FROM crm.organization_member").fetchall() == [(True,)]
    for change in (
        f"INSERT INTO crm.organization_member (login, organization_id, user_id) VALUES (session_user, '{B}', '{USER}')",
        f"UPDATE crm.organization_member SET organization_id = '{B}'",
        "DELETE FROM crm.organization_member",
        "SET ROLE crm_owner", "SET ROLE crm_definer", "SET SESSION AUTHORIZATION crm_owner",
        "SET session_replication_role = replica", "SET row_security = off; SELECT FROM crm.leads",
        "ALTER TABLE crm.leads NO FORCE ROW LEVEL SECURITY", "GRANT crm_definer TO crm_app",
        "ALTER DEFAULT PRIVILEGES FOR ROLE crm_owner GRANT ALL ON TABLES TO PUBLIC", "CREATE POLICY p ON crm.leads",
        "ALTER FUNCTION crm.list_leads SECURITY INVOKER", "CREATE TABLE crm.mine ()", "CREATE EXTENSION dblink",
        "COPY crm.leads TO PROGRAM 'cat'", "COPY crm.leads FROM '/etc/passwd'", "LOAD 'auto_explain'",
        "ALTER ROLE crm_app SET app.organization_id = 'x'", "COMMENT ON TABLE crm.leads IS 'mine'",
    ):  # fmt: skip
        # Without schema public there is nowhere to put an extension either.
        assert sqlstate(tenant, change) in {"42501", "3F000"}, change


@pytest.mark.parametrize("user", [USER, None])
def test_who_and_from_where_is_told_by_the_login_unless_it_is_a_poolers(crm_url: str, user: str | None) -> None:
    with login(crm_url, user=user) as url, acting(url) as connection:
        connection.execute("SELECT set_config('app.user_id', %s, true), set_config('app.client_ip',"
                           " '192.0.2.99', true)",
                           [OTHER_USER])  # fmt: skip
        lead = add(connection, "leads", first_name="Ada")
        connection.execute("UPDATE crm.leads SET status = 'contacted' WHERE id = %s", [lead])
        entry = add(connection, "dnc_list", phone="+12065550139", created_by=OTHER_USER)
        ledger = add(connection, "budget_transactions", account_id=lead, created_by=OTHER_USER)
        add(connection, "system_config", key="who")
        connection.execute("SELECT crm.end_dnc_entry(%s, 'a reason')", [entry])
        who = {row[0] for row in connection.execute(
            "SELECT changed_by::text FROM crm.lead_audit_log WHERE lead_id = %(lead)s"
            " UNION SELECT changed_by::text FROM crm.lead_status_history WHERE lead_id = %(lead)s"
            " UNION SELECT unnest(ARRAY[created_by, ended_by])::text FROM crm.dnc_list WHERE id = %(entry)s"
            " UNION SELECT created_by::text FROM crm.budget_transactions WHERE id = %(ledger)s"
            " UNION SELECT updated_by::text FROM crm.system_config WHERE key = 'who'",
            {"lead": lead, "entry": entry, "ledger": ledger},
        )}  # fmt: skip
        assert who == {user or OTHER_USER}
        addresses = connection.execute(
            "SELECT DISTINCT host(ip_address) FROM crm.lead_audit_log WHERE lead_id = %s", [lead]
        ).fetchall()
        assert addresses == [("127.0.0.1" if user else "192.0.2.99",)]
        connection.rollback()


def test_no_tenant_locks_a_table(tenant: Connection) -> None:
    """Every tenant would wait."""
    tables = [row[0] for row in tenant.execute(
        "SELECT oid::regclass::text FROM pg_class WHERE relnamespace IN ('crm'::regnamespace,"
        " to_regnamespace('crm_archive'))"
        " AND relkind IN ('r', 'p', 'v')"
    )]  # fmt: skip
    assert len(tables) > 20
    for table in tables:
        for mode in ("ACCESS EXCLUSIVE", "EXCLUSIVE", "SHARE ROW EXCLUSIVE", "SHARE", "SHARE UPDATE EXCLUSIVE"):
            assert sqlstate(tenant, f"LOCK TABLE {table} IN {mode} MODE NOWAIT") == "42501", (table, mode)


def test_a_foreign_id_is_as_free_as_any(crm_url: str, tenant: Connection) -> None:
    """No answer tells whether another organization has the id, and none is taken from anybody."""
    with psycopg.connect(crm_url) as connection:
        ids = {
            table: one(connection, f"SELECT id FROM crm.{table} WHERE organization_id = %s LIMIT 1", B)
            for table in TABLES
            if table not in {"system_config", "lead_audit_log", "lead_status_history", "lead_assignments"}
        }
        accounts = "SELECT account_id FROM crm.budget_transactions WHERE organization_id = %s"
        account = one(connection, accounts, B)
    unknown = "00000000-0000-0000-0000-0000000000ee"
    for foreign in (VICTIM, unknown):  # the same answers, whether it exists or not
        answers = [
            sqlstate(tenant, f"INSERT INTO crm.dnc_list (organization_id, reason, lead_id) VALUES ('{A}',"
                             f" 'other', '{foreign}')"),
            sqlstate(tenant, f"SELECT crm.erase_lead('{foreign}')"),
            sqlstate(tenant, f"SELECT crm.assign_lead('{foreign}')"),
            sqlstate(tenant, f"SELECT crm.calculate_lead_score('{foreign}')"),
        ]  # fmt: skip
        assert answers == ["23503", "P0002", "P0002", "P0002"], foreign
    lead = add(tenant, "leads", id=ids["leads"])
    sequence = add(tenant, "nurture_sequences", id=ids["nurture_sequences"])
    add(tenant, "lead_sequence_enrollments", id=ids["lead_sequence_enrollments"], lead_id=lead, sequence_id=sequence)
    add(tenant, "dnc_list", id=ids["dnc_list"])
    add(tenant, "lead_source_costs", id=ids["lead_source_costs"], source="another")
    add(tenant, "segments", id=ids["segments"])
    add(tenant, "budget_transactions", id=ids["budget_transactions"], account_id=account)
    unique = tenant.execute(
        "SELECT c.relname FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_class AS t ON t.oid ="
        " i.indrelid WHERE t.relnamespace = 'crm'::regnamespace AND t.relkind = 'r' AND NOT"
        " t.relispartition AND i.indisunique"
        " AND NOT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = t.oid AND a.attnum = ANY (i.indkey)"
        " AND a.attname = 'organization_id')"
    ).fetchall()
    # Written by administrators alone, so no tenant feels for a key.
    assert {row[0] for row in unique} == {
        "dnc_reasons_pkey", "feed_source_pkey", "status_mapping_pkey", "status_rank_pkey", "source_status_pkey",
        "feed_position_pkey", "fx_rate_pkey", "lead_source_alias_pkey",
    }, "a key without the organization"  # fmt: skip


def test_rows_are_deleted_by_the_function_alone(tenant: Connection, crm_url: str) -> None:
    kinds = {"segment": "segments", "sequence": "nurture_sequences", "source_cost": "lead_source_costs"}
    with psycopg.connect(crm_url) as connection:
        foreign = {kind: one(connection, f"SELECT id FROM crm.{table} WHERE organization_id = %s", B)
                   for kind, table in kinds.items()}  # fmt: skip
    for kind, table in kinds.items():
        row = add(tenant, table, **({"source": "mine"} if table == "lead_source_costs" else {}))
        assert sqlstate(tenant, f"DELETE FROM crm.{table} WHERE id = %s", row) == "42501"
        assert one(tenant, "SELECT crm.delete_row(%s, %s)", kind, str(row)) is True
        assert one(tenant, "SELECT crm.delete_row(%s, %s)", kind, str(row)) is False
        assert one(tenant, "SELECT crm.delete_row(%s, %s)", kind, str(foreign[kind])) is False
    add(tenant, "system_config", key="mine")
    assert one(tenant, "SELECT crm.delete_row('setting', 'mine')") is True
    assert one(tenant, "SELECT crm.delete_row('setting', 'dnc.hash_key')") is False
    private = add(tenant, "segments", name="of another user", is_public=False)
    assert one(tenant, "SELECT crm.delete_row('segment', %s)", str(private)) is True
    assert sqlstate(tenant, "SELECT crm.delete_row('lead', %s)", VICTIM) == "22023"


def test_the_rest_of_the_database_is_closed_to_a_tenant(tenant: Connection) -> None:
    """The vendors' tables, the history, the archive: no table beyond crm, and of crm what the views and tables show."""
    readable = tenant.execute(
        "SELECT n.nspname || '.' || c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname !~ '^(pg_|information_schema)'"
        " AND has_schema_privilege(n.oid, 'USAGE') AND CASE c.relkind WHEN 'S' THEN"
        " has_sequence_privilege(c.oid, 'USAGE')"
        " ELSE has_any_column_privilege(c.oid, 'SELECT, INSERT, UPDATE') END"
    ).fetchall()
    assert {row[0] for row in readable} == {
        *(f"crm.{table}" for table in (*TABLES, *IMPORTS, *FEED_TABLES, *SEQUENCES)), "crm.lead_field_origin",
        "crm.active_leads", "crm.organization_member", "crm.dnc_reasons", "crm.account_balances",
    }  # fmt: skip


def test_statistics_and_other_peoples_work_tell_no_value(crm_url: str, tenant: Connection) -> None:
    with psycopg.connect(crm_url, autocommit=True) as connection:
        connection.execute("ANALYZE crm.leads")
    assert one(tenant, "SELECT count(*) FROM pg_stats WHERE schemaname = 'crm'") == 0
    assert sqlstate(tenant, "SELECT * FROM pg_statistic") == "42501"
    with session(crm_url, role=None) as other:
        other.execute("SELECT 'a secret of another'")
        seen = tenant.execute("SELECT string_agg(query, ' ') FROM pg_stat_activity").fetchone()
        assert "a secret" not in str(seen)


def test_a_leaky_function_sees_no_row_of_another(crm_url: str, tenant: Connection) -> None:
    """Cheap and not leakproof: the planner would call it first, were it not for the policy's barrier."""
    attempt(
        tenant,
        """CREATE FUNCTION pg_temp.leak(pg_catalog.text) RETURNS bool COST 0.0001 LANGUAGE plpgsql AS $$ BEGIN
             RAISE NOTICE 'saw %', $1; RETURN true; END $$""",
        """CREATE OPERATOR pg_temp.### (LEFTARG = pg_catalog.text, RIGHTARG = pg_catalog.text, FUNCTION = texteq)""",
    )
    seen: list[str] = []
    tenant.add_notice_handler(lambda said: seen.append(said.message_primary or ""))
    tenant.execute("SELECT count(*) FROM crm.leads WHERE pg_temp.leak(last_name)")
    tenant.execute("SELECT count(*) FROM crm.active_leads WHERE pg_temp.leak(last_name)")
    tenant.execute("SELECT count(*) FROM crm.dnc_list WHERE pg_temp.leak(phone)")
    assert seen
    assert not any("Secret" in line or SECRET in line for line in seen)
    for query in (
        "SELECT count(*) FROM crm.leads WHERE 1 / (length(last_name) - 6) > 0",  # divides by zero for Secret
        f"SELECT count(*) FROM crm.leads WHERE id = '{VICTIM}' AND last_name::int > 0",
    ):
        assert sqlstate(tenant, query) == "accepted", "an error would tell the value of another's row"


@pytest.mark.parametrize(
    "filter_",
    [
        '{"field": "last_name", "op": "eq", "value": "Secret"}',
        '{"or": [{"field": "last_name", "op": "eq", "value": "Secret"},'
        ' {"field": "phone", "op": "is_null", "value": false}]}',
        '{"not": {"and": [{"field": "status", "op": "eq", "value": "x"}]}}',
        '{"field": "source_metadata", "key": "x\' OR true --", "op": "is_null", "value": true}',
    ],
)  # fmt: skip
def test_no_filter_finds_a_lead_of_another(tenant: Connection, filter_: str) -> None:
    assert one(tenant, "SELECT count(*) FROM crm.list_leads(%s, 1000) WHERE organization_id <> %s", filter_, A) == 0
    found = tenant.execute("SELECT * FROM crm.evaluate_filter(%s)", [filter_]).fetchall()
    assert VICTIM not in {str(row[0]) for row in found}


GUESSES = [
    ("leads", "phone = ANY ('{{{}}}')", SECRET, "+13105550112"),
    ("leads", "phone = '{}'", SECRET, "+13105550112"),
    ("leads", "last_name = ANY ('{{{}}}')", "Secret", "Secrex"),
    ("leads", "deleted_at IS NULL AND last_name = '{}'", "Secret", "Secrex"),
    ("leads", "last_name = '{}'", "Secret", "Secrex"),
    ("leads", "last_name COLLATE \"C\" >= ANY (ARRAY['{}'])", "Sec", "Sed"),
    ("leads", "email = '{}'", "b@example.com", "c@example.com"),
    ("leads", "id = ANY ('{{{}}}'::uuid[])", VICTIM, "00000000-0000-0000-00bb-000000000002"),
    ("dnc_list", "phone = ANY ('{{{}}}')", SECRET, "+13105550112"),
    ("dnc_list", "reason = '{}'", "litigator", "deceased"),
    ("lead_sequence_enrollments", "lead_id = '{}'", VICTIM, "00000000-0000-0000-00bb-000000000002"),
    ("segments", "created_by = ANY ('{{{}}}'::uuid[])", OTHER_USER, "00000000-0000-0000-0000-0000000000ee"),
]
"""A table, a leakproof condition, a value that a row of B alone has, and one that nobody has."""


@pytest.fixture(scope="module")
def felt_for(crm_url: str) -> None:
    with psycopg.connect(crm_url) as connection:
        add(connection, "dnc_list", organization_id=B, phone="+13105550119", reason="litigator")
        add(connection, "segments", organization_id=B, created_by=OTHER_USER)
        sequence = one(connection, "SELECT id FROM crm.nurture_sequences WHERE organization_id = %s LIMIT 1", B)
        add(connection, "lead_sequence_enrollments", organization_id=B, lead_id=VICTIM, sequence_id=sequence)


@pytest.mark.parametrize("setting", ["seqscan,indexscan,indexonlyscan", "bitmapscan,indexscan,indexonlyscan",
                                     "seqscan,bitmapscan"])  # fmt: skip
@pytest.mark.parametrize(("table", "condition", "of_the_victim", "of_nobody"), GUESSES)
@pytest.mark.usefixtures("felt_for")
def test_no_condition_of_the_callers_goes_before_the_policy(
    url_of_a_reader: str, table: str, condition: str, of_the_victim: str, of_nobody: str, setting: str
) -> None:
    """What it let through could be felt for: by an error of the policy, its executions, the rows that it removed."""
    with acting(url_of_a_reader) as connection:
        for kind in setting.split(","):
            connection.execute(f"SET enable_{kind} = off")
        seen = []
        for value in (of_the_victim, of_nobody):
            query = f"SELECT 1 FROM crm.{table} WHERE {condition.format(value)}"
            plan = connection.execute(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) {query}")
            # How many deleted rows an index has is nobody's secret, and changes between two looks.
            lines = [str(row[0]).replace(value, "?") for row in plan]
            seen.append([line for line in lines if "Heap Fetches" not in line])
            assert connection.execute(query.encode()).fetchall() == []
            scans = "SELECT pg_stat_get_xact_numscans('crm.organization_member'::regclass)"
            before = one(connection, scans)
            connection.execute(query.encode())
            seen[-1].append(str(one(connection, scans) - before))
        assert seen[0] == seen[1]
        for wrong in ("x", "00000000-0000-0000-0000-0000000000zz"):
            connection.execute("SELECT set_config('app.organization_id', %s, false)", [wrong])
            assert connection.execute(f"SELECT 1 FROM crm.{table} WHERE {condition.format(of_the_victim)}"
                                      ).fetchall() == []  # fmt: skip


def test_no_setting_of_a_poolers_makes_a_policy_fail(crm_url: str) -> None:
    """An error of the policy would say that a row was looked at."""
    with login(crm_url, user=None) as url, acting(url) as connection:
        for name in ("app.user_id", "app.client_ip", "app.organization_id"):
            connection.execute("SELECT set_config(%s, 'x', false)", [name])
            assert sqlstate(connection, "SELECT FROM crm.leads WHERE email IS NULL") == "accepted", name


@pytest.mark.parametrize("role", ["crm_app", "crm_read"])
def test_no_row_is_asked_by_its_place(crm_url: str, role: str) -> None:
    """Whether a column of one row of B is null would be told: IS NULL costs nothing, so it goes before any policy."""
    with login(crm_url, role=role) as url, acting(url) as connection:
        for table in (*TABLES, *IMPORTS, *SEQUENCES, "organization_member", "dnc_reasons"):
            for column in ("ctid", "xmin", "tableoid"):
                assert sqlstate(connection, f"SELECT {column} FROM crm.{table}") == "42501", (table, column)
            assert sqlstate(connection, f"SELECT * FROM crm.{table}") == "accepted"
            assert sqlstate(connection, f"SELECT count(*), max(t::text) FROM crm.{table} AS t") == "accepted"
            for mode in ("ACCESS SHARE", "ROW SHARE", "ROW EXCLUSIVE"):
                assert sqlstate(connection, f"LOCK TABLE crm.{table} IN {mode} MODE NOWAIT") == "42501", (table, mode)


def test_a_change_past_the_policies_logs_each_organizations_own_values(crm_url: str) -> None:
    """Ids are unique within an organization only; a superuser who names one touches the leads of two."""
    with session(crm_url, role=None, organization=None) as connection:
        shared = "00000000-0000-0000-00aa-000000000077"
        for organization, name in ((A, "of A"), (B, "of B")):
            add(connection, "leads", id=shared, organization_id=organization, last_name=name, owner_id=USER)
        connection.execute("UPDATE crm.leads SET last_name = last_name || '!', status = 'contacted', owner_id = %s"
                           " WHERE id = %s", [OTHER_USER, shared])  # fmt: skip
        logged = connection.execute(
            "SELECT organization_id::text, old_value, new_value FROM crm.lead_audit_log"
            " WHERE lead_id = %s AND action = 'update' AND field_name = 'last_name'", [shared]
        ).fetchall()  # fmt: skip
        assert sorted(logged) == [(A, "of A", "of A!"), (B, "of B", "of B!")]
        for table in ("lead_status_history WHERE from_status IS NOT NULL AND", "lead_assignments WHERE from_user_id IS"
                      " NOT NULL AND"):  # fmt: skip
            assert one(connection, f"SELECT count(*) FROM crm.{table} lead_id = %s", shared) == 2
        # Which of the two is not guessed, and the one that is chosen is the only one that is changed.
        assert sqlstate(connection, "SELECT crm.calculate_lead_score(%s)", shared) == "P0003"
        connection.execute("SELECT set_config('app.organization_id', %s, true)", [A])
        connection.execute("SELECT crm.calculate_lead_score(%s)", [shared])
        scored = "SELECT organization_id::text FROM crm.leads WHERE id = %s AND lead_score > 0"
        assert connection.execute(scored.encode(), [shared]).fetchall() == [(A,)]
        add(connection, "system_config", key="assignment.users", value=f'["{USER}"]')
        connection.execute("SELECT crm.assign_lead(%s)", [shared])
        given = "SELECT organization_id::text FROM crm.leads WHERE id = %s AND owner_id = %s"
        assert connection.execute(given.encode(), [shared, USER]).fetchall() == [(A,)]


def test_a_sequence_that_leads_went_through_stays(tenant: Connection) -> None:
    """It took its enrollments and their logs with it, without a trace."""
    sequence = add(tenant, "nurture_sequences")
    add(tenant, "lead_sequence_enrollments", lead_id=add(tenant, "leads"), sequence_id=sequence)
    assert sqlstate(tenant, "SELECT crm.delete_row('sequence', %s)", str(sequence)) == "23503"


def test_the_application_writes_no_score_history_and_no_author(crm_url: str, tenant: Connection) -> None:
    lead = add(tenant, "leads", phone="+12065550195")
    assert sqlstate(tenant, "INSERT INTO crm.lead_score_history (organization_id, lead_id, score, factors,"
                    " model_version) VALUES (%s, %s, 1, '{}', 'x')", A, lead) == "42501"  # fmt: skip
    tenant.execute("SELECT crm.calculate_lead_score(%s)", [lead])
    assert one(tenant, "SELECT count(*) FROM crm.lead_score_history WHERE lead_id = %s", lead) == 1
    with login(crm_url, user=None) as url, acting(url) as connection:
        entry = add(connection, "dnc_list", phone="+12065550196", created_by=OTHER_USER)
        assert one(connection, "SELECT created_by FROM crm.dnc_list WHERE id = %s", entry) is None
        connection.rollback()


@pytest.mark.slow("a schema that is migrated again")
def test_the_schema_public_is_for_those_who_have_something_there(empty_url: str) -> None:
    """With USAGE any login locks a table that it may not read: CREATE RULE waits for the lock before it asks."""
    with psycopg.connect(empty_url, autocommit=True) as connection:
        name = f"reader_{psycopg.conninfo.conninfo_to_dict(empty_url)['dbname']}"
        connection.execute(f"CREATE ROLE {name}")
        try:
            connection.execute("CREATE TABLE public.numbers (n int, m int)")
            connection.execute(f"GRANT SELECT (n) ON public.numbers TO {name}")
            migrate(empty_url)
            usage = "SELECT has_schema_privilege(%s, 'public', 'USAGE')"
            assert [one(connection, usage, role) for role in ("public", "crm_app", "crm_read", name)] == [
                False, False, False, True,
            ]  # fmt: skip
            with login(empty_url) as url, acting(url) as tenant:
                rule = "CREATE RULE r AS ON INSERT TO public.numbers DO NOTHING"
                with psycopg.connect(empty_url) as reader:
                    reader.execute("SELECT FROM public.numbers")
                    tenant.execute("SET lock_timeout = 1000")
                    assert attempt(tenant, rule, "PREPARE p AS SELECT FROM public.numbers") == ["42501"] * 2
            assert migrate(empty_url) == []
            connection.execute("GRANT USAGE ON SCHEMA public TO PUBLIC")
            connection.execute("GRANT SELECT ON public.numbers TO PUBLIC")
            migrate(empty_url)
            assert one(connection, usage, "public") is True
        finally:
            connection.execute(f"DROP OWNED BY {name}")
            connection.execute(f"DROP ROLE {name}")
