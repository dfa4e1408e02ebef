"""Change orders out of a MariaDB into the warehouse: records/s, against a plain COPY, and memory.

    python benchmarks/sql_source.py --records 250000 --rounds 3

The vendor is the simulated Genius in a process of its own: a real MariaDB, behind a proxy. The server is an
embedded PostgreSQL. Each read is a process of its own, ``sync`` of one entity on an empty table, once with a tenth of
the records and ``--rounds`` times with all; its rate is what its history row says. The floor is PostgreSQL's COPY of
the same rows, in its binary form, into an empty table with the same indexes: no source, no types, no hash, no counts.

``delta_seconds`` is a delta over the full table in which one row changed. The last line is one JSON object.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import measure

TABLE = "genius_job_change_order"


def child() -> None:
    """Sync once in this process and print what it took."""
    from warehouse_pipelines.loading.options import Options
    from warehouse_pipelines.loading.sync import sync
    from warehouse_pipelines.observability import logs
    from warehouse_pipelines.sources.genius import GENIUS

    logs.configure(level=30)
    (entity,) = (one for one in GENIUS.entities if one.table == TABLE)
    result = sync(GENIUS, entity, Options(), url=os.environ["WAREHOUSE_DATABASE_URL"])
    said = {
        "mode": result.mode,
        "created": result.created,
        "processed": result.processed,
        "seconds": result.seconds,
        "client_seconds": time.process_time(),
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "metrics": {name: result.metrics[f"{name}_seconds"] for name in ("waiting", "coercing", "loading")},
    }
    print(json.dumps(said))


def read(server: Any) -> tuple[dict[str, Any], measure.Cost]:
    """Run ``child`` and return what it said, and what it cost."""
    with measure.measured(server) as cost:
        done = subprocess.run([sys.executable, __file__, "--child"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1]), cost


def floor(server: Any) -> tuple[float, int]:
    """Return the seconds of a COPY of the table's rows into one like it, and how many there are."""
    with server.connect() as connection, tempfile.TemporaryFile() as rows:
        with connection.cursor().copy(f"COPY {TABLE} TO STDOUT (FORMAT binary)") as out:
            for block in out:
                rows.write(block)
        connection.execute("DROP TABLE IF EXISTS floor")
        connection.execute(f"CREATE TABLE floor (LIKE {TABLE} INCLUDING ALL)")
        connection.commit()
        rows.seek(0)
        began = time.perf_counter()
        with connection.cursor().copy("COPY floor FROM STDIN (FORMAT binary)") as into:
            while block := rows.read(1 << 16):
                into.write(block)
        connection.commit()
        seconds = time.perf_counter() - began
        (count,) = connection.execute("SELECT count(*) FROM floor").fetchone() or (0,)
        connection.execute("DROP TABLE floor")
    return seconds, count


def run(records: int, rounds: int) -> dict[str, Any]:
    """Run it, print the table, and return the summary."""
    from warehouse_pipelines.simulators.server import start_process

    with (
        tempfile.TemporaryDirectory(prefix="warehouse-benchmark-") as folder,
        measure.server() as server,
        start_process(["genius"], contacts=1000) as simulators,
    ):
        os.environ |= {
            "WAREHOUSE_HOME": folder,
            "WAREHOUSE_DATABASE_URL": server.url(),
            **simulators.environment(),
        }
        from warehouse_pipelines.schema.migrate import migrate

        migrate(server.url())

        def grow(to: int) -> None:
            have = simulators.control("genius", "count", table="job_change_order")
            simulators.control("genius", "many", table="job_change_order", rows=to - have)
            simulators.control("genius", "spread", table="job_change_order", seconds=700 * 86_400)

        def forget() -> None:
            with server.connect() as connection:
                connection.execute(f"TRUNCATE {TABLE}, orchestration.sync_history, orchestration.dead_letter")

        small = max(1000, records // 10)
        grow(small)
        few, _ = read(server)
        forget()
        grow(records)
        lines, rates, ratios, peaks = [], [], [], []
        right = few["created"] == small
        for number in range(rounds):
            if number:
                forget()
            said, cost = read(server)
            seconds, count = floor(server)
            right = right and said["created"] == count == records
            rates.append(said["processed"] / said["seconds"])
            ratios.append(said["seconds"] / seconds)
            peaks.append(said["memory_mb"])
            lines.append(
                [
                    f"{said['processed']:,}", f"{rates[-1]:,.0f}", f"{records / seconds:,.0f}", f"{ratios[-1]:.2f}",
                    f"{said['client_seconds'] / records * 1e6:.0f} + {cost.postgres_seconds / records * 1e6:.0f}",
                    f"{peaks[-1]:.0f}", f"{cost.other_cores:.1f}",
                    " ".join(f"{value:.1f}" for value in said["metrics"].values()),
                ]
            )  # fmt: skip
        key = simulators.control("genius", "create", table="job_change_order")
        simulators.control("genius", "edit", table="job_change_order", key=key, number="edited")
        delta, _ = read(server)
        right = right and delta["mode"] == "delta" and delta["created"] == 1
    head = ["records", "records/s", "COPY/s", "times COPY", "CPU µs/record, client + PostgreSQL", "peak MB",
            "other cores", "waiting, coercing, loading s"]  # fmt: skip
    print(measure.table(head, lines))
    print(f"\nA tenth of it peaked at {few['memory_mb']:.0f} MB. A delta of one row took {delta['seconds']:.2f} s.")
    return {
        "records": records,
        "records_per_second": round(statistics.median(rates), 1),
        "copy_ratio": round(statistics.median(ratios), 3),
        "peak_memory_ratio": round(max(peaks) / few["memory_mb"], 3),
        "delta_seconds": round(delta["seconds"], 3),
        "counts_exact": right,
    }


def main() -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--records", type=int, default=250_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        child()
        return
    summary = run(chosen.records, chosen.rounds)
    print(json.dumps(summary))
    if not summary["counts_exact"]:
        sys.exit("The counts are wrong.")


if __name__ == "__main__":
    main()
