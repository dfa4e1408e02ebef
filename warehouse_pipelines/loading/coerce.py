"""From the vendor's JSON to typed columns, and the records that cannot be typed set aside.

A ``Coercer`` belongs to one run: ``table`` turns a batch of records into an Arrow table. ``RecordDecoder`` reads the
JSON, ``ColumnReader`` types a column, ``Problems`` counts what is wrong, ``MissingColumns`` tells which columns the
vendor no longer sends. Here the rules of the entity are applied, and of the records with one key the newest is chosen.
"""

import itertools
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from warehouse_pipelines.loading.column_reader import ColumnReader, mask_of, true_rows
from warehouse_pipelines.loading.erased import Erased
from warehouse_pipelines.loading.hash_and_drop import redactor
from warehouse_pipelines.loading.missing_columns import MissingColumns
from warehouse_pipelines.loading.problems import Problems
from warehouse_pipelines.loading.record_decoder import Misfit, RecordDecoder
from warehouse_pipelines.loading.rejects import Reject
from warehouse_pipelines.model.entity import Column, Entity
from warehouse_pipelines.model.reading import Json

_CODE = re.compile(r"[a-z0-9][a-z0-9_.:-]{0,39}")


class Coercer:
    """Turns batches of records of one entity into Arrow tables.

    ``read`` counts the records, ``superseded`` those of which a newer one was read, ``filled`` the values that are not
    null by column, ``warnings`` and ``lost`` what ``Problems`` found.
    """

    def __init__(
        self, crm: str, entity: Entity, *, skip_validation: bool = False, erased: Erased | None = None
    ) -> None:
        """``erased`` are the people who are kept out; nobody without it."""
        self.entity = entity
        self.erased = erased or Erased(entity)
        self.skip_validation = skip_validation
        self.read = 0
        self.superseded = 0
        self.filled: Counter[str] = Counter()
        self._columns = dict(entity.columns)
        flag, _, self._archived_word = (entity.deletes.flag or "").partition("=")
        if flag:
            self._columns["archived"] = Column("text" if self._archived_word else "boolean", flag)
        if entity.deletes.time:
            self._columns["deleted_at"] = Column("timestamptz", entity.deletes.time)
        self._problems = Problems(crm, entity, self._columns)
        self.warnings, self.lost = self._problems.warnings, self._problems.lost
        column = entity.deletes.column
        self.missing = MissingColumns(entity, self._columns[column] if column else None)
        self._redactor = redactor(entity)
        self._decoder = RecordDecoder(entity, self._columns, self._problems)
        self._reader = ColumnReader(entity, self._problems, skip_validation=skip_validation)

    @property
    def rejects(self) -> list[Reject]:
        """The records that cannot be loaded, since they were last taken."""
        return self._problems.rejects

    def take_rejects(self) -> list[Reject]:
        """Return the rejects and forget them."""
        taken, self._problems.rejects = self._problems.rejects, []
        return self.erased.without_rejects(taken) if self.erased and taken else taken

    def table(self, records: Sequence[Json]) -> pa.Table:
        """Return the good ones of ``records`` as a table; the others are added to ``rejects``.

        Of records with the same key the newest by ``entity.version`` stays, of equals the last.
        """
        self.read += len(records)
        records = self._decoder.without_too_large(records)
        if self.erased:
            records = self.erased.without_values(records)
        if self._redactor:
            records = self._redactor.records(records)
        batch = self._decoder.decode(records)
        self._problems.begin(batch.raws)
        arrays = {name: self._reader.read(name, column, batch.values[name]) for name, column in self._columns.items()}
        self._count_misfits(batch.misfits, arrays)
        self._derive(arrays)
        for name in self.entity.columns:
            self.filled[name] += len(arrays[name]) - arrays[name].null_count
        for key in self.entity.keys:
            if arrays[key].null_count:
                for row in true_rows(arrays[key].is_null()):
                    self._problems.fail_row(row, "coerce", "key_missing", f"{key} is missing")
        if not self.skip_validation:
            self._apply_rules(arrays)
        arrays["raw_data"] = _strings(self._problems.raws)
        table = self._newest(self._without_bad(pa.table(arrays)))
        if self.erased:
            table = self.erased.without_people(table)
        kept = self.missing.kept(arrays, self._problems.raws, self.read)
        return table.drop_columns(sorted(kept)) if kept else table

    def _count_misfits(self, misfits: Sequence[Misfit], arrays: Mapping[str, pa.Array]) -> None:
        """Count the values that records of another shape lost, one warning for each record."""
        for row, names, message in misfits:
            hidden = [name for name in names if name not in arrays or not arrays[name][row].is_valid]
            for place, name in enumerate(hidden):
                self._problems.lose("warn", name, row, None, message, silent=place > 0)

    def _derive(self, arrays: dict[str, pa.Array]) -> None:
        """Add what follows from the columns: deleted or not, numbers in E.164, texts that fit into their index."""
        if self._archived_word:
            arrays["archived"] = pc.equal(arrays["archived"], self._archived_word)
        if self.entity.deletes.time and not self.entity.deletes.flag:
            # A time that cannot be read is one nevertheless: the vendor says that the record is deleted.
            there = arrays["deleted_at"].is_valid()
            unread = mask_of(len(there), self._problems.unreadable_deletions)
            arrays["archived"] = pc.or_(there, pa.array(unread, pa.bool_()))
        for name, phone in self.entity.e164.items():
            hashed = phone in self.entity.local.hashed
            arrays[name] = arrays[phone] if hashed else self._reader.e164(phone, arrays[phone])
        for name in self.entity.indexes:
            if name in self.entity.columns and name not in self.entity.keys and arrays[name].type == pa.string():
                arrays[name] = self._reader.indexable(name, arrays[name])

    def _apply_rules(self, arrays: dict[str, pa.Array]) -> None:
        for rule in self.entity.rules:
            broken = rule.broken(arrays[rule.column])
            if not pc.any(broken, skip_nulls=True).as_py():
                continue
            for row in true_rows(broken):
                if rule.severity == "reject":
                    self._problems.fail_row(row, "validate", rule.name, rule.message)
                else:
                    value = arrays[rule.column][row].as_py()
                    # A code may be told; other text that breaks a rule may be a name in the wrong box.
                    text = isinstance(value, str) and not _CODE.fullmatch(value)
                    self._problems.warn(rule.severity, rule.column, row, value, rule.message, personal=text)

    def _without_bad(self, table: pa.Table) -> pa.Table:
        """Return ``table`` without the bad rows, which become rejects."""
        if not self._problems.bad:
            return table
        keys = [table[key] for key in self.entity.keys]
        for row, (stage, rule, message) in sorted(self._problems.bad.items()):
            parts = [column[row].as_py() for column in keys]
            self._problems.reject(
                self._problems.raws[row], None if None in parts else tuple(map(str, parts)), stage, rule, message
            )
        return table.filter(pa.array(mask_of(table.num_rows, self._problems.bad, inside=False)))

    def _newest(self, table: pa.Table) -> pa.Table:
        """Return ``table`` with one row of each key."""
        columns = [table[key].to_pylist() for key in self.entity.keys]
        keys: Sequence[Any] = columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))
        if len(set(keys)) == len(keys):
            return table
        version = self.entity.version
        versions = table[version].cast(pa.int64()).to_pylist() if version else [0] * len(keys)
        kept: dict[Any, int] = {}
        for row, key in enumerate(keys):
            other = kept.get(key)
            if other is None or (versions[row] or 0) >= (versions[other] or 0):
                kept[key] = row
        self.superseded += len(keys) - len(kept)
        return table.take(pa.array(sorted(kept.values())))


def _strings(raws: list[bytes]) -> pa.Array:
    """Return the records as one string array; joined at once, which is ten times quicker than value by value."""
    offsets = list(itertools.accumulate(map(len, raws), initial=0))
    return pa.Array.from_buffers(
        pa.large_string(),
        len(raws),
        [None, pa.py_buffer(pa.array(offsets, pa.int64()).buffers()[1]), pa.py_buffer(b"".join(raws))],
    )
