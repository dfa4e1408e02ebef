"""What it costs to share a budget of requests through PostgreSQL, and how evenly processes share it.

    python benchmarks/budget.py --seconds 12

The budget is HubSpot's, 190 requests in ten seconds, unless it says otherwise.

``cost``    microseconds of one request: of its thread, the round trips that are made for portions included; with
            one process, whose budget is never spent
``share``   processes that ask for one spent budget as fast as they can: how much of the budget they use, and the
            smallest share of a process over an even one
``killed``  the same with a process that is killed in the middle: how much of the budget the others use afterwards

The last line is one JSON object.
"""

import argparse
import json
import multiprocessing
import threading
import time
from collections.abc import Callable
from typing import Any

import measure

from warehouse_pipelines import warehouse
from warehouse_pipelines.loading.request_budget import RequestBudget, portion
from warehouse_pipelines.model.reading import Budget
from warehouse_pipelines.schema.migrate import migrate

HUBSPOT = Budget("ten seconds", 190, 10.0)
BUDGETS = (HUBSPOT, Budget("minute", 60, 60.0), Budget("hour", 900, 3600.0))
FORKS = multiprocessing.get_context("forkserver")


def cost(url: str, budget: Budget, rounds: int) -> float:
    """Return the microseconds of one request of a budget that is never spent."""
    taken = seconds = 0.0
    with RequestBudget(url, threading.Event()) as own, warehouse.session(url) as session:
        own.acquire("warm", budget)
        for _ in range(rounds):
            session.execute("TRUNCATE orchestration.request_budget")
            count = max(1, budget.requests // portion(budget) // 2) * portion(budget)
            began = time.perf_counter()
            for _ in range(count):
                own.acquire(f"cost-{taken}", budget)
            seconds += time.perf_counter() - began
            taken += count
    return seconds / taken * 1e6


def take(url: str, budget: Budget, counted: Any, at: int) -> None:
    """Ask without end."""
    with RequestBudget(url, threading.Event()) as own:
        while True:
            own.acquire("shared", budget)
            counted[at] += 1


def share(url: str, budget: Budget, processes: int, seconds: float, *, kill: bool = False) -> tuple[float, float]:
    """Return the used share of the budget and the smallest share of a process, from when all are at it."""
    counted = FORKS.Array("q", processes)
    started = [FORKS.Process(target=take, args=(url, budget, counted, at), daemon=True) for at in range(processes)]
    for one in started:
        one.start()
    _until(lambda: all(counted[:]))
    if kill:
        started[-1].kill()
    time.sleep(budget.seconds)  # past what was granted at once at the beginning
    before, began = counted[:], time.monotonic()
    time.sleep(seconds)
    each = [now - then for now, then in zip(counted[:], before, strict=True)][: processes - kill]
    allowed = budget.requests / budget.seconds * (time.monotonic() - began)
    for one in started:
        one.kill()
        one.join()
    return sum(each) / allowed, min(each) / (sum(each) / len(each))


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--processes", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--period", type=float, default=HUBSPOT.seconds, help="seconds of the budget that is shared")
    parser.add_argument("--rounds", type=int, default=30, help="of each budget whose cost is measured")
    given = parser.parse_args()
    shared = Budget(HUBSPOT.name, round(HUBSPOT.requests * given.period / HUBSPOT.seconds), given.period)
    found: dict[str, float] = {}
    with measure.server() as server:
        url = server.create_database("warehouse_budget")
        migrate(url)
        for budget in BUDGETS:
            name = f"cost_us_{budget.name.replace(' ', '_')}"
            found[name] = cost(url, budget, given.rounds)
            print(f"cost    {budget.name:12} portion {portion(budget):3}  {found[name]:8.1f} us", flush=True)
        for processes in given.processes:
            used, least = share(url, shared, processes, given.seconds)
            found |= {f"used_{processes}": used, f"least_share_{processes}": least}
            print(f"share   {processes} processes   used {used:.2f}  least {least:.2f}", flush=True)
        used, least = share(url, shared, 3, given.seconds, kill=True)
        found |= {"used_after_kill": used, "least_share_after_kill": least}
        print(f"killed  1 of 3        used {used:.2f}  least {least:.2f}")
    print(json.dumps({name: round(value, 3) for name, value in found.items()}))


if __name__ == "__main__":
    main()
