"""The bits that a level of a comparison adds to a pair's score, in versions: rows of ``identity.weight``.

A bit doubles the odds that the two records are of one person. ``DEFAULT`` is what a warehouse begins with; a full
rebuild with Splink trains others of its own records. Edges name the version they were scored with, and a run that finds
another one current compares everything again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from warehouse_pipelines import warehouse

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

SHIPPED = "shipped"
"""Origin of versions that came with the package; a new one replaces an older one, but never a trained one."""


@dataclass(frozen=True)
class Weights:
    """One version. From ``same_bits`` on a pair is one person, from ``review_bits`` on somebody is asked."""

    version: int
    same_bits: float
    review_bits: float
    bits: Mapping[str, Mapping[str, float]]
    origin: str = SHIPPED
    verdicts: dict[tuple[str, ...], Any] = field(default_factory=dict, compare=False, repr=False)
    """What was judged of each combination of levels: a few thousand, of millions of pairs."""


DEFAULT = Weights(
    version=1,
    same_bits=13.0,
    review_bits=11.75,
    bits={
        "first": {
            "equal": 5.0,
            "swapped": 4.0,
            "nickname": 4.0,
            "alike": 3.5,
            "initial": 1.5,
            "missing": 0.0,
            "different": -6.0,
        },
        "last": {
            "equal": 6.0,
            "swapped": 4.0,
            "part": 4.5,
            "alike": 3.5,
            "missing": 0.0,
            "different": -6.0,
        },
        "middle": {"equal": 0.2, "missing": 0.0, "different": -4.0},
        "suffix": {"equal": 1.0, "missing": 0.0, "one": -1.0, "different": -10.0},
        "email": {"equal": 14.0, "alike": 2.5, "missing": 0.0, "different": -1.0},
        "phone": {"equal": 9.0, "alike": 3.0, "missing": 0.0, "different": -1.0},
        "address": {
            "equal": 9.0,
            "house": 8.0,
            "alike": 6.0,
            "unit": 2.0,
            "zip": 0.5,
            "missing": 0.0,
            "different": -1.5,
        },
        "ids": {"equal": 18.0, "missing": 0.0},
        "business": {"equal": 7.0, "alike": 4.0, "missing": 0.0, "different": -1.0, "apart": -8.0},
    },
)


def current(session: "Session") -> Weights:
    """Return the current version; write ``DEFAULT`` as one where there is none, or an older one of the package's."""
    found = session.execute("SELECT * FROM identity.weight_version WHERE is_current").fetchone()
    if found is None:
        return _write(session, DEFAULT)
    levels = session.execute(
        "SELECT comparison, level, bits FROM identity.weight WHERE version = %s", [found["version"]]
    ).fetchall()
    bits: dict[str, dict[str, float]] = {}
    for row in levels:
        bits.setdefault(row["comparison"], {})[row["level"]] = row["bits"]
    weights = Weights(found["version"], found["same_bits"], found["review_bits"], bits, found["origin"])
    if weights.origin == SHIPPED and not same(weights, DEFAULT):
        return _write(session, DEFAULT)
    return weights


def same(a: Weights, b: Weights) -> bool:
    """Return whether two versions judge alike."""
    return (a.same_bits, a.review_bits, a.bits) == (b.same_bits, b.review_bits, b.bits)


def add(
    session: "Session", bits: Mapping[str, Mapping[str, float]], same_bits: float, review_bits: float, origin: str
) -> Weights:
    """Write a new version, make it the current one, and return it. The next run compares everything again."""
    return _write(session, Weights(0, same_bits, review_bits, bits, origin))


def _write(session: "Session", weights: Weights) -> Weights:
    version = warehouse.value(session, "SELECT coalesce(max(version), 0) + 1 FROM identity.weight_version")
    session.execute("UPDATE identity.weight_version SET is_current = false WHERE is_current")
    session.execute(
        "INSERT INTO identity.weight_version (version, origin, same_bits, review_bits, is_current)"
        " VALUES (%s, %s, %s, %s, true)",
        [version, weights.origin, weights.same_bits, weights.review_bits],
    )
    rows: list[list[Any]] = [
        [version, comparison, level, bits]
        for comparison, levels in weights.bits.items()
        for level, bits in levels.items()
    ]
    with session.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO identity.weight (version, comparison, level, bits) VALUES (%s, %s, %s, %s)", rows
        )
    return Weights(version, weights.same_bits, weights.review_bits, weights.bits, weights.origin)
