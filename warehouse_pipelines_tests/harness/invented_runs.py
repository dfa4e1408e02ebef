"""An invented history of runs, dead letters, schedules and incidents, for the pages that show them."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from warehouse_pipelines.model.source import Source
from warehouse_pipelines.sources import SOURCES

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

RUNS = """
INSERT INTO orchestration.sync_history (crm_source, sync_type, endpoint, start_time, end_time, status,
    records_processed, records_created, records_updated, records_failed, error_message, configuration,
    performance_metrics, run_id)
SELECT e.crm, e.entity, e.entity, run.began, run.began + make_interval(secs => run.seconds), run.status,
    run.read, run.created, run.updated, run.refused,
    CASE run.status
        WHEN 'failed' THEN 'VendorUnavailable: GET /v3/objects answered 503 after 5 tries; nothing was loaded'
        WHEN 'cancelled' THEN 'cancelled after 120 records; nothing was loaded' END,
    jsonb_build_object('mode', CASE WHEN run.dice % 24 = 0 THEN 'full' ELSE 'delta' END, 'dry_run', false,
        'window_start', run.began - interval '65 minutes', 'window_end', run.began,
        'cursor', run.began - interval '3 minutes', 'previous_cursor', run.began - interval '63 minutes',
        'max_records', 0),
    jsonb_build_object('columns_filled', '{}'::jsonb, 'filtered', 0, 'deleted', run.dice % 3,
        'unchanged', run.read - run.created - run.updated - run.refused,
        'total_api_calls', 1 + run.read / 100, 'waiting_seconds', round((run.seconds * 0.5)::numeric, 3),
        'coercing_seconds', round((run.seconds * 0.15)::numeric, 3),
        'loading_seconds', round((run.seconds * 0.25)::numeric, 3),
        'records_per_second', round((run.read / run.seconds)::numeric, 1), 'peak_memory_mb', 180 + run.dice % 70,
        'living_rows', e.size, 'total_rows', e.size + e.size / 40, 'known_failed', 0),
    md5(e.crm || run.began)::uuid
FROM jsonb_to_recordset(%(entities)s) AS e (crm text, entity text, size integer, every interval)
CROSS JOIN LATERAL (
    SELECT at AS began, abs(hashtext(e.crm || e.entity || at::text)) AS dice FROM generate_series(
        %(now)s - interval '2 days', %(now)s - make_interval(days => %(days)s),
        -greatest(e.every, interval '8 hours')) AS at
    UNION ALL
    SELECT at, abs(hashtext(e.crm || e.entity || at::text)) FROM generate_series(
        %(now)s - make_interval(mins => 3 + abs(hashtext(e.crm)) % 20), %(now)s - interval '2 days',
        -greatest(e.every, interval '1 hour')) AS at
) AS tick
CROSS JOIN LATERAL (
    SELECT tick.*, CASE
            WHEN tick.dice % 1499 = 0 OR (e.crm = 'marketsharp' AND tick.began::date = %(now)s::date - 23) THEN 'failed'
            WHEN tick.dice % 307 = 0 THEN 'partial' WHEN tick.dice % 1997 = 0 THEN 'cancelled'
            ELSE 'success' END AS status,
        CASE WHEN tick.dice % 1499 = 0 THEN 0 ELSE 20 + (e.size / 20 * (tick.dice % 50 + 10) / 40) END AS read,
        2 + tick.dice % 13 + e.size / 4000.0 AS seconds
) AS ended
CROSS JOIN LATERAL (
    SELECT ended.*, ended.read / 9 AS created, ended.read / 5 AS updated,
        (ended.status = 'partial')::integer * 3 AS refused
) AS run
ORDER BY run.began, e.crm, e.entity
"""

SCHEDULES = """
UPDATE orchestration.sync_schedule AS s SET last_run = %(now)s - interval '4 minutes',
    next_run = %(now)s + make_interval(mins => 3 + abs(hashtext(crm_source)) %% 12)
        + CASE WHEN period IN ('days', 'weeks') THEN interval '5 hours' ELSE interval '0' END,
    dagster_status = 'running'
WHERE enabled
"""

ALERT = """
INSERT INTO orchestration.alert_event
    (rule, cause, severity, members, ever, first_seen_at, last_seen_at, opened_at, notified_at)
VALUES ('dead_letters', 'gsheet', 'warning', %(members)s, '{}', %(since)s, %(since)s, %(since)s, %(since)s)
"""

DEAD_LETTERS = """
INSERT INTO orchestration.dead_letter (sync_history_id, last_sync_history_id, crm_source, sync_type, record_key, stage,
    rule, error_message, payload, payload_hash, created_at, attempts)
SELECT h.id, h.id, 'hubspot', 'contacts', NULL, 'coerce', 'key_missing', 'id is missing',
    jsonb_build_object('properties', jsonb_build_object('firstname', 'Avery', 'lastname', 'Example', 'email',
        'avery.' || n || '@example.test', 'createdate', '31 of December', 'phone', '+1 555 010 ' || 1000 + n)),
    n, %(now)s - make_interval(hours => n), 1 + n %% 4
FROM generate_series(1, %(count)s) AS n,
    (SELECT id FROM orchestration.sync_history WHERE crm_source = 'hubspot' AND sync_type = 'contacts' ORDER BY id DESC
     LIMIT 1) AS h
"""


def invent(
    session: "Session", now: datetime, *, days: int = 90, dead_letters: int = 7, sources: Sequence[Source] = SOURCES
) -> None:
    """Write what so many days left: most of it good, some runs failed, one incident open."""
    entities = [
        {
            "crm": source.name, "entity": entity.name, "every": str(entity.cadence.every),
            "size": 400 + 9_700 * ((place * 7 + number * 3) % 11),
        }
        for place, source in enumerate(sources)
        for number, entity in enumerate(source.entities)
    ]  # fmt: skip
    given = {"now": now, "days": days, "entities": json.dumps(entities), "count": dead_letters}
    session.execute(RUNS.replace("% ", "%% ").encode(), given)
    session.execute(SCHEDULES.encode(), given)
    session.execute(DEAD_LETTERS.encode(), given)
    members = {"gsheet": {"crm": "gsheet", "entity": None, "text": "3 dead letters"}}
    session.execute(ALERT.encode(), {"members": json.dumps(members), "since": now - timedelta(hours=3)})
    session.execute("ANALYZE orchestration.sync_history")
