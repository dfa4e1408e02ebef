"""How fast vendors are read that take their time: requests a second against what their limits allow.

    python benchmarks/latency.py --contacts 100000 --latency 0.25
    python benchmarks/latency.py --only hubspot --delta    # the delta alone, after a load without latency
    python benchmarks/latency.py --all hubspot --contacts 2000

The vendors are the simulators in a process of their own, each answer ``--latency`` seconds late, HubSpot with its own
limits; the budgets are those of a fresh installation. Each line is one sync by the loader into an embedded server.

``share``   requests a second over those that the budget allows in the long run; a budget of an hour or a minute is more
            than a short read uses up, so its share may be above one
``least``   seconds that a delta of HubSpot must take by its protocol: in any second five searches find 200 ids each;
            the last ids are then read, and the archived listed beside them
``calls``   beside them the fewest that the API allows, where that is known

``--all CRM`` instead runs ``warehouse sync CRM all``: how long all of its entities take, read side by side, against the
sum of what each of them takes, without the time to start.

The last line is one JSON object.
"""

import argparse
import json
import math
import os
import re
import sys
import tempfile
import time
from typing import Any, NamedTuple

import measure

EDITS = 5_000  # or all contacts, if there are fewer
LIMITS = re.compile(r"_(REQUESTS|SEARCHES)_PER_")


class Case(NamedTuple):
    """A read to measure.

    ``per_second`` is what the budget allows, ``serial`` why it has one request in flight. ``many`` are the arguments of
    the simulator's operation that makes a table long, ``around`` the requests of one walk beside those for its pages.
    """

    crm: str
    entity: str
    per_second: float | None
    page_size: int | None
    serial: str = ""
    many: dict[str, str] | None = None
    around: int = 0


CASES = (
    Case("hubspot", "contacts", 19.0, None),
    Case("callrail", "calls", 900 / 3600, 20, "each page names the next one"),
    Case("callrail", "form_submissions", 900 / 3600, 20, "a late arrival moves records from page to page"),
    Case("salesrabbit", "leads", 50 / 60, 40, "pages shift, and only the last one says that it is"),
    Case("leadconduit", "events", 100 / 60, 100, "each page begins after the last event of the one before"),
    Case("arrivy", "tasks", 60 / 60, 20, "pages shift; --concurrent-pages asks for several, and reads twice"),
    Case("marketsharp", "contact", None, 50, "no limit is known, and the vendor's users ask one at a time"),
    Case("gcalendar", "events", 50 / 60, 20),
    Case("genius", "job_change_orders", None, 20, many={"table": "job_change_order"}, around=2),
    Case("pipedesk", "leads", None, 20, many={}, around=4),
)
"""Small pages, so that few records take many requests."""


def least_delta(found: int, latency: float) -> tuple[int, float]:
    """Return the fewest calls and seconds in which HubSpot's protocol yields so many records."""
    searches, reads = math.ceil(found / 200), math.ceil(found / 100)
    names = archived = 1
    return searches + reads + names + archived, (searches - 1) // 5 + 2 * latency


def environment(simulators: Any) -> None:
    """Point the settings at the simulators; budgets stay those of a fresh installation."""
    os.environ |= {name: value for name, value in simulators.environment().items() if not LIMITS.search(name)}


def run(contacts: int, others: int, latency: float, only: list[str], *, delta_only: bool) -> dict[str, Any]:
    """Run the cases, print the table, and return the summary."""
    from warehouse_pipelines.observability import logs
    from warehouse_pipelines.simulators.server import start_process

    edits = min(EDITS, contacts)
    lines: list[tuple[str, ...]] = []
    summary: dict[str, Any] = {"contacts": contacts, "latency_seconds": latency, "rows_right": True}
    with tempfile.TemporaryDirectory(prefix="warehouse-benchmark-") as folder, measure.server() as server:
        os.environ |= {"WAREHOUSE_HOME": folder, "WAREHOUSE_DATABASE_URL": server.url()}
        from warehouse_pipelines.loading.options import Options, Result
        from warehouse_pipelines.loading.sync import sync
        from warehouse_pipelines.schema.migrate import migrate
        from warehouse_pipelines.sources import SOURCES

        migrate(server.url())
        logs.configure(level=30)
        for case in CASES:
            if only and case.crm not in only:
                continue
            source = next(one for one in SOURCES if one.name == case.crm)
            entity = next(one for one in source.entities if one.name == case.entity)
            with start_process([case.crm], contacts=contacts if case.crm == "hubspot" else others) as simulators:
                environment(simulators)
                modes = ["full", "delta"] if case.crm == "hubspot" else ["full"]
                if delta_only and "delta" in modes:
                    modes.remove("full")
                    unlimited = {name: value for name, value in simulators.environment().items() if LIMITS.search(name)}
                    os.environ |= unlimited
                    sync(source, entity, Options(), url=server.url())
                    for name in unlimited:
                        del os.environ[name]
                    with server.connect() as connection:
                        connection.execute("TRUNCATE orchestration.request_budget")
                        connection.commit()
                if case.crm == "hubspot":
                    simulators.control("hubspot", "configure", burst=190, searches_per_second=5)
                if case.many is not None:
                    simulators.control(case.crm, "many", rows=5 * others, **case.many)
                sync(source, entity, Options(max_records=1, dry_run=True), url=server.url())  # what is loaded once
                simulators.control(case.crm, "set_fault", kind="slow", seconds=latency)
                for mode in modes:
                    if mode == "delta":
                        simulators.control("hubspot", "bulk_touch", object="contacts", count=edits)
                    simulators.control(case.crm, "reset_counters")
                    done: Result = sync(source, entity, Options(batch_size=case.page_size), url=server.url())
                    least = least_delta(done.processed, latency) if mode == "delta" else None
                    asked = simulators.control(case.crm, "requests")
                    per_second = done.calls / done.seconds
                    share = per_second / case.per_second if case.per_second else None
                    name = f"{case.crm}_{case.entity}_{mode}"
                    summary[f"{name}_seconds"] = round(done.seconds, 2)
                    if least:
                        summary[f"{name}_over_least"] = round(done.seconds / least[1], 2)
                    elif share:
                        summary[f"{name}_share"] = round(share, 2)
                    fewest = least[0] if least else 0
                    if case.crm == "hubspot" and mode == "full":
                        fewest = math.ceil(contacts / 100) + 4  # three around the walk, and whose the credential is
                    elif case.around and case.page_size:
                        fewest = done.processed // case.page_size + case.around
                    if fewest:
                        summary[f"{name}_calls_ratio"] = round(done.calls / fewest, 3)
                    summary["rows_right"] &= done.status == "success" and done.failed == 0
                    lines.append(
                        (
                            f"{case.crm} {case.entity}, {mode}",
                            f"{done.processed:,}",
                            f"{done.calls:,}" + (f" of {fewest:,}" if fewest else ""),
                            f"{done.seconds:.1f}" + (f" of {least[1]:.1f}" if least else ""),
                            f"{per_second:.1f}",
                            f"{share:.2f}" if share and not least else "",
                            str(asked["peak_concurrency"]),
                            str(asked["statuses"].get("429", 0)),
                            case.serial,
                        )
                    )
    head = ("read", "records", "calls (of the fewest)", "seconds (of the least)", "requests/s", "share",
            "in flight", "429", "why one at a time")  # fmt: skip
    print(measure.table(head, lines))
    return summary


def run_all(crm: str, contacts: int, latency: float) -> dict[str, Any]:
    """Sync all entities of a CRM as the command does: everything, then a delta; print the table, return the summary."""
    from warehouse_pipelines.simulators.server import start_process

    lines: list[tuple[str, ...]] = []
    summary: dict[str, Any] = {"crm": crm, "contacts": contacts, "latency_seconds": latency, "rows_right": True}
    with (
        tempfile.TemporaryDirectory(prefix="warehouse-benchmark-") as folder,
        measure.server() as server,
        start_process([crm], contacts=contacts) as simulators,
    ):
        os.environ |= {"WAREHOUSE_HOME": folder, "WAREHOUSE_DATABASE_URL": server.url()}
        from warehouse_pipelines.commands import job_processes
        from warehouse_pipelines.schema.migrate import migrate

        migrate(server.url())
        environment(simulators)
        if crm == "hubspot":
            simulators.control("hubspot", "configure", burst=190, searches_per_second=5)
        simulators.control(crm, "set_fault", kind="slow", seconds=latency)
        for mode in ("full", "delta"):
            simulators.control(crm, "reset_counters")
            began = time.monotonic()
            outcomes = job_processes.run_jobs([(crm, "all")], url=server.url())
            seconds, alone = time.monotonic() - began, sum(outcome.seconds for outcome in outcomes)
            asked = simulators.control(crm, "requests")
            summary |= {f"{mode}_seconds": round(seconds, 1), f"{mode}_sum_of_entities": round(alone, 1)}
            summary["rows_right"] &= all(outcome.status == "success" for outcome in outcomes)
            calls = sum(outcome.calls for outcome in outcomes)
            lines.append(
                (
                    f"{crm} all, {mode}", str(len(outcomes)), f"{calls:,}", f"{seconds:.1f}", f"{alone:.1f}",
                    str(asked["peak_concurrency"]), str(asked["statuses"].get("429", 0)),
                )
            )  # fmt: skip
    print(measure.table(("sync", "entities", "calls", "seconds", "sum of the entities", "in flight", "429"), lines))
    return summary


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--contacts", type=int, default=100_000, help="of HubSpot")
    parser.add_argument("--others", type=int, default=1_000, help="people of the other vendors")
    parser.add_argument("--latency", type=float, default=0.25, help="seconds")
    parser.add_argument("--only", action="append", default=[], help="a vendor, may be repeated")
    parser.add_argument("--delta", action="store_true", help="of HubSpot the delta alone")
    parser.add_argument("--all", metavar="CRM", help="all entities of a CRM, side by side")
    options = parser.parse_args()
    if options.all:
        said = run_all(options.all, options.contacts, options.latency)
    else:
        said = run(options.contacts, options.others, options.latency, options.only, delta_only=options.delta)
    print(json.dumps(said))
    sys.stdout.flush()
    sys.exit(0 if said["rows_right"] else 1)


if __name__ == "__main__":
    main()
