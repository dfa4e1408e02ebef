"""``orchestration.sync_schedule``: a row per entity, with the switch that says whether schedules ask for it.

A migration writes the rows and keeps them in step with the declared cadences, but never touches ``enabled``. The ticks
of Dagster's schedules read the switches and note what they asked for. An entity without a row is on.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.source import Source

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[dict[str, Any]]

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


def align(connection: sa.Connection, sources: Iterable[Source]) -> list[str]:
    """Write a row for each entity, and the cadence of those that changed; return a line for each."""
    rows = []
    for source in sources:
        for entity in source.entities:
            every, period = cadence(entity.cadence.every)
            rows.append(
                {
                    "name": f"{source.name} {entity.name}",
                    "crm": source.name,
                    "entity": entity.name,
                    "every": every,
                    "period": period,
                    "schedule": dagster_name(source, entity.cadence.every),
                }
            )
    changed = connection.execute(
        sa.text("""
            INSERT INTO orchestration.sync_schedule AS s
                (name, crm_source, model_name, mode, recurrence_type, every, period, dagster_schedule_name)
            SELECT d.name, d.crm, d.entity, 'delta', 'interval', d.every, d.period, d.schedule
            FROM jsonb_to_recordset(CAST(:declared AS jsonb))
                    AS d (name text, crm text, entity text, every integer, period text, schedule text)
                LEFT JOIN orchestration.sync_schedule AS o
                    ON o.crm_source = d.crm AND o.model_name = d.entity AND o.mode = 'delta'
            WHERE (o.every, o.period, o.dagster_schedule_name) IS DISTINCT FROM (d.every, d.period, d.schedule)
            ON CONFLICT (crm_source, model_name, mode) DO UPDATE SET
                recurrence_type = 'interval', every = excluded.every, period = excluded.period,
                dagster_schedule_name = excluded.dagster_schedule_name, next_run = NULL, updated_at = now()
            RETURNING name, every, period
            """),
        {"declared": json.dumps(rows)},
    )
    return [f"schedule of {name}: every {every} {period}" for name, every, period in changed]


def switched_off(connection: "Connection", source: Source) -> set[str]:
    """Return the names of a CRM's entities that are switched off."""
    found = connection.execute(
        "SELECT model_name FROM orchestration.sync_schedule WHERE crm_source = %s AND mode = 'delta' AND NOT enabled",
        [source.name],
    ).fetchall()
    return {row["model_name"] for row in found}


def note(connection: "Connection", source: Source, entities: Sequence[Entity], at: datetime) -> None:
    """Write down that the tick of this time asked for these entities, which have one cadence."""
    connection.execute(
        "UPDATE orchestration.sync_schedule SET last_run = %s, next_run = %s, updated_at = now() "
        "WHERE crm_source = %s AND model_name = ANY(%s) AND mode = 'delta'",
        [at, at + entities[0].cadence.every, source.name, [entity.name for entity in entities]],
    )


def switch(connection: "Connection", source: Source, entity: Entity | None, *, on: bool) -> list[str]:
    """Switch one entity, or all of a CRM; return the names of those that were switched."""
    found = connection.execute(
        "UPDATE orchestration.sync_schedule SET enabled = %s, updated_at = now() "
        "WHERE crm_source = %s AND model_name = ANY(%s) AND mode = 'delta' AND enabled <> %s RETURNING model_name",
        [on, source.name, [one.name for one in source.entities if entity in (None, one)], on],
    ).fetchall()
    return sorted(row["model_name"] for row in found)


def rows(connection: "Connection") -> Mapping[tuple[str, str], dict[str, Any]]:
    """Return the rows of the declared kind by CRM and entity."""
    found = connection.execute("SELECT * FROM orchestration.sync_schedule WHERE mode = 'delta'").fetchall()
    return {(row["crm_source"], row["model_name"]): row for row in found}
