"""What became of deliveries is counted by the hour in the warehouse, and outlives ``serve``."""

from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from warehouse_pipelines import warehouse
from warehouse_pipelines.commands import cli
from warehouse_pipelines.loading import retention
from warehouse_pipelines.serving import outcomes
from warehouse_pipelines_tests.harness.serving import Serving, contact_event, events, hubspot, serving
from warehouse_pipelines_tests.harness.source_harness import looking
from warehouse_pipelines_tests.harness.subprocesses import eventually


@pytest.fixture
def serve(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    monkeypatch.setattr(outcomes, "EVERY_SECONDS", 0.05)
    with serving(database_url) as found:
        yield found


def counted(url: str) -> dict[tuple[str, str], int]:
    rows: list[dict[str, Any]] = (
        looking(url)
        .execute("SELECT source, outcome, sum(deliveries)::int AS n FROM orchestration.webhook_outcome GROUP BY 1, 2")
        .fetchall()
    )
    return {(row["source"], row["outcome"]): row["n"] for row in rows}


def test_every_answer_is_counted_by_source_and_reason(serve: Serving) -> None:
    body = events(contact_event(1))
    for _ in range(3):
        assert serve.post("hubspot", body, **hubspot(body)) == 200
    assert serve.post("hubspot", body) == 401
    assert serve.post("callrail", b"{}") == 401
    assert serve.post("hubspot", b"x" * 1_000_001) == 413
    assert serve.post("nobody") == 404
    expected = {
        ("hubspot", "accepted"): 1, ("hubspot", "duplicate"): 2, ("hubspot", "refused"): 1, ("callrail", "refused"): 1,
        ("hubspot", "too large"): 1, ("unknown", "not found"): 1,
    }  # fmt: skip
    eventually(lambda: counted(serve.url) == expected, "the counts are written")
    [hours] = (
        looking(serve.url).execute("SELECT count(DISTINCT hour) AS n FROM orchestration.webhook_outcome").fetchall()
    )
    assert hours["n"] <= 2


def test_the_counts_outlive_the_program(database_url: str) -> None:
    """It writes down what is left when it ends, and adds to what is there when it begins again."""
    for _ in range(2):
        with serving(database_url) as serve:
            assert serve.post("arrivy", b"{}") == 401
    assert counted(database_url) == {("arrivy", "refused"): 2}


def test_counts_wait_while_the_database_is_away(serve: Serving) -> None:
    body = events(contact_event(1))
    connection = looking(serve.url)
    connection.execute("ALTER TABLE orchestration.webhook_outcome RENAME TO away")
    connection.execute("ALTER TABLE orchestration.webhook_inbox RENAME TO inbox_away")
    try:
        assert serve.post("hubspot", body, **hubspot(body)) == 503
        assert serve.post("hubspot", body) == 401
    finally:
        connection.execute("ALTER TABLE orchestration.away RENAME TO webhook_outcome")
        connection.execute("ALTER TABLE orchestration.inbox_away RENAME TO webhook_inbox")
    expected = {("hubspot", "away"): 1, ("hubspot", "refused"): 1}
    eventually(lambda: counted(serve.url) == expected, "the counts are written")


def test_status_names_what_was_refused_today(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_DATABASE_URL", database_url)
    monkeypatch.setenv("CALLRAIL_API_KEY", "a key")
    looking(database_url).execute(
        "INSERT INTO orchestration.webhook_outcome SELECT source, date_trunc('hour', now()) - age, outcome, n, now()"
        " FROM (VALUES ('hubspot', interval '0', 'refused', 1200), ('hubspot', interval '2 hours', 'refused', 34),"
        " ('hubspot', interval '2 days', 'refused', 5), ('hubspot', interval '0', 'accepted', 9),"
        " ('callrail', interval '1 hour', 'too many', 7)) AS v (source, age, outcome, n)"
    )
    answer = CliRunner().invoke(cli.main, ["status"])
    assert "Webhooks refused within 24 h: callrail 7 too many, hubspot 1,234 refused." in answer.output


def test_old_counts_are_forgotten(database_url: str) -> None:
    looking(database_url).execute(
        "INSERT INTO orchestration.webhook_outcome"
        " SELECT 'hubspot', date_trunc('hour', now()) - age, 'refused', 1, now()"
        " FROM (VALUES (interval '399 days'), (interval '401 days')) AS v (age)"
    )
    with warehouse.session(database_url) as session:
        [done] = retention.run(session, [], only=["webhook_outcomes"])
    assert (done.removed, done.problem) == (1, None)
    assert counted(database_url) == {("hubspot", "refused"): 1}
