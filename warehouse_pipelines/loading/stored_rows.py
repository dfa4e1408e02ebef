"""How the statements of a load find the stored rows of an entity: by key, and those that live.

In all conditions ``t`` is the row of the table. Statistics can be wrong by any factor: autovacuum that comes by during
a long uncommitted load writes that the table is empty. So ``StoredRows.place`` has one plan whatever they say.
"""

import functools
from collections.abc import Sequence

from psycopg import sql

from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import Window
from warehouse_pipelines.model.source import Source


class StoredRows:
    """The table of an entity, its key, and the conditions for its rows."""

    def __init__(self, source: Source, entity: Entity) -> None:
        self.source, self.entity = source, entity
        self.table = entity.identifier

    @functools.cached_property
    def key_types(self) -> dict[str, sql.SQL]:
        """The PostgreSQL type of each column of the key."""
        return {key: sql.SQL(self.entity.pg_types[key].split(" ")[0]) for key in self.entity.keys}

    @property
    def key_columns(self) -> list[sql.Composable]:
        """The definition of the columns of a table of keys."""
        return [sql.SQL("{} {}").format(sql.Identifier(key), type_) for key, type_ in self.key_types.items()]

    def living(self, window: Window | None = None) -> sql.Composable:
        """Return the condition for living rows of ``t``; with a window that has a begin, of those in it."""
        # A mirrored table may have rows that were made here, which no vendor can show.
        living = sql.SQL("NOT t.archived AND t.sync_hash IS NOT NULL" if self.source.mirrored else "NOT t.archived")
        if window is None or window.since is None or not self.entity.cursor:
            return living
        return sql.SQL("{0} AND t.{1} >= {2} AND t.{1} < {3}").format(
            living, sql.Identifier(self.entity.cursor), window.since.isoformat(), window.until.isoformat()
        )

    def place(self, other: str) -> sql.Composable:
        """Return the condition and the order by which the row of ``t`` with the key of ``other`` is looked up.

        A key of several columns is not compared by equality: to statistics that are wrong, an index of one of its
        columns is as good as the key's, and may hold half of the table at that place. The first row from the key to the
        key, in the order of the key, can be had from the key's index alone.
        """
        keys = self.entity.keys
        if len(keys) == 1:
            return sql.SQL("{} OFFSET 0").format(same_key(keys, other))
        mine, theirs = (sql.SQL(", ").join(sql.Identifier(row, key) for key in keys) for row in ("t", other))
        return sql.SQL("({mine}) >= ({theirs}) AND ({mine}) <= ({theirs}) ORDER BY {mine} LIMIT 1").format(
            mine=mine, theirs=theirs
        )


def name_list(names: Sequence[str]) -> sql.Composed:
    """Return column names with commas between them."""
    return sql.SQL(", ").join(map(sql.Identifier, names))


def same_key(keys: Sequence[str], other: str) -> sql.Composed:
    """Return the condition that ``t`` and ``other`` have the same key, column by column."""
    return sql.SQL(" AND ").join(
        sql.SQL("t.{0} = {1}.{0}").format(sql.Identifier(key), sql.Identifier(other)) for key in keys
    )
