"""Which columns the warehouse keeps as a hash, as their comments say, beside what this program's columns file says.

A program that was started in another folder, or without ``config/columns.toml``, would store in clear what the file
promised to hash. So a load and a migration are refused that know less than the table does.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from psycopg import sql

from warehouse_pipelines.errors import NotConfigured
from warehouse_pipelines.model import column_texts
from warehouse_pipelines.model.column_config import columns_file
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.queries import query

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session


def require(session: "Session", entity: Entity) -> None:
    """Raise ``NotConfigured`` when a load of this entity would store a hashed column in clear."""
    refuse_clear(entity, [row["column"] for row in session.execute(*asked([entity]))])


def asked(entities: Iterable[Entity]) -> tuple[str, dict[str, Any]]:
    """Return the query for what the tables keep as a hash, and its parameters."""
    return query("hashed_columns"), {"tables": [quoted(entity) for entity in entities], "said": column_texts.HASHED}


def quoted(entity: Entity) -> str:
    """Return the table's name in SQL."""
    return sql.Identifier(entity.schema, entity.table_name).as_string()


def refuse_clear(entity: Entity, kept: Iterable[str]) -> None:
    """Raise ``NotConfigured`` when one of these columns, which the table keeps as a hash, would be stored in clear."""
    local = entity.local
    known = local.hashed | local.dropped.keys() | {local.renamed.get(name, name) for name in local.hashed}
    if clear := [name for name in kept if name not in known]:
        table = quoted(entity)
        forget = "; ".join(f"COMMENT ON COLUMN {table}.{sql.Identifier(name).as_string()} IS NULL" for name in clear)
        raise NotConfigured(
            f"{entity.table} keeps {', '.join(clear)} as a hash, and {columns_file()} does not say so, so it would be "
            "stored in clear. Name the right file by WAREHOUSE_COLUMNS_FILE; or, if it shall be in clear from now on, "
            f"{forget}, and migrate."
        )
