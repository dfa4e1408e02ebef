"""PipeDesk as a program of ours: what moves with an edit, qualifying, deleting; in owned rows and in mirrored ones."""

import threading
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from warehouse_pipelines_tests.harness.crm_database import A, B, Connection, one, sqlstate
from warehouse_pipelines_tests.harness.pipedesk_rows import MIRRORED, add, mirror, with_references

C, USER = str(uuid.UUID(int=12)), str(uuid.UUID(int=77))
LONG_AGO = "2020-01-01 00:00:00+00"
ACCEPTED, REFUSED = "accepted", "42501"


@pytest.fixture
def connection(shared_url: str) -> Iterator[Connection]:
    """A transaction that is undone."""
    with psycopg.connect(shared_url) as connection:
        yield connection
        connection.rollback()


def row(connection: Connection, table: str, key: str = A, column: str = "id") -> dict[str, Any]:
    cursor = connection.execute(f"SELECT * FROM pipedesk.{table} WHERE {column}::text = %s", [key])
    assert cursor.description is not None
    return dict(zip([found.name for found in cursor.description], cursor.fetchone() or (), strict=True))


def lead(connection: Connection, **values: Any) -> None:
    """Add a lead that was last touched long ago, with what its fields may refer to."""
    for table in ("users", "lead_statuses", "lead_origins", "companies", "master_deals"):
        add(connection, table, id=A, **({"code": "QUALIFIED"} if table == "lead_statuses" else {}))
    add(
        connection, "leads",
        **{"id": A, "legal_name": "Alfa", "last_interaction_at": LONG_AGO, "updated_at": LONG_AGO, **values},
    )  # fmt: skip


def change(connection: Connection, what: str, table: str = "leads", key: str = A) -> None:
    connection.execute(f"UPDATE pipedesk.{table} SET {what} WHERE id = %s", [key])


TRACKED = {
    "owner_user_id": A, "lead_status_id": A, "lead_origin_id": A, "legal_name": "Beta", "trade_name": "Beta",
    "priority_score": "7", "qualified_company_id": A, "qualified_master_deal_id": A, "address_city": "Porto",
    "address_state": "SP",
}  # fmt: skip


@pytest.mark.parametrize("field", TRACKED)
def test_tracked_field_updates_interaction(connection: Connection, field: str) -> None:
    """Each of the ten fields of an owned lead; the same value again is no change."""
    lead(connection)
    before = row(connection, "leads")
    change(connection, f"{field} = '{TRACKED[field]}'")
    after = row(connection, "leads")
    assert after["last_interaction_at"] > before["last_interaction_at"]
    assert after["updated_at"] > before["updated_at"]
    change(connection, f"{field} = '{TRACKED[field]}'")
    assert row(connection, "leads")["last_interaction_at"] == after["last_interaction_at"]


@pytest.mark.parametrize("field", ["legal_name", "lead_status_id"])
@pytest.mark.slow("a schema that is migrated again")
def test_a_mirrored_lead_has_the_times_of_pipedesk(database_url: str, field: str) -> None:
    """Whatever changes in it: a load neither moves its times nor those of its statistics."""
    told = {"id": A, "legal_name": "Alfa", "updated_at": LONG_AGO, "last_interaction_at": LONG_AGO}
    mirror(database_url, "leads", told)
    mirror(database_url, "lead_activity_stats", {"lead_id": A, "last_interaction_at": LONG_AGO})
    assert mirror(database_url, "leads", {**told, field: TRACKED[field]}).updated == 1
    with psycopg.connect(database_url) as connection:
        found = row(connection, "leads")
        assert str(found[field]) == TRACKED[field]
        assert {str(found[name])[:10] for name in ("updated_at", "last_interaction_at")} == {"2020-01-01"}
        assert str(row(connection, "lead_activity_stats", column="lead_id")["last_interaction_at"])[:10] == "2020-01-01"


def test_explicit_interaction_wins(connection: Connection) -> None:
    lead(connection)
    change(connection, "legal_name = 'Beta', last_interaction_at = '2025-06-01 12:00:00+00'")
    assert str(row(connection, "leads")["last_interaction_at"])[:10] == "2025-06-01"


def test_untracked_field_no_touch(connection: Connection) -> None:
    """An edit of another field is no interaction; it moves updated_at all the same."""
    lead(connection)
    change(connection, "disqualification_reason = 'no budget', disqualified_at = now()")
    after = row(connection, "leads")
    assert str(after["last_interaction_at"])[:4] == "2020"
    assert str(after["updated_at"])[:4] != "2020"


def test_stats_follow_lead(connection: Connection) -> None:
    """Owned statistics do, mirrored ones are PipeDesk's; a lead without any has none made."""
    lead(connection)
    change(connection, "legal_name = 'Beta'")
    assert one(connection, "SELECT count(*) FROM pipedesk.lead_activity_stats") == 0
    add(connection, "lead_activity_stats", lead_id=A)
    change(connection, "legal_name = 'Gamma'")
    stats = row(connection, "lead_activity_stats", column="lead_id")
    assert stats["last_interaction_at"] == row(connection, "leads")["last_interaction_at"]
    connection.execute("DELETE FROM pipedesk.lead_activity_stats")
    add(connection, "lead_activity_stats", lead_id=A, sync_hash=1, last_interaction_at=LONG_AGO)
    change(connection, "legal_name = 'Delta'")
    assert str(row(connection, "lead_activity_stats", column="lead_id")["last_interaction_at"])[:4] == "2020"


TIMED = {
    "leads": "legal_name = 'x'", "companies": "name = 'x'", "contacts": "name = 'x'",
    "master_deals": "client_name = 'x'",
    "lead_activity_stats": "total_emails = 9", "calendar_sync_states": "calendar_id = 'x'",
    "drive_webhook_channels": "resource_id = 'x'",
}  # fmt: skip


@pytest.mark.parametrize("table", TIMED)
def test_updated_at_moves_on_raw_sql(connection: Connection, table: str) -> None:
    """Twice within a transaction; a statement that sets it is believed, as that of a program that knows better."""
    with_references(connection)
    add(connection, table)
    for what in (TIMED[table], TIMED[table]):
        before = one(connection, f"SELECT updated_at FROM pipedesk.{table}")
        connection.execute(f"UPDATE pipedesk.{table} SET {what}")
        assert one(connection, f"SELECT updated_at FROM pipedesk.{table}") > before
    connection.execute(f"UPDATE pipedesk.{table} SET updated_at = '{LONG_AGO}'")
    assert str(one(connection, f"SELECT updated_at FROM pipedesk.{table}"))[:4] == "2020"


def test_every_table_with_updated_at_moves_it_but_where_the_clock_is_googles(connection: Connection) -> None:
    """Only newer wins among the events of Google: with our time upon it the next news would count as old."""
    found = connection.execute("""
        SELECT c.relname FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'updated_at'
        WHERE c.relnamespace = 'pipedesk'::regnamespace AND c.relkind = 'r' AND NOT a.attisdropped
        """).fetchall()
    assert {name for (name,) in found} == {*TIMED, "calendar_events", "calendar_events_archive"}
    add(connection, "calendar_events", updated_at=LONG_AGO)
    connection.execute("UPDATE pipedesk.calendar_events SET summary = 'x'")
    assert str(one(connection, "SELECT updated_at FROM pipedesk.calendar_events"))[:4] == "2020"


@pytest.mark.parametrize("table", MIRRORED)
def test_identity_feed_and_marts_see_an_edit_of_an_owned_row(connection: Connection, table: str) -> None:
    """They look for rows by sync_updated_at, which only a load would move else."""
    with_references(connection)
    add(connection, table, sync_updated_at=LONG_AGO)
    connection.execute(f"UPDATE pipedesk.{table} SET raw_data = raw_data")
    assert one(connection, f"SELECT bool_and(sync_updated_at = now()) FROM pipedesk.{table}"
               f" WHERE sync_updated_at <> '{LONG_AGO}' HAVING count(*) > 0") is True  # fmt: skip


PIPEDESKS = sorted({*MIRRORED} - {"calendar_events", "drive_files", "google_drive_folders"})


@pytest.mark.parametrize("table", PIPEDESKS)
def test_nobody_but_the_sync_changes_a_mirrored_row(connection: Connection, table: str) -> None:
    with_references(connection)
    with connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute(f"DELETE FROM pipedesk.{table}")
        add(connection, table, sync_hash=1)
        change = f"UPDATE pipedesk.{table} SET raw_data = '{{\"a\": 1}}'"
        assert sqlstate(connection, change) == ACCEPTED
        connection.execute("SET LOCAL session_replication_role = origin")
        assert sqlstate(connection, change) == REFUSED
        assert sqlstate(connection, f"UPDATE pipedesk.{table} SET sync_hash = NULL") == REFUSED
        assert sqlstate(connection, f"DELETE FROM pipedesk.{table}") == REFUSED
        connection.execute("SET LOCAL warehouse.erasing = 'on'")
        assert sqlstate(connection, change) == ACCEPTED


@pytest.mark.parametrize("forced", [False, True])
def test_the_sync_neither_overwrites_nor_tombstones_an_owned_row(database_url: str, forced: bool) -> None:
    """What PipeDesk has under the same key is a dead letter; the other records of the batch are loaded."""
    with psycopg.connect(database_url) as connection:
        add(connection, "tags", id=A, name="ours")
        add(connection, "tags", id=C, name="ours too")
    others = [{"id": str(uuid.UUID(int=100 + number)), "name": f"theirs {number}"} for number in range(9)]
    result = mirror(database_url, "tags", {"id": A, "name": "theirs"}, *others, force=forced)
    assert (result.status, result.created, result.failed) == ("partial", 9, 1)
    result = mirror(database_url, "tags", *others[1:], force=forced)
    assert (result.status, result.deleted) == ("success", 1)
    with psycopg.connect(database_url) as connection:
        ours = connection.execute("SELECT name, archived, sync_hash FROM pipedesk.tags WHERE id = ANY(%s) ORDER BY 1",
                                  [[A, C]])  # fmt: skip
        assert ours.fetchall() == [("ours", False, None), ("ours too", False, None)]
        assert one(connection, "SELECT error_message FROM orchestration.dead_letter").startswith(
            "PipeDesk has a record"
        )


def test_an_owned_role_takes_no_id_of_pipedesks(database_url: str) -> None:
    mirror(database_url, "user_roles", {"id": 1, "user_id": A, "role": "sales"})
    with psycopg.connect(database_url) as connection:
        assert [add(connection, "user_roles")["id"] for _ in range(2)] == [-1, -2]
    assert mirror(database_url, "user_roles", {"id": 1, "user_id": A, "role": "admin"}).updated == 1


def test_mirrored_rows_can_be_made_owned(database_url: str) -> None:
    """As docs/pipedesk-schema.md says; PipeDesk's records are dead letters then."""
    mirror(database_url, "leads", {"id": A, "legal_name": "theirs"})
    with psycopg.connect(database_url) as connection:
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute("UPDATE pipedesk.leads SET sync_hash = NULL, raw_data = '{}' WHERE sync_hash IS NOT NULL")
    with psycopg.connect(database_url) as connection:
        change(connection, "legal_name = 'ours'")
        assert row(connection, "leads")["last_interaction_at"] is not None
    assert mirror(database_url, "leads", {"id": A, "legal_name": "theirs"}).failed == 1


QUALIFY = "SELECT pipedesk.qualify_lead(%s, %s::jsonb, %s)"


def test_qualify_lead(connection: Connection) -> None:
    """It makes a company and a deal, hides the lead, gives its contacts the company, and is in the audit log."""
    lead(connection)
    add(connection, "contacts", id=A, name="Ada")
    add(connection, "contacts", id=B, name="Bo", company_id=A)
    add(connection, "lead_contacts", contact_id=A)
    add(connection, "lead_contacts", contact_id=B)
    made = one(connection, QUALIFY, A, '{"name": "Alfa Ltda", "cnpj": "12.345"}', USER)
    found = row(connection, "leads")
    company = row(connection, "companies", made["company_id"])
    deal = row(connection, "master_deals", made["master_deal_id"])
    assert (company["name"], company["cnpj"], deal["client_name"]) == ("Alfa Ltda", "12.345", "Alfa Ltda")
    assert (str(found["qualified_company_id"]), str(found["qualified_master_deal_id"])) == (
        made["company_id"], made["master_deal_id"],
    )  # fmt: skip
    assert deal["company_id"] == company["id"]
    assert found["qualified_at"] == found["deleted_at"] is not None
    assert (found["archived"], found["deleted_by"], found["delete_reason"]) == (True, USER, "qualified")
    assert str(found["lead_status_id"]) == A, "the status with the code QUALIFIED"
    assert row(connection, "contacts")["company_id"] == company["id"]
    assert str(row(connection, "contacts", B)["company_id"]) == A
    log = connection.execute("SELECT action, source_table, source_key, acted_by, details FROM pipedesk.audit_logs")
    assert log.fetchall() == [("qualify_lead", "pipedesk.leads", A, USER, made)]


def test_qualify_lead_idempotent(connection: Connection) -> None:
    """A second time it changes nothing and says the same; a lead that is unknown, deleted or mirrored is refused."""
    lead(connection)
    first = one(connection, QUALIFY, A, "{}", USER)
    before = row(connection, "leads")
    assert row(connection, "companies", first["company_id"])["name"] == "Alfa"
    assert one(connection, QUALIFY, A, '{"name": "Another"}', USER) == first
    assert row(connection, "leads") == before
    assert one(connection, "SELECT count(*) FROM pipedesk.audit_logs") == 1
    assert sqlstate(connection, QUALIFY, C, "{}", USER) == "P0002"
    add(connection, "leads", id=B, deleted_at=LONG_AGO)
    assert sqlstate(connection, QUALIFY, B, "{}", USER) == "55000"
    add(connection, "leads", id=C, sync_hash=1)
    assert sqlstate(connection, QUALIFY, C, "{}", USER) == REFUSED
    assert sqlstate(connection, QUALIFY, C, "[1]", USER) == "22023"


def test_a_company_and_a_deal_that_a_lead_has_are_kept(connection: Connection) -> None:
    lead(connection, qualified_company_id=A, qualified_master_deal_id=A)
    for nothing in ("null", None):
        with connection.transaction(force_rollback=True):
            assert one(connection, QUALIFY, A, nothing, None) == {"company_id": A, "master_deal_id": A}


def test_two_sessions_qualify_a_lead_once(database_url: str) -> None:
    with psycopg.connect(database_url) as first, psycopg.connect(database_url) as second:
        add(first, "leads", id=A, legal_name="Alfa")
        first.commit()
        made = [one(first, QUALIFY, A, "{}", USER)]
        thread = threading.Thread(target=lambda: made.append(one(second, QUALIFY, A, "{}", USER)))
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()
        first.commit()
        thread.join(30)
        second.commit()
        assert made[0] == made[1]
        assert one(first, "SELECT count(*) FROM pipedesk.companies") == 1
        assert one(first, "SELECT count(*) FROM pipedesk.audit_logs") == 1


@pytest.mark.parametrize("hash_", [None, 1], ids=["owned", "mirrored"])
def test_the_sales_view_shows_leads_that_sales_works_on(connection: Connection, hash_: int | None) -> None:
    """Neither deleted nor qualified, with the flagged contact, else the one that was added first."""
    lead(connection, sync_hash=hash_, owner_user_id=A, lead_status_id=A)
    add(connection, "leads", id=B, deleted_at=LONG_AGO, sync_hash=hash_)
    add(connection, "leads", id=C, qualified_at=LONG_AGO, sync_hash=hash_)
    shown = "SELECT id::text, title, status_code, primary_contact FROM pipedesk.sales_view"
    assert connection.execute(shown).fetchall() == [(A, "Alfa", "QUALIFIED", None)]
    for contact, day in ((A, 3), (B, 1), (C, 2)):
        add(connection, "contacts", id=contact, name=contact[-1], email=f"{day}@x.test", sync_hash=hash_)
        add(connection, "lead_contacts", contact_id=contact, added_at=f"2025-01-0{day}", sync_hash=hash_)
    primary = "SELECT primary_contact FROM pipedesk.sales_view"
    assert one(connection, primary) == {"id": B, "name": "b", "email": "1@x.test", "phone": None, "role": None}
    connection.execute("SET LOCAL session_replication_role = replica")
    connection.execute("UPDATE pipedesk.lead_contacts SET is_primary = true WHERE contact_id = %s", [A])
    assert one(connection, primary)["id"] == A
    connection.execute("UPDATE pipedesk.contacts SET archived = true, deleted_at = now() WHERE id = %s", [A])
    assert one(connection, primary)["id"] == B


SOFT = {
    "leads": ("id", A), "companies": ("id", A), "contacts": ("id", A), "master_deals": ("id", A),
    "google_drive_folders": ("folder_id", "f"), "drive_files": ("file_id", "f"),
}  # fmt: skip


@pytest.mark.parametrize("table", SOFT)
def test_soft_delete_and_restore(connection: Connection, table: str) -> None:
    """With who and why, seen by the view of what is active and by the audit log; each once."""
    column, key = SOFT[table]
    add(connection, table, **{column: key})
    active = f"SELECT count(*) FROM pipedesk.{table}_active"

    def call(function: str, why: str | None) -> Any:
        return one(connection, f"SELECT pipedesk.{function}(%s, %s, %s, %s)", table, key, USER, why)

    assert call("restore", None) is False
    assert one(connection, active) == 1
    assert call("soft_delete", "a duplicate") is True
    found = row(connection, table, key, column)
    assert (found["archived"], found["deleted_by"], found["delete_reason"]) == (True, USER, "a duplicate")
    assert found["deleted_at"] is not None
    assert one(connection, active) == 0
    assert call("soft_delete", "again") is False
    assert call("restore", "it was none") is True
    found = row(connection, table, key, column)
    assert (found["archived"], found["deleted_at"], found["deleted_by"], found["delete_reason"]) == (False, *[None] * 3)
    assert one(connection, active) == 1
    log = connection.execute("SELECT action, source_key, acted_by, reason FROM pipedesk.audit_logs ORDER BY id")
    assert log.fetchall() == [("soft_delete", key, USER, "a duplicate"), ("restore", key, USER, "it was none")]
    assert sqlstate(connection, "SELECT pipedesk.soft_delete(%s, %s, %s)", table, C, USER) == "P0002"


@pytest.mark.parametrize("table", SOFT)
def test_a_mirrored_row_is_deleted_at_its_vendor(connection: Connection, table: str) -> None:
    column, key = SOFT[table]
    add(connection, table, **{column: key}, sync_hash=1)
    add(connection, table, **{column: C}, sync_hash=1, archived=True, deleted_at=LONG_AGO)
    assert one(connection, f"SELECT count(*) FROM pipedesk.{table}_active") == 1
    for function, which in (("soft_delete", key), ("restore", C)):
        assert sqlstate(connection, f"SELECT pipedesk.{function}(%s, %s, %s)", table, which, USER) == REFUSED


def test_a_deletion_by_sql_is_marked_and_in_the_log(connection: Connection) -> None:
    """Whichever of the two columns is set; and what has no soft deletion, or was qualified, is refused."""
    lead(connection)
    change(connection, "deleted_at = now(), delete_reason = 'test', deleted_by = 'me'")
    assert row(connection, "leads")["archived"] is True
    change(connection, "archived = false")
    found = row(connection, "leads")
    assert (found["deleted_at"], found["delete_reason"], found["deleted_by"]) == (None, None, None)
    log = connection.execute("SELECT action, acted_by, reason FROM pipedesk.audit_logs ORDER BY id").fetchall()
    assert log == [("soft_delete", "me", "test"), ("restore", None, None)]
    one(connection, QUALIFY, A, "{}", USER)
    assert sqlstate(connection, "SELECT pipedesk.restore('leads', %s, %s)", A, USER) == "55000"
    for table in ("tags", "pg_class", "leads; DROP TABLE pipedesk.tags"):
        assert sqlstate(connection, "SELECT pipedesk.soft_delete(%s, %s, %s)", table, A, USER) == "22023"


@pytest.mark.parametrize("statement", ["UPDATE %s SET reason = 'x'", "DELETE FROM %s", "TRUNCATE %s"])
def test_the_audit_log_is_only_added_to(connection: Connection, statement: str) -> None:
    """Nobody changes it; an erasure empties a reason, and deletes nothing."""
    for role in ("origin", "replica"):
        connection.execute(f"SET LOCAL session_replication_role = {role}")
        assert sqlstate(connection, statement % "pipedesk.audit_logs") == REFUSED
    connection.execute("SET LOCAL warehouse.erasing = 'on'")
    wanted = ACCEPTED if statement.startswith("UPDATE") else REFUSED
    assert sqlstate(connection, statement % "pipedesk.audit_logs") == wanted
