"""Splink's Spark backend beside DuckDB: are weights and levels the same, and what do they cost on one machine?

    pip install --target /tmp/pyspark 'pyspark==4.0.*'
    PYTHONPATH=/tmp/pyspark python benchmarks/spark.py --records 20000 200000 --sets FEBRL1 RLdata10000

Nothing else here needs Spark, so it is no dependency; it needs Java 17. Records are the invented ones of
``identity.py``, and those of labelled ``--sets``, if their wheels are installed. Both lanes read the same file,
train and compare, each in a process of its own. The last line is one JSON object. It ends with 1 where one lane
compared a pair that the other did not.

Decided:

- The Spark lane is ``Lane`` itself. What it declares, and the SQL that it sends, is translated by sqlglot, which
  Splink brings. Macros are written out, because a function of Spark's SQL has types and cannot stand in a lambda.
- ``damerau_levenshtein`` and ``jaro_winkler`` are functions in Scala, of the jar that lies in Splink's wheel. That
  ``jaro_winkler`` halves an odd number of transposed letters, which DuckDB rounds down: ``redfrn`` and ``rdfern`` are
  alike by 0.925, and by 0.95 in DuckDB. So a few pairs get another level, which are counted and shown.
- Each lane draws its own random pairs, because DuckDB's hash is not Spark's. So DuckDB trains once more with other
  pairs: a difference of bits between the lanes says something only where it is above that.
"""

import argparse
import contextlib
import importlib
import importlib.util
import json
import multiprocessing
import os
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import identity
import labelled
import measure
import pyarrow.parquet as pq
import sqlglot
from labelled import Levels, Task
from sqlglot import exp

from warehouse_pipelines.unified.identity import candidates, compare, rebuild, weights
from warehouse_pipelines.unified.identity.normalise import block_keys
from warehouse_pipelines.unified.identity.splink_lane import Compared, Lane, Trained

CORES = os.cpu_count() or 1


@dataclass(frozen=True)
class Work:
    """What a lane does; ``records`` is a Parquet file, so that no process inherits the memory of another."""

    folder: Path
    comparisons: tuple[Compared, ...]
    sure: tuple[str, ...]
    by: tuple[str, ...]

    @property
    def records(self) -> Path:
        """Their file."""
        return self.folder / "records.parquet"

    @property
    def is_rebuild(self) -> bool:
        """Whether these are the comparisons of the rebuild of identity, and no labelled set's."""
        return self.comparisons == rebuild.COMPARISONS

    @property
    def macros(self) -> tuple[str, ...]:
        """The functions that its conditions call."""
        return rebuild.MACROS if self.is_rebuild else ()

    @property
    def cap(self) -> int | None:
        """How many records may share a key."""
        return candidates.CAP if self.is_rebuild else None

    def trained(self, lane: Lane) -> Trained:
        """Train a lane, by its own rules."""
        if self.is_rebuild:
            return rebuild.trained(lane)
        return lane.train(self.sure, self.by, recall=labelled.RECALL)


class ToSpark:
    """Translates DuckDB's SQL, with these macros."""

    def __init__(self, macros: Sequence[str]) -> None:
        self._macros: dict[str, tuple[list[str], exp.Expr]] = {}
        for macro in macros:
            head, body = macro.split(" AS ", 1)
            name, *parameters = re.findall(r"\w+", head)
            self._macros[name] = parameters, self.tree(body)

    def __call__(self, sql: str) -> str:
        """Return it as Spark has it."""
        return self.tree(sql).sql("spark")

    def tree(self, sql: str) -> exp.Expr:
        """Return its tree."""
        # ``len`` is of lists, ``length`` of texts; sqlglot takes them for one.
        tree = sqlglot.parse_one(re.sub(r"\blen\(", "size(", sql), read="duckdb")
        return self._written_out(tree).transform(_as_spark_has_it)

    def _written_out(self, tree: exp.Expr) -> exp.Expr:
        def called(node: exp.Expr) -> exp.Expr:
            if not (isinstance(node, exp.Anonymous) and node.name in self._macros):
                return node
            parameters, body = self._macros[node.name]
            given = dict(zip(parameters, map(self._written_out, node.expressions), strict=True))
            return exp.paren(body.transform(lambda one: _bound(one, given)), copy=False)

        return tree.transform(called)


def _bound(node: exp.Expr, given: Mapping[str, exp.Expr]) -> exp.Expr:
    """Return the argument for a parameter, and for a member of it the member of the argument."""
    if isinstance(node, exp.Column) and node.table in given:
        # Written with a dot, Splink would take it for a column of a table.
        return exp.Bracket(this=given[node.table].copy(), expressions=[exp.Literal.string(node.name)])
    if isinstance(node, exp.Column | exp.Identifier) and node.name in given:
        return given[node.name].copy()
    return node


def _as_spark_has_it(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.ArrayOverlaps):
        return exp.func("arrays_overlap", node.this, node.expression)
    if isinstance(node, exp.JarowinklerSimilarity):
        return exp.func("jaro_winkler", node.this, node.expression)
    if isinstance(node, exp.Anonymous) and node.name == "list_has_all":
        whole, part = node.expressions
        return exp.paren(
            exp.EQ(this=exp.func("size", exp.func("array_except", part, whole)), expression=exp.Literal.number(0))
        )
    if isinstance(node, exp.Bracket) and node.expressions[0].is_int:  # a letter: no list is read by place here
        return exp.func("substring", node.this, exp.Literal.number(1), exp.Literal.number(1))
    return node


class SparkLane(Lane):
    """The same lane on local Spark."""

    def __init__(self, work: Work, memory: str) -> None:
        import splink
        from pyspark.sql import SparkSession

        backend: Any = importlib.import_module("splink.backends.spark")
        self._comparisons, self._cap, self._to_spark = work.comparisons, work.cap, ToSpark(work.macros)
        options = {
            "spark.driver.memory": memory,
            "spark.jars": backend.similarity_jar_location(),
            # 200 by default, each with a task of its own.
            "spark.default.parallelism": 2 * CORES,
            "spark.sql.shuffle.partitions": 2 * CORES,
            "spark.local.dir": work.folder,
            "spark.sql.warehouse.dir": work.folder / "warehouse",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.host": "127.0.0.1",
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
        }
        builder = SparkSession.builder.master(f"local[{CORES}]")
        for name, value in options.items():
            builder = builder.config(name, str(value))
        self.session = builder.getOrCreate()
        self.session.sparkContext.setLogLevel("ERROR")
        self.session.sparkContext.setCheckpointDir(str(work.folder))
        self.session.read.parquet(str(work.records)).createOrReplaceTempView("records")
        self.connection = self
        api = backend.SparkAPI(spark_session=self.session)
        settings = splink.SettingsCreator(
            link_type="dedupe_only",
            unique_id_column_name="record_id",
            comparisons=[self._translated(one).settings() for one in work.comparisons],
            retain_matching_columns=False,
            retain_intermediate_calculation_columns=False,
        )
        self._linker = splink.Linker(api.register("records"), settings, log_level="ERROR")

    def train(
        self, deterministic: Sequence[str], by: Sequence[str], *, recall: float = 0.7, pairs: float = 1e6
    ) -> Trained:
        """Train as the lane does, by the rules as Spark has them."""
        return super().train(
            [self._to_spark(rule) for rule in deterministic],
            [self._to_spark(rule) for rule in by],
            recall=recall,
            pairs=pairs,
        )

    def execute(self, sql: str) -> None:
        """Make a temp table, as DuckDB's connection does."""
        tree = self._to_spark.tree(sql)
        frame = self.session.sql(tree.expression.sql("spark")).persist()
        frame.createOrReplaceTempView(tree.this.name)

    def sql(self, sql: str) -> Any:
        """Return a query, as DuckDB's connection does."""
        return SimpleNamespace(to_arrow_table=self.session.sql(self._to_spark(sql)).toArrow)

    def _translated(self, one: Compared) -> Compared:
        return replace(
            one,
            missing=self._to_spark(one.missing),
            levels=tuple((name, self._to_spark(condition)) for name, condition in one.levels),
        )


def in_duckdb(work: Work) -> dict[str, Any]:
    """Train and compare in DuckDB."""
    return _worked(work, "duckdb", lambda: _lane(work, "SELECT * FROM given"))


def in_spark(work: Work, memory: str) -> dict[str, Any]:
    """Train and compare on local Spark."""
    return _worked(work, "spark", lambda: SparkLane(work, memory))


def by_other_pairs(work: Work) -> Trained:
    """Train in DuckDB with other random pairs, which are drawn by a hash of the ids."""
    lane = _lane(work, "SELECT * REPLACE (record_id + 1000000000 AS record_id) FROM given")
    return work.trained(lane)


def _lane(work: Work, prepared: str) -> Lane:
    records = pq.read_table(work.records)
    return Lane(records, work.comparisons, prepared=prepared, macros=work.macros, cap=work.cap)


def _worked(work: Work, name: str, made: Callable[[], Lane]) -> dict[str, Any]:
    here = measure.Program(os.getpid())
    steps: dict[str, dict[str, float]] = {}

    @contextlib.contextmanager
    def step(what: str) -> Iterator[None]:
        began, used, others = time.perf_counter(), sum(here.seconds().values()), measure.machine_seconds()
        yield
        seconds, processor = time.perf_counter() - began, sum(here.seconds().values()) - used
        elsewhere = (measure.machine_seconds() - others - processor) / seconds
        steps[what] = {
            "seconds": round(seconds, 1), "processor": round(processor, 1), "other_cores": round(elsewhere, 1),
        }  # fmt: skip

    with step("start"):
        lane = made()
    with step("train"):
        trained = work.trained(lane)
    with step("compare"):
        pairs = lane.compared()
    peak = here.peak_memory_mb()
    pq.write_table(pairs, work.folder / f"{name}.parquet")
    return {"steps": steps, "peak_mb": round(peak), "pairs": pairs.num_rows, "trained": trained}


def invented(count: int) -> Task:
    """Return so many records of invented people, a few more or less, as the rebuild compares them."""
    some = [(owner, record) for owner, record in identity.records(count) if record.kind == "customer"]
    records = [record for _, record in some]
    population = candidates.Population(list(range(len(records))), records, {})
    lane = rebuild.lane(population, ["\x1f".join(block_keys(record)) or None for record in records])
    table = lane.connection.sql("SELECT * FROM records ORDER BY record_id").to_arrow_table()
    return Task(table, rebuild.COMPARISONS, (), (), [owner for owner, _ in some])


def person(trained: Trained) -> Callable[[Levels], bool]:
    """Return what says whether the resolver calls a pair of these levels one person, by trained weights."""
    current = replace(weights.DEFAULT, bits=rebuild.merged(trained), verdicts={})
    return lambda levels: compare.judge(rebuild.levels_of(levels), current).relation == "person"


def differing(work: Work) -> dict[str, Any]:
    """Return how many pairs one lane alone compared, and of how many they found other levels, by comparison."""
    with duckdb.connect() as connection:
        for name in ("duckdb", "spark"):
            connection.execute(f"CREATE VIEW {name} AS SELECT * FROM '{work.folder / name}.parquet'")
        names = [one.name for one in work.comparisons]
        other = " OR ".join(f's."{name}" <> d."{name}"' for name in names)
        alone, levels = connection.sql(
            f"SELECT count(*) FILTER (d.a IS NULL OR s.a IS NULL), count(*) FILTER ({other})"
            " FROM duckdb AS d FULL JOIN spark AS s USING (a, b)"
        ).fetchall()[0]
        found = {}
        for one in work.comparisons:
            rows = connection.sql(
                f'SELECT d."{one.name}", s."{one.name}", count(*), min((a, b)) FROM duckdb AS d'
                f' JOIN spark AS s USING (a, b) WHERE d."{one.name}" <> s."{one.name}" GROUP BY ALL ORDER BY 3 DESC'
            ).fetchall()
            for here, there, count, example in rows:
                what = f"{one.name}: {one.of(here)} in DuckDB, {one.of(there)} in Spark"
                found[what] = count
                _show(connection, work, what, one, example)
    return {"pairs_of_one_lane": alone, "pairs_of_other_levels": levels, "other_levels": found}


def _show(connection: "duckdb.DuckDBPyConnection", work: Work, what: str, one: Compared, ids: tuple[int, int]) -> None:
    columns = ", ".join(f'"{name}"' for name in sorted(one.columns()))
    rows = connection.execute(f"SELECT {columns} FROM '{work.records}' WHERE record_id IN (?, ?)", ids).fetchall()
    print(what, *rows, file=sys.stderr)


def apart(one: Trained, other: Trained) -> dict[str, Any]:
    """Return the largest and the median difference of the bits of a level, and how many levels only one learnt."""
    ours, theirs = ({(n, level): b for n, bits in t.bits.items() for level, b in bits.items()} for t in (one, other))
    by = sorted((abs(ours[level] - theirs[level]), " ".join(level)) for level in ours.keys() & theirs.keys())
    most, of = by[-1]
    median = statistics.median(bits for bits, _ in by)
    return {
        "most": round(most, 3), "of": of, "median": round(median, 3), "learnt_by_one": len(ours.keys() ^ theirs.keys()),
    }  # fmt: skip


def run(name: str, task: Task, memory: str) -> dict[str, Any]:
    """Let both lanes work, print what they cost, and return that and how their answers differ."""
    count = len(task.labels)
    with tempfile.TemporaryDirectory(prefix="warehouse-benchmark-") as folder:
        work = Work(Path(folder), task.comparisons, task.sure, task.by)
        pq.write_table(task.records, work.records)
        lanes = {"duckdb": _alone(in_duckdb, work), "spark": _alone(in_spark, work, memory)}
        trained: dict[str, Trained] = {lane: said.pop("trained") for lane, said in lanes.items()}
        answers = {
            **differing(work),
            "bits": apart(trained["duckdb"], trained["spark"]),
            "bits_by_chance": apart(trained["duckdb"], _alone(by_other_pairs, work)),
        }
        for lane, said in lanes.items():
            is_person = person(trained[lane]) if work.is_rebuild else labelled.likely(task, trained[lane])
            pairs = pq.read_table(work.folder / f"{lane}.parquet")
            said["f1"] = round(labelled.found(task.labels, pairs, is_person).f1, 4)
    print(f"\n{name}: {count:,} records, {lanes['duckdb']['pairs']:,} pairs\n")
    rows = [
        [lane, step, *(str(cost[what]) for what in ("seconds", "processor", "other_cores")), _micro(cost, count)]
        for lane, said in lanes.items()
        for step, cost in said["steps"].items()
    ]
    print(measure.table(["lane", "step", "seconds", "processor seconds", "other cores", "µs a record"], rows))
    print(json.dumps(answers), flush=True)
    return {"records": count, **lanes, **answers}


def _micro(cost: Mapping[str, float], count: int) -> str:
    return f"{cost['processor'] / count * 1e6:,.0f}"


def _alone(work: Callable[..., Any], *arguments: Any) -> Any:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, arguments)


def main() -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--records", type=int, nargs="*", default=[20_000, 200_000])
    parser.add_argument("--sets", nargs="*", default=[], choices=[one.name for one in labelled.SETS])
    parser.add_argument("--memory", default="4g", help="of Java's heap")
    chosen = parser.parse_args()
    if importlib.util.find_spec("pyspark") is None or not (shutil.which("java") or os.environ.get("JAVA_HOME")):
        sys.exit(
            "Spark is not installed: it needs Java 17 and pip install --target /tmp/pyspark 'pyspark==4.0.*'; then run"
            " this again with PYTHONPATH=/tmp/pyspark."
        )
    tasks: list[tuple[str, Callable[[], Task | None]]] = [
        *((f"invented {count:,}", partial(invented, count)) for count in chosen.records),
        *((one.name, partial(labelled.read, one)) for one in labelled.SETS if one.name in chosen.sets),
    ]
    found = {name: run(name, task, chosen.memory) for name, make in tasks if (task := make()) is not None}
    print(json.dumps(found))
    if any(one["pairs_of_one_lane"] for one in found.values()):
        sys.exit("The lanes did not compare the same pairs.")


if __name__ == "__main__":
    main()
