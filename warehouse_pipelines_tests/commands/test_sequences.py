"""``warehouse sequences``: what it prints, and what it keeps to itself."""

import re
from collections.abc import Iterator

import click.testing
import pytest

from warehouse_pipelines.commands import cli
from warehouse_pipelines_tests.harness.crm_database import A
from warehouse_pipelines_tests.harness.sequence_rows import CALL, EMAIL, KEY, SequenceRows


@pytest.fixture
def rows(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SequenceRows]:
    monkeypatch.setenv("WAREHOUSE_DATABASE_URL", database_url)
    monkeypatch.setenv("WAREHOUSE_UNSUBSCRIBE_KEY", KEY)
    monkeypatch.setenv("CRM_ORGANIZATION_ID", A)
    made = SequenceRows(database_url)
    yield made
    made.connection.close()


def warehouse(*words: str, code: int = 0) -> str:
    done = click.testing.CliRunner().invoke(cli.main, ["sequences", *words])
    assert done.exit_code == code, done.output
    return done.output


def test_a_run_keeps_messages_and_says_so(rows: SequenceRows) -> None:
    enrollment = rows.enrolled(EMAIL)
    said = warehouse("run")
    assert "1 kept in the outbox." in said
    assert "not sent" in said
    assert rows.message(enrollment)["status"] == "recorded"
    assert re.search(r"Welcome\W+1\W+0\W+0\W+1\W+0", warehouse("list"))


def test_what_is_open_is_listed_without_names_and_decided(rows: SequenceRows) -> None:
    """A task has no hours, so the test has none either."""
    task = {**CALL, "channel": "task"}
    enrollment = rows.enrolled(task, {**EMAIL, "body": "{{ lead.division }}"}, email="ada@people.example")
    warehouse("run")
    key = str(rows.message(enrollment)["id"])
    said = warehouse("messages")
    assert key in said
    assert "ada" not in said.lower()
    assert "ada@people.example" in warehouse("messages", "--text")
    assert warehouse("settle", key, "done", "--result", "visited") == "The enrollment is active.\n"
    assert "a value is missing" in warehouse("run", code=3)
    assert "parked" in warehouse("messages")
    assert "settle" in warehouse("resume", str(enrollment), code=2)
    assert "There is no message" in warehouse("settle", str(enrollment), "skip", code=2)
    assert warehouse("settle", str(rows.message(enrollment, 1)["id"]), "skip") == "The enrollment is active.\n"
    warehouse("run")
    assert warehouse("messages") == warehouse("outbox") == "There are none.\n"


def test_many_that_are_parked_for_one_reason_are_decided_at_once(rows: SequenceRows) -> None:
    parked = [rows.enrolled({**EMAIL, "body": "{{ lead.division }}"}) for _ in range(2)]
    warehouse("run", code=3)
    assert "one message, or --all and --problem" in warehouse("settle", "--all", "skip", code=2)
    assert "one message, or --all" in warehouse(
        "settle", str(rows.message(parked[0])["id"]), "--problem", "x", "skip", code=2
    )
    assert "the outcome is one of" in warehouse("settle", str(rows.message(parked[0])["id"]), code=2)
    assert "not a valid UUID" in warehouse("settle", "x", "skip", code=2)
    assert warehouse("settle", "--all", "--problem", "refused", "skip") == "No parked message has this problem.\n"
    assert warehouse("settle", "--all", "--problem", "A value is missing", "skip") == "Enrollments: 2 active.\n"


def test_without_a_key_it_says_what_to_set(rows: SequenceRows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WAREHOUSE_UNSUBSCRIBE_KEY")
    assert "WAREHOUSE_UNSUBSCRIBE_KEY" in warehouse("run", code=2)
