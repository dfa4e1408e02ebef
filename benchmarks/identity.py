"""Who is who among invented people: how right is the resolver, how fast, and does the order of arrival matter?

    python benchmarks/identity.py --records 1000000

Records are those of ``simulators/core/truth.py``: what seven CRMs hold of one population, through ``normalise``, and
calls without a name, one for every ten of them. They are resolved from nothing, with best values, households and whose
the calls are, then ``--changed`` of them are edited and resolved again, both as `warehouse identity run` does it, in a
process of its own whose memory is measured. ``--order`` records arrive once more in portions, in another
order. With ``--rebuild``, Splink trains weights of them, and DuckDB makes people of them a second time. Labelled sets
follow, if their wheels are installed. The last line is one JSON object.
"""

import argparse
import json
import multiprocessing
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import labelled
import measure

from warehouse_pipelines import warehouse
from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines.schema.migrate import migrate
from warehouse_pipelines.simulators.core.population import Population
from warehouse_pipelines.simulators.core.truth import invented
from warehouse_pipelines.unified.identity import rebuild, resolve, weights
from warehouse_pipelines.unified.identity.normalise import Raw, block_keys, normalise
from warehouse_pipelines.unified.identity.record import Record
from warehouse_pipelines.unified.identity.record_lines import COLUMNS, copy_line

SEED = 11
RECORDS_PER_PERSON = 2.84
RECORDS_PER_CALL = 10

Names = tuple[str, str]


def records(count: int) -> Iterator[tuple[str, Record]]:
    """Yield so many records, a few more or less, with the word that is equal for all of one owner, and the calls."""
    people = max(1, round(count / RECORDS_PER_PERSON))
    for number, (owner, row) in enumerate(invented(Population(SEED, people), people)):
        record = normalise(Raw(kind="customer", **row))
        yield owner, record
        if number % RECORDS_PER_CALL == 0 and record.phones:
            yield owner, normalise(Raw("callrail_call", str(number), "touch", phones=record.phones))


def put(session: "warehouse.Session", some: Iterator[Record]) -> int:
    """Write records by COPY; return how many."""
    count = 0
    with session.cursor() as cursor, cursor.copy(f"COPY identity.record ({', '.join(COLUMNS)}) FROM STDIN") as copy:
        for record in some:
            copy.write(copy_line(record, block_keys(record)))
            count += 1
    session.execute("ANALYZE identity.record")
    return count


def put_all(session: "warehouse.Session", some: Iterator[Record]) -> int:
    """Write many records, as a first read does: the indexes of lists are made afterwards."""
    found = session.execute(
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'identity' AND tablename = 'record'"
        " AND indexdef LIKE '%USING gin%'"
    ).fetchall()
    for row in found:
        session.execute(f"DROP INDEX identity.{row['indexname']}")
    count = put(session, some)
    for row in found:
        session.execute(row["indexdef"].encode())
    return count


def forget(session: "warehouse.Session") -> None:
    """Empty what a run writes."""
    tables = session.execute(
        "SELECT string_agg('identity.' || tablename, ', ') AS names FROM pg_tables WHERE schemaname = 'identity'"
        " AND tablename NOT IN ('weight', 'weight_version', 'survivorship', 'source_trust')"
    ).fetchone()
    assert tables is not None
    session.execute(f"TRUNCATE {tables['names']} CASCADE")


def resolved(
    session: "warehouse.Session",
    ids: Sequence[int] | None = None,
    before: Collection[str] = (),
    after: Collection[str] = (),
) -> resolve.Summary:
    """Resolve everything, or these records, with the keys that they had and have, in one transaction."""
    summary = resolve.Summary()
    with session.transaction():
        resolve.lock(session)
        current = weights.current(session)
        if ids is None:
            resolve.rebuild(session, current, summary)
        else:
            resolve.update(session, ids, frozenset(before), frozenset(after), current, summary)
    return summary


def edit(session: "warehouse.Session", count: int) -> tuple[list[int], list[str], list[str]]:
    """Give so many records another phone number, and return their ids and their keys before and after."""
    rows = session.execute(
        "SELECT record_id, source_table, source_key, first_name, last_name, emails, street, city, zip, ids, block_keys"
        " FROM (SELECT *, row_number() OVER (ORDER BY record_id) AS place, count(*) OVER () AS customers"
        " FROM identity.record WHERE kind = 'customer') AS r WHERE place %% greatest(1, customers / %s) = 0 LIMIT %s",
        [count, count],
    ).fetchall()
    before: set[str] = set()
    after: set[str] = set()
    for place, row in enumerate(rows):
        record = Record(
            row["source_table"], row["source_key"], "customer", first_name=row["first_name"],
            last_name=row["last_name"],
            emails=tuple(row["emails"]), phones=(f"+1216{2_000_000 + place}",), street=row["street"], city=row["city"],
            zip=row["zip"], ids=tuple(row["ids"]),
        )  # fmt: skip
        now = block_keys(record)
        before.update(row["block_keys"])
        after.update(now)
        session.execute(
            "UPDATE identity.record SET phones = %s, block_keys = %s, changed_at = now() WHERE record_id = %s",
            [list(record.phones), list(now), row["record_id"]],
        )
    return [row["record_id"] for row in rows], sorted(before), sorted(after)


def partition(session: "warehouse.Session") -> set[frozenset[Names]]:
    """Return the people, each as the names of their records."""
    groups: dict[Any, list[Names]] = {}
    with session.cursor(name="members") as cursor:
        cursor.itersize = 50_000
        for row in cursor.execute("SELECT person_id, source_table, source_key FROM identity.member"):
            groups.setdefault(row["person_id"], []).append((row["source_table"], row["source_key"]))
    return {frozenset(group) for group in groups.values()}


def quality(groups: set[frozenset[Names]], owner: dict[Names, str]) -> dict[str, float]:
    """Return precision, recall and F1 of pairs of records. Records that are nobody's pair with none."""
    true = sum(_pairs(count) for count in Counter(owner.values()).values())
    said = sum(_pairs(len(group)) for group in groups)
    right = sum(_pairs(count) for group in groups for count in Counter(map(owner.__getitem__, group)).values())
    precision, recall = right / said if said else 0.0, right / true if true else 0.0
    both = precision + recall
    return {
        "precision": round(precision, 4),
        "recall": round(recall, 4),
        "f1": round(2 * precision * recall / both, 4) if both else 0.0,
    }


def _pairs(count: int) -> int:
    return count * (count - 1) // 2


def alone(server: Server, work: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """Run ``work`` in a new process; return what it returns, with what it cost.

    ``seconds``, ``peak_mb`` and ``client_processor`` are those of the process, ``postgres_processor`` is the server's.
    """
    with measure.measured(server) as cost, multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply(_measured, (work, server.url(), *arguments))
    return found | {"postgres_processor": round(cost.postgres_seconds, 1)}


def _measured(work: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    began, used = time.perf_counter(), time.process_time()
    found = work(*arguments)
    return {
        **found,
        "seconds": round(time.perf_counter() - began, 2),
        "client_processor": round(time.process_time() - used, 1),
        "peak_mb": round(measure.peak_memory_mb()),
    }


def from_nothing(url: str) -> dict[str, Any]:
    """Resolve everything."""
    with warehouse.session(url) as session:
        summary = resolved(session)
    return {"pairs": summary.pairs, "edges": summary.edges, "persons": summary.persons, "steps": summary.seconds}


def changes(url: str, ids: list[int], before: list[str], after: list[str]) -> dict[str, Any]:
    """Resolve records that changed."""
    with warehouse.session(url) as session:
        summary = resolved(session, ids, before, after)
    return {"changed": summary.changed, "pairs": summary.pairs, "records": summary.records, "steps": summary.seconds}


def trained(url: str) -> dict[str, Any]:
    """Train weights, which become the current ones."""
    with warehouse.session(url) as session, session.transaction():
        made = rebuild.train(session)
    return {"version": made.version, "bits": made.bits}


def judged(url: str) -> dict[str, Any]:
    """Make people in the second lane, and compare them with those of the first."""
    with warehouse.session(url) as session:
        found = rebuild.judge(session)
    return {"pairs": found.pairs, "persons": found.persons, "differing": found.differing}


def in_portions(url: str, count: int) -> dict[str, Any]:
    """Let records arrive in twelve portions, in two orders; return whether the people are those of one run."""
    some = [record for _, record in records(count)]
    found = []
    for order in range(3):
        with warehouse.session(url) as session:
            forget(session)
            arriving = random.Random(order).sample(some, len(some))
            step = len(arriving) if order == 0 else -(-len(arriving) // 12)
            for start in range(0, len(arriving), step):
                portion = arriving[start : start + step]
                put(session, iter(portion))
                if start == 0:
                    resolved(session)
                    continue
                rows = session.execute(
                    "SELECT record_id, block_keys FROM identity.record"
                    " WHERE record_id > (SELECT coalesce(max(record_id), 0) FROM identity.record) - %s",
                    [len(portion)],
                ).fetchall()
                after = {key for row in rows for key in row["block_keys"]}
                resolved(session, [row["record_id"] for row in rows], after=after)
            with session.transaction():
                found.append(partition(session))
    return {"records": len(some), "same": found[0] == found[1] == found[2]}


def sets() -> dict[str, dict[str, float]]:
    """Measure the labelled sets that are there."""
    found = {}
    for one in labelled.SETS:
        measured = labelled.measure(one)
        if measured is not None:
            found[one.name] = {
                "records": measured.records, "pairs": measured.pairs, "precision": round(measured.precision, 4),
                "recall": round(measured.recall, 4), "f1": round(measured.f1, 4), "floor": one.floor,
            }  # fmt: skip
    return found


def run(count: int, changed: int, order: int, *, second_lane: bool, with_sets: bool) -> dict[str, Any]:
    """Run it, print tables, and return the summary."""
    rows: list[list[str]] = []

    def noted(what: str, figures: dict[str, Any]) -> dict[str, Any]:
        """Show what has been measured so far, as the whole takes long, and remember it for the table."""
        print(what, json.dumps(figures), file=sys.stderr, flush=True)
        rows.append([what, json.dumps(figures)])
        return figures

    with measure.server() as server:
        url = server.url()
        migrate(url)
        owner: dict[Names, str] = {}

        def told() -> Iterator[Record]:
            for whose, record in records(count):
                if record.kind == "customer":
                    owner[record.name] = whose
                yield record

        with warehouse.session(url) as session:
            began = time.perf_counter()
            there = put_all(session, told())
            normalised = time.perf_counter() - began
        rows.append(["records, owners", f"{there:,}, {len(set(owner.values())):,}"])
        full = noted("from nothing", alone(server, from_nothing))
        with warehouse.session(url) as session, session.transaction():
            said = noted("pairs of records", quality(partition(session), owner))
        lane: dict[str, Any] = {}
        if second_lane:
            lane = {
                "judge": noted("judge", alone(server, judged)),
                "train": noted("train", alone(server, trained)),
                "full": noted("from nothing, trained", alone(server, from_nothing)),
            }
            with warehouse.session(url) as session, session.transaction():
                lane["quality"] = noted("pairs, trained", quality(partition(session), owner))
            lane["judge_trained"] = noted("judge, trained", alone(server, judged))
        with warehouse.session(url) as session, session.transaction():
            ids, before, after = edit(session, changed)
        delta = noted(f"{len(ids):,} changed", alone(server, changes, ids, before, after))
        portions = noted("in portions", alone(server, in_portions, order))
    labels = sets() if with_sets else {}
    rows += [[name, json.dumps(value)] for name, value in labels.items()]
    print(measure.table(["what", "figures"], rows))
    return {
        "records": there,
        "normalise_microseconds": round(normalised / there * 1e6, 1),
        **said,
        "full_seconds": full["seconds"],
        "full_processor_seconds": round(full["client_processor"] + full["postgres_processor"], 1),
        "full_peak_mb": full["peak_mb"],
        "changed": delta["changed"],
        "changed_seconds": delta["seconds"],
        "changed_processor_seconds": round(delta["client_processor"] + delta["postgres_processor"], 1),
        "order_changes_nothing": portions["same"],
        "rebuild_differing": lane["judge"]["differing"] + lane["judge_trained"]["differing"] if lane else None,
        "rebuild_trained_f1": lane["quality"]["f1"] if lane else None,
        "labelled_f1": {name: value["f1"] for name, value in labels.items()},
        "labelled_floors_hold": all(value["f1"] >= value["floor"] for value in labels.values()),
    }


def main() -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--changed", type=int, default=1_000)
    parser.add_argument("--order", type=int, default=20_000)
    parser.add_argument("--rebuild", action="store_true")
    parser.add_argument("--no-sets", action="store_true", help="without the labelled sets")
    chosen = parser.parse_args()
    summary = run(
        chosen.records, chosen.changed, chosen.order, second_lane=chosen.rebuild, with_sets=not chosen.no_sets
    )
    print(json.dumps(summary))
    if not (summary["order_changes_nothing"] and summary["labelled_floors_hold"] and not summary["rebuild_differing"]):
        sys.exit("The order of arrival changed who is who, the two lanes differ, or a labelled set is below its floor.")


if __name__ == "__main__":
    main()
