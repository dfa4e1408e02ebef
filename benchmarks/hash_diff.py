"""What it costs to find what changed in PipeDesk without trusting any time, against reading everything.

    python benchmarks/hash_diff.py --leads 100000 --rounds 3

The vendor is the simulated PipeDesk in a process of its own: a real PostgreSQL, behind a proxy. Each round changes
ten leads and deletes one, diffs, and then reads everything; both must say so. Bytes are of the leads' keys and hashes,
and of the records. The last line is one JSON object.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from typing import Any

import measure


def run(leads: int, rounds: int) -> dict[str, Any]:
    """Run it, print the table, and return the summary."""
    from warehouse_pipelines.simulators.server import start_process

    with (
        tempfile.TemporaryDirectory(prefix="warehouse-benchmark-") as folder,
        measure.server() as server,
        start_process(["pipedesk"], contacts=leads, wait_seconds=600) as simulators,
    ):
        os.environ |= {
            "WAREHOUSE_HOME": folder,
            "WAREHOUSE_DATABASE_URL": server.url(),
            **simulators.environment(),
        }
        from warehouse_pipelines.loading.options import Options
        from warehouse_pipelines.loading.sync import sync
        from warehouse_pipelines.observability import logs
        from warehouse_pipelines.schema.migrate import migrate
        from warehouse_pipelines.sources.pipedesk import PIPEDESK
        from warehouse_pipelines.sources.pipedesk.entities import LEADS

        logs.configure(level=30)
        migrate(server.url())

        def read(**flags: Any) -> tuple[Any, measure.Cost]:
            with measure.measured(server) as cost:
                result = sync(PIPEDESK, LEADS, Options(**flags), url=server.url())
            return result, cost

        keys = simulators.control("pipedesk", "keys", table="leads")
        right = read()[0].created == leads
        read()  # warms the vendor
        lines, diffs, wholes = [], [], []
        for number in range(rounds):
            for key in keys[number * 11 : number * 11 + 10]:
                simulators.control(
                    "pipedesk", "edit", table="leads", key=key, touch=False, trade_name=f"round {number}"
                )
            simulators.control("pipedesk", "remove", table="leads", key=keys[number * 11 + 10])
            compared, compared_cost = read()
            whole, whole_cost = read(full=True)
            right = right and (compared.mode, compared.updated, whole.updated) == ("delta", 10, 0)
            right = right and compared.metrics["hash_diff_rows"] == whole.processed == leads - number - 1
            with server.connect() as connection:
                row = connection.execute("SELECT sum(length(raw_data::text)) FROM pipedesk.leads").fetchone()
            size = int(row[0]) if row else 0
            diffs.append(compared.seconds)
            wholes.append(whole.seconds)
            for what, result, cost, read_bytes in (
                ("hash_diff", compared, compared_cost, compared.metrics["hash_diff_bytes"]),
                ("everything", whole, whole_cost, size),
            ):
                lines.append([what, f"{result.processed:,}", f"{result.seconds:.2f}", f"{read_bytes / 1e6:.1f}",
                              f"{cost.other_cores:.1f}"])  # fmt: skip
            sizes = (compared.metrics["hash_diff_bytes"], size)
    print(measure.table(["read", "records", "seconds", "MB", "other cores"], lines))
    return {
        "leads": leads,
        "hash_diff_seconds": round(statistics.median(diffs), 3),
        "full_seconds": round(statistics.median(wholes), 3),
        "hash_diff_mb": round(sizes[0] / 1e6, 2),
        "full_mb": round(sizes[1] / 1e6, 2),
        "counts_exact": right,
    }


def main() -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--leads", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    summary = run(chosen.leads, chosen.rounds)
    print(json.dumps(summary))
    if not summary["counts_exact"]:
        sys.exit("The counts are wrong.")


if __name__ == "__main__":
    main()
