"""Whether a warehouse is what migrations make of it; ``warehouse db verify`` and ``warehouse check`` say so.

With the tables, what belongs to whom, and what the role that loads is a member of: a dump that was restored without
owners, or into a new cluster, has every row, and cannot be loaded or erased from.

Nothing is changed, and no lock is taken that a load would wait for: the catalog is asked.
"""

from typing import TYPE_CHECKING, Any

from warehouse_pipelines.errors import WrongUse
from warehouse_pipelines.queries import query
from warehouse_pipelines.schema import scripts
from warehouse_pipelines.sources import SOURCES

if TYPE_CHECKING:
    import sqlalchemy as sa

SCHEMAS = ("public", "pipedesk", *(source.name for source in SOURCES if source.account))
"""The schemas whose tables the entities declare."""


def verify(url: str, schemas: tuple[str, ...] = SCHEMAS) -> list[str]:
    """Return a sentence for each thing that is missing or otherwise. Raises ``DatabaseUnavailable``."""
    from warehouse_pipelines.schema.migrate import engine, pending, unfinished
    from warehouse_pipelines.schema.tables import differences

    with engine(url).connect() as connection:
        if scripts.run(connection, query("restore_unfinished")).scalar():
            return ["a restore into this database did not end: drop the database, make it anew, and restore again"]
        try:
            missing = pending(connection)
        except WrongUse as error:  # of a newer version
            return [str(error)]
        if missing:
            return [f"revision {revision} is not applied" for revision in missing]
        entities = [entity for source in SOURCES for entity in source.entities if entity.schema in schemas]
        found = [f"{difference} is missing or otherwise" for difference in differences(connection, entities)]
        found += [f"{step.name} of revision {revision} is not done" for revision, step in unfinished(connection)]
        if "pipedesk" in schemas:
            found += [row[0] for row in _rows(connection, query("pipedesk_lacking"))]
        if "public" in schemas:
            found += [row[0] for row in _rows(connection, query("strange_owners"))]
            found += [
                f"{role} lacks a right. As an administrator: {statement}"
                for role, statement in _rows(connection, query("loader_lacks"))
            ]
        return found


def _rows(connection: "sa.Connection", statement: str) -> "list[sa.Row[Any]]":
    return [*scripts.run(connection, statement)]
