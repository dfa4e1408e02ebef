"""From the vendor's JSON to typed columns, and the records that cannot be typed set aside.

A column at a time: a chunk of records is decoded by msgspec into structs that know only the declared paths, the values
of a path become an Arrow array, and Arrow casts it. Where a cast fails, the values that are not of the plain form are
read one by one by ``validate``; those that it cannot read become null and are counted (``warn``, ``info``), or cost
their record (``reject``), as a key does. A chunk with bad records costs little more than a good one, since only the
suspects are read twice.

The record itself goes to ``raw_data`` as the vendor sent it, byte for byte but for what PostgreSQL cannot hold: NUL is
left out, and the rest is mended (``validate.mended``), which is a warning of the column ``raw_data``.
"""

import itertools
import operator
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from warehouse_pipelines.errors import masked
from warehouse_pipelines.loading.redact import redactor
from warehouse_pipelines.loading.rejects import TOO_LARGE, Reject
from warehouse_pipelines.model import validate
from warehouse_pipelines.model.entity import Column, Entity
from warehouse_pipelines.model.phones import e164, nanp_pattern
from warehouse_pipelines.model.reading import Json, TooLarge
from warehouse_pipelines.model.rules import KINDS, Severity
from warehouse_pipelines.model.validate import Unreadable
from warehouse_pipelines.observability import logs, redaction
from warehouse_pipelines.observability.lost_values import ENOUGH_RECORDS, EXPECTED_VALUES, Sent, Standing

TIMESTAMP = pa.timestamp("us", "UTC")
ARROW: dict[str, pa.DataType] = {
    "text": pa.string(),
    "uuid": pa.string(),
    "bigint": pa.int64(),
    "numeric": pa.string(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamptz": TIMESTAMP,
    "jsonb": pa.string(),
}
"""What a column of each PostgreSQL type is on its way there; ``numeric`` and ``jsonb`` are cast by the merge,
``uuid`` when it is staged."""

_DAY = r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
PLAIN = {
    "uuid": r"^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
    "integer": r"^-?\d{1,18}$",
    "numeric": r"^-?\d{1,40}(?:\.\d{1,40})?$",
    "date": f"^{_DAY}$",
    "timestamptz": rf"^{_DAY}[T ](?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{{1,6}})?(?:Z|[+-][01]\d:[0-5]\d)$",
    "boolean": r"^(?:true|false)$",
}
"""The forms that Arrow casts just as ``validate`` reads them."""

_DAYS = ((date(validate.FIRST_YEAR, 1, 1) - date(1970, 1, 1)).days, (date.max - date(1970, 1, 1)).days)
_DAY_LONG = 86_400_000_000
YEARS = {"date": _DAYS, "timestamptz": (_DAYS[0] * _DAY_LONG, (_DAYS[1] + 1) * _DAY_LONG - 1)}
"""The first and the last that ``validate`` reads, as Arrow counts them; Arrow knows the year 0."""

NATIVE: dict[str, set[type]] = {"boolean": {bool, type(None)}, "integer": {int, type(None)}}
"""JSON's own types, where a column takes them as they are."""

LARGEST_RECORD = 128 * 2**20
"""Bytes of a record; a row of 64 MB may take twice that in JSON. PostgreSQL holds 256 MB in one text of jsonb."""

IN_CACHE = 500
"""Records decoded at a time: what msgspec makes of them is read again while it is still in the processor's cache,
which halves the time (measured: 4.2 against 9.6 µs a record of 36 texts)."""

INDEXABLE = 2_600
"""Bytes of a text that PostgreSQL surely takes into an index; it refuses the row of a longer one."""

FLAG_SAMPLE, ALWAYS = 20, 0.9
"""Records of a chunk in which the deleted flag is looked for, and the share from which a vendor always sends it."""

LOGGED = 100
"""Warnings of one column that a run writes into the log; the others are counted."""

_CODE = re.compile(r"[a-z0-9][a-z0-9_.:-]{0,39}")
_NUL = re.compile(validate.NUL.encode())
_SUSPECT = re.compile(rb"\\(?=u0000|u[dD])")
"""Written so that Python looks for the backslash alone, which is as quick as one search for a text."""
_SURROGATE = re.compile(rb"\\u[dD][89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F]", re.DOTALL)
"""What looks like a half of a surrogate pair; it may be harmless text after an escaped backslash."""


class Node:
    """One member of the record on the way to the declared columns: what is taken here and what lies below."""

    def __init__(self) -> None:
        self.columns: list[str] = []
        self.raw = False
        self.below: dict[str, Node] = {}


class Coercer:
    """Turns chunks of records of one entity into Arrow tables; keeps rejects and counts until they are fetched."""

    def __init__(self, crm: str, entity: Entity, *, skip_validation: bool = False) -> None:
        self.crm = crm
        self.entity = entity
        self.skip_validation = skip_validation
        self.rejects: list[Reject] = []
        self.read = 0
        self.superseded = 0
        self.keyless = 0
        self.warnings: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        """Values that were there and are null in their column, by column."""
        self.filled: Counter[str] = Counter()
        """Values that are not null, by column."""
        self.absent: set[str] = set()
        """Columns that were filled before and whose member no record has; the tables lack them."""
        self.vanished: set[str] = set()
        """Columns of which the source itself says that they are gone (``Extraction.absent``)."""
        self.flag_sent = Sent(0, 0)
        """Of a sample of the records: how many had the vendor's deleted flag, be it null."""
        self.has_archived: Callable[[], bool] = lambda: True
        """Whether the table has rows that the flag tombstoned; asked once, when no record of a chunk has the flag."""
        self._flag = entity.flag
        self._flag_expected: Sent | None = None
        self._flag_was_kept = False
        self._expected: dict[str, float] = {}
        self._unseen: Mapping[str, int] = {}
        self._redactor = redactor(entity)
        self._raws: list[bytes] = []
        self._bad: dict[int, tuple[str, str, str]] = {}
        self._misfits: list[tuple[int, list[str], str]] = []
        self._unread_deletions: set[int] = set()
        self._columns = dict(entity.columns)
        flag, _, self._archived_word = (entity.archived or "").partition("=")
        if flag:
            self._columns["archived"] = Column("text" if self._archived_word else "boolean", flag)
        if entity.archived_at:
            self._columns["deleted_at"] = Column("timestamptz", entity.archived_at)
        self._taken: dict[str, Column] = {}
        self._scattered: dict[str, list[list[str]]] = {}
        for name, column in self._columns.items():
            if column.parts == ((column.path,),):
                self._taken[name] = column
                continue
            self._scattered[name] = [[f"{name}={path}" for path in parts] for parts in column.parts]
            self._taken |= {f"{name}={path}": Column(column.kind, path) for parts in column.parts for path in parts}
        root = Node()
        for name, column in self._taken.items():
            node = root
            for part in column.path.split("."):
                node = node.below.setdefault(part, Node())
            node.columns.append(name)
            node.raw = node.raw or column.kind == "jsonb"
        self._root = root
        self._struct, self._attributes = _struct_of(entity.table_name, root)
        self._decoder = msgspec.json.Decoder(self._struct, float_hook=str)
        self._any = msgspec.json.Decoder(Any, float_hook=str)
        self._exact = msgspec.json.Decoder(Any, float_hook=Decimal)
        self._encode = msgspec.json.Encoder(decimal_format="number").encode

    def expect(self, shares: Mapping[str, float], stood: Standing) -> None:
        """Tell which share of the records had a value in each column the last time, and how the columns stood."""
        entity, absent = self.entity, stood.absent
        needed = {*entity.keys, entity.cursor, entity.version, entity.merged}
        self._expected = {name: share for name, share in shares.items() if name in entity.columns.keys() - needed}
        self.absent = set(absent) & entity.columns.keys() - needed
        self._expected |= dict.fromkeys(self.absent, 1.0)
        self._unseen = stood.unseen
        if self._flag:
            self._flag_expected = stood.flag
            self.absent |= {self._flag} & absent

    @property
    def unseen(self) -> dict[str, int]:
        """How many records, of earlier runs too, came since one had the member of a column; only where one is due."""
        return {
            name: without
            for name in self._expected.keys() - self.absent
            if (without := self._unseen.get(name, 0) + self.read)
        }

    @property
    def vanished_values(self) -> set[str]:
        """Those of the vanished columns that a merge can do without."""
        entity = self.entity
        values = {*entity.columns, *([self._flag] if self._flag else [])}
        return (self.vanished & values) - {*entity.keys, entity.cursor, entity.version, entity.merged}

    def table(self, records: Sequence[Json]) -> pa.Table:
        """Return the good ones of ``records`` as a table; the others are added to ``rejects``.

        Of records with the same key the newest by ``entity.version`` stays, of equals the last.
        """
        self.read += len(records)
        records = self._without_too_large(records)
        if self._redactor:
            records = self._redactor.records(records)
        self._raws, self._bad, self._misfits, self._unread_deletions = [], {}, [], set()
        parts: dict[str, list[pa.Array | Sequence[Any]]] = {name: [] for name in self._columns}
        for start in range(0, len(records), IN_CACHE):
            structs, raws = self._decoded(records[start : start + IN_CACHE])
            self._raws += raws
            values: dict[str, Sequence[Any]] = {}
            self._collect(self._root, self._attributes, structs, values)
            for name, places in self._scattered.items():
                found = [_joined([values[part] for part in parts]) for parts in places]
                values[name] = list(map(_first, *found))
            for name, column in self._columns.items():
                parts[name].append(_json_array(values[name]) if column.kind == "jsonb" else _as_strings(values[name]))
        arrays = {name: self._array(name, column, parts[name]) for name, column in self._columns.items()}
        for row, names, message in self._misfits:
            hidden = [name for name in names if name not in arrays or not arrays[name][row].is_valid]
            for place, name in enumerate(hidden):
                self._lose("warn", name, row, None, message, silent=place > 0)
        if self._archived_word:
            arrays["archived"] = pc.equal(arrays["archived"], self._archived_word)
        if self.entity.archived_at and not self.entity.archived:
            # A time that cannot be read is one nevertheless: the vendor says that the record is deleted.
            there = arrays["deleted_at"].is_valid()
            unread = _mask(len(there), self._unread_deletions)
            arrays["archived"] = pc.or_(there, pa.array(unread, pa.bool_()))
        for name, phone in self.entity.e164.items():
            arrays[name] = arrays[phone] if phone in self.entity.local.hashed else self._e164(phone, arrays[phone])
        for name in self.entity.indexes:
            if name in self.entity.columns and name not in self.entity.keys and arrays[name].type == pa.string():
                arrays[name] = self._indexable(name, arrays[name])
        for name in self.entity.columns:
            self.filled[name] += len(arrays[name]) - arrays[name].null_count
        for key in self.entity.keys:
            if arrays[key].null_count:
                for row in _true_rows(arrays[key].is_null()):
                    self._bad.setdefault(row, ("coerce", "key_missing", f"{key} is missing"))
        if not self.skip_validation:
            self._apply_rules(arrays)
        arrays["raw_data"] = _strings(self._raws)
        table = self._newest(self._without_bad(pa.table(arrays)))
        self._look_for_absent(arrays)
        flag_kept = self._keeps_flag()
        self.absent |= self.vanished_values
        kept = self.absent | {name for name, phone in self.entity.e164.items() if phone in self.absent}
        if self._flag:
            kept -= {self._flag}
            kept |= {"archived", "deleted_at"} & set(table.column_names) if flag_kept else set()
        return table.drop_columns(sorted(kept)) if kept else table

    def _look_for_absent(self, arrays: Mapping[str, pa.Array]) -> None:
        """Note the expected columns that no record had so far; one that is there, be it null, is expected no more."""
        if not self._raws:
            return
        for name, share in list(self._expected.items()):
            array = arrays[name]
            if array.null_count < len(array) or self._is_sent(self.entity.columns[name]):
                del self._expected[name]
                self.absent.discard(name)
            else:
                without = self._unseen.get(name, 0) + self.read
                if without >= ENOUGH_RECORDS and share * without >= EXPECTED_VALUES:
                    self.absent.add(name)

    def _keeps_flag(self) -> bool:
        """Whether what the vendor deleted stays so in this chunk, because no record of it has the deleted flag.

        A vendor that sends the flag with every record would send it as false, or null, with one that it restored. Of
        one that sends it now and then, or of which nothing is known yet, so many records must lack it as of a column.
        """
        if not self._flag:
            return False
        if self._flag in self.vanished:
            return True
        if not self._raws or self._flag_expected is None:
            return False
        column = self._columns[self._flag]
        paths = [path.split(".") for path in itertools.chain.from_iterable(column.parts)]
        sample = [self._any.decode(raw) for raw in self._raws[:FLAG_SAMPLE]]
        sent = sum(any(_has(record, path) for path in paths) for record in sample)
        self.flag_sent = Sent(self.flag_sent.sent + sent, self.flag_sent.of + len(sample))
        if sent or self._is_sent(column):
            if not self._flag_was_kept:
                self.absent.discard(self._flag)
            return False
        usual = self._flag_expected
        share = usual.sent / usual.of if usual.of >= ENOUGH_RECORDS else 1.0
        always = share >= ALWAYS and usual.of >= ENOUGH_RECORDS
        enough = self.read >= ENOUGH_RECORDS and share * self.read >= EXPECTED_VALUES
        if self._flag in self.absent or ((always or enough) and self.has_archived()):
            self.absent.add(self._flag)
            self._flag_was_kept = True
            return True
        return False

    def _is_sent(self, column: Column) -> bool:
        """Whether a record of the chunk has the member of a column; of those that lie deep, a few hundred are read."""
        paths = [path.split(".") for path in itertools.chain.from_iterable(column.parts)]
        spelled = {msgspec.json.encode(path[-1]) for path in paths}
        likely = [raw for raw in self._raws if any(name in raw for name in spelled)]
        return any(_has(self._any.decode(raw), path) for raw in likely[:IN_CACHE] for path in paths)

    def _without_too_large(self, records: Sequence[Json]) -> Sequence[Json]:
        """Return the records that can be held; of the others the key alone becomes a dead letter."""
        fitting = [one for one in records if not isinstance(one, TooLarge) and len(memoryview(one)) <= LARGEST_RECORD]
        if len(fitting) == len(records):
            return records
        for record in records:
            if isinstance(record, TooLarge):
                size, key = "a row", self._parts_of(record)
            elif (length := len(memoryview(record))) > LARGEST_RECORD:
                size, key = f"{length / 2**20:,.0f} MB", self._parts_of(bytes(record))
            else:
                continue
            payload = (
                bytes(record)
                if isinstance(record, TooLarge)
                else msgspec.json.encode({"key": " ".join(key) if key else None})
            )
            self._reject(payload, key, "coerce", TOO_LARGE, f"{size} is more than can be loaded")
        return fitting

    def _decoded(self, records: Sequence[Json]) -> tuple[list[Any], list[bytes]]:
        """Decode the records; those that are no objects are rejected here."""
        raws = [bytes(record) for record in records]
        together = b"".join(raws)
        decode = self._decoder.decode
        if _SUSPECT.search(together):
            raws = [_NUL.sub(rb"\1", raw) if b"\\u0000" in raw else raw for raw in raws]
            # A half of a surrogate pair in a member that msgspec skips would be refused by PostgreSQL.
            raws = [self._mended(raw, n) if _SURROGATE.search(raw) else raw for n, raw in enumerate(raws)]
        try:
            together.decode()  # msgspec does not look into members that it skips, and PostgreSQL does
            return [decode(raw) for raw in raws], raws
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
        structs: list[Any] = []
        good: list[bytes] = []
        for raw in raws:
            try:
                raw.decode()
                structs.append(decode(raw))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raw_or_mended = self._read_with_care(raw, len(good), structs)
                if raw_or_mended is None:
                    self._reject(raw, self._parts_of(raw), "coerce", "shape", masked(str(error)))
                else:
                    good.append(raw_or_mended)
            else:
                good.append(raw)
        return structs, good

    def _mended(self, raw: bytes, row: int) -> bytes:
        """Return a record of this part of the chunk as PostgreSQL can hold it; a difference is a warning."""
        mended = validate.mended(raw)
        if mended != raw:
            self._misfits.append((len(self._raws) + row, ["raw_data"], "held what PostgreSQL's jsonb cannot hold"))
        return mended

    def _read_with_care(self, raw: bytes, row: int, structs: list[Any]) -> bytes | None:
        """Read a record that is no JSON, or not of the declared shape: mended, and without what has another shape.

        Return what belongs in ``raw_data``; None when it is no object at all.
        """
        misfits = len(self._misfits)
        try:
            mended = self._mended(raw, row)
            record = self._exact.decode(mended)
            if not isinstance(record, dict):
                raise msgspec.ValidationError
            fitting, lost = _fitting(self._root, record)
            structs.append(self._decoder.decode(self._encode(fitting)))
        except (msgspec.MsgspecError, RecursionError, ArithmeticError):
            del self._misfits[misfits:]
            return None
        if lost:
            self._misfits.append((len(self._raws) + row, lost, "is not there, but something else is in its place"))
        return mended

    def _key_of(self, raw: bytes) -> str | None:
        parts = self._parts_of(raw)
        return None if parts is None else " ".join(parts)

    def _parts_of(self, raw: bytes) -> tuple[str, ...] | None:
        """Return the key of a record that could not be decoded as declared, if it can be made out."""
        try:
            record = self._any.decode(raw.decode(errors="replace"))
        except (msgspec.DecodeError, RecursionError):
            return None
        try:
            found = [
                validate.READERS[column.kind](_first(*(_follow(record, path) for path in column.paths)))
                for column in (self.entity.columns[key] for key in self.entity.keys)
            ]
        except Unreadable:
            return None
        return None if any(part in (None, "") for part in found) else tuple(map(str, found))

    def _collect(
        self, node: Node, attributes: dict[str, str], owners: list[Any], values: dict[str, Sequence[Any]]
    ) -> None:
        """Fill ``values`` with the values of every column below ``node``, one per record."""
        for part, child in node.below.items():
            attribute = attributes[part]
            here = list(map(operator.attrgetter(attribute), owners))
            if child.columns:
                for name in child.columns:
                    values[name] = here
                if child.raw and any(self._taken[name].kind != "jsonb" for name in child.columns):
                    read = [self._any.decode(raw) if raw else None for raw in map(bytes, here)]
                    for name in child.columns:
                        if self._taken[name].kind != "jsonb":
                            values[name] = read
            if not child.below:
                continue
            if child.raw or child.columns or all(part.isdigit() for part in child.below):
                loose = [self._any.decode(raw) if raw else None for raw in map(bytes, here)]
                for below, path in _leaves(child):
                    found = [_follow(value, path) for value in loose]
                    for name in below.columns:
                        jsonb = self._taken[name].kind == "jsonb"
                        values[name] = (
                            [None if v is None else msgspec.json.encode(v) for v in found] if jsonb else found
                        )
            else:
                struct, below_attributes = _struct_of(part, child)
                empty = struct()
                self._collect(child, below_attributes, [value or empty for value in here], values)

    def _array(self, name: str, column: Column, parts: Sequence[pa.Array | Sequence[Any]]) -> pa.Array:
        """Return one column; rows that cost their record are noted in ``_bad``."""
        kind = column.kind
        type_ = ARROW[KINDS[kind].pg_type]
        if not all(isinstance(part, pa.Array) for part in parts):
            values = [value for part in parts for value in (part.to_pylist() if isinstance(part, pa.Array) else part)]
            if set(map(type, values)) <= NATIVE.get(kind, set()):
                try:
                    return pa.array(values, type_)
                except OverflowError:
                    pass
            return self._one_by_one(name, kind, values, range(len(values)))
        values = strings = pa.concat_arrays(parts) if parts else pa.array([], pa.string())
        if kind == "jsonb":
            return strings
        if kind == "text" or name in self.entity.local.hashed:
            return strings
        if KINDS[kind].pg_type == "text":
            strings = pc.utf8_trim(strings, characters=validate.BLANKS)
            strings = pc.utf8_lower(strings) if kind == "email" else strings
            if kind == "id" and pc.any(pc.equal(pc.binary_length(strings), 36)).as_py():
                is_uuid = pc.match_substring_regex(strings, validate.ANY_UUID)
                strings = pc.if_else(is_uuid, pc.utf8_lower(strings), strings)
        strings = pc.if_else(pc.equal(strings, ""), pa.scalar(None, pa.string()), strings)
        if kind in validate.SHAPES:
            self._check_shape(name, kind, strings)
        if KINDS[kind].pg_type == "text":
            return strings
        plain = pc.match_substring_regex(strings, PLAIN[kind]) if kind != "timestamptz" else None
        if plain is None or pc.all(plain, skip_nulls=True).as_py() is not False:
            try:
                array = strings.cast(type_)
            except pa.ArrowInvalid:
                plain = pc.match_substring_regex(strings, PLAIN[kind])
            else:
                if _within_years(kind, array):
                    return array
                return self._one_by_one(name, kind, values, range(len(values)))
        try:
            quick = pc.if_else(plain, strings, pa.scalar(None, pa.string())).cast(type_)
        except pa.ArrowInvalid:  # the 30th of February: of the plain form, and no date
            return self._one_by_one(name, kind, values, range(len(values)))
        if not _within_years(kind, quick):
            return self._one_by_one(name, kind, values, range(len(values)))
        return self._one_by_one(name, kind, values, _true_rows(pc.invert(plain)), quick)

    def _one_by_one(
        self, name: str, kind: str, values: pa.Array | Sequence[Any], rows: Sequence[int], quick: pa.Array | None = None
    ) -> pa.Array:
        """Read ``rows`` of a column by ``validate`` and the others from ``quick``."""
        read = validate.READERS[kind]
        severity = self.entity.severity_of(name) if name in self.entity.columns else "warn"
        type_ = ARROW[KINDS[kind].pg_type]
        found: list[Any] = []
        for row in rows:
            value = values[row].as_py() if isinstance(values, pa.Array) else values[row]
            try:
                found.append(read(value))
            except Unreadable as error:
                found.append(None)
                # Words where no words belong may be anybody's: a name that was typed into the wrong box.
                words = re.search(r"[^\W\d_]{2}", str(value)) is not None
                if severity == "reject":
                    self._bad.setdefault(row, ("coerce", KINDS[kind].validator, f"{name}: {error}"))
                    logs.parse_failure(
                        KINDS[kind].validator, value, name, self.crm, self._key_of(self._raws[row]),
                        personal=words or redaction.is_personal(name, kind), sync_type=self.entity.name,
                    )  # fmt: skip
                else:
                    self._lose(severity, name, row, value, str(error), personal=words)
        if quick is None:
            array = pa.array(found, type_)
            if kind in validate.SHAPES:
                self._check_shape(name, kind, array)
            return array
        mask = pa.array(_mask(len(values), rows), pa.bool_())
        return pc.replace_with_mask(quick, mask, pa.array(found, type_))

    def _check_shape(self, name: str, kind: str, strings: pa.Array) -> None:
        """Note the texts that do not look like their kind; they are kept, in a key as well."""
        if self.skip_validation:
            return
        fits = pc.match_substring_regex(strings, validate.SHAPES[kind])
        if pc.all(fits, skip_nulls=True).as_py() is not False:
            return
        severity = "warn" if name in self.entity.keys else self.entity.severity_of(name)
        problem = f"does not look like {'an' if kind[0] in 'aeiou' else 'a'} {KINDS[kind].validator}"
        for row in _true_rows(pc.invert(fits)):
            if severity == "reject":
                self._bad.setdefault(row, ("coerce", KINDS[kind].validator, f"{name}: {problem}"))
            else:
                self._warn(severity, name, row, strings[row].as_py(), problem)

    def _indexable(self, name: str, texts: pa.Array) -> pa.Array:
        """Return the texts of an indexed column without those that are too long for an index."""
        if (pc.max(pc.binary_length(texts)).as_py() or 0) <= INDEXABLE:
            return texts
        long = pc.greater(pc.binary_length(texts), INDEXABLE)
        for row in _true_rows(long):
            self._lose("warn", name, row, None, f"has more than {INDEXABLE} bytes, too long for its index")
        return pc.if_else(pc.fill_null(long, False), pa.scalar(None, texts.type), texts)

    def _e164(self, name: str, phones: pa.Array) -> pa.Array:
        """Return the numbers in E.164: those of North America as a column, the others one by one."""
        kept = pc.replace_substring_regex(phones, r"[ ().\-/]", "")
        digits = pc.replace_substring_regex(kept, r"^\+?1?(\d{10})$", r"\1")
        ours = pc.match_substring_regex(digits, nanp_pattern())
        ours = pc.and_(ours, pc.match_substring_regex(kept, r"^(?:\+1|1)?\d{10}$"))
        quick = pc.if_else(ours, pc.binary_join_element_wise("+1", digits, ""), pa.scalar(None, pa.string()))
        rest = _true_rows(pc.invert(ours))
        if not rest:
            return quick
        found = [e164(phones[row].as_py()) for row in rest]
        if not self.skip_validation:
            severity = self.entity.severity_of(name)
            for row, number in zip(rest, found, strict=True):
                if number is None:
                    self._warn(severity, name, row, phones[row].as_py(), "is not a valid phone number")
        return pc.replace_with_mask(quick, pa.array(_mask(len(phones), rest)), pa.array(found, pa.string()))

    def _apply_rules(self, arrays: dict[str, pa.Array]) -> None:
        for rule in self.entity.rules:
            broken = rule.broken(arrays[rule.column])
            if not pc.any(broken, skip_nulls=True).as_py():
                continue
            for row in _true_rows(broken):
                if rule.severity == "reject":
                    self._bad.setdefault(row, ("validate", rule.name, rule.message))
                else:
                    value = arrays[rule.column][row].as_py()
                    # A code may be told; other text that breaks a rule may be a name in the wrong box.
                    text = isinstance(value, str) and not _CODE.fullmatch(value)
                    self._warn(rule.severity, rule.column, row, value, rule.message, personal=text)

    def _without_bad(self, table: pa.Table) -> pa.Table:
        """Return ``table`` without the bad rows, which become rejects."""
        if not self._bad:
            return table
        keys = [table[key] for key in self.entity.keys]
        for row, (stage, rule, message) in sorted(self._bad.items()):
            parts = [column[row].as_py() for column in keys]
            self._reject(self._raws[row], None if None in parts else tuple(map(str, parts)), stage, rule, message)
        return table.filter(pa.array(_mask(table.num_rows, self._bad, inside=False)))

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

    def _reject(self, raw: Json, key: tuple[str, ...] | None, stage: str, rule: str, message: str) -> None:
        self.keyless += key is None
        self.rejects.append(Reject(raw, None if key is None else " ".join(key), stage, rule, message, key))

    def _lose(
        self,
        severity: Severity,
        name: str,
        row: int,
        value: Any,
        message: str,
        *,
        personal: bool = False,
        silent: bool = False,
    ) -> None:
        """Count a value that is there and cannot be in its column."""
        self.lost[name] += name != "raw_data"
        if name == "deleted_at":
            self._unread_deletions.add(row)
        if message == "number out of range":  # of PostgreSQL's numbers too, perhaps
            self._raws[row] = validate.mended(self._raws[row])
        self._warn(severity, name, row, value, message, personal=personal, silent=silent)

    def _warn(
        self,
        severity: Severity,
        name: str,
        row: int,
        value: Any,
        message: str,
        *,
        personal: bool = False,
        silent: bool = False,
    ) -> None:
        counted = f"{severity}:{name}"
        self.warnings[counted] += 1
        if severity == "warn" and not silent and self.warnings[counted] <= LOGGED:
            column = self._columns.get(name)
            logs.validation_warning(
                name, value, self._key_of(self._raws[row]), message,
                personal=personal or column is None or redaction.is_personal(name, column.kind),
                crm_source=self.crm, sync_type=self.entity.name,
            )  # fmt: skip


def _struct_of(name: str, node: Node) -> tuple[type[Any], dict[str, str]]:
    """Return the struct that msgspec decodes ``node`` into, and the attribute of each member.

    Members that are jsonb, that are read in two ways, or that are lists stay raw and are decoded when needed.
    """
    fields: list[Any] = []
    attributes: dict[str, str] = {}
    for number, (part, child) in enumerate(node.below.items()):
        attribute = attributes[part] = f"f{number}"
        if _is_raw(child):
            fields.append((attribute, msgspec.Raw, msgspec.field(default=msgspec.Raw(b""), name=part)))
        elif child.below:
            struct, _ = _struct_of(part, child)
            fields.append((attribute, struct | None, msgspec.field(default=None, name=part)))
        else:
            fields.append((attribute, Any, msgspec.field(default=None, name=part)))
    return msgspec.defstruct(re.sub(r"\W", "_", name) or "record", fields, gc=False), attributes


def _fitting(node: Node, record: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return a record without the members that must be objects and are none, and the columns whose values they hide.

    What says nothing (an empty text or list, false) hides none.
    """
    fitting, hidden = dict(record), []
    for part, child in node.below.items():
        member = record.get(part)
        if member is None or _is_raw(child) or not child.below:
            continue
        if isinstance(member, dict):
            fitting[part], below = _fitting(child, member)
            hidden += below
        else:
            del fitting[part]
            hidden += [name.partition("=")[0] for leaf, _ in _leaves(child) for name in leaf.columns] if member else []
    return fitting, list(dict.fromkeys(hidden))


def _is_raw(node: Node) -> bool:
    """Whether a member is kept in JSON and decoded when it is needed: as jsonb, read in two ways, or a list."""
    return bool(node.raw or (node.below and (node.columns or all(part.isdigit() for part in node.below))))


def _leaves(node: Node, path: str = "") -> list[tuple[Node, str]]:
    found = []
    for part, child in node.below.items():
        here = f"{path}.{part}" if path else part
        if child.columns:
            found.append((child, here))
        found += _leaves(child, here)
    return found


def _first(*values: Any) -> Any:
    """Return the first value that is neither absent nor null nor empty; the first of all where none is."""
    return next((value for value in values if not _is_empty(value)), values[0])


def _joined(parts: Sequence[Sequence[Any]]) -> Sequence[Any]:
    """Return the texts of each record joined; None where all are empty."""
    if len(parts) == 1:
        return parts[0]
    return [
        " ".join(str(value).strip() for value in row if not _is_empty(value)) or None
        for row in zip(*parts, strict=True)
    ]


def _is_empty(value: Any) -> bool:
    if isinstance(value, msgspec.Raw | bytes):
        return bytes(value) in (b"", b"null", b'""')
    return value is None or value == ""


def _follow(value: Any, path: str) -> Any:
    """Return the value at ``path``, None where there is no such member."""
    for part in path.split("."):
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def _has(value: Any, path: list[str]) -> bool:
    """Whether a record has a member, be it null."""
    *above, last = path
    owner = _follow(value, ".".join(above)) if above else value
    if isinstance(owner, list):
        return last.isdigit() and int(last) < len(owner)
    return isinstance(owner, dict) and last in owner


def _within_years(kind: str, array: pa.Array) -> bool:
    """Whether no date or time of a column is one that Python cannot hold."""
    if kind not in YEARS or array.null_count == len(array):
        return True
    first, last = YEARS[kind]
    found = pc.min_max(array.cast(pa.int32() if kind == "date" else pa.int64()))
    return bool(first <= found["min"].as_py() and found["max"].as_py() <= last)


def _as_strings(values: Sequence[Any]) -> pa.Array | Sequence[Any]:
    """Return text as an Arrow array, anything else as it is."""
    try:
        return pa.array(values, pa.string())
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        return values


def _json_array(values: Sequence[Any]) -> pa.Array:
    texts = [bytes(value) if value is not None else b"" for value in values]
    return pa.array(
        [
            None if text in (b"", b"null", b'""') else validate.read_json(text) if text[:1] == b'"' else text.decode()
            for text in texts
        ],
        pa.string(),
    )


def _strings(raws: list[bytes]) -> pa.Array:
    """Return the records as one string array; joined at once, which is ten times quicker than value by value."""
    offsets = list(itertools.accumulate(map(len, raws), initial=0))
    return pa.Array.from_buffers(
        pa.large_string(),
        len(raws),
        [None, pa.py_buffer(pa.array(offsets, pa.int64()).buffers()[1]), pa.py_buffer(b"".join(raws))],
    )


def _true_rows(mask: pa.Array) -> list[int]:
    return list(pc.indices_nonzero(pc.fill_null(mask, False)).to_pylist())


def _mask(length: int, rows: "Sequence[int] | Any", *, inside: bool = True) -> list[bool]:
    mask = [not inside] * length
    for row in rows:
        mask[row] = inside
    return mask
