"""The columns of an entity as dlt carries them: those of the warehouse's table, made without PostgreSQL.

``hints`` are what dlt is told of them, ``delivered`` makes a table of them from what the coercer gives. The loader's
merge makes ``custom_properties``, ``delete_reason`` and the two source times in SQL; here Arrow does, to the same
values.

Left out are ``sync_hash``, ``sync_created_at``, ``sync_updated_at`` and ``source_edited_at``: they say what a row was
before, which only the warehouse knows; dlt has ``_dlt_load_id``. A ``numeric`` is a decimal of 38 digits, 9 of them
behind the point, which is dlt's own: more digits behind it are rounded, and a larger number is null. ``raw_data`` has
each as it came.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Literal

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from warehouse_pipelines.loading.column_reader import ARROW
from warehouse_pipelines.loading.record_paths import declared_members
from warehouse_pipelines.model.entity import EDITED_AT, Entity

JsonType = Literal["json", "text"]
"""How dlt is given JSON: as its own type, or as text for destinations that cannot load JSON from Parquet."""

DECIMAL = pa.decimal128(38, 9)
ELSEWHERE = ("sync_hash", "sync_created_at", "sync_updated_at", EDITED_AT)
"""The columns of the warehouse's table that dlt cannot carry."""

_NANO = Decimal("1e-9")
_DIGITS = Context(prec=38, rounding=ROUND_HALF_EVEN)


class _HintFilter(logging.Filter):
    """Leaves out dlt's warnings of hints that are right, which come with each batch: messages of these ``prefixes``.

    JSON is a text in Arrow, and ``replace`` has no use for the column by which a merge finds the newest of one key.
    """

    def __init__(self) -> None:
        super().__init__()
        self.prefixes: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return False for a message that begins with one of these."""
        return not str(record.msg).startswith(tuple(self.prefixes))


_hint_filter = _HintFilter()


def quiet(entities: Iterable[Entity]) -> None:
    """Have dlt's logger leave out that the hints of these entities differ from Arrow's types."""
    for entity in entities:
        _hint_filter.prefixes |= {
            f"In resource: {entity.name}, when merging arrow schema with dlt schema",
            f'The "dedup_sort" column hint for column "{entity.version}" in table "{entity.table_name}"',
        }
    logging.getLogger("dlt").addFilter(_hint_filter)


def names(entity: Entity) -> list[str]:
    """Return the columns, in the order of the warehouse's table."""
    return [name for name in entity.pg_types if name not in ELSEWHERE]


def hints(entity: Entity, json: JsonType, *, hard_delete: bool) -> Any:
    """Return dlt's hints of each column: its type, whether it may be null, whether it tells the newest record."""
    by_name: dict[str, dict[str, Any]] = {}
    for name in names(entity):
        hint: dict[str, Any] = {"name": name, "nullable": name not in entity.keys}
        if entity.pg_types[name].startswith("jsonb") and json == "json":
            hint["data_type"] = "json"
        if name == entity.version:
            hint["dedup_sort"] = "desc"
        if name == "archived" and hard_delete:
            hint["hard_delete"] = True
        by_name[name] = hint
    return by_name


def schema(entity: Entity) -> pa.Schema:
    """Return the Arrow schema of the tables."""
    return pa.schema([pa.field(name, _type(entity, name), name not in entity.keys) for name in names(entity)])


def delivered(entity: Entity, table: pa.Table, now: datetime) -> pa.Table:
    """Return the coercer's ``table`` with the columns of the warehouse's; ``now`` dates deletions without a time."""
    rows = table.num_rows
    found: dict[str, Any] = {name: table[name] for name in table.column_names}
    archived = pc.fill_null(found.get("archived", pa.nulls(rows, pa.bool_())), False)
    moment = pa.scalar(now, pa.timestamp("us", "UTC"))
    deleted_at = found.get("deleted_at", pa.nulls(rows, moment.type))
    found |= {
        "archived": archived,
        "deleted_at": pc.if_else(archived, pc.coalesce(deleted_at, moment), pa.scalar(None, moment.type)),
        "delete_reason": pc.if_else(archived, "archived", pa.scalar(None, pa.string())),
    }
    found |= {name: found[column] for name, column in entity.source_times.items()}
    if entity.custom:
        found["custom_properties"] = custom_properties(entity, table["raw_data"].to_pylist())
    for name, column in entity.columns.items():
        if column.kind == "numeric":
            found[name] = decimals(found[name])
    form = schema(entity)
    arrays = [found.get(field.name, pa.nulls(rows, field.type)) for field in form]
    return pa.table([array.cast(field.type) for array, field in zip(arrays, form, strict=True)], schema=form)


def decimals(texts: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Return numbers as decimals: rounded where they have more digits than fit, null where they are too large."""
    try:
        return texts.cast(DECIMAL)
    except pa.ArrowInvalid:
        return pa.array([_decimal(text) for text in texts.to_pylist()], DECIMAL)


def _decimal(text: str | None) -> Decimal | None:
    if text is None:
        return None
    number = Decimal(text)
    return _DIGITS.quantize(number, _NANO) if number.adjusted() < DECIMAL.precision - DECIMAL.scale else None


def custom_properties(entity: Entity, records: Sequence[str]) -> pa.Array:
    """Return what each record has at ``Entity.custom`` and no column reads, without members that are null."""
    path = (entity.custom or "").split(".")
    declared = set(declared_members(entity))
    return pa.array([_custom(record, path, declared) for record in records], pa.string())


def _custom(record: str, path: Sequence[str], declared: set[str]) -> str | None:
    owner = msgspec.Raw(record.encode())
    for part in path:
        members = _members(owner)
        if members is None or part not in members:
            return None
        owner = members[part]
    members = _members(owner)
    if members is None:
        return None if bytes(owner) == b"null" else bytes(owner).decode()
    kept = {name: _without_null(value) for name, value in members.items() if name not in declared}
    return msgspec.json.encode({name: value for name, value in kept.items() if bytes(value) != b"null"}).decode()


def _members(raw: msgspec.Raw) -> Mapping[str, msgspec.Raw] | None:
    return msgspec.json.decode(raw, type=dict[str, msgspec.Raw]) if bytes(raw)[:1] == b"{" else None


def _without_null(raw: msgspec.Raw) -> msgspec.Raw:
    """Return a value without the members of objects in it that are null, as ``jsonb_strip_nulls`` does."""
    text = bytes(raw)
    if b"null" not in text or text[:1] not in (b"{", b"["):
        return raw
    if text[:1] == b"[":
        return msgspec.Raw(
            msgspec.json.encode(list(map(_without_null, msgspec.json.decode(raw, type=list[msgspec.Raw]))))
        )
    kept = {name: _without_null(value) for name, value in (_members(raw) or {}).items() if bytes(value) != b"null"}
    return msgspec.Raw(msgspec.json.encode(kept))


def _type(entity: Entity, name: str) -> pa.DataType:
    if name == "raw_data":
        return pa.large_string()
    pg_type = entity.pg_types[name].split(" ")[0]
    return DECIMAL if pg_type == "numeric" else ARROW[pg_type]
