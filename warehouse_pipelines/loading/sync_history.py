"""``orchestration.sync_history``: one row per run of an entity, and the only store of watermarks.

A row is written as ``running`` under the advisory lock of its entity and closed in every case: by the loader's own
transaction when the run succeeds, by ``fail`` when it raises or is cancelled, by ``close_run`` when a sensor learns
that its Dagster run ended, and by ``close_stale_runs`` when its process died without a word (``entity_lock``). Whoever
closes a row does so only while it is ``running``, so the first one wins.

A run that was refused before it could begin has a row that was never ``running``: ``failed``, with the mode
``REFUSED`` and nothing read. Who asks for the last run, or for how many succeeded, leaves such rows out.

The tables of an account may have been dropped and made again, or emptied: what its next run goes by, such as the
cursor, is of runs since then (``orchestration.account.created_at``). Other sources have no row there.

Queries write ``(status IN (…)) IS TRUE``, and so of the time: no index on these can serve them then, however small
statistics say the table is, and they read the entity's index.
"""

import contextlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import psycopg

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import masked
from warehouse_pipelines.loading import entity_lock
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.observability.lost_values import ENOUGH_RECORDS, Standing
from warehouse_pipelines.queries import query

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

log = logging.getLogger("warehouse.sync")

DIED = "its process died without closing it; nothing of it was committed"
"""The message of a row, and of a run, whose process died."""

CANCELLED = "cancelled"
"""The status of a run that somebody stopped, and how its message begins."""

REFUSED = "refused"
"""The mode of a run that could not begin."""

SINCE_REGISTERED = """
    (start_time >= coalesce(
        (SELECT created_at FROM orchestration.account WHERE source = %(crm)s), '-infinity')) IS TRUE
    """


@dataclass(frozen=True)
class LastGood:
    """The last good run that moved the watermark: where it left it, and when it began.

    Where the entity is read in full now and then, ``full_time`` is when the last good one began, and
    ``full_tried`` when the last one began, whatever became of it; dry, limited and narrowed runs are none.
    """

    watermark: datetime
    start_time: datetime
    full_time: datetime | None = None
    full_tried: datetime | None = None


def refuse(
    connection: "Session",
    source: Source,
    entity: Entity,
    error: Exception,
    *,
    start_time: datetime,
    run_id: str | None,
    asked: Mapping[str, Any],
) -> None:
    """Write the row of a run that could not begin, with what was ``asked`` of it (``run_report.asked``).

    An attempt after it, of the same run, writes its own.
    """
    connection.execute(
        """
        INSERT INTO orchestration.sync_history
            (crm_source, sync_type, endpoint, start_time, end_time, status, error_message, configuration, run_id)
        VALUES (%s, %s, %s, %s, greatest(clock_timestamp(), %s), 'failed', %s, %s, %s)
        """,
        [
            source.name,
            entity.name,
            entity.path[:200],
            start_time,
            start_time,
            f"{type(error).__name__}: {masked(str(error), 2000)}",
            json.dumps({"mode": REFUSED, **asked}),
            run_id,
        ],
    )


@dataclass(frozen=True)
class Poll:
    """When the last good run began that asked the vendor what is new; None before the first. And the ``seconds`` since
    the last one began, good or not; infinite before the first. Both by PostgreSQL's clock.
    """

    start_time: datetime | None
    seconds: float


def last_poll(connection: "Session", source: Source, entity: Entity) -> Poll:
    """Return when an entity was last asked for, beside reads of single keys, backfills and replays."""
    [row] = connection.execute(
        """
        SELECT (SELECT g.start_time FROM orchestration.good_run AS g
                WHERE g.crm_source = %(crm)s AND g.sync_type = %(entity)s ORDER BY g.id DESC LIMIT 1) AS start_time,
            coalesce(extract(epoch FROM clock_timestamp() - (
                SELECT h.start_time FROM orchestration.sync_history AS h
                WHERE h.crm_source = %(crm)s AND h.sync_type = %(entity)s
                    AND h.configuration ->> 'mode' IN ('delta', 'full', 'start_date')
                ORDER BY h.id DESC LIMIT 1)), 'Infinity')::float8 AS seconds
        """,
        {"crm": source.name, "entity": entity.name},
    )
    return Poll(**row)


def last_good(connection: "Session", source: Source, entity: Entity) -> LastGood | None:
    """Return the last good run of exactly this entity that moved the watermark; None before there is one."""
    row = _last_good_row(
        connection, source, entity,
        "configuration ->> 'cursor' AS cursor, start_time", "configuration ->> 'cursor' IS NOT NULL",
    )  # fmt: skip
    if row is None:
        return None
    full = _last_full(connection, source, entity) if entity.cadence.full_every else (None, None)
    return LastGood(datetime.fromisoformat(row["cursor"]), row["start_time"], *full)


def last_state(connection: "Session", source: Source, entity: Entity) -> dict[str, str]:
    """Return what the last run of this entity that kept a state left; empty before there is one."""
    row = _last_good_row(
        connection, source, entity,
        "configuration -> 'state' AS state", "jsonb_typeof(configuration -> 'state') = 'object'",
    )  # fmt: skip
    return row["state"] if row else {}


def last_rows(connection: "Session", source: Source, entity: Entity) -> tuple[int, int] | None:
    """Return the rows and the living rows that the last run left in the table; None before there is one."""
    row = _last_good_row(
        connection, source, entity,
        "performance_metrics ->> 'total_rows' AS total, performance_metrics ->> 'living_rows' AS living",
        "configuration ->> 'dry_run' = 'false'",
    )  # fmt: skip
    return (int(row["total"]), int(row["living"])) if row and row["total"] else None


def _last_good_row(
    connection: "Session", source: Source, entity: Entity, columns: str, condition: str
) -> dict[str, Any] | None:
    """Return these columns of the last good run since the account was registered of which the condition holds."""
    return connection.execute(
        f"""
        SELECT {columns} FROM orchestration.sync_history
        WHERE crm_source = %(crm)s AND sync_type = %(entity)s AND (status IN ('success', 'partial')) IS TRUE
            AND {condition} AND {SINCE_REGISTERED}
        ORDER BY id DESC LIMIT 1
        """,  # noqa: S608  (of this module)
        {"crm": source.name, "entity": entity.name},
    ).fetchone()


def _last_full(connection: "Session", source: Source, entity: Entity) -> tuple[datetime | None, datetime | None]:
    [row] = connection.execute(
        f"""
        SELECT max(start_time) AS tried, max(start_time) FILTER (
            WHERE status IN ('success', 'partial') AND configuration ->> 'cursor' IS NOT NULL) AS good
        FROM orchestration.sync_history
        WHERE crm_source = %(crm)s AND sync_type = %(entity)s AND configuration ->> 'mode' = 'full'
            AND orchestration.asks_for_news(configuration) AND {SINCE_REGISTERED}
        """,  # noqa: S608  (of this module)
        {"crm": source.name, "entity": entity.name},
    )
    return row["good"], row["tried"]


def last_values(connection: "Session", source: Source, entity: Entity, mode: str) -> tuple[Standing, dict[str, float]]:
    """Return how the columns stood after the last run, and which share of its records had a value in each column.

    The shares are of the last run of at least ``ENOUGH_RECORDS``, of the same ``mode`` if there is one, else of no
    backfill if there is one. Runs that were dry, limited, narrowed or replays do not count.
    """
    rows = connection.execute(
        query("last_values"),
        {"crm": source.name, "sync_type": entity.name, "enough": ENOUGH_RECORDS, "mode": mode},
    ).fetchall()
    if not rows:
        return Standing(), {}
    filled = rows[-1]["metrics"]["columns_filled"] if len(rows) > 1 else {}
    return Standing.read(rows[0]["metrics"]), {name: count / rows[-1]["processed"] for name, count in filled.items()}


def begin(
    connection: "Session",
    source: Source,
    entity: Entity,
    *,
    start_time: datetime,
    configuration: dict[str, Any],
    run_id: str | None,
) -> int:
    """Write the row of a run that is about to ask the vendor for the first time, and return its id."""
    number = warehouse.value(
        connection,
        """
        INSERT INTO orchestration.sync_history (crm_source, sync_type, endpoint, start_time, configuration, run_id)
        VALUES (%s, %s, %s, %s, %s, %s) RETURNING id
        """,
        [source.name, entity.name, entity.path[:200], start_time, json.dumps(configuration), run_id],
    )
    return int(number)


def keep_progress(connection: "Session", history_id: int, progress: Mapping[str, Any]) -> None:
    """Write into a row that is ``running`` how far its run is. Its counts stay 0 until it is closed."""
    connection.execute(
        "UPDATE orchestration.sync_history SET performance_metrics = %s WHERE id = %s AND status = 'running'",
        [json.dumps(progress), history_id],
    )


def fail(
    connection: "Session",
    source: Source,
    entity: Entity,
    error: BaseException,
    metrics: dict[str, Any],
    *,
    history_id: int,
    token: int,
) -> None:
    """Close the row of a run that raised, under its lock.

    A run that was interrupted before it learned its row's id has the id 0: what is running of its entity is its own,
    while the lease has its ``token``. Logs and returns when it cannot be written: ``close_stale_runs`` closes it.
    """
    status, message = "failed", f"{type(error).__name__}: {masked(str(error), 2000) or type(error).__name__}"
    if not isinstance(error, Exception):
        status, message = "cancelled", f"{CANCELLED} after {metrics['total_records']:,} records; nothing was loaded"
    of = (source.name, entity.name)
    try:
        connection.execute(
            """
            UPDATE orchestration.sync_history
            SET status = %s, end_time = clock_timestamp(), error_message = %s, performance_metrics = %s
            WHERE crm_source = %s AND sync_type = %s AND status = 'running' AND (
                id = %s OR %s = 0 AND %s = (
                    SELECT token FROM orchestration.entity_lease WHERE crm_source = %s AND sync_type = %s))
            """,
            [status, message, json.dumps(metrics), *of, history_id, history_id, token, *of],
        )
    except psycopg.Error as second:
        log.error(
            "the history row of %s %s could not be closed (%s); the sensor `close_stale_runs` will close it",
            source.name,
            entity.name,
            type(second).__name__,
        )


def withdraw(connection: "Session", source: Source, entity: Entity, *, token: int) -> None:
    """Delete the row of a probe that did not commit, while the lease has its ``token``.

    Returns also when it cannot be deleted: ``close_dead`` does it.
    """
    of = (source.name, entity.name)
    with contextlib.suppress(psycopg.Error):
        connection.execute(
            """
            DELETE FROM orchestration.sync_history
            WHERE crm_source = %s AND sync_type = %s AND status = 'running' AND %s = (
                SELECT token FROM orchestration.entity_lease WHERE crm_source = %s AND sync_type = %s)
            """,
            [*of, token, *of],
        )


def close_run(url: str, run_id: str, message: str, status: str = "failed") -> int:
    """Close the rows that a Dagster run left open; returns how many. Its processes have ended, or are ending.

    Raises ``DatabaseUnavailable``.
    """
    with warehouse.session(url) as connection:
        closed = connection.execute(
            """
            UPDATE orchestration.sync_history
            SET status = %s, end_time = clock_timestamp(), error_message = %s
            WHERE run_id = %s AND status = 'running'
            """,
            [status, masked(message, 2000) or "the run ended without a word", run_id],
        )
        return closed.rowcount


def running_in(url: str) -> list[str]:
    """Return the Dagster runs that have a row that is ``running``. Raises ``DatabaseUnavailable``."""
    with warehouse.session(url) as connection:
        rows = connection.execute(
            "SELECT DISTINCT run_id FROM orchestration.sync_history WHERE status = 'running' AND run_id IS NOT NULL"
        ).fetchall()
    return [str(row["run_id"]) for row in rows]


def close_stale_runs(url: str) -> list[int]:
    """Close every running row whose process is dead; returns their ids. Raises ``DatabaseUnavailable``."""
    closed: list[int] = []
    with warehouse.session(url) as connection:
        running = connection.execute(
            "SELECT DISTINCT crm_source, sync_type FROM orchestration.sync_history WHERE status = 'running'"
        ).fetchall()
        for row in running:
            of = (row["crm_source"], row["sync_type"])
            with warehouse.try_lock(connection, entity_lock.key(*of)) as free:
                closed += close_dead(connection, *of) if free else []
    return closed


def close_dead(connection: "Session", crm: str, sync_type: str, message: str = DIED) -> list[int]:
    """Close what is running under a lock that the caller now holds; delete what is a probe, which nobody waits for."""
    rows = connection.execute(
        """
        WITH probe AS (
            DELETE FROM orchestration.sync_history
            WHERE crm_source = %(crm)s AND sync_type = %(sync_type)s AND status = 'running' AND configuration ? 'probe'
        )
        UPDATE orchestration.sync_history
        SET status = 'failed', end_time = clock_timestamp(),
            error_message = %(message)s
        WHERE crm_source = %(crm)s AND sync_type = %(sync_type)s AND status = 'running'
            AND NOT configuration ? 'probe' RETURNING id
        """,
        {"crm": crm, "sync_type": sync_type, "message": message},
    ).fetchall()
    return [int(row["id"]) for row in rows]
