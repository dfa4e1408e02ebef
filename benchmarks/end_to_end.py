"""All HubSpot entities from the vendor to the tables, as one Dagster run: records/s and API calls.

    python benchmarks/end_to_end.py --contacts 10000

The vendor is the simulator in a process of its own, the server an embedded one, the run ``sync_hubspot_all`` in this
process, as ``warehouse sync hubspot all`` does it. On two cores the simulator is usually what is waited for; the table
therefore says how much of an entity's time that was.

The calls are compared with the least that the API allows for a read of everything:

    objects        one call for 100 live records, one for 100 archived ones (at least one each: an empty list must be
                   asked for), one for the names of the properties, and for a custom object one for its type id
    associations   one call for 1,000 records of the side that is asked, one for each further page of a record that has
                   more than a page, and one for the type id where a side is a custom object

The last line is one JSON object.
"""

import argparse
import json
import math
import os
import sys
import tempfile
from typing import Any

import measure

CUSTOM = 1


def least_calls(entity: Any, live: int, archived: int) -> int:
    """Return how few calls can read an entity whole; of pairs ``live`` counts the side that is asked."""
    custom = CUSTOM if "custom:" in entity.path else 0
    if entity.parent:
        return math.ceil(live / 1000) + custom
    pages = max(1, math.ceil(live / 100)) + max(1, math.ceil(archived / 100))
    return pages + 1 + custom


def run(contacts: int) -> dict[str, Any]:
    """Run it once, print the table, and return the summary."""
    from warehouse_pipelines.observability import logs
    from warehouse_pipelines.simulators.server import start_process

    with (
        tempfile.TemporaryDirectory(prefix="warehouse-benchmark-") as folder,
        measure.server() as server,
        start_process(["hubspot"], contacts=contacts) as simulators,
    ):
        os.environ |= {
            "WAREHOUSE_HOME": folder,
            "DAGSTER_HOME": f"{folder}/dagster",
            "WAREHOUSE_DATABASE_URL": server.url(),
            **simulators.environment(),
        }
        from warehouse_pipelines.commands.runner import Runner
        from warehouse_pipelines.schema.migrate import migrate
        from warehouse_pipelines.sources.hubspot import HUBSPOT

        migrate(server.url())
        logs.configure(level=30)
        runner = Runner(url=server.url())
        counts = simulators.control("hubspot", "counts")
        simulators.control("hubspot", "reset_counters")
        with measure.measured(server) as cost:
            outcomes = {outcome.sync_type: outcome for outcome in runner.run("hubspot", "all")}
        runner.close()
        asked = simulators.control("hubspot", "requests")
        with server.connect() as connection:
            metrics: dict[str, Any] = dict(
                connection.execute("SELECT sync_type, performance_metrics FROM orchestration.sync_history").fetchall()
            )
            rows = {
                entity.name: (connection.execute(f"SELECT count(*) FROM {entity.table}").fetchone() or (0,))[0]
                for entity in HUBSPOT.entities
            }
    lines, calls, least = [], 0, 0
    right = len(outcomes) == len(HUBSPOT.entities)
    worst = 0.0
    for entity in HUBSPOT.entities:
        done, measured = outcomes[entity.name], metrics[entity.name]
        store = _store(entity, counts["live"])
        live, archived = counts["live"].get(store, 0), counts["archived"].get(store, 0)
        fewest = least_calls(entity, live, archived)
        calls, least = calls + done.calls, least + fewest
        worst = max(worst, done.calls / fewest)
        right = right and done.status == "success" and (bool(entity.parent) or rows[entity.name] == live + archived)
        lines.append(
            (
                entity.name,
                f"{done.processed:,}",
                f"{done.seconds:.2f}",
                f"{done.records_per_second:,.0f}",
                f"{measured['waiting_seconds'] / done.seconds:.0%}",
                f"{done.calls:,}",
                f"{fewest:,}",
                f"{done.calls / fewest:.2f}",
                f"{1000 * done.calls / max(done.processed, 1):.1f}",
            )
        )
    head = ("entity", "records", "seconds", "records/s", "waiting for the vendor", "calls", "least", "ratio",
            "calls per 1,000 records")  # fmt: skip
    print(measure.table(head, lines))
    for route, number in sorted(asked["routes"].items()):
        print(f"{number:6,} {route}", file=sys.stderr)
    processed = sum(done.processed for done in outcomes.values())
    return {
        "contacts": contacts,
        "records": processed,
        "seconds": round(cost.seconds, 2),
        "records_per_second": round(processed / cost.seconds),
        "api_calls": calls,
        "api_calls_least": least,
        "api_calls_ratio": round(calls / least, 3),
        "api_calls_ratio_worst_entity": round(worst, 3),
        "calls_agree_with_the_vendor": calls == asked["total"],
        "client_seconds": round(cost.client_seconds, 2),
        "postgres_seconds": round(cost.postgres_seconds, 2),
        "right": right,
    }


def _store(entity: Any, stores: dict[str, int]) -> str:
    """Return what the simulator calls the objects of an entity; of pairs, the side that is asked."""
    wanted = entity.path.partition("/")[0].removeprefix("custom:")
    return next((name for name in stores if name.rstrip("s") == wanted.rstrip("s")), wanted)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--contacts", type=int, default=10_000)
    said = run(parser.parse_args().contacts)
    print(json.dumps(said))
    sys.stdout.flush()
    sys.exit(0 if said["right"] else 1)


if __name__ == "__main__":
    main()
