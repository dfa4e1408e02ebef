"""``dead-letters``: listed without the person, shown with it, waived by name."""

import json
from getpass import getuser

import psycopg
import pytest

from warehouse_pipelines.loading import entity_lock, lease
from warehouse_pipelines_tests.harness.command_line import rows, warehouse

LETTERS = """
    INSERT INTO orchestration.dead_letter (sync_history_id, crm_source, sync_type, record_key, stage, rule,
        error_message, payload)
    VALUES (1, 'callrail', 'calls', 'CAL1', 'coerce', 'number', 'not a number', '{"customer_name": "Zoe Planted"}'),
        (1, 'callrail', 'calls', 'CAL2', 'coerce', 'number', 'not a number', '{"customer_name": "Zoe Planted"}'),
        (1, 'callrail', 'tags', 'TAG1', 'load', '22003', 'out of range', '{}')
"""


def test_a_replay_asks_no_vendor_for_anything_and_goes_on_after_a_run_that_failed(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CallRail and HubSpot have no settings here, and somebody else loads CallRail's calls."""
    monkeypatch.setattr(lease, "LOCK_SECONDS", 0.2)
    for name in ("CALLRAIL_API_KEY", "HUBSPOT_ACCESS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(LETTERS)
        connection.execute(
            "INSERT INTO orchestration.dead_letter (sync_history_id, crm_source, sync_type, record_key, stage, rule,"
            " error_message, payload) VALUES (1, 'hubspot', 'contacts', '7', 'coerce', 'number', 'not a number',"
            """ '{"id": "7", "properties": {"email": "a@example.test"}}')"""
        )
        connection.execute("UPDATE orchestration.dead_letter SET payload = '{\"id\": 5}' WHERE record_key = 'TAG1'")
        connection.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [entity_lock.key("callrail", "calls")])
        done = warehouse("replay")
    assert done.exit_code == 1, done.output
    assert "callrail calls failed: callrail calls is being synced by another run" in done.stdout
    statement = "SELECT sync_type, status, count(*) FROM orchestration.dead_letter GROUP BY 1, 2 ORDER BY 1"
    assert rows(database_url, statement) == [
        ("calls", "pending", 2),
        ("contacts", "resolved", 1),
        ("tags", "resolved", 1),
    ]
    assert rows(database_url, "SELECT id FROM callrail_tag") == [("5",)]


def test_dead_letters_are_listed_without_the_person_shown_with_it_and_waived_by_name(database_url: str) -> None:
    assert warehouse("dead-letters", "list").stdout == "There are none.\n"
    with psycopg.connect(database_url) as connection:
        connection.execute(LETTERS)
    for form in ("text", "json"):
        listed = warehouse("dead-letters", "list", "--crm", "callrail", "--format", form)
        assert listed.exit_code == 0, listed.output
        assert "number" in listed.stdout
        for personal in ("Planted", "CAL1"):
            assert personal not in listed.stdout
    assert len(json.loads(listed.stdout)) == 2
    ((first,), *_) = rows(database_url, "SELECT id FROM orchestration.dead_letter ORDER BY id")
    shown = warehouse("dead-letters", "show", str(first))
    assert "Zoe Planted" in shown.stdout
    assert "PERSONAL DATA" in warehouse("dead-letters", "show", "--help").stdout
    assert warehouse("dead-letters", "waive", str(first)).exit_code == 2, "not without a reason"
    assert warehouse("dead-letters", "waive", "--reason", "all of them").exit_code == 2
    assert warehouse("dead-letters", "waive", str(first), "--reason", " ").exit_code == 2
    assert warehouse("dead-letters", "waive", str(first), "--reason", "a test", "--by", "ann").stdout == "Waived 1.\n"
    again = warehouse("dead-letters", "waive", str(first), "--reason", "a test")
    assert (again.exit_code, "Not pending, or not there" in again.stderr) == (2, True)
    many = warehouse("dead-letters", "waive", "--crm", "callrail", "--rule", "number", "--reason", "tests")
    assert many.stdout == "Waived 1.\n", many.output
    assert rows(database_url, "SELECT status, waived_by, waive_reason FROM orchestration.dead_letter ORDER BY id") == [
        ("waived", "ann", "a test"), ("waived", getuser(), "tests"), ("pending", None, None),
    ]  # fmt: skip
    assert "22003" not in warehouse("dead-letters", "list", "--status", "waived").stdout
    assert "Pending in the dead letters: 1;" in warehouse("status").output
