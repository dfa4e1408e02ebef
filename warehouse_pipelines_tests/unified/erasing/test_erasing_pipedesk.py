"""Erasing and exporting who stands in PipeDesk's tables: rows that were made here, mirrored rows, the audit log."""

from typing import Any

import psycopg
import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.unified.erasing import erasure, export
from warehouse_pipelines.unified.identity import resolve
from warehouse_pipelines_tests.harness.crm_database import A, B, Connection, one
from warehouse_pipelines_tests.harness.pipedesk_rows import add, mirror

EMAIL, USER = "ada@example.test", "00000000-0000-0000-0000-0000000000ff"
LONG_AGO = "2020-01-01 00:00:00+00"


def erase(url: str) -> erasure.Certificate:
    with warehouse.session(url) as session:
        return erasure.erase(session, "email", EMAIL, [], erased_by="test")


def lead_and_contact(connection: Connection, **values: Any) -> None:
    add(connection, "leads", id=A, legal_name="Ada Ltd", last_interaction_at=LONG_AGO, **values)
    add(connection, "contacts", id=A, name="Ada", email=EMAIL, **values)
    add(connection, "lead_contacts", lead_id=A, contact_id=A, **values)


@pytest.mark.parametrize("text", ["her husband is ill", f"asked us, see {EMAIL}"])
@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_why_a_row_was_deleted_is_erased(database_url: str, text: str) -> None:
    """In the row and in the log; that it was deleted, when and by whom stays, and so does that it was made here."""
    with psycopg.connect(database_url) as connection:
        lead_and_contact(connection)
        add(connection, "contacts", id=B, name="Bo")
        for key in (A, B):
            one(connection, "SELECT pipedesk.soft_delete('contacts', %s, %s, %s)", key, USER, "her husband is ill")
        one(connection, "SELECT pipedesk.soft_delete('leads', %s, %s, %s)", A, USER, text)
    done = erase(database_url)
    assert {part.table for part in done.parts} >= {"pipedesk.contacts", "pipedesk.leads", "pipedesk.audit_logs"}
    with psycopg.connect(database_url) as connection:
        logged = connection.execute(
            "SELECT source_table, source_key, acted_by, reason FROM pipedesk.audit_logs ORDER BY 1, 2"
        )
        assert logged.fetchall() == [
            ("pipedesk.contacts", A, USER, None), ("pipedesk.contacts", B, USER, "her husband is ill"),
            ("pipedesk.leads", A, USER, None),
        ]  # fmt: skip
        for table in ("contacts", "leads"):
            cursor = connection.execute(f"SELECT * FROM pipedesk.{table} WHERE id = %s", [A])
            assert cursor.description is not None
            row = dict(zip([column.name for column in cursor.description], cursor.fetchone() or (), strict=True))
            assert (row["archived"], row["delete_reason"], row["sync_hash"]) == (True, None, None)
            assert "Ada" not in str(row)
        assert one(connection, "SELECT last_interaction_at FROM pipedesk.leads WHERE id = %s", A).year == 2020


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_the_log_of_a_person_is_in_the_export(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        lead_and_contact(connection)
        one(connection, "SELECT pipedesk.soft_delete('leads', %s, %s, %s)", A, USER, "her husband is ill")
    with warehouse.session(database_url) as session:
        resolve.run(session)
        person = session.execute(
            "SELECT person_id FROM identity.member WHERE source_table = 'pipedesk.contacts'"
        ).fetchone()
        assert person is not None
        (logged,) = export.person(session, "email", EMAIL, [person["person_id"]])["deleted_and_restored"]
    assert (logged["source_table"], logged["reason"]) == ("pipedesk.leads", "her husband is ill")


def test_a_mirrored_row_that_was_erased_is_still_the_syncs(database_url: str) -> None:
    """It stays erased when PipeDesk still has the record, and is no row of ours, which the sync would leave."""
    contact = {"id": A, "name": "Ada", "email": EMAIL}
    mirror(database_url, "contacts", contact, {"id": B, "name": "Bo"})
    assert "pipedesk.contacts" in {part.table for part in erase(database_url).parts}
    result = mirror(database_url, "contacts", contact, {"id": B, "name": "Bob"})
    assert (result.status, result.failed, result.updated) == ("success", 0, 1)
    with psycopg.connect(database_url) as connection:
        found = connection.execute("SELECT name, sync_hash, archived FROM pipedesk.contacts ORDER BY id").fetchall()
        assert found[0] == (None, 0, False)
        assert found[1][0] == "Bob"
    result = mirror(database_url, "contacts", {"id": B, "name": "Bob"})
    assert result.deleted == 1, "what PipeDesk has no more is a tombstone, erased or not"


def test_an_address_in_a_mirrored_row_of_another_is_replaced_and_read_again(database_url: str) -> None:
    mirror(database_url, "contacts", {"id": A, "name": "Ada", "email": EMAIL})
    lead = {"id": B, "legal_name": "Bo Ltd", "disqualification_reason": f"knows {EMAIL}"}
    mirror(database_url, "leads", lead)
    erase(database_url)
    with psycopg.connect(database_url) as connection:
        assert EMAIL not in str(connection.execute("SELECT * FROM pipedesk.leads").fetchall())
    result = mirror(database_url, "leads", {**lead, "legal_name": "Bo Limited"})
    assert (result.status, result.failed, result.updated) == ("success", 0, 1)
