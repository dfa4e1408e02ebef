"""``orchestration.source_table``, ``sync_metrics_daily`` and ``marts.data_quality``: what the operator looks at."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from warehouse_pipelines import queries, warehouse
from warehouse_pipelines.loading import sync_history
from warehouse_pipelines.observability.alerts import report, rules
from warehouse_pipelines.observability.alerts.rules import Circumstances
from warehouse_pipelines.schema import source_tables
from warehouse_pipelines.schema.migrate import engine
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines.unified.lead_rows import SIGNALS

Row = dict[str, Any]
CONTACTS = ("hubspot", "contacts")
GOOD = {
    "total_rows": 100, "living_rows": 97, "total_records": 80, "columns_filled": {"lead_id": 79, "email": 30},
    "total_api_calls": 30,
}  # fmt: skip


@pytest.fixture
def session(database_url: str) -> Any:
    with psycopg.connect(database_url, autocommit=True, row_factory=dict_row) as connection:
        yield connection


def one(session: Any, query: str, *parameters: Any) -> Row:
    row: Row = session.execute(query, parameters).fetchone()
    return row


def run(session: Any, start: Any, seconds: int, status: str = "success", **values: Any) -> None:
    given = {
        "crm_source": "hubspot", "sync_type": "contacts", "start_time": start, "status": status,
        "error_message": "no answer" if status == "failed" else None, **values,
    }  # fmt: skip
    given = {name: json.dumps(value) if isinstance(value, dict) else value for name, value in given.items()}
    names, places = ", ".join(given), ", ".join(f"%({name})s" for name in given)
    session.execute(
        f"INSERT INTO orchestration.sync_history ({names}, end_time)"
        f" VALUES ({places}, %(start_time)s::timestamptz + make_interval(secs => {seconds}))",
        given,
    )


def test_each_entity_has_its_table(session: Any, database_url: str) -> None:
    declared = {entity.table: (source.name, entity.name) for source in SOURCES for entity in source.entities}
    told = session.execute("SELECT * FROM orchestration.source_table").fetchall()
    assert {row["table_name"]: (row["crm_source"], row["sync_type"]) for row in told} == declared
    session.execute("UPDATE orchestration.source_table SET key_columns = '{x}' WHERE table_name = 'hubspot_contact'")
    session.execute("DELETE FROM orchestration.source_table WHERE table_name = 'hubspot_deal'")
    session.execute("INSERT INTO orchestration.source_table VALUES ('dropped', 'dropped', 'dropped', '{}', '1 hour')")
    with engine(database_url).begin() as connection:
        assert source_tables.align(connection, SOURCES) == ["tables of entities: 3 rows"]
        assert source_tables.align(connection, SOURCES) == []
    assert session.execute("SELECT * FROM orchestration.source_table ORDER BY 1").fetchall() == sorted(
        told, key=lambda row: str(row["table_name"])
    )


def test_runs_are_summed_up_by_day(session: Any) -> None:
    counted = {"records_processed": 10, "records_created": 7, "records_updated": 2, "records_failed": 1}
    run(session, "2026-03-01T23:59:59Z", 10, "partial", performance_metrics=GOOD, **counted)
    run(session, "2026-03-01T01:00:00Z", 20, performance_metrics={"total_api_calls": 60})
    run(session, "2026-03-01T02:00:00Z", 30, "failed")
    run(session, "2026-03-01T03:00:00Z", 5, configuration={"dry_run": True})
    run(session, "2026-03-01T03:00:00Z", 5, "failed", configuration={"mode": "refused"})
    run(session, "2026-03-02T00:00:00Z", 1)
    days = session.execute("SELECT * FROM marts.sync_metrics_daily ORDER BY day").fetchall()
    assert [(f"{row['day']:%m-%d}", row["runs"]) for row in days] == [("03-01", 3), ("03-02", 1)]
    row = days[0]
    assert [row[name] for name in ("succeeded", "partial", "failed", "cancelled")] == [1, 1, 1, 0]
    assert [row[name] for name in counted] == [*counted.values()]
    assert (row["error_rate"], row["average_seconds"], row["longest_seconds"]) == (Decimal("0.1"), 20, 30)
    assert (row["api_calls"], row["api_calls_per_minute"]) == (90, 90)
    assert days == session.execute("SELECT * FROM orchestration.sync_metrics_daily ORDER BY day").fetchall()


def quality(session: Any, table: str = "hubspot_contact") -> Row:
    return one(session, "SELECT * FROM marts.data_quality WHERE table_name = %s", table)


def test_a_table_that_was_never_read_is_stale(session: Any) -> None:
    assert one(session, "SELECT count(*) AS n FROM marts.data_quality WHERE stale AND total_rows IS NULL")["n"] == sum(
        len(source.entities) for source in SOURCES
    )


def test_what_a_table_lacks(session: Any) -> None:
    run(session, "now", 0, performance_metrics=GOOD, configuration={"mode": "full"})
    run(session, "now", 0, performance_metrics={**GOOD, "total_rows": 105, "columns_filled": {}, "total_records": 5},
        configuration={"mode": "delta"})  # fmt: skip
    run(session, "now", 0, "failed")
    row = quality(session)
    assert (row["total_rows"], row["archived_rows"], row["stale"]) == (105, 8, False)
    # Of the last complete read; a delta that brought five says nothing of the others.
    assert (row["key_nulls"]["lead_id"], row["key_nulls"]["email"]) == (1, 50)
    keys = one(session, "SELECT key_columns AS k FROM orchestration.source_table WHERE table_name = 'hubspot_contact'")
    assert row["key_nulls"].keys() == set(keys["k"])
    assert (row["dead_letters"], row["dead_letters_waived"], row["unmapped"]) == (0, 0, 0)


def test_a_run_of_long_ago_makes_a_table_stale(session: Any) -> None:
    run(session, "2026-03-01", 1, performance_metrics=GOOD, configuration={"mode": "full"})
    assert quality(session)["stale"]


@pytest.mark.parametrize(
    ("more", "loaded", "good"),
    [
        ({}, True, True),
        ({"mode": "full"}, True, True),
        ({"for_webhooks": True}, True, True),
        ({"narrowed": False, "max_records": 0}, True, True),
        ({"mode": "backfill"}, True, False),
        ({"mode": "webhook"}, False, False),
        ({"mode": "replay"}, False, False),
        ({"dry_run": True}, False, False),
        ({"max_records": 10}, False, False),
        ({"narrowed": True}, False, False),
    ],
    ids=str,
)
def test_whoever_asks_for_the_last_good_run_finds_the_same(
    session: Any, database_url: str, more: dict[str, Any], loaded: bool, good: bool
) -> None:
    """Freshness in the views, in /metrics, in the report, in alerts and for webhooks: each had its own idea of it."""
    asked = {"mode": "delta", "dry_run": False, **more}
    begun = one(session, "SELECT date_trunc('second', now() - interval '1 hour') AS at")["at"]
    run(session, begun - timedelta(days=3), 60, performance_metrics=GOOD, configuration={"mode": "delta"})
    run(session, begun, 60, "partial", performance_metrics={**GOOD, "partial_reason": "x"}, configuration=asked)
    run(session, "now", 0, "failed", configuration={"mode": "delta", "dry_run": False})
    for view, counts in (("loaded_run", loaded), ("good_run", good)):
        found = session.execute(f"SELECT start_time FROM orchestration.{view} ORDER BY id DESC").fetchall()
        assert (found[0]["start_time"] == begun) is counts, view
        assert len(found) == 1 + counts
    assert one(session, "SELECT orchestration.asks_for_news(%s::jsonb) AS it", json.dumps(asked))["it"] is good
    last = begun if good else begun - timedelta(days=3)
    assert (quality(session)["last_good_run_at"], quality(session)["stale"]) == (last, not good)
    with psycopg.connect(database_url) as plain:
        [fresh] = [row[5] for row in plain.execute(queries.query("metrics_entities")) if row[:2] == CONTACTS]
    assert fresh == last.timestamp()
    with warehouse.session(database_url) as borrowed:
        circumstances = Circumstances(begun + timedelta(hours=1), ["hubspot"], "America/New_York")
        [crm] = report.build(borrowed, circumstances).crms
        assert next(one.age for one in crm.entities if one.entity == "contacts") == circumstances.now - last
        with rules.asking(borrowed):
            stale = rules.ask(borrowed, rules.enabled(borrowed, ["stale"])[0], circumstances)
        assert ("hubspot contacts" in {fault.subject for fault in stale}) is not good
        hubspot = SOURCES[0]
        contacts = next(entity for entity in hubspot.entities if entity.name == "contacts")
        poll = sync_history.last_poll(borrowed, hubspot, contacts)
    assert poll.start_time == last
    assert poll.seconds < 86_400, "since it was last asked for, which failed"


def test_dead_letters_and_words_that_nobody_translated(session: Any) -> None:
    for status in ("pending", "pending", "waived", "resolved"):
        closed = "now()" if status == "resolved" else "NULL"
        waived = "now(), 'ann', 'a test'" if status == "waived" else "NULL, NULL, NULL"
        session.execute(
            "INSERT INTO orchestration.dead_letter (sync_history_id, crm_source, sync_type, stage, rule, error_message,"
            " payload, status, resolved_at, waived_at, waived_by, waive_reason)"
            f" VALUES (1, 'hubspot', 'contacts', 'coerce', 'key', 'x', '{{}}', %s, {closed}, {waived})",
            [status],
        )
    session.execute("INSERT INTO crm.source_status VALUES ('hubspot.lifecyclestage', 'dreaming', 'new', 7)")
    row = quality(session)
    assert (row["dead_letters"], row["dead_letters_waived"], row["unmapped"]) == (2, 1, 7)
    assert quality(session, "hubspot_deal")["unmapped"] == 0
    session.execute("INSERT INTO crm.status_mapping VALUES ('hubspot.lifecyclestage', 'dreaming', 'new')")
    assert quality(session)["unmapped"] == 0


def test_the_view_knows_whose_statuses_stand_under_which_source(session: Any) -> None:
    """A word that was added to ``lead_rows`` needs a migration of the view."""
    definition = one(session, "SELECT pg_get_viewdef('marts.data_quality'::regclass) AS it")["it"]
    for signal in SIGNALS:
        if signal.word:
            assert f"'{signal.word}'::text,'{signal.origin[0] or signal.table}'::text" in definition, signal.word
