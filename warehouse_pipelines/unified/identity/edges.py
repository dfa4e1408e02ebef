"""Judge pairs of records and keep what has to do with each other: ``identity.edge``.

Edges are written as lines of COPY to a file without a name, and from there to the table in one go: a million records
make two to three million of them. What stands in a line are ids of rows and levels, no value of a person's.
"""

import json
import tempfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from warehouse_pipelines.queries import query
from warehouse_pipelines.unified.identity import candidates
from warehouse_pipelines.unified.identity.candidates import Population
from warehouse_pipelines.unified.identity.compare import Levels, judge, levels, shared_ids
from warehouse_pipelines.unified.identity.weights import Weights
from warehouse_pipelines.unified.people_rows import (
    PEOPLE,
)

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

Edge = tuple[float, int, int, str]
"""Score, the numbers of the two records, and the rules with commas between them."""

_AT_ONCE = 4096
"""Lines that are written at a time."""

COPY_EDGES = "COPY identity.edge (a_id, b_id, relation, score, rules, evidence, version) FROM STDIN"


@dataclass
class Judged:
    """How many pairs were compared, and what came of them."""

    pairs: int = 0
    person: int = 0
    review: int = 0
    household: int = 0


def id_rules() -> Mapping[tuple[str, str], str]:
    """Return the rule of each id that a table holds of another: by the two tables."""
    found = {}
    for row in PEOPLE:
        for pointer in row.ids:
            for target in (pointer.table, *pointer.tables.values()):
                if target:
                    found[row.table, target] = pointer.rule
    return found


def replace_all(session: "Session", population: Population, weights: Weights) -> tuple[Judged, list[Edge]]:
    """Compare all pairs of the population and put their edges in the place of what was there, without indexes.

    Return with it the edges that join people, as ``read`` does. ``candidates.read_all`` came before; ``index`` follows.
    """
    joined: list[Edge] = []
    with tempfile.TemporaryFile() as file:
        judged = write(population, candidates.all_pairs(session), weights, file, joined)
        session.execute("TRUNCATE identity.edge")
        # With their indexes in place the rows took twice as long.
        session.execute("ALTER TABLE identity.edge DROP CONSTRAINT edge_pkey")
        session.execute("DROP INDEX identity.edge_b")
        _load(session, file)
    return judged, joined


def index(session: "Session") -> None:
    """Make the indexes that ``replace_all`` dropped."""
    session.execute("ALTER TABLE identity.edge ADD CONSTRAINT edge_pkey PRIMARY KEY (a_id, b_id)")
    session.execute("CREATE INDEX edge_b ON identity.edge (b_id)")
    session.execute("ANALYZE identity.edge (a_id, b_id, relation)")


def replace_of(session: "Session", ids: Collection[int], weights: Weights) -> tuple[Judged, set[int]]:
    """Compare some records again; return with it the ids of those that were joined to them before."""
    given = {"ids": list(ids)}
    before = session.execute(
        """
        WITH removed AS (
            DELETE FROM identity.edge WHERE a_id = ANY (%(ids)s::bigint[]) OR b_id = ANY (%(ids)s::bigint[])
            RETURNING a_id, b_id, relation
        )
        SELECT a_id, b_id FROM removed WHERE relation = 'person'
        """,
        given,
    ).fetchall()
    pairs = candidates.pairs_of(session, ids)
    population = candidates.read(session, {one for pair in pairs for one in pair})
    with tempfile.TemporaryFile() as file:
        judged = write(population, pairs, weights, file)
        _load(session, file)
    return judged, {row[name] for row in before for name in ("a_id", "b_id")}


def write(
    population: Population,
    pairs: Iterable[tuple[int, int]],
    weights: Weights,
    file: IO[bytes],
    joined: list[Edge] | None = None,
) -> Judged:
    """Compare pairs of ids, and write a line for each that has an edge. The smaller id comes first.

    The edges that join people are added to ``joined``.
    """
    records, numbers = population.records, population.numbers
    rules_of = id_rules()
    counts = {"person": 0, "review": 0, "household": 0, "apart": 0}
    ends: dict[tuple[Levels, tuple[str, ...]], tuple[str, str]] = {}
    lines: list[str] = []
    for a_id, b_id in pairs:
        a_number, b_number = numbers[a_id], numbers[b_id]
        a, b = records[a_number], records[b_number]
        found = levels(a, b)
        verdict = judge(found, weights)
        counts[verdict.relation] += 1
        if verdict.relation == "apart":
            continue
        rules = verdict.rules
        if found.ids == "equal":
            rules += shared_ids(a, b, rules_of)
        end = ends.get((found, rules))
        if end is None:
            names = ",".join(rules)
            line = f"\t{verdict.relation}\t{verdict.score}\t{{{names}}}\t{evidence(found)}\t{weights.version}\n"
            end = ends[found, rules] = (line, names)
        if joined is not None and verdict.relation == "person":
            joined.append((verdict.score, a_number, b_number, end[1]))
        lines.append(f"{a_id}\t{b_id}{end[0]}")
        if len(lines) == _AT_ONCE:
            file.write("".join(lines).encode())
            lines.clear()
    file.write("".join(lines).encode())
    return Judged(sum(counts.values()), counts["person"], counts["review"], counts["household"])


def evidence(found: Levels) -> str:
    """Return the levels as the JSON of ``edge.evidence``: those of what both records have."""
    return json.dumps({name: level for name, level in found._asdict().items() if level != "missing"})


def levels_of(stored: Mapping[str, str]) -> Levels:
    """Return the levels that ``evidence`` wrote."""
    return Levels(**{name: stored.get(name, "missing") for name in Levels._fields})


def read(session: "Session", population: Population, ids: Collection[int] | None) -> list[Edge]:
    """Return the edges that join people, of these records or all."""
    numbers = population.numbers
    found = []
    for text in candidates.texts(session, query("identity_edges"), {"ids": None if ids is None else list(ids)}):
        score, a, b, rules = text.split(" ")
        found.append((float(score), numbers[int(a)], numbers[int(b)], rules))
    return found


def _load(session: "Session", file: IO[bytes]) -> None:
    file.seek(0)
    with session.cursor() as cursor, cursor.copy(COPY_EDGES) as copy:
        while block := file.read(1 << 18):
            copy.write(block)
