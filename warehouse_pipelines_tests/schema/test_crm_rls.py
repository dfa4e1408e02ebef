"""Row-level security: what each role sees and writes of two organizations, in all twelve tables."""

import uuid
from collections.abc import Iterator

import psycopg
import pytest

from warehouse_pipelines_tests.harness.crm_database import (
    OTHER_USER,
    TABLES,
    USER,
    A,
    B,
    Connection,
    add,
    one,
    populate,
    references,
    session,
    sqlstate,
)

ROLES = ("crm_owner", "crm_app", "crm_read")
APPEND_ONLY = {"budget_transactions", "dnc_list"}
WRITTEN_BY_TRIGGERS = {"lead_audit_log", "lead_status_history", "lead_assignments", "lead_score_history"}


def allowed(role: str, table: str, verb: str) -> bool:
    """Whether the role may do this to rows of its own organization, by design."""
    if verb == "select":
        return True
    if table == "budget_transactions" and verb in {"update", "delete"}:
        return False
    if role == "crm_app":
        return verb != "delete" and table not in WRITTEN_BY_TRIGGERS and (table not in APPEND_ONLY or verb == "insert")
    return role == "crm_owner" and (table, verb) != ("dnc_list", "delete")


@pytest.fixture(scope="module")
def crm_url(shared_url: str) -> str:
    """Both organizations have a row in every table."""
    with psycopg.connect(shared_url) as connection:
        for organization in (A, B):
            populate(connection, organization)
    return shared_url


@pytest.fixture
def superuser(crm_url: str) -> Iterator[Connection]:
    with session(crm_url, role=None, organization=None, user=None) as connection:
        yield connection


CHANGED = {
    "leads": "division", "dnc_list": "evidence", "lead_source_costs": "amount", "nurture_sequences": "is_active",
    "lead_sequence_enrollments": "stop_reason", "segments": "is_public", "system_config": "value",
}  # fmt: skip
"""A column that the application may change, where there is one."""

STATEMENTS = {
    "select": "SELECT count(*) FROM crm.{table} WHERE organization_id = %s",
    "update": "UPDATE crm.{table} SET {column} = {column} WHERE organization_id = %s",
    "delete": "DELETE FROM crm.{table} WHERE organization_id = %s",
}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("table", TABLES)
def test_rls_two_orgs_all_tables(crm_url: str, role: str, table: str) -> None:
    """Nothing of the other organization is seen, changed or deleted; of the own what the role may."""
    for verb, template in STATEMENTS.items():
        statement = template.format(table=table, column=CHANGED.get(table, "organization_id"))
        for organization, other in ((A, B), (B, A)):
            with session(crm_url, role=role, organization=organization) as connection:
                if not allowed(role, table, verb):
                    assert sqlstate(connection, statement, organization) == "42501"
                    continue
                own = connection.execute(statement, [organization])
                assert (own.fetchone()[0] if verb == "select" else own.rowcount) > 0  # type: ignore[index]
                foreign = connection.execute(statement, [other])
                assert (foreign.fetchone()[0] if verb == "select" else foreign.rowcount) == 0  # type: ignore[index]
                if verb == "select":
                    everything = connection.execute(f"SELECT DISTINCT organization_id FROM crm.{table}")
                    assert [str(row[0]) for row in everything] == [organization]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("table", TABLES)
def test_rls_with_check(crm_url: str, role: str, table: str) -> None:
    """No row is written into, or moved to, another organization."""
    with session(crm_url, role=None, organization=None) as connection:
        given = {organization: references(connection, table, organization) for organization in (A, B)}
        connection.commit()
        for organization in (A, B):
            connection.execute(f"SET LOCAL ROLE {role}")
            connection.execute("SELECT set_config('app.organization_id', %s, true)", [A])
            key = {"key": str(uuid.uuid4())} if table == "system_config" else {}
            key |= {"source": str(uuid.uuid4())} if table == "lead_source_costs" else {}
            state = "accepted"
            try:
                add(connection, table, organization_id=organization, **given[organization], **key)
            except psycopg.Error as error:
                state = error.sqlstate or ""
            assert state == ("accepted" if organization == A and allowed(role, table, "insert") else "42501")
            connection.rollback()
    with session(crm_url, role=role) as connection:
        moved = sqlstate(connection, f"UPDATE crm.{table} SET organization_id = %s", B)
        assert moved in ({"42501", "23514", "23503"} if allowed(role, table, "update") else {"42501"})


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("table", TABLES)
def test_without_an_organization_there_are_no_rows(crm_url: str, role: str, table: str) -> None:
    """Nor for a setting that was never made, nor for one that a transaction left behind, which is empty then."""
    with psycopg.connect(crm_url) as connection:
        connection.execute(f"SET ROLE {role}")
        assert one(connection, f"SELECT count(*) FROM crm.{table}") == 0
        connection.execute("SELECT set_config('app.organization_id', %s, true)", [A])
        assert one(connection, f"SELECT count(*) FROM crm.{table}") > 0
        connection.commit()
        assert one(connection, "SELECT current_setting('app.organization_id', true)") == ""
        assert one(connection, f"SELECT count(*) FROM crm.{table}") == 0


@pytest.mark.parametrize("role", ROLES)
def test_a_setting_that_is_no_organization_is_none(crm_url: str, role: str) -> None:
    """No error, which would tell that a row was looked at."""
    for wrong in ("' OR true --", A[:-1], f"{A}0"):
        with session(crm_url, role=role, organization=wrong) as connection:
            assert one(connection, "SELECT count(*) FROM crm.leads") == 0


@pytest.mark.parametrize("view", ["active_leads", "account_balances"])
def test_views_respect_rls(crm_url: str, superuser: Connection, view: str) -> None:
    """A view shows the rows of the organization that asks, although its owner may see all."""
    assert one(superuser, f"SELECT count(DISTINCT organization_id) FROM crm.{view}") == 2
    assert one(superuser, "SELECT count(*) FROM pg_class WHERE relnamespace = 'crm'::regnamespace AND relkind = 'v'"
               " AND NOT coalesce(reloptions::text LIKE '%security_invoker=true%', false)") == 0  # fmt: skip
    for role in ROLES:
        with session(crm_url, role=role, organization=B) as connection:
            found = connection.execute(f"SELECT DISTINCT organization_id FROM crm.{view}").fetchall()
            assert [str(row[0]) for row in found] == [B]
        with session(crm_url, role=role, organization=None) as connection:
            assert one(connection, f"SELECT count(*) FROM crm.{view}") == 0


@pytest.mark.parametrize("role", ROLES)
def test_partitions_and_the_archive_are_closed(crm_url: str, superuser: Connection, role: str) -> None:
    partitions = superuser.execute(
        "SELECT c.oid::regclass::text FROM pg_class c WHERE c.relispartition AND c.relkind = 'r'"
        " AND c.relnamespace = 'crm'::regnamespace"
    ).fetchall()
    assert len(partitions) >= 10
    with session(crm_url, role=role) as connection:
        for (partition,) in partitions:
            if role == "crm_owner":
                assert one(connection, f"SELECT count(*) FROM {partition}") == 0
            else:
                assert sqlstate(connection, f"SELECT FROM {partition}") == "42501"


def test_a_private_segment_is_its_creators(crm_url: str) -> None:
    with session(crm_url) as connection:
        private = add(connection, "segments", name="mine", is_public=False)
        query = "SELECT count(*) FROM crm.segments WHERE id = %s"
        assert one(connection, query, private) == 1
        connection.execute("SELECT set_config('app.user_id', %s, true)", [OTHER_USER])
        assert one(connection, query, private) == 0
        assert sqlstate(connection, "SELECT crm.evaluate_segment(%s)", private) == "P0002"
        assert sqlstate(connection, "UPDATE crm.segments SET is_public = false, created_by = %s", USER) == "42501"


def test_the_key_of_erased_numbers_is_hidden(crm_url: str) -> None:
    with psycopg.connect(crm_url) as connection:
        connection.execute("INSERT INTO crm.system_config VALUES (%s, 'dnc.hash_key', '\"00\"')", [A])
        for role in ROLES:
            connection.execute(f"SET LOCAL ROLE {role}")
            connection.execute("SELECT set_config('app.organization_id', %s, true)", [A])
            assert one(connection, "SELECT count(*) FROM crm.system_config WHERE key = 'dnc.hash_key'") == 0
            if role == "crm_app":
                assert sqlstate(connection, "UPDATE crm.system_config SET key = 'dnc.hash_key'") == "42501"
                for key in ("dnc.hash_key",):
                    insert = "INSERT INTO crm.system_config (organization_id, key, value) VALUES (%s, %s, '1')"
                    assert sqlstate(connection, insert, A, key) == "42501"
            connection.execute("RESET ROLE")
        connection.rollback()


def test_no_role_is_exempt(superuser: Connection) -> None:
    """Of the four, none bypasses row-level security; a table added later is found too."""
    assert (
        superuser.execute(
            "SELECT rolname FROM pg_roles WHERE rolname LIKE 'crm\\_%' AND (rolsuper OR rolbypassrls OR rolcanlogin)"
        ).fetchall()
        == []
    )
    assert (
        superuser.execute(
            "SELECT relname FROM pg_class WHERE relnamespace IN ('crm'::regnamespace, 'crm_archive'::regnamespace)"
            " AND relkind IN ('r', 'p') AND NOT (relrowsecurity AND relforcerowsecurity)"
        ).fetchall()
        == []
    )
    assert (
        superuser.execute(
            "SELECT c.relname FROM pg_class c WHERE relnamespace = 'crm'::regnamespace AND relkind IN ('r', 'p')"
            " AND NOT relispartition AND (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid"
            " AND p.polqual IS NOT NULL AND p.polwithcheck IS NOT NULL AND p.polroles = '{0}') <> 1"
        ).fetchall()
        == []
    )


def test_definer_functions_are_fixed(superuser: Connection) -> None:
    """Their search_path is set, PUBLIC may run nothing, and crm_definer owns those that see past policies."""
    found = superuser.execute(
        "SELECT proname, proconfig::text, pg_get_userbyid(proowner) FROM pg_proc"
        " WHERE pronamespace = 'crm'::regnamespace AND prosecdef"
    ).fetchall()
    assert {name for name, *_ in found} == {
        "is_on_dnc_list", "erase_lead", "evaluate_filter", "list_leads", "record_new_leads", "record_changed_leads",
        "record_deleted_leads", "session_context", "ensure_partitions", "archive_partitions", "end_dnc_entry",
        "delete_row", "is_address_listed", "calculate_lead_score", "erase_dnc_numbers", "keep_dnc_address",
        "leads_of_person", "add_person_to_dnc_list",
    }  # fmt: skip
    for name, config, owner in found:
        assert "search_path=pg_catalog, pg_temp" in config, name
        own = name.endswith("_partitions") or name in {"end_dnc_entry", "delete_row"}
        assert owner == ("crm_owner" if own else "crm_definer"), name
    assert (
        superuser.execute(
            "SELECT proname FROM pg_proc WHERE pronamespace = 'crm'::regnamespace"
            " AND has_function_privilege('public', oid, 'execute')"
        ).fetchall()
        == []
    )
    assert one(superuser, "SELECT pg_has_role('crm_app', 'crm_definer', 'member') OR"
               " pg_has_role('crm_app', 'crm_owner', 'member')") is False  # fmt: skip


@pytest.mark.parametrize("function", ["ensure_partitions()", "archive_partitions()"])
@pytest.mark.parametrize("role", ["crm_app", "crm_read"])
def test_maintenance_is_not_the_applications(crm_url: str, role: str, function: str) -> None:
    with session(crm_url, role=role) as connection:
        assert sqlstate(connection, f"SELECT * FROM crm.{function}") == "42501"


def test_the_functions_of_a_reader_work(crm_url: str) -> None:
    with session(crm_url, role="crm_read") as connection:
        assert one(connection, "SELECT crm.is_on_dnc_list('+12065550166', %s)", A) is True
        assert one(connection, "SELECT count(*) FROM crm.list_leads()") > 0
        assert one(connection, "SELECT sum(entries) FROM crm.funnel()") > 0
        assert one(connection, "SELECT sum(spend_usd) FROM crm.source_roi()") == 10
        lead = one(connection, "SELECT id FROM crm.leads LIMIT 1")
        assert sqlstate(connection, "SELECT crm.erase_lead(%s)", lead) == "42501"
        assert sqlstate(connection, "SELECT crm.calculate_lead_score(%s)", lead) == "42501"


def test_a_child_cannot_point_at_another_organizations_lead(superuser: Connection) -> None:
    """Not even when a superuser writes it, whom no policy binds."""
    foreign = add(superuser, "leads", organization_id=B)
    sequence = add(superuser, "nurture_sequences", organization_id=B, name="of B")
    own = add(superuser, "leads")
    for table in ("lead_status_history", "lead_assignments", "lead_score_history", "dnc_list"):
        with pytest.raises(psycopg.errors.ForeignKeyViolation), superuser.transaction():
            add(superuser, table, lead_id=foreign)
    with pytest.raises(psycopg.errors.ForeignKeyViolation), superuser.transaction():
        add(superuser, "lead_sequence_enrollments", lead_id=own, sequence_id=sequence)
    segment = add(superuser, "segments", organization_id=B)
    with pytest.raises(psycopg.errors.ForeignKeyViolation), superuser.transaction():
        add(superuser, "nurture_sequences", name="x", segment_id=segment)
