"""``orchestration.sync_schedule``: what is synced by schedule, and the switch of each row.

Every entity has a declared row of the mode ``delta``. The ticks of Dagster's schedules read its switch and note what
they asked for; an entity without a row is on. All other rows, declared or added by somebody, are asked for by the
sensor ``schedule_rows``, which also mirrors here what Dagster knows: whether a schedule is on, and its next tick.

A migration writes the declared rows and keeps them in step with the cadences, but never touches ``enabled``.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.source import Source

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[dict[str, Any]]

MODES = ("delta", "full", "force7")

FORCED_DAYS = 7
"""How far back a run of the mode ``force7`` reads."""

UNITS = (
    ("weeks", timedelta(weeks=1)),
    ("days", timedelta(days=1)),
    ("hours", timedelta(hours=1)),
    ("minutes", timedelta(minutes=1)),
)


def cadence(every: timedelta) -> tuple[int, str]:
    """Return a cadence as a count of its largest unit: ``(15, "minutes")``. Raises ``ValueError`` under a minute."""
    for period, length in UNITS:
        if every >= length and not every % length:
            return every // length, period
    raise ValueError(f"a cadence of {every} is no number of minutes")


def dagster_name(source: Source, every: timedelta) -> str:
    """Return the name of the schedule of a CRM and cadence: ``sync_hubspot_every_15_minutes_schedule``."""
    count, period = cadence(every)
    spoken = period.removesuffix("s") if count == 1 else f"{count}_{period}"
    return f"sync_{source.name}_every_{spoken}_schedule"


def row_name(crm: str, entity: str, mode: str) -> str:
    """Return the name of a declared row."""
    return f"{crm} {entity}" if mode == "delta" else f"{crm} {entity} {mode}"


def run_options(mode: str, today: date) -> dict[str, Any]:
    """Return the options of a run of this mode, as the resource ``sync`` takes them."""
    if mode == "full":
        return {"full": True}
    if mode == "force7":
        return {"force": True, "start_date": (today - timedelta(days=FORCED_DAYS)).isoformat()}
    return {}


def crontab(row: Mapping[str, Any]) -> str:
    """Return the crontab of a row in the usual order of its fields."""
    names = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
    return " ".join(row[f"crontab_{name}"] for name in names)


def align(connection: sa.Connection, sources: Iterable[Source]) -> list[str]:
    """Write a row for each declared schedule, the cadence of those that changed, and delete those that are no more.

    Returns a line for each.
    """
    rows, crms = [], []
    for source in sources:
        crms.append(source.name)
        for entity in source.entities:
            for mode, span in {"delta": entity.cadence.every, **entity.cadence.schedules}.items():
                every, period = cadence(span)
                rows.append(
                    {
                        "name": row_name(source.name, entity.name, mode),
                        "crm": source.name,
                        "entity": entity.name,
                        "mode": mode,
                        "every": every,
                        "period": period,
                        "schedule": dagster_name(source, span) if mode == "delta" else None,
                    }
                )
    parameters = {"declared": json.dumps(rows), "crms": crms}
    deleted = connection.execute(
        sa.text("""
            DELETE FROM orchestration.sync_schedule AS s
            WHERE declared AND mode <> 'delta' AND crm_source = ANY (CAST(:crms AS text[]))
                AND NOT EXISTS (SELECT FROM jsonb_to_recordset(CAST(:declared AS jsonb)) AS d (name text)
                                WHERE d.name = s.name)
            RETURNING name
            """),
        parameters,
    ).all()
    changed = connection.execute(
        sa.text("""
            INSERT INTO orchestration.sync_schedule AS s
                (name, crm_source, model_name, mode, recurrence_type, every, period, dagster_schedule_name, enabled,
                 declared)
            SELECT d.name, d.crm, d.entity, d.mode, 'interval', d.every, d.period, d.schedule, d.mode = 'delta', true
            FROM jsonb_to_recordset(CAST(:declared AS jsonb))
                    AS d (name text, crm text, entity text, mode text, every integer, period text, schedule text)
                LEFT JOIN orchestration.sync_schedule AS o
                    ON o.crm_source = d.crm AND o.model_name = d.entity AND o.mode = d.mode AND o.declared
            WHERE o.id IS NULL
                OR (o.every, o.period, o.dagster_schedule_name) IS DISTINCT FROM (d.every, d.period, d.schedule)
            ON CONFLICT (crm_source, model_name, mode) WHERE declared DO UPDATE SET
                recurrence_type = 'interval', every = excluded.every, period = excluded.period,
                dagster_schedule_name = excluded.dagster_schedule_name, next_run = NULL, updated_at = now()
            RETURNING name, every, period
            """),
        parameters,
    )
    return [
        *(f"schedule of {name}: every {every} {period}" for name, every, period in changed),
        *(f"schedule of {name}: no longer declared" for (name,) in deleted),
    ]


def switched_off(connection: "Connection", source: Source) -> set[str]:
    """Return the names of a CRM's entities that are switched off."""
    found = connection.execute(
        "SELECT model_name FROM orchestration.sync_schedule"
        " WHERE crm_source = %s AND mode = 'delta' AND declared AND NOT enabled",
        [source.name],
    ).fetchall()
    return {row["model_name"] for row in found}


def note(connection: "Connection", source: Source, entities: Sequence[Entity], at: datetime) -> None:
    """Write down that the tick of this time asked for these entities, which have one cadence."""
    connection.execute(
        "UPDATE orchestration.sync_schedule SET last_run = %s, next_run = %s, updated_at = now() "
        "WHERE crm_source = %s AND model_name = ANY(%s) AND mode = 'delta' AND declared",
        [at, at + entities[0].cadence.every, source.name, [entity.name for entity in entities]],
    )


def switch(
    connection: "Connection", source: Source, entity: Entity | None, *, on: bool, modes: Sequence[str] = ("delta",)
) -> list[tuple[str, str]]:
    """Switch the rows of some modes, declared and added, of one entity or of all of a CRM.

    Returns entity and mode of those that were switched.
    """
    found = connection.execute(
        "UPDATE orchestration.sync_schedule SET enabled = %s, next_run = NULL, updated_at = now() "
        "WHERE crm_source = %s AND model_name = ANY(%s) AND mode = ANY(%s) AND enabled <> %s "
        "RETURNING model_name, mode",
        [on, source.name, [one.name for one in source.entities if entity in (None, one)], list(modes), on],
    ).fetchall()
    return sorted({(row["model_name"], row["mode"]) for row in found})


def rows(connection: "Connection") -> Mapping[tuple[str, str], dict[str, Any]]:
    """Return the declared rows of deltas by CRM and entity."""
    found = connection.execute("SELECT * FROM orchestration.sync_schedule WHERE mode = 'delta' AND declared").fetchall()
    return {(row["crm_source"], row["model_name"]): row for row in found}


def other_rows(connection: "Connection", *, enabled: bool | None = None) -> list[dict[str, Any]]:
    """Return the rows that the sensor ``schedule_rows`` asks for."""
    return connection.execute(
        "SELECT * FROM orchestration.sync_schedule WHERE NOT (mode = 'delta' AND declared)"
        " AND (%s::boolean IS NULL OR enabled = %s::boolean) ORDER BY name",
        [enabled, enabled],
    ).fetchall()


def add(
    connection: "Connection",
    source: Source,
    entity: Entity,
    *,
    name: str,
    mode: str,
    every: timedelta | None = None,
    crontab: Sequence[str] = (),
) -> bool:
    """Add a row that is on; return whether there was none of this name. ``crontab`` are its five fields.

    Raises ``ValueError`` for an interval that is no number of minutes.
    """
    count, period = cadence(every) if every else (None, None)
    minute, hour, day, month, weekday = crontab or ("*",) * 5
    done = connection.execute(
        """
        INSERT INTO orchestration.sync_schedule
            (name, crm_source, model_name, mode, recurrence_type, every, period, crontab_minute, crontab_hour,
             crontab_day_of_month, crontab_month_of_year, crontab_day_of_week)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (name) DO NOTHING
        """,
        [name, source.name, entity.name, mode, "interval" if every else "crontab", count, period,
         minute, hour, day, month, weekday],
    )  # fmt: skip
    return done.rowcount > 0


def remove(connection: "Connection", name: str) -> bool:
    """Delete a row that is not declared; return whether there was one."""
    statement = "DELETE FROM orchestration.sync_schedule WHERE name = %s AND NOT declared"
    return connection.execute(statement, [name]).rowcount > 0


def write_state(connection: "Connection", states: Sequence[Mapping[str, Any]]) -> int:
    """Write ``last_run``, ``next_run``, ``dagster_status`` and ``problem`` of rows by ``id``, where they differ.

    A ``last_run`` of None leaves the one that is there. Returns how many rows changed.
    """
    changed = connection.execute(
        """
        UPDATE orchestration.sync_schedule AS s
        SET last_run = coalesce(d.last_run, s.last_run), next_run = d.next_run, dagster_status = d.dagster_status,
            problem = d.problem
        FROM jsonb_to_recordset(%s::jsonb) AS d
            (id bigint, last_run timestamptz, next_run timestamptz, dagster_status text, problem text)
        WHERE s.id = d.id AND (coalesce(d.last_run, s.last_run), d.next_run, d.dagster_status, d.problem)
            IS DISTINCT FROM (s.last_run, s.next_run, s.dagster_status::text, s.problem)
        """,
        [json.dumps(list(states), default=datetime.isoformat)],
    )
    return changed.rowcount
