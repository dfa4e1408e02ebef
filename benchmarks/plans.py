"""Random plans are applied and undone: is the portal as it was, whatever happens meanwhile?

    python benchmarks/plans.py --plans 10000 --edits --kills

One warehouse and one simulated HubSpot; the plans follow each other. Most have 1 to 10 records, one in a hundred has
1,000. The vendor refuses records, answers 429 and 5xx, and loses answers. With ``--edits`` people change, associate and
archive records between plan, apply and undo; with ``--kills`` applying and undoing are killed at a random point, and
continued by a new apply, a new plan, or a new process. ``warehouse_pipelines_tests/harness/random_plans.py`` says what
must be there after each. The first wrong state ends the run, with the command that repeats it; the exit code is 1 then.

``--bisect N`` then measures N plans of 1,000 records of which one is bad, half of them where the vendor does a batch in
part. The last line is one JSON object.
"""

import argparse
import json
import math
import os
import statistics
import tempfile
import time
from typing import Any

import measure
import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.observability import logs
from warehouse_pipelines.outbound.hubspot import MOST
from warehouse_pipelines.schema.migrate import migrate
from warehouse_pipelines_tests.harness.expected_portal import BAD, WrongState
from warehouse_pipelines_tests.harness.portal_target import PortalTarget, portal_target, rows
from warehouse_pipelines_tests.harness.random_plans import BLOCK, RandomPlans

RECORDS = 1_000


def bisected(portal: PortalTarget, plans: RandomPlans, number: int) -> list[int]:
    """Return how many writes more than a good plan each plan of 1,000 took of which one record is bad."""
    extra = []
    for place in range(number):
        portal.hubspot.configure(refused_values=[BAD], multi_status=bool(place % 2), phones_as="sent")
        given = rows(RECORDS, first=10_001)
        bad = plans.random.randrange(1, RECORDS)
        given[bad]["city"] = BAD
        portal.give(*given)
        before = portal.state()
        portal.hubspot.reset_counters()
        plan = portal.apply()
        extra.append(len(portal.writes()) - 1 - math.ceil((RECORDS - 1) / MOST))
        if plan.statuses != {"written": RECORDS - 1, "refused": 1}:
            raise WrongState(f"one bad record in {RECORDS} leaves {plan.statuses}")
        portal.undo(plan)
        if portal.state() != before:
            raise WrongState("after the undo of a plan with a bad record the portal is not as it was")
    return extra


def run(given: argparse.Namespace) -> dict[str, Any]:
    """Try the plans, print the table, return the summary."""
    with (
        tempfile.TemporaryDirectory(prefix="warehouse-benchmark-") as folder, measure.server() as server,
        pytest.MonkeyPatch.context() as environment,
    ):  # fmt: skip
        os.environ["WAREHOUSE_HOME"] = folder
        logs.configure(level=50)
        url = server.create_database("plans")
        migrate(url)
        with portal_target(url, environment) as portal, measure.measured(server) as cost:
            plans = RandomPlans(portal, given.seed, edits=given.edits, kills=given.kills, big_share=given.big)
            times: list[float] = []
            wrong, extra, last, began = "", [], given.first, time.perf_counter()

            def done(place: int) -> None:
                nonlocal last, began
                if place % 500 < place - last:
                    print(f"{place} plans", flush=True)
                times.append((time.perf_counter() - began) / (place - last))
                last, began = place, time.perf_counter()

            try:
                plans.run(given.first, given.plans, done)
                extra = bisected(portal, plans, given.bisect)
            except Exception as error:
                kinds = "".join(f" --{name}" for name in ("edits", "kills") if getattr(given, name))
                block = last // BLOCK * BLOCK
                wrong = f"{type(error).__name__}: {error}"
                print(f"wrong in plan {last}: {wrong[:3000]}")
                print(f"repeat: plans.py --seed {given.seed} --first {block} --plans {BLOCK}{kinds} --big {given.big}")
        warehouse.close_kept()
    counts = {name: count for name, count in sorted(plans.counts.items()) if name != "plans"}
    print(measure.table(["what happened", "times"], [[name, f"{count:,}"] for name, count in counts.items()]))
    bar = 2 * math.log2(MOST)
    return {
        "plans": plans.counts["plans"], "records": sum(size for size, _ in plans.sizes),
        "plans_of_1000": sum(size >= RECORDS for size, _ in plans.sizes), "seed": given.seed, "first": given.first,
        "edits": given.edits, "kills": given.kills, "seconds": round(cost.seconds, 1),
        "median_ms": round(1000 * statistics.median(times or [0]), 1),
        "processor_seconds": round(cost.client_seconds + cost.postgres_seconds, 1),
        "bisect_plans": len(extra), "bisect_extra_calls_worst": max(extra, default=None),
        "bisect_extra_calls_allowed": round(bar, 1), "counts": counts, "wrong": wrong,
        "all_right": not wrong and max(extra, default=0) <= bar,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--plans", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="the first plan, a multiple of the block")
    parser.add_argument("--edits", action="store_true", help="people edit meanwhile")
    parser.add_argument("--kills", action="store_true", help="applying and undoing are killed")
    parser.add_argument("--big", type=float, default=0.01, help="share of plans of 1,000 records")
    parser.add_argument("--bisect", type=int, default=0, help="plans of 1,000 records of which one is bad")
    said = run(parser.parse_args())
    print(json.dumps(said))
    raise SystemExit(0 if said["all_right"] else 1)


if __name__ == "__main__":
    main()
