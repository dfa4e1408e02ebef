"""Which columns the warehouse keeps as a hash or not at all, as comments say, beside what this program's file says.

A program that was started in another folder, or without ``config/columns.toml``, would store in clear what the file
promised to hash or to drop. So a load and a migration are refused that know less than the table does: the comment of a
column says that it is hashed, that of the table which columns are dropped, also when they are removed. What a pipeline
of dlt's own has loaded is in its state (``dlt_state``).
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

from psycopg import sql

from warehouse_pipelines.errors import NotConfigured
from warehouse_pipelines.model import column_texts
from warehouse_pipelines.model.column_config import columns_file
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.queries import query

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

Kept = tuple[str, Literal["hash", "drop"]]
"""A column, and what was done to it."""

_DROPPED = re.escape(column_texts.DROPPED).replace(re.escape("{}"), "(.+)")


def require(session: "Session", entity: Entity) -> None:
    """Raise ``NotConfigured`` when a load of this entity would store a hashed or a dropped column in clear."""
    rows = session.execute(*asked([entity])).fetchall()
    refuse_clear(entity, [(row["column"], row["done"]) for row in rows])


def asked(entities: Iterable[Entity]) -> tuple[str, dict[str, Any]]:
    """Return the query for what the tables keep as a hash or not at all, and its parameters."""
    tables = [quoted(entity) for entity in entities]
    return query("redacted_columns"), {"tables": tables, "hashed": column_texts.HASHED, "dropped": _DROPPED}


def quoted(entity: Entity) -> str:
    """Return the table's name in SQL."""
    return sql.Identifier(entity.schema, entity.table_name).as_string()


def refuse_clear(entity: Entity, kept: Iterable[Kept]) -> None:
    """Raise ``NotConfigured`` when one of these columns of the table would be stored in clear.

    One that was dropped may not be hashed either. It has its declared name, and a hashed one that of the table.
    """
    kept, table = list(kept), quoted(entity)
    clear = less_than(entity, kept)
    forget = [f"COMMENT ON COLUMN {table}.{sql.Identifier(name).as_string()} IS NULL" for name in clear["hash"]]
    forget += [f"COMMENT ON TABLE {table} IS NULL"] if clear["drop"] else []
    if forget:
        raise NotConfigured(
            f"{entity.table} keeps {said(clear)}, and {columns_file()} does not say so, so it would be stored in "
            "clear. Name the right file by WAREHOUSE_COLUMNS_FILE; or, if it shall be stored from now on, "
            f"{'; '.join(forget)}, and migrate."
        )


def less_than(entity: Entity, kept: Iterable[Kept]) -> dict[str, list[str]]:
    """Return which of these columns would be stored in clear, hashed ones and dropped ones, each list in order."""
    local = entity.local
    hashed = local.hashed | local.dropped.keys() | {local.renamed.get(name, name) for name in local.hashed}
    stored = {local.renamed.get(name, name) for name in entity.columns}
    kept = sorted(kept)
    return {
        "hash": [name for name, done in kept if done == "hash" and name not in hashed],
        "drop": [name for name, done in kept if done == "drop" and name in stored],
    }


def said(columns: dict[str, list[str]]) -> str:
    """Return how these columns are kept: ``email as a hash and zip not at all``."""
    phrases = [(columns["hash"], "as a hash"), (columns["drop"], "not at all")]
    return " and ".join(f"{', '.join(names)} {how}" for names, how in phrases if names)
