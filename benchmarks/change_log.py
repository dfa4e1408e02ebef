"""What ``orchestration.change_log`` costs a load, against the same load of an entity that does not ask for it.

    python benchmarks/change_log.py --records 100000 --rounds 3

The same contacts (``contacts``) are loaded with and without it, in turn and each time into an empty table: ``base`` is
all new, ``delta`` has a tenth of the records changed, ``edited`` all of them. A ratio is of processor time, ours and
PostgreSQL's together, and the median of the rounds; the seconds that are printed last are of the clock.

The last line is one JSON object.
"""

import argparse
import json
import statistics
from dataclasses import replace
from typing import Any

import contacts
import measure
import psycopg
from contacts import CONTACT

from warehouse_pipelines.loading.options import Options
from warehouse_pipelines.loading.sync import sync
from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.schema import tables
from warehouse_pipelines.schema.migrate import engine, migrate

DATASETS = ("base", "delta", "edited")
LOGGED = replace(CONTACT, change_log=True)


def load(server: Server, url: str, entity: Entity, pages: dict[str, list[bytes]]) -> dict[str, Any]:
    """Load the datasets one after another into an empty table; return the costs, and what was counted."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"TRUNCATE {CONTACT.table}, orchestration.change_log, orchestration.sync_history")
        connection.execute(f"VACUUM ANALYZE {CONTACT.table}")
    found: dict[str, Any] = {}
    for dataset, answers in pages.items():
        with measure.measured(server) as cost:
            result = sync(contacts.source(lambda answers=answers: answers), entity, Options(), url=url)  # type: ignore[misc]
        found[dataset] = {
            "cpu": cost.client_seconds + cost.postgres_seconds,
            "seconds": cost.seconds,
            "other_cores": cost.other_cores,
            "counts": (result.created, result.updated, result.unchanged),
        }
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT count(*), pg_total_relation_size('orchestration.change_log') FROM orchestration.change_log"
        ).fetchone()
    found["rows"], found["bytes"] = row or (0, 0)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    pages = {dataset: list(contacts.pages(dataset, given.records)) for dataset in DATASETS}
    true = {dataset: contacts.truth(dataset, given.records) for dataset in DATASETS}
    # A delta leaves records behind that an edit of all does not bring, and has brought some of its edits already.
    edited = true["delta"].updated
    true["edited"] = contacts.Truth(0, given.records - edited, edited)
    with measure.server() as server:
        url = server.create_database("changes")
        migrate(url)
        with engine(url).begin() as connection:
            tables.align(connection, [CONTACT])
        rounds = [(load(server, url, CONTACT, pages), load(server, url, LOGGED, pages)) for _ in range(given.rounds)]
    exact = all(
        one[dataset]["counts"] == (true[dataset].created, true[dataset].updated, true[dataset].unchanged)
        for both in rounds
        for one in both
        for dataset in DATASETS
    )
    ratios: dict[str, Any] = {}
    for dataset in DATASETS:
        ratios[f"{dataset}_ratio"] = round(
            statistics.median(on[dataset]["cpu"] / off[dataset]["cpu"] for off, on in rounds), 2
        )
        for name, place in (("off", 0), ("on", 1)):
            cpu = statistics.median(both[place][dataset]["cpu"] for both in rounds)
            seconds = statistics.median(both[place][dataset]["seconds"] for both in rounds)
            print(f"{dataset:8} {name:4} {cpu:8.2f} s of processor time, {seconds:8.2f} s")
    logged = rounds[-1][1]
    print(
        json.dumps(
            {
                **ratios,
                "rows_logged": logged["rows"],
                "bytes_per_row": round(logged["bytes"] / max(1, logged["rows"])),
                "other_cores": round(
                    max(one[dataset]["other_cores"] for both in rounds for one in both for dataset in DATASETS), 2
                ),
                "counts_exact": exact,
            }
        )
    )


if __name__ == "__main__":
    main()
