"""Train weights, and compare pairs, with Splink in DuckDB: of any records, by declared comparisons.

    lane = Lane(records, comparisons)
    trained = lane.train(deterministic=..., by=...)
    pairs = lane.compared()

``records`` is an Arrow table with ``record_id`` and ``keys``, the block keys as a list. The rebuild of identity uses
it, and the benchmark on labelled sets, which has other columns and the same machinery.

Decided:

- Arrow tables, never pandas frames: Splink 5.0.0 found no pairs in a frame with columns of objects.
- Functions are macros, that is SQL. Python functions in DuckDB need numpy, which nothing else here does.
- Splink trains; the pairs' levels are read with the same SQL, but without its ``predict``, which returns levels only
  together with all columns of both records.
- Splink and DuckDB are the extra ``identity``. They are imported when a lane is made.
"""

import logging
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from warehouse_pipelines.errors import NotConfigured

if TYPE_CHECKING:
    import pyarrow as pa

MISSING = "missing"


@dataclass(frozen=True)
class Compared:
    """A comparison: its levels in order, each with the SQL condition over ``column_l`` and ``column_r``.

    ``missing`` is the condition under which nothing is compared; what no condition holds for is ``rest``.
    """

    name: str
    missing: str
    levels: tuple[tuple[str, str], ...]
    rest: str = "different"

    def of(self, gamma: int) -> str:
        """Return the level that Splink's number means: from the last to the first, the rest is 0."""
        if gamma < 0:
            return MISSING
        return self.rest if gamma == 0 else self.levels[len(self.levels) - gamma][0]

    def case(self) -> str:
        """Return its number as SQL, as Splink counts the levels."""
        cases = [f"WHEN {self.missing} THEN -1"]
        cases += [f"WHEN {condition} THEN {len(self.levels) - at}" for at, (_, condition) in enumerate(self.levels)]
        return f"(CASE {' '.join(cases)} ELSE 0 END)::TINYINT"

    def columns(self) -> set[str]:
        """Return the columns that it reads."""
        return set(
            re.findall(r"\b(\w+)_[lr]\b", " ".join((self.missing, *(condition for _, condition in self.levels))))
        )

    def settings(self) -> dict[str, Any]:
        """Return it as Splink has it."""
        levels: list[dict[str, Any]] = [
            {"sql_condition": self.missing, "label_for_charts": MISSING, "is_null_level": True},
            *({"sql_condition": condition, "label_for_charts": name} for name, condition in self.levels),
            {"sql_condition": "ELSE", "label_for_charts": self.rest},
        ]
        return {"output_column_name": self.name, "comparison_levels": levels}


@dataclass(frozen=True)
class Trained:
    """The bits of each level that occurred, and the odds, in bits, of one person for any two records."""

    bits: Mapping[str, Mapping[str, float]]
    prior_bits: float

    def score(self, levels: Mapping[str, str]) -> float:
        """Return the sum of bits of these levels by comparison."""
        return sum(self.bits[name].get(level, 0.0) for name, level in levels.items())

    def threshold(self, probability: float) -> float:
        """Return the sum of bits from which two records are one person with this probability."""
        return math.log2(probability / (1 - probability)) - self.prior_bits


class Lane:
    """Records in a DuckDB of their own, in memory, and Splink above them."""

    def __init__(
        self,
        records: "pa.Table",
        comparisons: Sequence[Compared],
        *,
        more: Mapping[str, "pa.Table"] | None = None,
        prepared: str = "SELECT * FROM given",
        macros: Sequence[str] = (),
        cap: int | None = None,
    ) -> None:
        """Register them. Raises NotConfigured where the extra ``identity`` is not installed.

        ``prepared`` makes the records that are compared, of the table ``given`` and ``more`` tables; ``macros`` are the
        functions that conditions call. A key that more than ``cap`` records share makes no pairs, but of the record
        whose ``own_key`` it is with each of the others.
        """
        duckdb, splink = _installed()
        self._comparisons, self._cap = comparisons, cap
        self.connection = duckdb.connect()
        # Its own temp folder would be the working one.
        self.connection.execute("SET memory_limit = '2GB'")
        # It writes to stdout, wherever that goes.
        self.connection.execute("SET enable_progress_bar_print = false")
        for macro in macros:
            self.connection.execute(f"CREATE MACRO {macro}")
        tables = {"given": records, **(more or {})}
        for name, table in tables.items():
            self.connection.register(name, table)
        self.connection.execute(f"CREATE TABLE records AS {prepared}")
        for name in tables:
            self.connection.unregister(name)
        self._api = splink.DuckDBAPI(connection=self.connection)
        self._splink = splink
        settings = splink.SettingsCreator(
            link_type="dedupe_only",
            unique_id_column_name="record_id",
            comparisons=[one.settings() for one in comparisons],
            retain_matching_columns=False,
            retain_intermediate_calculation_columns=False,
        )
        self._linker = splink.Linker(self._api.register("records"), settings, log_level=logging.ERROR)

    def train(
        self, deterministic: Sequence[str], by: Sequence[str], *, recall: float = 0.7, pairs: float = 1e6
    ) -> Trained:
        """Estimate how often each level occurs among pairs of one person and among others.

        ``deterministic`` are conditions that hold for one person only, together for ``recall`` of the pairs.
        ``by`` are conditions whose pairs are split into the two kinds by expectation maximisation; the columns of a
        condition learn nothing of its pairs. Others are random pairs, so many as ``pairs``.
        """
        training = self._linker.training
        training.estimate_probability_two_random_records_match(list(deterministic), recall=recall)
        training.estimate_u_using_random_sampling(max_pairs=pairs, seed=1, min_count_per_level=None)
        for rule in by:
            training.estimate_parameters_using_expectation_maximisation(rule, max_pairs=pairs)
        model = self._linker.misc.save_model_to_json()
        prior = model["probability_two_random_records_match"]
        return Trained(
            {one["output_column_name"]: _bits(one["comparison_levels"]) for one in model["comparisons"]},
            math.log2(prior / (1 - prior)),
        )

    def compared(self) -> "pa.Table":
        """Return all pairs that share a key: ``a`` < ``b``, and for each comparison its level as Splink's number."""
        self.connection.execute(
            "CREATE OR REPLACE TEMP TABLE keyed AS"
            " SELECT record_id, key, count(*) OVER (PARTITION BY key) AS records"
            " FROM (SELECT record_id, unnest(keys) AS key FROM records)"
        )
        pairs = """
            SELECT l.record_id AS a, r.record_id AS b
            FROM keyed AS l JOIN keyed AS r ON r.key = l.key AND r.record_id > l.record_id
        """
        if self._cap is not None:
            pairs += f"""
                WHERE l.records <= {self._cap:d}
                UNION ALL
                SELECT least(o.record_id, r.record_id), greatest(o.record_id, r.record_id)
                FROM records AS o JOIN keyed AS r ON r.key = o.own_key AND r.record_id <> o.record_id
                WHERE r.records > {self._cap:d}
            """  # noqa: S608  (a number)
        self.connection.execute(f"CREATE OR REPLACE TEMP TABLE pairs AS SELECT DISTINCT a, b FROM ({pairs})")  # noqa: S608
        used = sorted({name for one in self._comparisons for name in one.columns()})
        sides = ", ".join(f'{side}."{name}" AS "{name}_{side}"' for name in used for side in "lr")
        levels = ", ".join(f'{one.case()} AS "{one.name}"' for one in self._comparisons)
        return self.connection.sql(
            f"SELECT a, b, {levels} FROM (SELECT a, b, {sides} FROM pairs"  # noqa: S608  (as declared)
            " JOIN records AS l ON l.record_id = a JOIN records AS r ON r.record_id = b)"
        ).to_arrow_table()


def _bits(levels: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    found = {}
    for one in levels:
        m, u = one.get("m_probability"), one.get("u_probability")
        if not one.get("is_null_level") and m and u:
            found[one["label_for_charts"]] = round(math.log2(m / u), 3)
    return found


def _installed() -> tuple[Any, Any]:
    try:
        import duckdb
        import splink
    except ImportError as error:
        raise NotConfigured(
            "Training needs Splink and DuckDB, which are not installed: pip install 'warehouse-pipelines[identity]'"
        ) from error
    return duckdb, splink
