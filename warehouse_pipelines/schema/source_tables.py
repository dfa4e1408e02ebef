"""``orchestration.source_table``: which table each entity fills, for whoever asks in SQL (``marts.data_quality``).

A migration keeps the rows in step with those of the sources, as it does with ``orchestration.sync_schedule``.
"""

import json
from collections.abc import Iterable

import sqlalchemy as sa

from warehouse_pipelines.model.entity import BOOKKEEPING
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.observability.health import limits


def align(connection: sa.Connection, sources: Iterable[Source]) -> list[str]:
    """Write the rows that differ, and delete those of entities that are no more; return a line for the change."""
    rows = [
        {
            "table": entity.table,
            "crm": source.name,
            "entity": entity.name,
            # A number in E.164 is made of another column; the history counts that.
            "columns": [
                *dict.fromkeys(entity.e164.get(name, name) for name in entity.indexes if name not in BOOKKEEPING)
            ],
            "hours": limits(entity)[1],
        }
        for source in sources
        for entity in source.entities
    ]
    deleted = connection.execute(
        sa.text("DELETE FROM orchestration.source_table WHERE table_name <> ALL (CAST(:tables AS text[]))"),
        {"tables": [row["table"] for row in rows]},
    )
    written = connection.execute(
        sa.text("""
            INSERT INTO orchestration.source_table AS t (table_name, crm_source, sync_type, key_columns, stale_after)
            SELECT d."table", d.crm, d.entity, d.columns, make_interval(secs => d.hours * 3600)
            FROM jsonb_to_recordset(CAST(:declared AS jsonb))
                    AS d ("table" text, crm text, entity text, columns text[], hours float8)
            ON CONFLICT (table_name) DO UPDATE SET crm_source = excluded.crm_source, sync_type = excluded.sync_type,
                key_columns = excluded.key_columns, stale_after = excluded.stale_after
                WHERE (t.crm_source, t.sync_type, t.key_columns, t.stale_after)
                    IS DISTINCT FROM (excluded.crm_source, excluded.sync_type, excluded.key_columns,
                                      excluded.stale_after)
            """),
        {"declared": json.dumps(rows)},
    )
    changed = deleted.rowcount + written.rowcount
    return [f"tables of entities: {changed} rows"] if changed else []
