"""Tombstones: mark rows that the vendor deleted (``archived``, ``deleted_at``, ``delete_reason``); no row is removed.

A row counts as deleted for one of three reasons. A read of a complete range did not return it (``track``, then
``tombstone_missing``); the source named its key (``tombstone``); another record absorbed it (``absorb``). Records that
carry the vendor's own deleted flag are tombstoned by the merge.

A read that would tombstone too much is not believed: it raises ``SuspiciousRead``, unless forced.
"""

import json
from collections.abc import Mapping, Sequence, Set

import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from warehouse_pipelines.errors import SuspiciousRead
from warehouse_pipelines.loading.change_log import ChangeLog
from warehouse_pipelines.loading.stored_rows import StoredRows, name_list, same_key
from warehouse_pipelines.loading.transaction import Transaction
from warehouse_pipelines.model.reading import Window

LARGEST_SHARE = 0.2
SMALL_TABLE = 100
"""A read may tombstone a fifth of a table of over a hundred living rows; more is stopped unless forced.

A read of everything that returns none of the rows that were there is stopped at any size: it read another list (a sheet
whose cells show errors, another account). Smaller tables may lose most of their rows, because short lists do (a team's
users, the tags of a season): one row that is found again proves that it is the same list, and the check ``volume``
reports a read that found less than half of what is usual.
"""


_DELETED = {"archived": sql.SQL("true"), "deleted_at": sql.SQL("now()")}


class Tombstones:
    """Marks the deleted rows of one entity in the transaction of its run, and counts and perhaps logs them."""

    def __init__(
        self, transaction: Transaction, stored: StoredRows, *, force: bool, log: ChangeLog | None = None
    ) -> None:
        self.source, self.entity, self.force = stored.source, stored.entity, force
        self.tracking = False
        self.tombstoned = self.absorbed = 0
        self._transaction, self._stored, self._log = transaction, stored, log

    def track(self) -> None:
        """Keep the keys of all records from now on, as ``tombstone_missing`` needs them."""
        key = sql.SQL("PRIMARY KEY ({})").format(name_list(self.entity.keys))
        self._transaction.create_temp_table("seen", [*self._stored.key_columns, key])
        self.tracking = True

    def note_merged(self) -> None:
        """Note the keys of the batch that was merged."""
        if self.tracking:
            keys = name_list(self.entity.keys)
            self._transaction.run(
                sql.SQL("INSERT INTO seen SELECT {} FROM incoming ON CONFLICT DO NOTHING").format(keys)
            )

    def note_rejected(self) -> None:
        """Note the keys of the records that just went to the dead letters: a bad record is at the vendor too."""
        if self.tracking:
            types = self._stored.key_types.values()
            typed = [sql.SQL(f"key_{n}::{{}}").format(type_) for n, type_ in enumerate(types)]
            self._transaction.run(
                sql.SQL(
                    "INSERT INTO seen SELECT {} FROM rejects WHERE key_0 IS NOT NULL"
                    " AND octet_length(record_key) < 2600 ON CONFLICT DO NOTHING"  # longer than an index can hold
                ).format(sql.SQL(", ").join(typed))
            )

    def note_erased(self, keys: Sequence[Sequence[object]]) -> None:
        """Note the keys of records that were dropped because their person was erased: what is left of a row stays."""
        if self.tracking and keys:
            columns = [
                sql.SQL("unnest({}::text[])::{}").format([str(part) for part in parts], type_)
                for parts, type_ in zip(zip(*keys, strict=True), self._stored.key_types.values(), strict=True)
            ]
            self._transaction.run(
                sql.SQL("INSERT INTO seen SELECT {} ON CONFLICT DO NOTHING").format(sql.SQL(", ").join(columns))
            )

    def tombstone_missing(self, window: Window, reason: str = "missing", *, everything: bool) -> None:
        """Tombstone the living rows in ``window`` that a complete read of it did not return; all when it has no begin.

        ``everything`` was asked for, so that a read that returns no row of before is of another list. The window has a
        begin all the same where the vendor forgets what is old.

        Raises ``SuspiciousRead`` when that would be too many to believe, unless forced.
        """
        if not self.tracking:
            return
        missing = sql.SQL("NOT EXISTS (SELECT FROM seen s WHERE {} OFFSET 0)").format(same_key(self.entity.keys, "s"))
        self._tombstone(window, missing, reason, proves_itself=not everything)

    def tombstone(self, keys: Sequence[str], window: Window, reason: str = "missing") -> None:
        """Tombstone the living rows of these ``keys``, whose parts have blanks between them.

        Raises ``SuspiciousRead`` when they are too many to believe, unless forced.
        """
        self._tombstone(window, self._named(keys), reason, proves_itself=True)

    def withdraw(self, keys: Sequence[str], window: Window) -> None:
        """Tombstone the living rows of these ``keys``, however many: they were made of what is no record."""
        if keys:
            self._tombstone(window, self._named(keys), "missing", proves_itself=True, believed=True)

    def _named(self, keys: Sequence[str]) -> sql.Composable:
        texts = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier("t", key)) for key in self.entity.keys)
        return sql.SQL("concat_ws(' ', {}) = ANY({})").format(texts, list(keys))

    def mark_erased(self, keys: Sequence[str]) -> None:
        """Mark rows that are archived already and that the vendor no longer has; ``keys`` are of one column."""
        if keys:
            which = sql.SQL("t.{} = ANY({}) AND t.archived AND t.delete_reason = 'archived'").format(
                sql.Identifier(self.entity.keys[0]), list(keys)
            )
            self._note_change({"delete_reason": sql.SQL("'erased'")}, which)
            self._transaction.run(
                sql.SQL("UPDATE {} t SET delete_reason = 'erased', sync_updated_at = now() WHERE {}").format(
                    self._stored.table, which
                )
            )

    def absorb(self, table: pa.Table, refused: Set[str]) -> None:
        """Tombstone the rows that a record of the batch absorbed: the vendor forgets them without a trace.

        Raises as ``Transaction.run`` does.
        """
        merged_keys = self.entity.deletes.merged_keys
        listed = table[merged_keys]
        some = pc.indices_nonzero(pc.fill_null(pc.greater(pc.binary_length(listed), 0), False))
        if not len(some):
            return
        few = table.take(some)
        archived = few["archived"].to_pylist() if "archived" in few.column_names else [None] * len(some)
        survivors = {
            key: survivor
            for survivor, keys, is_archived in zip(
                few[self.entity.keys[0]].to_pylist(), few[merged_keys].to_pylist(), archived, strict=True
            )
            if not is_archived and survivor not in refused
            for key in map(str.strip, keys.split(";"))
            if key and key != survivor
        }
        if not survivors:
            return
        key = sql.Identifier("t", self.entity.keys[0])
        reason = sql.SQL("'merged into ' || ({}::jsonb ->> {})").format(json.dumps(survivors), key)
        which = sql.SQL("{} = ANY({}) AND (NOT t.archived OR t.delete_reason NOT LIKE 'merged%')").format(
            key, list(survivors)
        )
        self._note_change({**_DELETED, "delete_reason": reason}, which)
        # Those that were deleted before count already; both parts see the rows as they were.
        statement = sql.SQL("""
            WITH living AS (
                SELECT count(*) AS rows FROM {target} t WHERE {which} AND NOT t.archived
            ), tombstoned AS (
                UPDATE {target} t SET archived = true, deleted_at = now(), sync_updated_at = now(),
                    delete_reason = {reason}
                WHERE {which}
            ) SELECT rows FROM living
        """).format(target=self._stored.table, reason=reason, which=which)
        self.absorbed += self._transaction.number(statement)

    def count_living(self, window: Window) -> int:
        """Return how many living rows the window holds; all of them when it has no begin."""
        return self._count(self._stored.living(window))

    def _tombstone(
        self, window: Window, which: sql.Composable, reason: str, *, proves_itself: bool, believed: bool = False
    ) -> None:
        """Tombstone the living rows of ``window`` that ``which`` selects.

        Keys that the source named, and the end of a list, prove themselves; a list without any row of before does not.
        """
        deleted = sql.SQL("{} AND {}").format(self._stored.living(window), which)
        count = self._count(deleted)
        if not count:
            return
        living = self.count_living(window)
        none_found = not proves_itself and count == self._count(
            sql.SQL("{} AND t.sync_created_at < now()").format(self._stored.living(window))
        )
        too_many = none_found or (living > SMALL_TABLE and count > LARGEST_SHARE * living)
        if too_many and not (believed or self.force):
            raise SuspiciousRead(
                f"{self.source.title} no longer shows {count} of the {living} living rows of {self.entity.table}; "
                "nothing was loaded. If that is right, run again with --force."
            )
        values = {name: sql.Literal(value) for name, value in self.entity.deletes.deleted_values.items()}
        self._note_change({**_DELETED, "delete_reason": sql.Literal(reason), **values}, deleted)
        self._transaction.run(
            sql.SQL(
                "UPDATE {} t SET archived = true, deleted_at = now(), delete_reason = {},"
                " sync_updated_at = now(){} WHERE {}"
            ).format(
                self._stored.table,
                reason,
                sql.SQL("").join(
                    sql.SQL(", {} = {}").format(sql.Identifier(name), value) for name, value in values.items()
                ),
                deleted,
            )
        )
        self.tombstoned += count

    def _note_change(self, values: Mapping[str, sql.Composable], which: sql.Composable) -> None:
        """Log that the rows of ``which`` are about to get these values, if the entity asks for it."""
        if self._log:
            self._transaction.run(self._log.set_to(values, which))

    def _count(self, condition: sql.Composable) -> int:
        return self._transaction.number(
            sql.SQL("SELECT count(*) FROM {} t WHERE {}").format(self._stored.table, condition)
        )
