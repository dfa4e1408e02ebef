"""The records that PostgreSQL refuses because of their data become rejects, and the others of their batch are merged.

A batch is tried in halves, down to the one record, within PostgreSQL by a function (``merge_sql``).
"""

from collections.abc import Set

import adbc_driver_manager
import pyarrow as pa
from psycopg import sql

from warehouse_pipelines.errors import masked
from warehouse_pipelines.loading.load_errors import sqlstate
from warehouse_pipelines.loading.merge_sql import MergeStatements
from warehouse_pipelines.loading.rejects import Reject
from warehouse_pipelines.loading.transaction import Transaction


class RefusedRecords:
    """What PostgreSQL refused of one run, until it is taken."""

    def __init__(self, transaction: Transaction, statements: MergeStatements) -> None:
        self._transaction, self._statements, self._keys = transaction, statements, statements.entity.keys
        self._rejects: list[Reject] = []
        self._kept: Set[str] | None = None

    def merge_others(self, kept: frozenset[str]) -> tuple[tuple[int, ...], list[tuple[str, ...]]]:
        """Merge what can be merged of ``incoming``, the rest of which is deleted from it and becomes rejects.

        Returns the counts of ``MergeStatements.merge``, and the keys of the rest.
        """
        width = len(self._keys)
        if self._kept is None:
            names = [*(f"key_{n}" for n in range(width)), "raw_data", "rule", "message"]
            texts = [sql.SQL("{} text").format(sql.Identifier(name)) for name in names]
            self._transaction.create_temp_table("refused", texts)
        else:
            self._transaction.run("TRUNCATE refused")
        if self._kept != kept:
            self._transaction.run(self._statements.merge_in_halves(kept))
            self._kept = kept
        counts = self._transaction.row(sql.SQL("SELECT * FROM pg_temp.merge_in_halves()"))
        try:
            self._transaction.cursor.execute("SELECT * FROM refused")
            rows = self._transaction.cursor.fetchall()
        except adbc_driver_manager.Error as error:
            raise self._transaction.translated(error) from error
        for *parts, raw, rule, message in rows:
            key = tuple(parts)
            self._rejects.append(Reject(raw.encode(), " ".join(key), "load", rule, masked(message), key))
        return tuple(counts), [tuple(row[:width]) for row in rows]

    def note(self, table: pa.Table, error: adbc_driver_manager.Error) -> None:
        """Note that the one record of ``table`` cannot be staged."""
        row = table.slice(0, 1).to_pylist()[0]
        key = tuple(str(row[name]) for name in self._keys)
        message = masked(str(error).replace("\n", " "))
        rule = sqlstate(error) or "refused"
        self._rejects.append(Reject(row["raw_data"].encode(), " ".join(key), "load", rule, message, key))

    def take(self) -> list[Reject]:
        """Return the rejects since they were last taken."""
        taken, self._rejects = self._rejects, []
        return taken
