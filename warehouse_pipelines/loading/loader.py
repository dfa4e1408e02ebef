"""From Arrow batches to rows: stage, merge and commit in one transaction, with exact counts.

A batch goes by ADBC into a temporary table, and one statement merges it (``merge_sql``): rows whose record has the hash
that the table has are skipped before anything is parsed; of the others those that do not differ are skipped too; what
remains is inserted or, when it is not older, updated, and PostgreSQL says which of the two. So ``sync_updated_at``
moves only when a row changes, and unchanged rows are neither locked nor logged. A table that was empty before the run
takes its batches as they come, until one is refused, such as for a key that an earlier batch had: looking for rows
that are not there is a sixth of PostgreSQL's time.

When PostgreSQL refuses a batch because of its data, the batch is tried in halves down to the one record, which becomes
a reject. The halves are tried within PostgreSQL, by one function whose plan is made once: sent from here, each of the
10,000 tries that 5,000 bad records cost was planned anew. Any other error ends the run: the transaction is rolled back
and with it everything the run did.

Cost, of PostgreSQL's time and for a record of forty columns and 1.5 kB: about 30 µs for a new or changed row (a fifth
for the transfer, a fifth for four indexes), 12 µs for an unchanged one; ``benchmarks/README.md`` has the stages. Both
grow with the logarithm of the table, whose keys are looked up by index.
"""

import json
from collections.abc import Sequence, Set
from typing import Any
from uuid import UUID

import adbc_driver_manager
import pyarrow as pa
from psycopg import sql

from warehouse_pipelines.errors import DatabaseUnavailable
from warehouse_pipelines.loading import entity_lock
from warehouse_pipelines.loading.change_log import ChangeLog
from warehouse_pipelines.loading.column_reader import ARROW
from warehouse_pipelines.loading.dead_letters import DeadLetterWriter
from warehouse_pipelines.loading.kept_columns import KeptColumns
from warehouse_pipelines.loading.load_errors import sqlstate
from warehouse_pipelines.loading.merge_sql import MergeStatements
from warehouse_pipelines.loading.mirroring import MIRROR, may_not_mirror
from warehouse_pipelines.loading.refused_records import RefusedRecords
from warehouse_pipelines.loading.rejects import Reject
from warehouse_pipelines.loading.stored_rows import StoredRows
from warehouse_pipelines.loading.tombstones import Tombstones
from warehouse_pipelines.loading.transaction import Transaction
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.rules import KINDS
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.queries import query


class Loader:
    """Loads the batches of one run. Everything stays in its transaction until ``commit``.

    ``archived`` counts the records that the vendor's deleted flag tombstoned, ``older`` those that are left out because
    their row was newer before this run; ``tombstones`` and ``dead_letters`` count what they do themselves.
    """

    def __init__(
        self, url: str, source: Source, entity: Entity, *, history_id: int, token: int, force: bool,
        detect_deletes: bool,
    ) -> None:  # fmt: skip
        """Open the transaction. ``detect_deletes`` keeps the keys that are read, for ``tombstone_missing``.

        ``token`` is that of the entity's lease, which it must still have at the commit.

        Raises ``DatabaseUnavailable``, and ``ActionNeeded`` when the table is not there or may not be mirrored into.
        """
        self.source, self.entity, self.history_id = source, entity, history_id
        self._token = token
        self.created = self.updated = self.unchanged = self.restored = self.archived = self.older = 0
        self._merge: tuple[frozenset[str] | None, bool, str] = (None, False, "")
        self._stored = StoredRows(source, entity)
        log = ChangeLog(self._stored, history_id) if entity.change_log else None
        self._statements = MergeStatements(self._stored, force=force, log=log)
        self.transaction = Transaction(url, entity.table)
        if source.mirrored:
            self._mirror()
        self.transaction.create_temp_table("incoming", self._statements.incoming_columns)
        before = sql.SQL("""
            SELECT EXISTS (SELECT FROM {table} t WHERE {living}), EXISTS (
                SELECT FROM orchestration.dead_letter
                WHERE status IN ('pending', 'waived') AND crm_source = {crm} AND sync_type = {name}),
                NOT EXISTS (SELECT FROM {table}),
                pg_try_advisory_xact_lock_shared(hashtextextended({loading}, 0))
        """).format(
            table=self._stored.table, living=self._stored.living(),
            crm=source.name, name=entity.name, loading=entity_lock.loading_key(source.name, entity.name),
        )  # fmt: skip
        self.had_rows, some_open, self._all_new, _ = self.transaction.row(before)
        self.dead_letters = DeadLetterWriter(
            self.transaction, source, entity, history_id=history_id, some_open=some_open
        )
        self._kept = KeptColumns(self.transaction, self._statements)
        self._refused = RefusedRecords(self.transaction, self._statements)
        self.tombstones = Tombstones(self.transaction, self._stored, force=force, log=log)
        if detect_deletes and self.had_rows:
            self.tombstones.track()

    @property
    def failed(self) -> int:
        """How many records went to the dead letters."""
        return self.dead_letters.failed

    @property
    def deleted(self) -> int:
        """How many rows were tombstoned, for whatever reason."""
        return self.archived + self.tombstones.tombstoned + self.tombstones.absorbed

    def _mirror(self) -> None:
        try:
            self.transaction.cursor.execute(MIRROR)
        except adbc_driver_manager.Error as error:
            self.close()
            refused = sqlstate(error) == "42501"
            raise may_not_mirror(self.source) if refused else self.transaction.translated(error) from error

    def load(self, table: pa.Table) -> None:
        """Merge a batch whose keys are distinct; those that PostgreSQL refuses become rejects.

        Columns that ``table`` lacks are kept as they are stored; without the vendor's deleted flag, what it tombstoned.

        Raises ``DatabaseUnavailable`` or ``ActionNeeded`` for an error that the data did not cause.
        """
        if not table.num_rows:
            return
        self._kept.begin(table)
        # Not within the savepoint, where PostgreSQL keeps what it truncates on disk until the commit.
        self.transaction.run("TRUNCATE incoming")
        self.transaction.run("SAVEPOINT batch")
        try:
            self.transaction.ingest("incoming", _staged(self.entity, table, self._kept.now))
        except adbc_driver_manager.Error as error:
            if not self.transaction.is_about_data(error, "batch"):
                raise self.transaction.translated(error) from error
            self.transaction.run("ROLLBACK TO SAVEPOINT batch")
            self.transaction.run("RELEASE SAVEPOINT batch")
            if table.num_rows == 1:
                self._refused.note(table, error)
                return
            half = table.num_rows // 2
            self.load(table.slice(0, half))
            self.load(table.slice(half))
            return
        if self.entity.deletes.column and "archived" not in table.column_names:
            self.transaction.run(self._statements.keep_archived())
        refused = self._merge_staged(table.num_rows)
        self.transaction.run("RELEASE SAVEPOINT batch")
        self.tombstones.note_merged()
        self._kept.note_merged()
        self.dead_letters.note_merged()
        merged_keys = self.entity.deletes.merged_keys
        if merged_keys and merged_keys not in self._kept.now:
            self.tombstones.absorb(table, {parts[0] for parts in refused})

    def _merge_staged(self, records: int) -> list[tuple[str, ...]]:
        """Merge ``incoming``, count, and return the keys of the records that PostgreSQL refused."""
        self.transaction.run("SAVEPOINT staged")
        refused: list[tuple[str, ...]] = []
        if self._merge[:2] != (self._kept.now, self._all_new):
            compose = self._statements.insert if self._all_new else self._statements.merge
            self._merge = (self._kept.now, self._all_new, compose(self._kept.now).as_string())
        try:
            self.transaction.cursor.execute(self._merge[2])
            counts = self.transaction.cursor.fetchone()
        except adbc_driver_manager.Error as error:
            if not self.transaction.is_about_data(error, "staged"):
                raise self.transaction.translated(error) from error
            self.transaction.run("ROLLBACK TO SAVEPOINT staged")
            if self._all_new:
                self._all_new = False
                return self._merge_staged(records)
            counts, refused = self._refused.merge_others(self._kept.now)
        created, updated, restored, archived, older = counts
        self.created += created
        self.updated += updated
        self.restored += restored
        self.archived += archived
        self.older += older
        self.unchanged += records - len(refused) - created - updated - older
        return refused

    def empty_returned(self, absent: Set[str]) -> None:
        """Empty the kept columns that a later record proved to be sent (``KeptColumns.empty_returned``)."""
        changed = self._kept.empty_returned(absent)
        same = min(changed, self.unchanged)  # the others are rows that are newer than their record
        self.updated += changed
        self.unchanged -= same
        self.older -= changed - same

    def take_rejects(self) -> list[Reject]:
        """Return the records that PostgreSQL refused since they were last taken."""
        return self._refused.take()

    def write_dead_letters(self, rejects: Sequence[Reject]) -> None:
        """Write records that cannot be loaded into the dead letters; their rows are not missing at the vendor."""
        if rejects:
            self.dead_letters.write(rejects)
            self.tombstones.note_rejected()

    def count_rows(self) -> tuple[int, int]:
        """Return how many rows the table has as this transaction sees it, and how many of them live; reads them all."""
        self.transaction.run("SET LOCAL enable_seqscan = on")
        self.transaction.cursor.execute(
            sql.SQL("SELECT count(*), count(*) FILTER (WHERE NOT archived) FROM {}")
            .format(self._stored.table)
            .as_string()
        )
        rows, living = self.transaction.cursor.fetchone()
        return int(rows), int(living)

    def commit(self, closing: dict[str, Any]) -> None:
        """Close the history row and commit all.

        Raises ``DatabaseUnavailable``, also when the row is closed already or the lease has another token.
        """
        cursor = self.transaction.cursor
        try:
            cursor.execute(query("close_history_row"), parameters=(json.dumps(closing), self.history_id, self._token))
            if cursor.fetchone() is None:
                raise DatabaseUnavailable(
                    f"history row {self.history_id} was closed by someone else while the run went on, or another run "
                    "has its entity; it is rolled back"
                )
            cursor.execute("COMMIT")
        except adbc_driver_manager.Error as error:
            raise self.transaction.translated(error) from error

    def cancel(self) -> None:
        """End the statement that another thread waits for, if there is one."""
        self.transaction.cancel()

    def close(self) -> None:
        """End the session, which rolls back what was not committed."""
        self.transaction.close()


def _staged(entity: Entity, table: pa.Table, kept: Set[str]) -> pa.Table:
    """Return the columns of ``incoming``, in its order; those that the table lacks, ``kept`` among them, are null."""
    if "archived" not in table.column_names:
        table = table.append_column("archived", pa.nulls(table.num_rows, pa.bool_()))
    if "deleted_at" not in table.column_names:
        table = table.append_column("deleted_at", pa.nulls(table.num_rows, pa.timestamp("us", "UTC")))
    for name in kept:
        kind = entity.columns[name].kind if name in entity.columns else "text"
        table = table.append_column(name, pa.nulls(table.num_rows, ARROW[KINDS[kind].pg_type]))
    for name, column in entity.columns.items():
        if column.kind == "uuid":
            table = table.set_column(table.column_names.index(name), name, _uuids(table[name]))
    return table.select([*entity.columns, *entity.e164, "raw_data", "archived", "deleted_at"])


def _uuids(texts: pa.ChunkedArray) -> pa.Array:
    """Return UUIDs as the 16 bytes that PostgreSQL's binary COPY wants of them."""
    texts = texts.combine_chunks()
    digits = "".join(texts.fill_null(str(UUID(int=0))).to_pylist()).replace("-", "")
    valid = None if not texts.null_count else texts.is_valid()
    buffers = [valid.buffers()[1] if valid else None, pa.py_buffer(bytes.fromhex(digits))]
    return pa.Array.from_buffers(pa.binary(16), len(texts), buffers)
