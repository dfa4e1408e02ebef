"""Columns that a batch lacks keep their stored values; those that turn out to be sent after all are emptied.

The coercer drops a column from its tables when the vendor seems to send it no more (``columns_absent`` of
``observability.lost_values``). The loader then merges the batch without it.
"""

from collections.abc import Set

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
        emptied, untouched = self._transaction.row(self._statements.empty_returned(returned))
        return int(untouched) if emptied else 0
