"""Reads the values of one column into an Arrow array.

A column at a time: Arrow casts what is of the plain form, and ``validate`` reads the other values one by one. A value
that cannot be read becomes null and is counted (``warn``, ``info``), or costs its record (``reject``), as a key does.
So a batch with bad records costs little more than a good one, since only the suspects are read twice.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from warehouse_pipelines.loading.problems import Problems
from warehouse_pipelines.model import validate
from warehouse_pipelines.model.entity import Column, Entity
from warehouse_pipelines.model.phones import e164, nanp_pattern
from warehouse_pipelines.model.rules import KINDS
from warehouse_pipelines.model.validate import NumberOutOfRange, Unreadable
from warehouse_pipelines.observability import logs, redaction

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
_US_DAY = r"(0[1-9]|1[0-2])/(0[1-9]|[12]\d|3[01])/(\d{4})"
_TIME = r"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?"
_ZONE = r"(?:Z|[+-][01]\d:[0-5]\d)"
PLAIN = {
    "uuid": r"^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
    "integer": r"^-?\d{1,18}$",
    "numeric": r"^-?\d{1,40}(?:\.\d{1,40})?$",
    "date": f"^{_DAY}$",
    "timestamptz": rf"^{_DAY}[T ]{_TIME}{_ZONE}$",
    "boolean": r"^(?:true|false)$",
}
"""The forms that Arrow casts just as ``validate`` reads them."""

TO_PLAIN: dict[str, tuple[tuple[str, str], ...]] = {
    "integer": ((r"^(-?\d{1,18})\.0{1,40}$", r"\1"),),
    "date": ((rf"^({_DAY})[T ]{_TIME}{_ZONE}?$", r"\1"), (f"^{_US_DAY}$", r"\3-\1-\2")),
    "timestamptz": (
        (f"^{_US_DAY}$", r"\3-\1-\2"),
        (f"^({_DAY})$", r"\1T00:00:00"),
        (rf"^({_DAY}[T ]{_TIME})$", r"\1Z"),
    ),
}
"""How other frequent forms are spelt in the plain one, one step after another: a time without a zone takes ``validate``
ten times as long as Arrow. It is read as UTC, as ``validate.read_datetime`` reads it."""

_DAYS = ((date(validate.FIRST_YEAR, 1, 1) - date(1970, 1, 1)).days, (date.max - date(1970, 1, 1)).days)
_DAY_LONG = 86_400_000_000
YEARS = {"date": _DAYS, "timestamptz": (_DAYS[0] * _DAY_LONG, (_DAYS[1] + 1) * _DAY_LONG - 1)}
"""The first and the last that ``validate`` reads, as Arrow counts them; Arrow knows the year 0."""

NATIVE: dict[str, set[type]] = {"boolean": {bool, type(None)}, "integer": {int, type(None)}}
"""JSON's own types, where a column takes them as they are."""

INDEXABLE = 2_600
"""Bytes of a text that PostgreSQL surely takes into an index; it refuses the row of a longer one."""


class ColumnReader:
    """Reads the columns of one entity; what is wrong with values goes to its ``problems``."""

    def __init__(self, entity: Entity, problems: Problems, *, skip_validation: bool) -> None:
        self.entity, self.problems, self.skip_validation = entity, problems, skip_validation

    def read(self, name: str, column: Column, parts: Sequence[pa.Array | Sequence[Any]]) -> pa.Array:
        """Return one column of a batch, whose ``parts`` are texts in Arrow or values as JSON has them."""
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
                pass
            else:
                if _within_years(kind, array):
                    return array
                return self._one_by_one(name, kind, values, range(len(values)))
        if kind in TO_PLAIN:
            for form, spelling in TO_PLAIN[kind]:
                strings = pc.replace_substring_regex(strings, form, spelling)
            plain = pc.match_substring_regex(strings, PLAIN[kind])
        try:
            quick = pc.if_else(plain, strings, pa.scalar(None, pa.string())).cast(type_)
        except pa.ArrowInvalid:  # the 30th of February: of the plain form, and no date
            return self._one_by_one(name, kind, values, range(len(values)))
        if not _within_years(kind, quick):
            return self._one_by_one(name, kind, values, range(len(values)))
        return self._one_by_one(name, kind, values, true_rows(pc.invert(plain)), quick)

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
                    self.problems.fail_row(row, "coerce", KINDS[kind].validator, f"{name}: {error}")
                    logs.parse_failure(
                        KINDS[kind].validator, value, name, self.problems.crm, self.problems.key(row),
                        personal=words or redaction.is_personal(name, kind), sync_type=self.entity.name,
                    )  # fmt: skip
                else:
                    self.problems.lose(
                        severity, name, row, value, str(error),
                        personal=words, out_of_range=isinstance(error, NumberOutOfRange),
                        data_type=KINDS[kind].validator,
                    )  # fmt: skip
        if quick is None:
            array = pa.array(found, type_)
            if kind in validate.SHAPES:
                self._check_shape(name, kind, array)
            return array
        mask = pa.array(mask_of(len(values), rows), pa.bool_())
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
        for row in true_rows(pc.invert(fits)):
            if severity == "reject":
                self.problems.fail_row(row, "coerce", KINDS[kind].validator, f"{name}: {problem}")
            else:
                self.problems.warn(severity, name, row, strings[row].as_py(), problem)

    def indexable(self, name: str, texts: pa.Array) -> pa.Array:
        """Return the texts of an indexed column without those that are too long for an index."""
        if (pc.max(pc.binary_length(texts)).as_py() or 0) <= INDEXABLE:
            return texts
        long = pc.greater(pc.binary_length(texts), INDEXABLE)
        for row in true_rows(long):
            self.problems.lose("warn", name, row, None, f"has more than {INDEXABLE} bytes, too long for its index")
        return pc.if_else(pc.fill_null(long, False), pa.scalar(None, texts.type), texts)

    def e164(self, name: str, phones: pa.Array) -> pa.Array:
        """Return the numbers in E.164: those of North America as a column, the others one by one.

        An extension of a few digits is no part of the number. Seven digits are none, but for those that metadata lists.
        """
        kept = pc.replace_substring_regex(phones, r"(\d) ?(?:x|ext\.?) ?\d{1,4}$", r"\1")
        kept = pc.replace_substring_regex(kept, r"[ ().\-/]", "")
        digits = pc.replace_substring_regex(kept, r"^\+?1?(\d{10})$", r"\1")
        listed = pc.match_substring_regex(digits, nanp_pattern())
        ours = pc.and_(listed, pc.match_substring_regex(kept, r"^(?:\+1|1)?\d{10}$"))
        quick = pc.if_else(ours, pc.binary_join_element_wise("+1", digits, ""), pa.scalar(None, pa.string()))
        rest = true_rows(pc.invert(ours))
        if not rest:
            return quick
        local = pc.and_not(pc.match_substring_regex(phones, r"^[2-9]\d\d[ .\-]?\d{4}$"), listed).to_pylist()
        found = [None if local[row] else e164(phones[row].as_py()) for row in rest]
        if not self.skip_validation:
            severity = self.entity.severity_of(name)
            for row, number in zip(rest, found, strict=True):
                if number is None:
                    self.problems.warn(severity, name, row, phones[row].as_py(), "is not a valid phone number")
        return pc.replace_with_mask(quick, pa.array(mask_of(len(phones), rest)), pa.array(found, pa.string()))


def _within_years(kind: str, array: pa.Array) -> bool:
    """Whether no date or time of a column is one that Python cannot hold."""
    if kind not in YEARS or array.null_count == len(array):
        return True
    first, last = YEARS[kind]
    found = pc.min_max(array.cast(pa.int32() if kind == "date" else pa.int64()))
    return bool(first <= found["min"].as_py() and found["max"].as_py() <= last)


def true_rows(mask: pa.Array) -> list[int]:
    """Return the rows in which a mask is true."""
    return list(pc.indices_nonzero(pc.fill_null(mask, False)).to_pylist())


def mask_of(length: int, rows: Iterable[int], *, inside: bool = True) -> list[bool]:
    """Return a mask that is ``inside`` in these rows and its opposite in the others."""
    mask = [not inside] * length
    for row in rows:
        mask[row] = inside
    return mask
