"""What a value and a record must satisfy, and what follows when they do not.

Two layers. A *kind* is what a column holds, under PostgreSQL's name where that has one. A *rule* is business (a deal's
amount is not negative). Each has a severity:

    reject   the record goes to the dead letters
    warn     it is loaded, the value as the kind allows (see ``KINDS``), and counted as a warning
    info     it is loaded and counted

Only a key may cost a record: a key that is missing or unreadable does, and nothing else is ``reject``. Whatever a
vendor says of its own record is a fact, and an old row in its place would be a worse answer than a value that is null.

``--skip-validation`` skips rules and the kinds whose ``shape_only`` is set, never the types of a column.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    import pyarrow as pa

Severity = Literal["reject", "warn", "info"]
Kind = Literal[
    "text", "id", "uuid", "email", "phone", "url", "boolean", "integer", "numeric", "date", "timestamptz", "jsonb"
]


class KindSpec(NamedTuple):
    """A kind: what its validator is called in messages, its column type, and what a bad value leads to.

    With ``shape_only`` a bad value still fits the column and is kept; without it, and unless the severity is
    ``reject``, the column becomes null and the value remains in ``raw_data``.
    """

    validator: str
    pg_type: str
    severity: Severity
    shape_only: bool = False


KINDS: Mapping[str, KindSpec] = {
    "text": KindSpec("string", "text", "warn"),
    "id": KindSpec("object id", "text", "warn", shape_only=True),
    "uuid": KindSpec("object id", "uuid", "warn"),
    "email": KindSpec("email", "text", "warn", shape_only=True),
    "phone": KindSpec("phone", "text", "warn", shape_only=True),
    "url": KindSpec("url", "text", "warn", shape_only=True),
    "boolean": KindSpec("boolean", "boolean", "warn"),
    "integer": KindSpec("number", "bigint", "warn"),
    "numeric": KindSpec("number", "numeric", "warn"),
    "date": KindSpec("date", "date", "warn"),
    "timestamptz": KindSpec("datetime", "timestamptz", "warn"),
    "jsonb": KindSpec("json", "jsonb", "warn"),
}


@dataclass(frozen=True)
class Rule:
    """A business rule on one column.

    ``broken`` takes the column as Arrow has it after coercion (``numeric`` is text there) and returns a boolean
    array, true where the rule is broken; null counts as kept.
    """

    name: str
    column: str
    severity: Severity
    message: str
    broken: "Callable[[pa.Array], pa.Array]"


def not_negative(column: str, severity: Severity = "warn") -> Rule:
    """The number is zero or more."""

    def broken(values: "pa.Array") -> "pa.Array":
        import pyarrow as pa
        import pyarrow.compute as pc

        return pc.less(pc.cast(values, pa.float64()), 0)

    return Rule(f"{column}_not_negative", column, severity, f"{column} is negative", broken)


def between(column: str, low: float, high: float, severity: Severity = "warn") -> Rule:
    """The number is from ``low`` to ``high``, both included."""

    def broken(values: "pa.Array") -> "pa.Array":
        import pyarrow as pa
        import pyarrow.compute as pc

        numbers = pc.cast(values, pa.float64())
        return pc.or_(pc.less(numbers, low), pc.greater(numbers, high))

    return Rule(f"{column}_between", column, severity, f"{column} is not from {low} to {high}", broken)


def one_of(column: str, *allowed: str, severity: Severity = "warn") -> Rule:
    """The value is one of ``allowed``."""

    def broken(values: "pa.Array") -> "pa.Array":
        import pyarrow as pa
        import pyarrow.compute as pc

        listed = pc.is_in(values, value_set=pa.array(allowed, pa.string()))
        return pc.and_(pc.is_valid(values), pc.invert(listed))

    return Rule(f"{column}_one_of", column, severity, f"{column} is none of {', '.join(allowed)}", broken)
