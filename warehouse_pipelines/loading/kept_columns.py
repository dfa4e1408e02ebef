"""Columns that a batch lacks keep their stored values; those that turn out to be sent after all are emptied.

The coercer drops a column from its tables when the vendor seems to send it no more (``columns_absent`` of
``observability.lost_values``). The loader then merges the batch without it.
"""

from collections.abc import Sequence, Set

import pyarrow as pa
from psycopg import sql

from warehouse_pipelines.loading.merge_sql import MergeStatements
from warehouse_pipelines.loading.stored_rows import name_list
from warehouse_pipelines.loading.transaction import Transaction


class KeptColumns:
    """The columns that the present batch lacks (``now``), and the rows that were merged without some."""

    def __init__(self, transaction: Transaction, statements: MergeStatements) -> None:
        self.now: frozenset[str] = frozenset()
        self._ever: frozenset[str] = frozenset()
        self._transaction, self._statements, self._entity = transaction, statements, statements.entity

    def begin(self, table: pa.Table) -> None:
        """Keep what ``table`` lacks until the next batch."""
        self.now = frozenset(self._entity.columns.keys() | self._entity.e164.keys()) - set(table.column_names)

    def note_merged(self) -> None:
        """Note the keys of the batch that was merged."""
        if not self.now:
            return
        if not self._ever:
            self._transaction.create_temp_table("kept", self._statements.stored.key_columns)
        self._ever |= self.now
        self._transaction.run(sql.SQL("INSERT INTO kept SELECT {} FROM incoming").format(name_list(self._entity.keys)))

    def empty_returned(self, absent: Set[str]) -> int:
        """Empty the columns that were kept, and that a later record proved to be sent, where a record lacks them.

        Return how many rows changed that had been counted as unchanged. A vendor that leaves out what is empty shows
        by that record that it left them out on purpose in those before. ``absent`` are the columns that no record had.
        ``raw_data`` is asked, so a row that is newer than its record in this run stays as it is.
        """
        e164 = self._entity.e164
        returned = sorted(name for name in self._ever if e164.get(name, name) not in absent)
        if not returned:
            return 0
        emptied, untouched = self._transaction.row(self._emptying(returned))
        return int(untouched) if emptied else 0

    def _emptying(self, returned: Sequence[str]) -> sql.Composed:
        """Compose what empties the ``returned`` columns of the rows in ``kept`` whose ``raw_data`` lacks them.

        It returns how many rows were emptied, and how many of them this run had left as they were.
        """
        stored, log, e164 = self._statements.stored, self._statements.log, self._entity.e164
        lacking = {
            name: sql.SQL("({} IS NOT NULL AND {})").format(
                sql.Identifier("t", name),
                sql.SQL(" AND ").join(
                    sql.SQL("t.raw_data #> {} IS NULL").format(path.split("."))
                    for path in self._entity.columns[e164.get(name, name)].members
                ),
            )
            for name in returned
        }
        logged: sql.Composable = sql.SQL("")
        if log:
            emptied = {
                name: sql.SQL("CASE WHEN NOT {} THEN t.{}::text END").format(lacks, sql.Identifier(name))
                for name, lacks in lacking.items()
            }
            which = sql.SQL("t.ctid = ANY(ARRAY(SELECT place FROM found))")
            logged = sql.SQL(", logged AS ({})").format(log.set_to(emptied, which))
        return sql.SQL("""
            WITH found AS MATERIALIZED (
                SELECT t.place, t.untouched FROM kept k CROSS JOIN LATERAL (
                    SELECT t.ctid AS place, t.sync_updated_at < now() AS untouched, {any} AS stale
                    FROM {target} t WHERE {place}
                ) t WHERE t.stale
            ){logged}, emptied AS (
                UPDATE {target} t SET {assignments}, sync_updated_at = now()
                WHERE t.ctid = ANY(ARRAY(SELECT place FROM found)) RETURNING 1
            ) SELECT (SELECT count(*) FROM emptied), (SELECT count(DISTINCT place) FROM found WHERE untouched)
        """).format(
            any=sql.SQL(" OR ").join(lacking.values()),
            target=stored.table,
            place=stored.place("k"),
            assignments=sql.SQL(", ").join(
                sql.SQL("{0} = CASE WHEN NOT {1} THEN t.{0} END").format(sql.Identifier(name), lacks)
                for name, lacks in lacking.items()
            ),
            logged=logged,
        )
