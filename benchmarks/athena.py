"""SalesPro's estimates out of a result file of Athena: records/s from the file to the table, against a plain COPY.

    python benchmarks/athena.py --records 100000 --rounds 3

The vendor is the simulator in a process of its own, the server an embedded one. What the query itself takes is the
simulator's (SQLite and Python) and is shown apart; the rate that counts begins when the query has succeeded. The COPY
is of the very rows that the sync stored, ``raw_data`` and bookkeeping included, as text made beforehand, into a table
with the same indexes. The two take turns, and the ratio is the median of the rounds' (1: as fast as COPY).

Memory is the peak of this process after a quarter of the rows, and after all of them. The last line is one JSON
object.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import measure


def run(records: int, rounds: int) -> dict[str, Any]:
    """Run the rounds, print the table, and return the summary."""
    from warehouse_pipelines.loading.options import Options
    from warehouse_pipelines.loading.sync import sync
    from warehouse_pipelines.observability import logs
    from warehouse_pipelines.schema.migrate import migrate
    from warehouse_pipelines.simulators.server import start_process
    from warehouse_pipelines.sources.salespro import SALESPRO
    from warehouse_pipelines.sources.salespro.athena import Athena

    logs.configure(level=30)
    querying: list[float] = []
    asked = Athena._run

    def timed(self: Athena, sql: str, parameters: Sequence[str]) -> tuple[str, str]:
        began = time.perf_counter()
        try:
            return asked(self, sql, parameters)
        finally:
            querying.append(time.perf_counter() - began)

    Athena._run = timed  # type: ignore[method-assign]
    estimates = next(entity for entity in SALESPRO.entities if entity.name == "estimates")
    table = estimates.table
    with (
        tempfile.TemporaryDirectory(prefix="warehouse-benchmark-") as folder,
        measure.server() as server,
        start_process(["salespro"], contacts=2 * records) as simulators,
    ):
        os.environ |= {"WAREHOUSE_HOME": folder, **simulators.environment()}
        url = server.url()
        migrate(url)
        truth = len(simulators.control("salespro", "ids", table="estimate"))
        sync(SALESPRO, estimates, Options(max_records=records // 4), url=url)
        small = measure.peak_memory_mb()
        right = True
        rows = []
        for _ in range(rounds):
            with server.connect() as connection:
                connection.execute(f"TRUNCATE {table}, orchestration.sync_history, orchestration.dead_letter")
            with measure.measured(server) as cost:
                result = sync(SALESPRO, estimates, Options(), url=url)
            large = measure.peak_memory_mb()
            right = right and (result.status, result.created, result.total_rows) == ("success", truth, truth)
            reading = cost.seconds - querying[-1]
            with server.connect() as connection:
                with connection.cursor().copy(f"COPY {table} TO STDOUT") as copy:
                    text = [bytes(block) for block in copy]
                connection.execute("DROP TABLE IF EXISTS plain")
                connection.execute(f"CREATE TABLE plain (LIKE {table} INCLUDING ALL)")
            with (
                measure.measured(server) as plain,
                server.connect() as connection,
                connection.cursor().copy("COPY plain FROM STDIN") as copy,
            ):
                for block in text:
                    copy.write(block)
            with measure.measured(server) as nothing:
                delta = sync(SALESPRO, estimates, Options(), url=url)
            right = right and (delta.mode, delta.created, delta.updated) == ("delta", 0, 0)
            rows.append((cost, reading, querying[-2], plain, nothing, large))
    rates = [truth / reading for _, reading, *_ in rows]
    ratios = [plain.seconds / reading for _, reading, _, plain, *_ in rows]
    head = ("path", "records/s", "seconds", "CPU µs/record, client + PostgreSQL", "other cores")
    lines = [
        (
            name,
            measure.spread([truth / seconds for seconds, _ in found]),
            measure.spread([seconds for seconds, _ in found], ".2f"),
            f"{statistics.median(c.client_seconds for _, c in found) / truth * 1e6:.0f} + "
            f"{statistics.median(c.postgres_seconds for _, c in found) / truth * 1e6:.0f}",
            measure.spread([c.other_cores for _, c in found], ".1f"),
        )
        for name, found in {
            "with the query": [(cost.seconds, cost) for cost, *_ in rows],
            "from the result": [(reading, cost) for cost, reading, *_ in rows],
            "COPY": [(plain.seconds, plain) for _, _, _, plain, *_ in rows],
        }.items()
    ]
    print(measure.table(head, lines))
    return {
        "records": truth,
        "records_per_second": round(statistics.median(rates)),
        "records_per_second_with_query": round(truth / statistics.median(cost.seconds for cost, *_ in rows)),
        "copy_records_per_second": round(truth / statistics.median(plain.seconds for _, _, _, plain, *_ in rows)),
        "copy_ratio": round(statistics.median(ratios), 3),
        "query_seconds": round(statistics.median(query for _, _, query, *_ in rows), 2),
        "empty_delta_seconds": round(statistics.median(nothing.seconds for *_, nothing, _ in rows), 3),
        "peak_memory_mb": round(max(large for *_, large in rows)),
        "peak_memory_ratio": round(rows[0][-1] / small, 3),
        "other_cores": round(statistics.median(cost.other_cores for cost, *_ in rows), 2),
        "right": right,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    said = run(chosen.records, chosen.rounds)
    print(json.dumps(said))
    sys.stdout.flush()
    sys.exit(0 if said["right"] else 1)


if __name__ == "__main__":
    main()
