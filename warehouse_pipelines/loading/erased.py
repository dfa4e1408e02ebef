"""Keep erased people out: what a sync reads is compared with ``identity.tombstone`` before anything is made of it.

A record counts as an erased person's if its key is one that was erased, or if a column of e-mail addresses or phone
numbers of its own has one that was. It is dropped, from the rows and from the dead letters alike, and counted
(``erased`` in the metrics, within ``filtered``). In any other record an erased address or number, as in the list of an
event's attendees or in somebody's note, is replaced by ``[erased]``.

The list holds keyed hashes, so nobody reads in it who was erased; the key is the warehouse's own (``0015_erasure``).
An address or a number that somebody else has too, such as the number of a household, is not on it.

Cost: where nobody was erased, one query for each run. Else the e-mail addresses and phone numbers of each record are
looked for and hashed: 40 µs for a record of 1.3 kB, measured on a loaded machine, whatever the length of the list.

A run that read before a person was erased does not load afterwards: it asks again at its end, under a lock that an
erasure waits for (``unchanged``).
"""

import hmac
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from warehouse_pipelines.errors import NotConfigured, TryAgain
from warehouse_pipelines.loading.hash_and_drop import scrubbed
from warehouse_pipelines.loading.rejects import Reject
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import Json

if TYPE_CHECKING:
    import pyarrow as pa

    from warehouse_pipelines.loading.transaction import Transaction
    from warehouse_pipelines.warehouse import Session

MARK = "[erased]"
"""What stands where something of an erased person stood within a text; the functions of ``crm`` write it too."""

ERASED_RECORD = '{"erased": true}'
"""What stands in ``raw_data`` of a row whose person was erased."""

LOCK = 0x6572617365
"""Held shared by a run from its last look at the list to its end, and alone by an erasure."""

_LOCAL_PART = re.compile(rb"[\w.+-]+\Z")
_DOMAIN = re.compile(rb"(?:[A-Za-z0-9-]+\.)+[A-Za-z0-9-]+")
_DIGITS = re.compile(rb"\d[\d ().+-]{8,}\d")
"""What may be a phone number; the pattern of a number itself would take seven times as long."""
_PHONE = re.compile(rb"(?<!\d)(?:1[ .-]?)?(?:\(\d{3}\)|\d{3})[ .-]{0,2}\d{3}[ .-]?\d{4}(?!\d)")
_NO_DIGIT = bytes(set(range(256)) - set(b"0123456789"))
_OTHERS = re.compile(
    r"agent|canvasser|manager|organizer|creator|deleted_by|tracking|business|destination|salesrep|assistant|company|pager"
)


def digest(key: bytes, kind: str, value: str) -> bytes:
    """Return what stands in the list for a value: 128 bits of its HMAC, of its kind.

    An e-mail address is given in lower case, a phone number as its last ten digits.
    """
    return hmac.digest(key, f"{kind}\0{value}".encode(), "sha256")[:16]


def record_digest(key: bytes, table: str, source_key: str) -> bytes:
    """Return what stands in the list for a record; the parts of its key have blanks between them."""
    return digest(key, "record", f"{table}\0{source_key}")


def own_columns(entity: Entity) -> tuple[str, ...]:
    """Return the columns of e-mail addresses and phone numbers that are those of the person of the record."""
    return tuple(
        name
        for name, column in entity.columns.items()
        if column.kind in ("email", "phone") and not _OTHERS.search(entity.local.renamed.get(name, name))
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
    values: frozenset[bytes] = frozenset()
    listed: bool = False
    dropped: int = 0
    dropped_keys: list[tuple[Any, ...]] = field(default_factory=list)
    _known: dict[bytes, str | None] = field(default_factory=dict)

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
        there = session.execute("SELECT to_regclass('identity.tombstone') IS NOT NULL AS there").fetchone()
        if not (there and there["there"]):
            return cls(entity)
        last = last_erasure(session)
        if not last:
            return cls(entity, listed=True)
        found = session.execute("SELECT key FROM identity.erasure_key").fetchone()
        listed = session.execute(
            "SELECT kind, digest FROM identity.tombstone WHERE source_table IS NULL OR source_table = %s",
            [entity.table],
        ).fetchall()
        return cls(
            entity,
            key=bytes(found["key"]) if found else b"",
            last=last,
            listed=True,
            records=frozenset(bytes(one["digest"]) for one in listed if one["kind"] == "record"),
            values=frozenset(bytes(one["digest"]) for one in listed if one["kind"] != "record"),
        )

    def __bool__(self) -> bool:
        return bool(self.records or self.values)

    def has(self, emails: Iterable[str], phones: Iterable[str]) -> bool:
        """Return whether one of these addresses, in lower case, or numbers, in E.164, is an erased person's."""
        return any(digest(self.key, "email", one) in self.values for one in emails) or any(
            digest(self.key, "phone", one[-10:].lstrip("+")) in self.values for one in phones
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
        if not self.values or not self._found(b"\n".join(records)):  # all at once takes two thirds of the time
            return records
        return [self._without(bytes(record)) for record in records]

    def _without(self, raw: bytes) -> bytes:
        found = self._found(raw)
        if not found or self._keys(raw) & found.keys():
            return raw
        without = scrubbed(raw, found)
        return re.sub(_in_url(found), MARK.encode(), without) if b"%40" in raw else without

    def _found(self, raw: bytes) -> dict[str, str]:
        """Return the erased addresses and numbers that stand in a text, for ``scrubbed``."""
        found: dict[str, str] = {}
        plain = raw.replace(b"%40", b"@") if b"%40" in raw else raw
        at = plain.find(b"@")
        while at >= 0:
            domain = _DOMAIN.match(plain, at + 1)
            local = _LOCAL_PART.search(plain, max(0, at - 64), at) if domain else None
            if domain and local and (address := self._listed(local[0] + b"@" + domain[0], "email")):
                found[address] = MARK
            at = plain.find(b"@", at + 1)
        for text in _DIGITS.findall(raw):
            digits = text.translate(None, _NO_DIGIT)
            several = len(digits) > 11 or (len(digits) == 11 and digits[:1] != b"1")
            for number in _PHONE.findall(text) if several else (digits,):
                if listed := self._listed(number.translate(None, _NO_DIGIT)[-10:], "phone"):
                    found[listed] = MARK
        return found

    def _listed(self, text: bytes, kind: str) -> str | None:
        """Return the value in its normal form if it is on the list."""
        try:
            return self._known[text]
        except KeyError:
            pass
        normal = text.decode(errors="replace").lower()
        listed = normal if digest(self.key, kind, normal) in self.values else None
        if len(self._known) > 200_000:
            self._known.clear()
        self._known[text] = listed
        return listed

    def _keys(self, raw: bytes) -> set[str]:
        """Return the values of the record's key: a number in it is an id, whoever may have the same as a phone."""
        document = _document(raw)
        paths = {path for name in self.entity.keys for path in self.entity.columns[name].paths}
        return {str(_at(document, path))[-10:] for path in paths}

    def without_people(self, table: "pa.Table") -> "pa.Table":
        """Return a table of records without those of erased people; count these, and keep their keys."""
        import pyarrow as pa
        import pyarrow.compute as pc

        erased: set[int] = set()
        keys: list[tuple[Any, ...]] = list(zip(*(table[key].to_pylist() for key in self.entity.keys), strict=True))
        if self.records:
            erased |= {
                row
                for row, parts in enumerate(keys)
                if record_digest(self.key, self.entity.table, " ".join(map(str, parts))) in self.records
            }
        if self.values:
            marked = pc.indices_nonzero(pc.match_substring(table["raw_data"], MARK)).to_pylist()
            for name in own_columns(self.entity) if marked else ():
                values, hashed = table[name], name in self.entity.local.hashed
                erased |= {row for row in marked if hashed or MARK in (values[row].as_py() or "")}
        if not erased:
            return table
        self.dropped += len(erased)
        self.dropped_keys += [keys[row] for row in sorted(erased)]
        return table.filter(pa.array([row not in erased for row in range(table.num_rows)]))

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
        if MARK.encode() not in raw:
            return False
        document = _document(raw)
        if document is None:  # nobody can say whose it is
            return True
        paths = {path for name in own_columns(self.entity) for path in self.entity.columns[name].paths}
        return any(MARK in str(_at(document, path)) for path in paths)


def _document(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _at(document: Any, path: str) -> Any:
    for part in path.split("."):
        document = document.get(part) if isinstance(document, dict) else None
    return document


def _in_url(found: Iterable[str]) -> bytes:
    """Return a pattern of the addresses as they stand in a URL."""
    texts = [re.escape(text).replace("@", "%40") for text in found if "@" in text]
    return ("(?i:" + "|".join(texts) + ")" if texts else r"(?!)").encode()


def erasure_held_off(session: "Session") -> int:
    """Let nobody be erased before the transaction ends; return the number of the last erasure."""
    session.execute("SELECT pg_advisory_xact_lock_shared(%s)", [LOCK])
    return last_erasure(session)


def last_erasure(session: "Session") -> int:
    """Return the number of the last erasure, 0 when there was none."""
    row = session.execute("SELECT coalesce(max(erasure_id), 0) AS last FROM identity.tombstone").fetchone()
    return int(row["last"]) if row else 0
