"""Who may do what in the schema ``pipedesk``: three roles of ``user_roles`` and nobody, in owned and mirrored rows."""

import uuid
from collections.abc import Iterator

import psycopg
import pytest

from warehouse_pipelines.schema.verify import verify
from warehouse_pipelines_tests.harness.crm_database import A, B, Connection, one, sqlstate
from warehouse_pipelines_tests.harness.pipedesk_rows import add, with_references

ACCEPTED, REFUSED = "accepted", "42501"
USERS = {role: str(uuid.UUID(int=number)) for number, role in enumerate(("sales", "manager", "admin", "nobody"), 200)}
OTHER = str(uuid.UUID(int=999))
MAY = {
    "sales": {"read", "write"},
    "manager": {"read", "write", "delete"},
    "admin": {"read", "write", "delete", "admin"},
    "nobody": set(),
}
RECORDS = ("leads", "companies", "contacts", "master_deals")
GOOGLE = {"drive_files": "file_id", "google_drive_folders": "folder_id"}


@pytest.fixture(params=["owned", "mirrored"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def connection(shared_url: str, mode: str) -> Iterator[Connection]:
    """A transaction that is undone, with a row of each kind; the roles come from PipeDesk where it is mirrored."""
    hash_ = 1 if mode == "mirrored" else None
    with psycopg.connect(shared_url) as connection:
        with_references(connection)
        for role, user in USERS.items():
            add(connection, "users", id=user, sync_hash=hash_)
            if role != "nobody":
                add(connection, "user_roles", user_id=user, role=role, sync_hash=hash_)
        for table in RECORDS:
            add(connection, table, id=B, sync_hash=hash_)
        for table, key in GOOGLE.items():
            add(connection, table, **{key: "f"}, sync_hash=hash_)
        add(connection, "lead_contacts", lead_id=A, contact_id=A, sync_hash=hash_)
        add(connection, "lead_tags", lead_id=A, tag_id=A, sync_hash=hash_)
        add(connection, "lead_statuses", id=B, sync_hash=hash_)
        yield connection
        connection.rollback()


def act(connection: Connection, user: str | None) -> None:
    """Go on as an application that acts for this user."""
    connection.execute("SELECT set_config('pipedesk.user_id', %s, true)", [user or ""])
    connection.execute("SET LOCAL ROLE pipedesk_app")


def touched(connection: Connection, statement: str, *values: object) -> bool:
    """Whether a statement is allowed and reaches a row; it is undone."""
    try:
        with connection.transaction(force_rollback=True):
            return connection.execute(statement, values or None).rowcount > 0
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.NoDataFound):
        return False


@pytest.mark.parametrize("role", MAY)
def test_rbac_matrix(connection: Connection, mode: str, role: str) -> None:
    """Reading, writing, deleting and administrating; a mirrored row is nobody's to change, whatever the role."""
    may, owned = MAY[role], mode == "owned"
    act(connection, USERS[role])
    for table in (*RECORDS, "lead_contacts", "lead_tags", "tags", "users", "user_roles", "lead_statuses",
                  "lead_origins", "drive_files", "google_drive_folders", "drive_structure_templates"):  # fmt: skip
        if table != "lead_origins":
            found = connection.execute(f"SELECT count(*) > 0 FROM pipedesk.{table}").fetchone()
            assert found == ("read" in may,), table
    for table in RECORDS:
        name = {"leads": "legal_name", "master_deals": "client_name"}.get(table, "name")
        assert touched(connection, f"UPDATE pipedesk.{table} SET {name} = 'x' WHERE id = %s", B) == (
            "write" in may and owned
        ), table
        assert touched(connection, f"INSERT INTO pipedesk.{table} ({name}) VALUES ('x')") == ("write" in may), table
        assert touched(connection, f"UPDATE pipedesk.{table} SET deleted_at = now() WHERE id = %s", B) == (
            "delete" in may and owned
        ), table
        assert not touched(connection, f"DELETE FROM pipedesk.{table} WHERE id = %s", B), table
        assert touched(connection, "SELECT pipedesk.soft_delete(%s, %s, %s)", table, B, USERS[role]) == (
            "delete" in may and owned
        ), table
    for table, key in GOOGLE.items():
        assert touched(connection, f"UPDATE pipedesk.{table} SET deleted_at = now() WHERE {key} = 'f'") == (
            "delete" in may and owned
        ), table
    for table in ("lead_contacts", "lead_tags"):
        assert touched(connection, f"DELETE FROM pipedesk.{table}") == ("write" in may and owned), table
    assert touched(connection, "UPDATE pipedesk.lead_statuses SET label = 'x' WHERE id = %s", B) == (
        "admin" in may and owned
    )
    assert touched(connection, "INSERT INTO pipedesk.user_roles (user_id, role) VALUES (%s, 'admin')", OTHER) == (
        "admin" in may
    )
    assert touched(connection, "UPDATE pipedesk.user_roles SET role = 'admin' WHERE user_id = %s", USERS[role]) == (
        "admin" in may and owned
    )
    assert touched(connection, "DELETE FROM pipedesk.user_roles") == ("admin" in may and owned)
    assert touched(connection, "INSERT INTO pipedesk.drive_structure_templates (name, entity_type) VALUES ('x', 'lead')"
                   ) == ("admin" in may)  # fmt: skip


@pytest.mark.parametrize("mode", ["owned"], indirect=True)
@pytest.mark.parametrize("role", MAY)
def test_who_may_write_qualifies_and_who_may_delete_restores(connection: Connection, role: str) -> None:
    may, user = MAY[role], USERS[role]
    act(connection, user)
    qualify = "SELECT pipedesk.qualify_lead(%s, '{}', %s)"
    wanted = ACCEPTED if "write" in may else "P0002"
    assert sqlstate(connection, qualify, B, user) == wanted
    if "write" in may:
        one(connection, qualify, B, user)
        assert one(connection, qualify, B, user)["company_id"] is not None, "again it changes nothing"
        assert one(connection, "SELECT count(*) FROM pipedesk.sales_view WHERE id = %s", B) == 0
        assert sqlstate(connection, qualify, A, OTHER) == REFUSED, "for another user"
    logged = one(connection, "SELECT count(*) FROM pipedesk.audit_logs")
    assert logged == (1 if "delete" in may else 0)
    connection.execute("RESET ROLE")
    connection.execute("UPDATE pipedesk.leads SET deleted_at = now() WHERE id = %s", [A])
    act(connection, user)
    restore = sqlstate(connection, "SELECT pipedesk.restore('leads', %s, %s)", A, user)
    assert restore == (ACCEPTED if "delete" in may else "P0002" if not may else REFUSED)
    assert touched(connection, "UPDATE pipedesk.leads SET deleted_at = NULL WHERE id = %s", A) == ("delete" in may)


@pytest.mark.parametrize("mode", ["owned"], indirect=True)
def test_who_acts_cannot_be_feigned(connection: Connection) -> None:
    """Neither in the row nor in the log; and nothing of the sync is an application's to write."""
    act(connection, USERS["manager"])
    connection.execute("SET LOCAL pipedesk.acting_user = 'somebody else'")
    connection.execute("UPDATE pipedesk.leads SET deleted_at = now(), deleted_by = 'somebody else' WHERE id = %s", [B])
    assert one(connection, "SELECT deleted_by FROM pipedesk.leads WHERE id = %s", B) == USERS["manager"]
    assert one(connection, "SELECT acted_by FROM pipedesk.audit_logs") == USERS["manager"]
    for statement in (
        "UPDATE pipedesk.leads SET sync_hash = 1", "UPDATE pipedesk.leads SET raw_data = '{}'",
        "UPDATE pipedesk.leads SET id = gen_random_uuid()", "INSERT INTO pipedesk.leads (sync_hash) VALUES (1)",
        "INSERT INTO pipedesk.audit_logs (action, source_table, source_key) VALUES ('restore', 'x', 'x')",
        "DELETE FROM pipedesk.audit_logs", "TABLE pipedesk.calendar_sync_states", "TABLE pipedesk.drive_change_logs",
        "TABLE crm.leads", "TABLE hubspot_contact", "TABLE identity.person", "CREATE TABLE pipedesk.mine (id int)",
        "SET LOCAL session_replication_role = replica", "ALTER TABLE pipedesk.leads DISABLE TRIGGER touch",
        "INSERT INTO pipedesk.drive_files (file_id) VALUES ('g')", "UPDATE pipedesk.drive_files SET name = 'x'",
    ):  # fmt: skip
        assert sqlstate(connection, statement) in (REFUSED, "42P01"), statement


@pytest.mark.parametrize("mode", ["owned"], indirect=True)
@pytest.mark.parametrize("setting", ["", "no uuid", "'; DROP TABLE pipedesk.leads; --", USERS["nobody"]])
def test_without_a_user_or_a_role_nothing_is_seen(connection: Connection, setting: str) -> None:
    act(connection, setting)
    for relation in ("leads", "leads_v", "sales_view", "leads_active", "primary_contacts", "user_roles", "audit_logs"):
        assert one(connection, f"SELECT count(*) FROM pipedesk.{relation}") == 0, relation


@pytest.mark.parametrize("mode", ["owned"], indirect=True)
def test_a_role_that_ended_counts_no_more(connection: Connection) -> None:
    """Nor does a role that PipeDesk has and this schema does not know."""
    ask = "SELECT pipedesk.may('write')"
    for what in (
        "UPDATE pipedesk.user_roles SET deleted_at = now() WHERE role = 'admin'",
        "UPDATE pipedesk.users SET archived = true",
        "DELETE FROM pipedesk.user_roles",
    ):
        with connection.transaction(force_rollback=True):
            act(connection, USERS["admin"])
            assert one(connection, ask) is True
            connection.execute("RESET ROLE")
            connection.execute(what.encode())
            act(connection, USERS["admin"])
            assert one(connection, ask) is False, what
    add(connection, "user_roles", user_id=USERS["nobody"], role="owner", sync_hash=1)
    act(connection, USERS["nobody"])
    assert one(connection, ask) is False
    assert one(connection, "SELECT pipedesk.may('everything')") is False


@pytest.mark.parametrize("mode", ["owned"], indirect=True)
def test_policies_bind_applications_alone(connection: Connection) -> None:
    """A reader, and a user that loads without owning the tables, see and write what they were granted."""
    connection.execute("CREATE ROLE pipedesk_test_loader NOLOGIN")
    connection.execute("GRANT USAGE ON SCHEMA pipedesk TO pipedesk_test_loader")
    connection.execute("GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA pipedesk TO pipedesk_test_loader")
    connection.execute("SET LOCAL ROLE warehouse_read")
    assert one(connection, "SELECT count(*) FROM pipedesk.leads") == 2
    assert one(connection, "SELECT count(*) FROM pipedesk.sales_view") == 2
    connection.execute("SET LOCAL ROLE pipedesk_test_loader")
    assert touched(connection, "UPDATE pipedesk.leads SET legal_name = 'x'")
    assert touched(connection, "INSERT INTO pipedesk.leads (sync_hash) VALUES (1)")


def test_every_table_has_row_level_security(shared_url: str) -> None:
    with psycopg.connect(shared_url) as connection:
        without = one(connection, "SELECT count(*) FROM pg_class WHERE relnamespace='pipedesk'::regnamespace"
                      " AND relkind='r' AND NOT relrowsecurity")  # fmt: skip
    assert without == 0


DRIFT = {
    "DROP TRIGGER touch ON pipedesk.leads": "pipedesk.leads has no trigger touch, or it is off",
    "ALTER TABLE pipedesk.tags ENABLE TRIGGER keep_owned": "pipedesk.tags has no trigger keep_owned, or it is off",
    "ALTER TABLE pipedesk.leads DISABLE ROW LEVEL SECURITY": "pipedesk.leads has no row-level security",
    "DROP FUNCTION pipedesk.qualify_lead": "there is no function pipedesk.qualify_lead(uuid,jsonb,uuid)",
    "DROP VIEW pipedesk.sales_view CASCADE": "there is no view pipedesk.sales_view",
    "ALTER TABLE pipedesk.leads DROP CONSTRAINT leads_owner_user_id_fkey": (
        "pipedesk.leads has 4 foreign keys instead of 5"
    ),
    "DROP INDEX pipedesk.idx_leads_updated_at": "index pipedesk.leads.idx_leads_updated_at is missing or otherwise",
}


def test_what_is_missing_of_the_schema_is_named(database_url: str) -> None:
    assert verify(database_url) == []
    with psycopg.connect(database_url) as connection:
        for statement in DRIFT:
            connection.execute(statement)
    assert sorted(verify(database_url, ("pipedesk",))) == sorted(DRIFT.values())
