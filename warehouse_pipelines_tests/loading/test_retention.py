"""Retention: nothing grows without end, nothing that somebody needs goes, and whoever is killed leaves it whole."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from warehouse_pipelines import warehouse
from warehouse_pipelines.loading import retention, sync_history
from warehouse_pipelines.outbound.ledger import created
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines_tests.harness.subprocesses import FORKS

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

BY_NAME = {source.name: source for source in SOURCES}
CALLRAIL = BY_NAME["callrail"]
CALLS = next(entity for entity in CALLRAIL.entities if entity.name == "calls")
NOW = datetime(2026, 6, 1, 4, tzinfo=UTC)
MONTH = timedelta(days=30)

RUNS = """
    INSERT INTO orchestration.sync_history (crm_source, sync_type, start_time, end_time, status, records_processed,
        records_created, records_failed, error_message, configuration, performance_metrics)
    SELECT 'callrail', entity, at, at + interval '7 seconds', status,
        records, records, 0, CASE status WHEN 'failed' THEN 'planted' END,
        jsonb_build_object('mode', CASE WHEN extract(day FROM at) = 1 THEN 'full' ELSE 'delta' END, 'dry_run', false,
            'max_records', 0, 'cursor', CASE status WHEN 'failed' THEN NULL ELSE at END),
        jsonb_build_object('total_api_calls', 3, 'total_rows', 9, 'living_rows', 9, 'columns_filled', '{}'::jsonb)
    FROM unnest('{calls,tags,users}'::text[]) AS entity,
        generate_series(%(since)s::timestamptz, %(until)s::timestamptz - interval '1 second', %(step)s) AS at,
        LATERAL (SELECT extract(hour FROM at)::integer %% 5 = 3) AS b (broke),
        LATERAL (SELECT CASE WHEN broke THEN 'failed' ELSE 'success' END, CASE WHEN broke THEN 0 ELSE 30 END)
            AS s (status, records)
    """

OTHERS = """
    WITH closed AS (
        INSERT INTO orchestration.dead_letter (sync_history_id, crm_source, sync_type, record_key, stage, rule,
            error_message, payload, status, created_at, resolved_at, last_seen_at, payload_hash, waived_at, waived_by,
            waive_reason)
        SELECT 1, 'callrail', 'calls', n::text, 'coerce', 'integer', 'planted', '{}', status, %(at)s,
            CASE status WHEN 'resolved' THEN %(at)s::timestamptz END, %(at)s,
            hashtextextended(%(at)s::text || status || n, 0), %(at)s, 'ann', 'planted'
        FROM unnest('{resolved,waived}'::text[]) AS status, generate_series(1, 20) AS n
    ), delivered AS (
        INSERT INTO orchestration.webhook_inbox (source, dedupe_key, received_at, signature_valid, status, processed_at,
            error_message)
        SELECT 'callrail', %(at)s::text || status || n, %(at)s, true, status, %(at)s, 'planted'
        FROM unnest('{done,ignored,failed}'::text[]) AS status, generate_series(1, 20) AS n
    ), counted AS (
        INSERT INTO orchestration.webhook_outcome (source, hour, outcome, deliveries, last_at)
        SELECT 'callrail', %(at)s::timestamptz + make_interval(hours => n), 'refused', 1, %(at)s
        FROM generate_series(1, 20) AS n
    ), changed AS (
        INSERT INTO orchestration.change_log (table_name, record_key, column_name, sync_history_id, changed_at)
        SELECT 'callrail_tag', n, 'name', 1, %(at)s FROM generate_series(1, 20) AS n
    ), deleted AS (
        INSERT INTO identity.deletion (table_name, deleted_at)
        SELECT 'identity.touch', %(at)s FROM generate_series(1, 20)
    ), told AS (
        INSERT INTO orchestration.alert_delivery (message, channel, kind, severity, title, body, created_at, not_before,
            status, ended_at)
        SELECT %(at)s::text || n, 'json', 'report', 'info', 't', 'b', %(at)s, %(at)s, 'sent', %(at)s
        FROM generate_series(1, 20) AS n
    ), incidents AS (
        INSERT INTO orchestration.alert_event
            (rule, cause, severity, first_seen_at, last_seen_at, opened_at, resolved_at)
        SELECT 'failing', n, 'info', %(at)s, %(at)s, %(at)s, %(at)s FROM generate_series(1, 20) AS n
    ), notified AS (
        INSERT INTO pipedesk.drive_change_logs (channel_id, received_at)
        SELECT 'c', %(at)s FROM generate_series(1, 20)
    ), planned AS (
        INSERT INTO reverse_etl.plan (target, created_by, created_at)
        SELECT 'hubspot_people', 'ann', %(at)s FROM generate_series(1, 20)
    ), audited AS (
        INSERT INTO pipedesk.audit_logs (action, source_table, source_key, created_at)
        SELECT 'restore', 'pipedesk.leads', n, %(at)s FROM generate_series(1, 20) AS n
    ), receipts AS (
        INSERT INTO reverse_etl.receipt (operation_id, plan_id, target, action, source_key, fields, status, sent_at)
        SELECT gen_random_uuid(), 0, 'hubspot_people', 'update', n, '{}', 'refused', %(at)s
        FROM generate_series(1, 20) AS n
    ), silenced AS (
        INSERT INTO orchestration.alert_silence (ends_at, made_by) SELECT %(at)s, 'ann' FROM generate_series(1, 20)
    ), watched AS (
        INSERT INTO pipedesk.calendar_sync_states (channel_id, calendar_id, expiration, active, updated_at)
        SELECT %(at)s::text || n, 'office', %(at)s, false, %(at)s FROM generate_series(1, 20) AS n
    ), drives AS (
        INSERT INTO pipedesk.drive_webhook_channels (channel_id, expires_at, active, updated_at)
        SELECT %(at)s::text || n, %(at)s, false, %(at)s FROM generate_series(1, 20) AS n
    ), tried AS (
        INSERT INTO access.sign_in_failure (name_hash, address, failed_at)
        SELECT sha256('ann'), '192.0.2.7', %(at)s FROM generate_series(1, 20)
    ), sessions AS (
        INSERT INTO access.session (token_hash, user_id, created_at, last_seen_at, expires_at)
        SELECT sha256((%(at)s::text || n)::bytea), u.id, %(at)s, %(at)s, %(at)s
        FROM access.user_account AS u, generate_series(1, 20) AS n
    ), keys AS (
        INSERT INTO access.idempotency_key (user_id, key_hash, fingerprint, created_at)
        SELECT u.id, sha256((%(at)s::text || n)::bytea), sha256('x'), %(at)s
        FROM access.user_account AS u, generate_series(1, 20) AS n
    ), seen AS (
        INSERT INTO access.clear_view (user_id, relation, what, viewed_at)
        SELECT u.id, 'crm.leads', 'list', %(at)s FROM access.user_account AS u, generate_series(1, 20) AS n
    )
    INSERT INTO callrail_tag (id, raw_data, archived, deleted_at, delete_reason)
    SELECT %(at)s::text || n, '{}', true, %(at)s, 'missing' FROM generate_series(1, 20) AS n
    """

COUNTED = {
    "sync_history": "orchestration.sync_history",
    "sync_history_archive": "orchestration.sync_history_archive",
    "sync_history_daily": "orchestration.sync_history_daily",
    "dead letters": "orchestration.dead_letter",
    "deliveries": "orchestration.webhook_inbox",
    "counts of deliveries": "orchestration.webhook_outcome",
    "changes": "orchestration.change_log",
    "deletions": "identity.deletion",
    "messages": "orchestration.alert_delivery",
    "incidents": "orchestration.alert_event",
    "notifications": "pipedesk.drive_change_logs",
    "silences": "orchestration.alert_silence",
    "channels of calendars": "pipedesk.calendar_sync_states",
    "channels of drives": "pipedesk.drive_webhook_channels",
    "failed sign-ins": "access.sign_in_failure",
    "sessions": "access.session",
    "keys": "access.idempotency_key",
    "views": "access.clear_view",
    "plans of what is written back": "reverse_etl.plan",
    "receipts": "reverse_etl.receipt",
    "audit logs": "pipedesk.audit_logs",
    "tombstones": "callrail_tag",
}


@pytest.fixture
def session(database_url: str) -> "Iterator[Session]":
    with warehouse.connect(database_url) as connection:
        yield connection


def plant_runs(session: "Session", since: datetime, until: datetime, step: timedelta = timedelta(hours=6)) -> int:
    return session.execute(RUNS, {"since": since, "until": until, "step": step}).rowcount


def one(session: "Session", statement: str, *values: Any) -> Any:
    row = session.execute(statement, values).fetchone()
    assert row is not None
    return next(iter(row.values()))


def daily(session: "Session") -> list[dict[str, Any]]:
    return session.execute("SELECT * FROM orchestration.sync_metrics_daily ORDER BY day, sync_type").fetchall()


@pytest.mark.slow("many records")
def test_years_in_fast_motion_grow_nothing_without_end(session: "Session") -> None:
    """What is kept in the last year is no more than in the year before; the ages are those shipped, but one."""
    for kind in ("sync_history_daily", "audit_logs"):
        assert retention.keep(session, kind, 500)  # else ten years
    session.execute("INSERT INTO access.user_account (name, organization_id, role) VALUES"
                    " ('ann', gen_random_uuid(), 'viewer')")  # fmt: skip
    began, counts = datetime(2020, 1, 1, tzinfo=UTC), []
    for month in range(54):
        since = began + month * MONTH
        plant_runs(session, since, since + MONTH, timedelta(hours=21))
        session.execute(OTHERS, {"at": since})
        done = retention.run(session, [CALLRAIL], now=since + MONTH)
        assert not [one for one in done if one.problem]
        counts.append({name: one(session, f"SELECT count(*) FROM {table}") for name, table in COUNTED.items()})
    last, before = counts[-12:], counts[-24:-12]
    for name in COUNTED:
        assert max(found[name] for found in last) <= max(found[name] for found in before) * 1.02, name
        assert max(found[name] for found in last) > 0 or name in ("failed sign-ins", "sessions", "keys"), name
    removed = {policy.kind: policy.removed for policy in retention.policies(session).values()}
    others = ("dagster", "sequence_messages")
    assert all(removed[kind] > 0 for kind in removed if not kind.startswith(others)), removed


def test_of_each_entity_the_newest_good_run_stays_however_old(session: "Session") -> None:
    plant_runs(session, NOW - timedelta(days=400), NOW - timedelta(days=300))
    good = sync_history.last_good(session, CALLRAIL, CALLS)
    rows = sync_history.last_rows(session, CALLRAIL, CALLS)
    stood = sync_history.last_values(session, CALLRAIL, CALLS, "full")
    assert good is not None
    assert good.full_time is not None
    retention.run(session, [], now=NOW)
    assert one(session, "SELECT count(*) FROM orchestration.sync_history") < 40
    assert sync_history.last_good(session, CALLRAIL, CALLS) == good
    assert sync_history.last_rows(session, CALLRAIL, CALLS) == rows
    assert sync_history.last_values(session, CALLRAIL, CALLS, "full") == stood
    lost = """
        SELECT count(*) FROM (
            SELECT crm_source, sync_type FROM orchestration.sync_history_archive WHERE status = 'success'
            EXCEPT SELECT crm_source, sync_type FROM orchestration.sync_history WHERE status = 'success') x
        """
    assert one(session, lost) == 0


def test_the_sums_of_a_day_do_not_change_when_its_runs_are_archived(session: "Session") -> None:
    planted = plant_runs(session, NOW - timedelta(days=200), NOW)
    session.execute(
        "UPDATE orchestration.sync_history SET configuration = configuration || '{\"dry_run\": true}' WHERE id % 17 = 0"
    )
    before = daily(session)
    retention.run(session, [], now=NOW, batch=50)
    assert one(session, "SELECT count(*) FROM orchestration.sync_history_archive") > planted // 3
    assert daily(session) == before
    assert one(session, "SELECT count(*) FROM marts.sync_metrics_daily") == len(before)


def run_in_small_batches(url: str) -> None:
    with warehouse.session(url) as session:
        retention.run(session, [], now=NOW, batch=3)


@pytest.mark.slow("a program of its own, which is killed")
def test_a_killed_run_leaves_every_run_in_one_place_and_counted_once(session: "Session", database_url: str) -> None:
    planted = plant_runs(session, NOW - timedelta(days=400), NOW, timedelta(hours=3))
    before = daily(session)
    child: Any = FORKS.Process(target=run_in_small_batches, args=(database_url,), daemon=True)
    child.start()
    deadline = time.monotonic() + 60
    while one(session, "SELECT count(*) FROM orchestration.sync_history_archive") < 100:
        assert child.exitcode is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    child.kill()
    child.join()
    moved = one(session, "SELECT count(*) FROM orchestration.sync_history_archive")
    assert one(session, "SELECT count(*) FROM orchestration.sync_history") == planted - moved
    assert one(session, "SELECT removed FROM orchestration.retention_policy WHERE kind = 'sync_history'") == moved
    assert daily(session) == before
    retention.run(session, [], now=NOW)
    assert one(session, "SELECT count(*) FROM orchestration.sync_history_archive") > moved
    assert daily(session) == before


def test_two_at_a_time_move_nothing_twice(session: "Session", database_url: str) -> None:
    planted = plant_runs(session, NOW - timedelta(days=300), NOW)
    before = daily(session)

    def run(_: int) -> list[retention.Done]:
        with warehouse.connect(database_url) as own:
            return retention.run(own, [], now=NOW, batch=20)

    with ThreadPoolExecutor(2) as threads:
        for done in threads.map(run, range(2)):
            assert not [one for one in done if one.problem and "Deadlock" in one.problem]
    both = "SELECT (SELECT count(*) FROM orchestration.sync_history) + (SELECT count(*) FROM orchestration.{})"
    assert one(session, both.format("sync_history_archive")) == planted
    assert daily(session) == before


def test_a_row_that_somebody_holds_is_passed_by(session: "Session", database_url: str) -> None:
    plant_runs(session, NOW - timedelta(days=200), NOW - timedelta(days=190))
    held = one(session, "SELECT min(id) FROM orchestration.sync_history")
    with psycopg.connect(database_url) as other:
        other.execute("SELECT FROM orchestration.sync_history WHERE id = %s FOR UPDATE", [held])
        done = {found.kind: found for found in retention.run(session, [], now=NOW)}
        assert done["sync_history"].removed > 0
        assert done["sync_history"].problem is None
        assert one(session, "SELECT count(*) FROM orchestration.sync_history WHERE id = %s", held) == 1
    assert retention.run(session, [], only=["sync_history"], now=NOW)[0].removed == 1


@pytest.mark.slow("sessions that wait for each other")
def test_a_locked_table_is_left_and_said_so_and_the_others_go_on(session: "Session", database_url: str) -> None:
    plant_runs(session, NOW - timedelta(days=200), NOW - timedelta(days=190))
    session.execute(OTHERS, {"at": NOW - timedelta(days=200)})
    with psycopg.connect(database_url) as other:
        other.execute("LOCK TABLE orchestration.dead_letter IN ACCESS EXCLUSIVE MODE")
        done = {found.kind: found for found in retention.run(session, [], now=NOW)}
    assert "LockNotAvailable" in (done["dead_letters_closed"].problem or "")
    assert done["sync_history"].removed > 0
    assert done["webhook_inbox_closed"].removed == 40
    assert "LockNotAvailable" in retention.policies(session)["dead_letters_closed"].problem  # type: ignore[operator]
    retention.run(session, [], now=NOW)
    assert retention.policies(session)["dead_letters_closed"].problem is None


def test_a_kind_that_is_kept_for_ever_stays_and_an_edited_age_counts(session: "Session") -> None:
    session.execute(OTHERS, {"at": NOW - timedelta(days=200)})
    retention.keep(session, "dead_letters_closed", None)
    retention.keep(session, "webhook_inbox_failed", 201)
    retention.keep(session, "dead_letters_waived", 199)
    done = {found.kind: found.removed for found in retention.run(session, [CALLRAIL], now=NOW)}
    assert done["dead_letters_closed"] == done["webhook_inbox_failed"] == done["tombstones"] == 0
    assert (done["webhook_inbox_closed"], done["dead_letters_waived"], done["drive_change_logs"]) == (40, 20, 20)
    assert not retention.keep(session, "nothing", 3)


def test_an_age_of_a_million_days_keeps_a_kind_and_stops_no_other(session: "Session") -> None:
    """There is no date before which it would be old; the run ended in an error, and removed nothing at all."""
    session.execute(OTHERS, {"at": NOW - timedelta(days=200)})
    for kind, days in {
        "alert_deliveries": 2_000_000_000,
        "alert_events": None,
        "dead_letters_closed": 1_000_000,
    }.items():
        retention.keep(session, kind, days)
    done = {found.kind: found.removed for found in retention.run(session, [CALLRAIL], now=NOW)}
    assert done["dead_letters_closed"] == done["alert_deliveries"] == 0
    assert done["webhook_inbox_closed"] == 40
    assert len(retention.plan(session, [CALLRAIL], now=NOW)) == len(retention.policies(session)) - len(
        retention.DAGSTER
    )


def test_what_waits_for_a_person_is_never_removed(session: "Session") -> None:
    session.execute(
        "INSERT INTO orchestration.dead_letter (sync_history_id, crm_source, sync_type, stage, rule, error_message,"
        " payload, created_at, last_seen_at) VALUES (1, 'callrail', 'calls', 'coerce', 'r', 'm', '{}', %s, %s)",
        [NOW - timedelta(days=4000)] * 2,
    )
    session.execute(
        "INSERT INTO orchestration.webhook_inbox (source, dedupe_key, received_at, signature_valid)"
        " VALUES ('callrail', 'k', %s, true)",
        [NOW - timedelta(days=4000)],
    )
    session.execute(
        "INSERT INTO orchestration.sync_history (crm_source, sync_type, start_time) VALUES ('callrail', 'calls', %s)",
        [NOW - timedelta(days=4000)],
    )
    assert sum(found.removed for found in retention.run(session, list(SOURCES), now=NOW)) == 0


def test_what_is_still_in_use_stays(session: "Session") -> None:
    """A channel that is active, a calendar's state without a channel, a silence that goes on, an open incident."""
    for table, columns, values in (
        ("pipedesk.calendar_sync_states", "channel_id, calendar_id, active, updated_at", "'c', 'office', true, %(at)s"),
        ("pipedesk.calendar_sync_states", "calendar_id, active, updated_at", "'home', false, %(at)s"),
        ("pipedesk.drive_webhook_channels", "channel_id, updated_at", "'d', %(at)s"),
        ("orchestration.alert_silence", "ends_at, made_by, created_at", "%(later)s, 'ann', %(at)s"),
        (
            "orchestration.alert_event",
            "rule, cause, severity, first_seen_at, last_seen_at, opened_at",
            "'failing', 'c', 'info', %(at)s, %(at)s, %(at)s",
        ),
    ):
        statement = f"INSERT INTO {table} ({columns}) VALUES ({values})"
        session.execute(statement, {"at": NOW - timedelta(days=2000), "later": NOW + MONTH})
    removed = {found.kind: found.removed for found in retention.run(session, [CALLRAIL], now=NOW)}
    assert removed["push_channels"] == removed["alert_silences"] == removed["alert_events"] == 0


def test_a_tombstone_that_a_person_is_made_of_stays(session: "Session") -> None:
    old = NOW - timedelta(days=2000)
    session.execute(
        "INSERT INTO callrail_tag (id, raw_data, archived, deleted_at) SELECT n, '{}', n <> '3', %s"
        " FROM unnest('{1,2,3}'::text[]) AS n",
        [old],
    )
    session.execute(
        "INSERT INTO identity.record (source_table, source_key, kind, fingerprint)"
        " VALUES ('callrail_tag', '2', 'touch', '\\\\x00')"
    )
    [done] = retention.run(session, [CALLRAIL], only=["tombstones"], now=NOW)
    assert done.removed == 1
    assert [row["id"] for row in session.execute("SELECT id FROM callrail_tag ORDER BY id")] == ["2", "3"]


def test_the_plan_says_what_a_run_will_remove(session: "Session") -> None:
    plant_runs(session, NOW - timedelta(days=200), NOW)
    session.execute(OTHERS, {"at": NOW - timedelta(days=1200)})
    planned = {found.policy.kind: found.due for found in retention.plan(session, [CALLRAIL], NOW)}
    done = {found.kind: found.removed for found in retention.run(session, [CALLRAIL], now=NOW)}
    assert planned == done
    assert all(planned[kind] for kind in ("sync_history", "dead_letters_closed", "tombstones", "drive_change_logs"))


def test_every_kind_has_a_row_and_every_row_a_kind(session: "Session") -> None:
    kinds = {kind.name for kind in retention.KINDS} | {retention.HISTORY, retention.TOMBSTONES, *retention.DAGSTER}
    assert set(retention.policies(session)) == kinds


def test_a_receipt_stays_as_long_as_an_undo_or_a_later_plan_goes_by_it(session: "Session") -> None:
    old, planned = NOW - timedelta(days=3000), NOW - timedelta(days=1000)
    session.execute(
        "INSERT INTO reverse_etl.plan (plan_id, target, status, created_by, created_at) OVERRIDING SYSTEM VALUE"
        " VALUES (7, 't', 'applied', 'ann', now())"
    )
    for name, plan, action, status, object_id, fields, at in (
        ("first", 1, "update", "written", "a", ["city", "zip"], old),
        ("second", 2, "update", "written", "a", ["city", "zip"], planned),
        ("a field left", 1, "update", "written", "b", ["city", "zip"], old),
        ("a field again", 2, "update", "written", "b", ["city"], planned),
        ("made", 1, "create", "written", "c", ["city"], old),
        ("made and archived", 1, "create", "written", "d", ["city"], old),
        ("archived", 2, "archive", "written", "d", [], planned),
        ("refused", 1, "update", "refused", "e", [], old),
        ("unknown", 1, "update", "sending", "e", [], old),
        ("of a plan that is there", 7, "update", "written", "a", ["city"], old),
        ("link", 1, "update", "written", "f", {"to": {"before": None, "sent": "1", "stored": "1"}}, old),
        ("link left", 2, "update", "written", "f", {"to": {"before": "1", "sent": "1;2", "stored": "1;2"}}, planned),
        ("link in part", 1, "update", "partial", "g", {"to": {"before": "1", "sent": "2", "half": "1;2"}}, old),
        ("link taken", 1, "update", "written", "h", {"to": {"before": None, "sent": "1", "stored": "1"}}, old),
        ("link again", 2, "update", "written", "h", {"to": {"before": "1", "sent": "2", "stored": "2"}}, planned),
    ):
        kept = fields if isinstance(fields, dict) else {field: {"stored": "x"} for field in fields}
        values = [plan, action, name, object_id, status, kept, at]
        session.execute(
            "INSERT INTO reverse_etl.receipt (operation_id, plan_id, target, action, source_key, object_id, status,"
            " fields, sent_at) VALUES (gen_random_uuid(), %s, 't', %s, %s, %s, %s, %s, %s)",
            [Jsonb(value) if isinstance(value, dict) else value for value in values],
        )

    def left() -> set[str]:
        retention.run(session, [], only=["outbound_receipts"], now=NOW)
        return {row["source_key"] for row in session.execute("SELECT source_key FROM reverse_etl.receipt").fetchall()}

    stay = {"second", "a field left", "a field again", "made", "unknown", "of a plan that is there"}
    stay |= {"link", "link left", "link in part", "link again"}
    assert left() == {*stay, "archived"}
    assert left() == stay
    assert created(session, "t").keys() == {"c"}
