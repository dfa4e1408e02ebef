"""The entities by their tables, and what the installation calls their columns: for SQL that is made of rows."""

from collections.abc import Mapping, Sequence

from psycopg import sql

from warehouse_pipelines.model.entity import Entity


class Tables:
    """The entities by table, under the names that the installation gave their columns."""

    def __init__(self, entities: Sequence[Entity]) -> None:
        self.by_name: Mapping[str, Entity] = {entity.table: entity for entity in entities}

    def column(self, table: str, name: str) -> str | None:
        """Return what a declared column is called here; None if it was dropped, or has a hash."""
        entity = self.by_name[table]
        for new, old in entity.local.renamed.items():
            if old == name:
                name = new
                break
        if name not in entity.pg_types or name in entity.local.hashed:
            return None
        return name if not (base := entity.e164.get(name)) or base not in entity.local.hashed else None

    def identifier(self, table: str) -> sql.Identifier:
        """Return the table's name for SQL."""
        entity = self.by_name[table]
        return sql.Identifier(entity.schema, entity.table_name)
