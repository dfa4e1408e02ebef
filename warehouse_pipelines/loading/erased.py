"""Keep erased people out: what a sync reads is compared with ``identity.tombstone`` before anything is made of it.

A record counts as an erased person's if its key is one that was erased, or if a column of e-mail addresses or phone
numbers of its own has one that was, in whatever spelling (``erased_values``). It is dropped, from the rows and from the
dead letters alike, and counted (``erased`` in the metrics, within ``filtered``). In any other record an erased address
or number, as in the list of an event's attendees or in somebody's note, is replaced by ``[erased]``.

The list holds keyed hashes, so nobody reads in it who was erased; the key is the warehouse's own (``0015_erasure``).
An address or a number that somebody else has too, such as the number of a household, is not on it.

Cost: where nobody was erased, one query for each run. Else the e-mail addresses and phone numbers of each record are
looked for and hashed: 40 µs for a record of 1.3 kB, measured on a loaded machine, whatever the length of the list.

A run that read before a person was erased does not load afterwards: it asks again at its end, under a lock that an
erasure waits for (``unchanged``).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import NotConfigured, TryAgain
from warehouse_pipelines.loading.erased_values import MARK, ErasedValues, digest
from warehouse_pipelines.loading.hash_and_drop import redactor, scrubbed
from warehouse_pipelines.loading.record_paths import ANY, follow
from warehouse_pipelines.loading.rejects import Reject
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import Json

if TYPE_CHECKING:
    import pyarrow as pa

    from warehouse_pipelines.loading.transaction import Transaction
    from warehouse_pipelines.warehouse import Session

ERASED_RECORD = '{"erased": true}'
"""What stands in ``raw_data`` of a row whose person was erased."""

LOCK = 0x6572617365
"""Held shared by a run from its last look at the list to its end, and alone by an erasure."""

_OTHERS = re.compile(
    r"agent|canvasser|manager|organizer|creator|deleted_by|tracking|business|destination|salesrep|assistant|company|pager"
)


def record_digest(key: bytes, table: str, source_key: str) -> bytes:
    """Return what stands in the list for a record; the parts of its key have blanks between them."""
    return digest(key, "record", f"{table}\0{source_key}")


def own_columns(entity: Entity) -> tuple[str, ...]:
    """Return the columns of e-mail addresses and phone numbers that are those of the person of the record."""
    return tuple(name for name in _contacts(entity) if not _OTHERS.search(entity.local.renamed.get(name, name)))


def _contacts(entity: Entity) -> list[str]:
    return [name for name, column in entity.columns.items() if column.kind in ("email", "phone")]


@dataclass(frozen=True)
class ErasedList:
    """The list as it was read at one moment: ``last`` is the number of the last erasure."""

    key: bytes = b""
    last: int = 0
    records: frozenset[bytes] = frozenset()
    values: ErasedValues = field(default_factory=lambda: ErasedValues(b"", frozenset()))

    @classmethod
    def read(cls, session: "Session", table: str | None = None) -> "ErasedList":
        """Read the list, of the records those of one table, or all."""
        last = last_erasure(session)
        if not last:
            return ErasedList()
        found = session.execute("SELECT key FROM identity.erasure_key").fetchone()
        listed = session.execute(
            "SELECT kind, digest FROM identity.tombstone"
            " WHERE %(table)s::text IS NULL OR source_table IS NULL OR source_table = %(table)s",
            {"table": table},
        ).fetchall()
        key = bytes(found["key"]) if found else b""
        return ErasedList(
            key,
            last,
            frozenset(bytes(one["digest"]) for one in listed if one["kind"] == "record"),
            ErasedValues(key, frozenset(bytes(one["digest"]) for one in listed if one["kind"] != "record")),
        )


@dataclass
class Erased:
    """The list as one run reads it for one entity; without ``listed`` there is none.

    ``last`` is the number of the last erasure, ``dropped`` counts the records that were left out.
    """

    entity: Entity
    key: bytes = b""
    last: int = 0
    records: frozenset[bytes] = frozenset()
    values: ErasedValues = field(default_factory=lambda: ErasedValues(b"", frozenset()))
    listed: bool = False
    dropped: int = 0
    dropped_keys: list[tuple[Any, ...]] = field(default_factory=list)

    @classmethod
    def read(cls, session: "Session", entity: Entity) -> "Erased":
        """Read the list. A warehouse that was not migrated yet has none.

        Raises ``NotConfigured`` for a user who may not read it: without the list, erased people would come back.
        """
        import psycopg

        try:
            return cls._of_warehouse(session, entity)
        except psycopg.errors.InsufficientPrivilege as error:
            raise NotConfigured(
                f"Loading {entity.table} needs the list of erased people, and this user may not read it: GRANT USAGE ON"
                " SCHEMA identity and SELECT ON identity.tombstone and identity.erasure_key to it."
            ) from error

    @classmethod
    def _of_warehouse(cls, session: "Session", entity: Entity) -> "Erased":
        if not warehouse.has_table(session, "identity.tombstone"):
            return cls(entity)
        found = ErasedList.read(session, entity.table)
        return cls(entity, found.key, found.last, found.records, found.values, listed=True)

    def __bool__(self) -> bool:
        return bool(self.records or self.values)

    def has(self, addresses: Iterable[str], numbers: Iterable[str]) -> bool:
        """Return whether one of these addresses, in lower case, or numbers, in E.164, is an erased person's."""
        return any(self.values.is_listed("email", one) for one in addresses) or any(
            self.values.is_listed("phone", one) for one in numbers
        )

    def require_unchanged(self, transaction: "Transaction") -> None:
        """Hold ``LOCK`` to the end of the transaction of a run. Raises ``TryAgain`` if somebody was erased since."""
        from psycopg import sql

        if not self.listed:
            return
        transaction.run(f"SELECT pg_advisory_xact_lock_shared({LOCK})")
        last = transaction.number(sql.SQL("SELECT coalesce(max(erasure_id), 0) FROM identity.tombstone"))
        if last != self.last:
            raise TryAgain(
                f"a person was erased while {self.entity.table} was read, who may be among what was read; nothing was "
                "loaded. Run again."
            )

    def without_values(self, records: Sequence[Json]) -> Sequence[Json]:
        """Return the records with ``MARK`` in place of erased addresses and numbers."""
        if not self.values:
            return records
        if self._hashed:
            records = [self._before_it_is_hashed(bytes(record)) for record in records]
        rows = self.values.rows(records)
        if not rows:
            return records
        without = [*records]
        for row in rows:
            raw = bytes(records[row])
            without[row] = self.values.without(raw, self._keys(raw))
        return without

    @cached_property
    def _hashed(self) -> dict[str, str]:
        """The own columns that are hashed, each with the hash of ``MARK``."""
        names = self.entity.local.hashed.intersection(own_columns(self.entity))
        hashing = redactor(self.entity) if names else None
        return {name: hashing.hashed(MARK, self.entity.columns[name].kind) for name in names} if hashing else {}

    def _before_it_is_hashed(self, raw: bytes) -> bytes:
        """Return a record with ``MARK`` as each value of an erased person of which a hash alone will be left."""
        document = _document(raw)
        found = {
            text.strip().casefold(): MARK
            for name in self._hashed
            for text in self._texts(document, name)
            if self._is_own(name, text) or self.values.places(text)
        }
        return scrubbed(raw, found) if found else raw

    def _texts(self, document: Any, name: str) -> list[str]:
        """Return what stands where a column is read."""
        values = (follow(document, path) for path in self.entity.columns[name].members)
        return [str(value) for value in values if value is not None and not isinstance(value, dict | list)]

    def _is_own(self, name: str, text: str) -> bool:
        return self.values.has(self.entity.columns[name].kind, text)

    def _keys(self, raw: bytes) -> frozenset[str]:
        """Return the values of the record's key: a number in it is an id, whoever may have the same as a phone."""
        document = _document(raw)
        return frozenset(text for name in self.entity.keys for text in self._texts(document, name))

    def without_people(self, table: "pa.Table") -> "pa.Table":
        """Return a table of records without those of erased people; count these, and keep their keys.

        Of the records that stay, a column that is another's, such as the agent's, is without their addresses, numbers.
        """
        import pyarrow as pa

        erased: set[int] = set()
        keys: list[tuple[Any, ...]] = list(zip(*(table[key].to_pylist() for key in self.entity.keys), strict=True))
        if self.records:
            erased |= {
                row
                for row, parts in enumerate(keys)
                if record_digest(self.key, self.entity.table, " ".join(map(str, parts))) in self.records
            }
        if self.values:
            own = own_columns(self.entity)
            for name in _contacts(self.entity):
                rows = self._rows(table, name)
                if name in own:
                    erased |= rows
                elif rows:
                    table = self._replaced(table, name, rows)
        if not erased:
            return table
        self.dropped += len(erased)
        self.dropped_keys += [keys[row] for row in sorted(erased)]
        return table.filter(pa.array([row not in erased for row in range(table.num_rows)]))

    def _rows(self, table: "pa.Table", name: str) -> set[int]:
        """Return the rows that have an erased person's address or number in a column."""
        texts = table[name].to_pylist()
        if hashed := self._hashed.get(name):
            return {row for row, text in enumerate(texts) if text and hashed in text}
        if name in self.entity.local.hashed:
            return set()
        found = {row for row, text in enumerate(texts) if text and MARK in text}
        if self.entity.columns[name].kind == "email":
            return found | {row for row, text in enumerate(texts) if text and self.values.has("email", text)}
        numbers = table[f"{name}_e164"].to_pylist()
        return found | {row for row, one in enumerate(numbers) if one and self.values.is_listed("phone", one)}

    def _replaced(self, table: "pa.Table", name: str, rows: set[int]) -> "pa.Table":
        """Return the table with ``MARK`` in a column of these rows, and where the record repeats what stood there."""
        import pyarrow as pa

        texts, raws = table[name].to_pylist(), table["raw_data"].to_pylist()
        for row in rows:
            if MARK not in texts[row]:
                raws[row] = scrubbed(raws[row].encode(), {texts[row].strip().casefold(): MARK}).decode()
                texts[row] = MARK
        changed = {name: texts, "raw_data": raws}
        if f"{name}_e164" in self.entity.e164:
            numbers = table[f"{name}_e164"].to_pylist()
            changed[f"{name}_e164"] = [None if row in rows else one for row, one in enumerate(numbers)]
        for column, values in changed.items():
            place = table.schema.get_field_index(column)
            table = table.set_column(place, column, pa.array(values, table.schema.field(place).type))
        return table

    def take_keys(self) -> list[tuple[Any, ...]]:
        """Return the keys of the records that were dropped since they were last taken."""
        taken, self.dropped_keys = self.dropped_keys, []
        return taken

    def without_rejects(self, rejects: list[Reject]) -> list[Reject]:
        """Return the records that cannot be loaded, but those of erased people, which are counted as dropped."""
        kept = [reject for reject in rejects if not self._is_erased(reject)]
        self.dropped += len(rejects) - len(kept)
        return kept

    def _is_erased(self, reject: Reject) -> bool:
        if reject.parts and record_digest(self.key, self.entity.table, " ".join(reject.parts)) in self.records:
            return True
        raw = bytes(reject.raw)
        document = _document(raw)
        if document is None:  # nobody can say whose it is
            return MARK.encode() in raw
        return any(
            MARK in text or self._hashed.get(name, MARK) in text or self._is_own(name, text)
            for name in own_columns(self.entity)
            for text in self._texts(document, name)
        )


def _document(raw: bytes) -> Any:
    try:
        return ANY.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def erasure_held_off(session: "Session") -> int:
    """Let nobody be erased before the transaction ends; return the number of the last erasure."""
    session.execute("SELECT pg_advisory_xact_lock_shared(%s)", [LOCK])
    return last_erasure(session)


def last_erasure(session: "Session") -> int:
    """Return the number of the last erasure, 0 when there was none."""
    return int(warehouse.value(session, "SELECT coalesce(max(erasure_id), 0) FROM identity.tombstone"))
