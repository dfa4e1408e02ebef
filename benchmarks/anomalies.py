"""How well do the alerts ``volume`` and ``duration`` tell an outage from a Sunday? On simulated histories.

    python benchmarks/anomalies.py --weeks 13 --entities 6

Eight weeks of history, then ``--weeks`` in which the rules are asked after every run, as in operation. Each entity has
planted outages: nothing is found for some hours, or a tenth of the usual, or runs take ten times as long. One that
begins at night counts from the first run that would have found ``DETECTABLE`` records: nobody can miss what never came.
Anything else that is alarmed is a false alarm: weekends, holidays, the end of a month, imports of lists, growth.

The last line is JSON: alarms by outage, the most runs until one was found, false alarms by entity and quarter.
"""

import argparse
import json
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from warehouse_pipelines import warehouse
from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines.schema.migrate import migrate
from warehouse_pipelines_tests.harness.operation import Workload, operate, summary

HOUR, DAY = timedelta(hours=1), timedelta(days=1)

ENTITIES = (
    Workload("hubspot", "contacts", HOUR, 60),
    Workload("callrail", "calls", HOUR, 25),
    Workload("hubspot", "deals", HOUR, 12),
    Workload("genius", "leads", 4 * HOUR, 15),
    Workload("hubspot", "owners", DAY, 40, full=True, rows=4000),
    Workload("arrivy", "tasks", DAY, 8),
    Workload("hubspot", "tasks", HOUR, 150, evenness=3),
    Workload("genius", "jobs", HOUR, 4),
)


def main() -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--weeks", type=int, default=13)
    parser.add_argument("--entities", type=int, default=len(ENTITIES))
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "server")
        server.start()
        try:
            url = server.create_database("anomalies")
            migrate(url)
            began = time.monotonic()
            entities = operate(url, given.weeks, ENTITIES[: given.entities], given.seed)
            for entity in entities:
                print(f"{entity.workload.crm} {entity.workload.entity}")
                for outage in entity.outages:
                    print(f"  {outage.kind:8} {outage.begins:%Y-%m-%d %H:%M}: found after {outage.found_after} runs "
                          f"of {outage.could_show}")  # fmt: skip
                for text in entity.false_alarms:
                    print(f"  false: {text}")
            print(json.dumps({**summary(entities, given.weeks), "seconds": round(time.monotonic() - began)}))
        finally:
            warehouse.close_kept()
            server.stop("immediate")


if __name__ == "__main__":
    main()
