"""From the vendor's JSON to the values of each column: one pass over the records, which knows only declared paths.

msgspec decodes a batch of records into structs of the declared paths. A record that is no object becomes a reject. One
of another shape than declared is read without the members that do not fit.

The record itself stays as the vendor sent it, byte for byte but for what PostgreSQL cannot hold: NUL is left out, and
the rest is mended (``validate.mended``), which is a warning of the column ``raw_data``.
"""

import itertools
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa

from warehouse_pipelines.errors import masked
from warehouse_pipelines.loading.problems import Problems
from warehouse_pipelines.loading.record_paths import (
    ANY,
    PathNode,
    first_filled,
    follow,
    is_raw,
    joined,
    key_parts,
    leaves,
)
from warehouse_pipelines.loading.rejects import TOO_LARGE
from warehouse_pipelines.model import validate
from warehouse_pipelines.model.entity import Column, Entity
from warehouse_pipelines.model.reading import Json, TooLarge

LARGEST_RECORD = 128 * 2**20
"""Bytes of a record; a row of 64 MB may take twice that in JSON. PostgreSQL holds 256 MB in one text of jsonb."""

IN_CACHE = 500
"""Records decoded at a time: what msgspec makes of them is read again while it is still in the processor's cache,
which halves the time (measured: 4.2 against 9.6 µs a record of 36 texts)."""

_NUL = re.compile(validate.NUL.encode())
_SUSPECT = re.compile(rb"\\(?=u0000|u[dD])")
"""Written so that Python looks for the backslash alone, which is as quick as one search for a text."""
_SURROGATE = re.compile(rb"\\u[dD][89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F]", re.DOTALL)
"""What looks like a half of a surrogate pair; it may be harmless text after an escaped backslash."""

_TEXTS = msgspec.json.Decoder(list[str])
_ANY_JSON = msgspec.json.Decoder(msgspec.Raw)
_TO_MEND = re.compile(r"\\u|\0|[eE][+-]?\d{5}")
"""What ``validate.mended`` may change of JSON that msgspec reads: escapes, a bare NUL, a large exponent."""


class Misfit(NamedTuple):
    """A record that is kept, though values of these ``columns`` could not be read as they stood."""

    row: int
    columns: list[str]
    message: str


class DecodedBatch(NamedTuple):
    """Decoded records: as they are stored, and the values of each column in parts of ``IN_CACHE`` records."""

    raws: list[bytes]
    values: dict[str, list[pa.Array | Sequence[Any]]]
    misfits: list[Misfit]


class RecordDecoder:
    """Decodes the records of one entity; those that cannot be loaded become rejects of its ``problems``."""

    def __init__(self, entity: Entity, columns: Mapping[str, Column], problems: Problems) -> None:
        self.entity, self.problems = entity, problems
        self._columns = columns
        self._misfits: list[Misfit] = []
        self._taken: dict[str, Column] = {}
        self._scattered: dict[str, list[list[str]]] = {}
        for name, column in self._columns.items():
            if column.parts == ((column.path,),):
                self._taken[name] = column
                continue
            self._scattered[name] = [[f"{name}={path}" for path in parts] for parts in column.parts]
            self._taken |= {f"{name}={path}": Column(column.kind, path) for path in column.members}
        root = PathNode()
        for name, column in self._taken.items():
            node = root
            for part in column.path.split("."):
                node = node.below.setdefault(part, PathNode())
            node.columns.append(name)
            node.raw = node.raw or column.kind == "jsonb"
        self._root = root
        self._empty: dict[PathNode, Any] = {}
        self._decoder = msgspec.json.Decoder(_struct_of(entity.table_name, root), float_hook=str)
        self._exact = msgspec.json.Decoder(Any, float_hook=Decimal)
        self._encode = msgspec.json.Encoder(decimal_format="number").encode

    def decode(self, records: Sequence[Json]) -> DecodedBatch:
        """Return the records that are objects, with the values of each column."""
        raws: list[bytes] = []
        self._misfits = []
        parts: dict[str, list[pa.Array | Sequence[Any]]] = {name: [] for name in self._columns}
        for start in range(0, len(records), IN_CACHE):
            structs, good = self._decoded(records[start : start + IN_CACHE], len(raws))
            raws += good
            values: dict[str, Sequence[Any]] = {}
            self._collect(self._root, structs, values)
            for name, places in self._scattered.items():
                found = [joined([values[part] for part in one]) for one in places]
                values[name] = list(map(first_filled, *found))
            for name, column in self._columns.items():
                parts[name].append(_json_array(values[name]) if column.kind == "jsonb" else _as_strings(values[name]))
        return DecodedBatch(raws, parts, self._misfits)

    def without_too_large(self, records: Sequence[Json]) -> Sequence[Json]:
        """Return the records that can be held; of the others the key alone becomes a dead letter."""
        fitting = [one for one in records if not isinstance(one, TooLarge) and len(memoryview(one)) <= LARGEST_RECORD]
        if len(fitting) == len(records):
            return records
        for record in records:
            if isinstance(record, TooLarge):
                size, key = "a row", key_parts(self.entity, record)
            elif (length := len(memoryview(record))) > LARGEST_RECORD:
                size, key = f"{length / 2**20:,.0f} MB", key_parts(self.entity, bytes(record))
            else:
                continue
            payload = (
                bytes(record)
                if isinstance(record, TooLarge)
                else msgspec.json.encode({"key": " ".join(key) if key else None})
            )
            self.problems.reject(payload, key, "coerce", TOO_LARGE, f"{size} is more than can be loaded")
        return fitting

    def _decoded(self, records: Sequence[Json], first_row: int) -> tuple[list[Any], list[bytes]]:
        """Decode the records, the first of which is in ``first_row``; those that are no objects are rejected here."""
        raws = [bytes(record) for record in records]
        together = b"".join(raws)
        decode = self._decoder.decode
        if _SUSPECT.search(together):
            raws = [_NUL.sub(rb"\1", raw) if b"\\u0000" in raw else raw for raw in raws]
            # A half of a surrogate pair in a member that msgspec skips would be refused by PostgreSQL.
            raws = [self._mended(raw, first_row + n) if _SURROGATE.search(raw) else raw for n, raw in enumerate(raws)]
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
                raw_or_mended = self._read_with_care(raw, first_row + len(good), structs)
                if raw_or_mended is None:
                    self.problems.reject(raw, key_parts(self.entity, raw), "coerce", "shape", masked(str(error)))
                else:
                    good.append(raw_or_mended)
            else:
                good.append(raw)
        return structs, good

    def _mended(self, raw: bytes, row: int) -> bytes:
        """Return a record as PostgreSQL can hold it; a difference is a warning."""
        mended = validate.mended(raw)
        if mended != raw:
            self._misfits.append(Misfit(row, ["raw_data"], "held what PostgreSQL's jsonb cannot hold"))
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
            self._misfits.append(Misfit(row, lost, "is not there, but something else is in its place"))
        return mended

    def _collect(self, node: PathNode, owners: list[Any], values: dict[str, Sequence[Any]]) -> None:
        """Fill ``values`` with the values of every column below ``node``, one per record.

        ``owners`` are structs, whose members come in the order of ``node.below``.
        """
        members = zip(*map(msgspec.structs.astuple, owners), strict=True) if owners else itertools.repeat(())
        for (part, child), here in zip(node.below.items(), members, strict=False):
            if child.columns:
                for name in child.columns:
                    values[name] = here
                if child.raw and any(self._taken[name].kind != "jsonb" for name in child.columns):
                    read = [ANY.decode(raw) if raw else None for raw in map(bytes, here)]
                    for name in child.columns:
                        if self._taken[name].kind != "jsonb":
                            values[name] = read
            if not child.below:
                continue
            if child.raw or child.columns or all(part.isdigit() for part in child.below):
                loose = [ANY.decode(raw) if raw else None for raw in map(bytes, here)]
                for below, path in leaves(child):
                    found = [follow(value, path) for value in loose]
                    for name in below.columns:
                        jsonb = self._taken[name].kind == "jsonb"
                        values[name] = (
                            [None if v is None else msgspec.json.encode(v) for v in found] if jsonb else found
                        )
            else:
                if child not in self._empty:
                    self._empty[child] = _struct_of(part, child)()
                empty = self._empty[child]
                self._collect(child, [value or empty for value in here], values)


def _struct_of(name: str, node: PathNode) -> type[Any]:
    """Return the struct that msgspec decodes ``node`` into, with a field for each member, in their order.

    Members that are jsonb, that are read in two ways, or that are lists stay raw and are decoded when needed.
    """
    fields: list[Any] = []
    for number, (part, child) in enumerate(node.below.items()):
        attribute = f"f{number}"
        if is_raw(child):
            fields.append((attribute, msgspec.Raw, msgspec.field(default=msgspec.Raw(b""), name=part)))
        elif child.below:
            fields.append((attribute, _struct_of(part, child) | None, msgspec.field(default=None, name=part)))
        else:
            fields.append((attribute, Any, msgspec.field(default=None, name=part)))
    return msgspec.defstruct(re.sub(r"\W", "_", name) or "record", fields, gc=False)


def _fitting(node: PathNode, record: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return a record without the members that must be objects and are none, and the columns whose values they hide.

    What says nothing (an empty text or list, false) hides none.
    """
    fitting, hidden = dict(record), []
    for part, child in node.below.items():
        member = record.get(part)
        if member is None or is_raw(child) or not child.below:
            continue
        if isinstance(member, dict):
            fitting[part], below = _fitting(child, member)
            hidden += below
        else:
            del fitting[part]
            hidden += [name.partition("=")[0] for leaf, _ in leaves(child) for name in leaf.columns] if member else []
    return fitting, list(dict.fromkeys(hidden))


def _as_strings(values: Sequence[Any]) -> pa.Array | Sequence[Any]:
    """Return text as an Arrow array, anything else as it is."""
    try:
        return pa.array(values, pa.string())
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        return values


def _json_array(values: Sequence[Any]) -> pa.Array:
    raws = [b"" if value is None else bytes(value) for value in values]
    quoted = [raw for raw in raws if raw[:1] == b'"']
    read = read_json_texts(quoted)
    if len(quoted) < len(raws):
        texts = iter(read)
        read = [next(texts) if raw[:1] == b'"' else None if raw in (b"", b"null") else raw.decode() for raw in raws]
    return pa.array(read, pa.string())


def read_json_texts(raws: Sequence[bytes]) -> list[str | None]:
    """Return what ``validate.read_json`` makes of each of these texts in JSON; all at once where none needs mending."""
    try:
        texts = _TEXTS.decode(b"[%s]" % b",".join(raws))
    except msgspec.MsgspecError:
        return list(map(validate.read_json, raws))
    if _TO_MEND.search("\n".join(texts)):
        return list(map(validate.read_json, raws))
    return list(map(_json_within, raws, map(str.strip, texts)))


def _json_within(raw: bytes, text: str) -> str | None:
    """Return the JSON that a text holds, else the text in JSON, which is ``raw``."""
    if text[:1] in ("[", "{"):
        try:
            _ANY_JSON.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return validate.read_json(raw)
        return text
    return raw.decode() if text else None
