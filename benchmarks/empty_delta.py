"""What a run costs when there is nothing new, which is what most runs find.

    python benchmarks/empty_delta.py --rounds 5

Twice, against simulators in a process of their own and an embedded server, after a first load of everything:

- the command ``warehouse sync hubspot contacts``, from its start to its end, as a person at a prompt or cron pays it;
- every entity of every CRM in one process that is there already, as the schedules of a running Dagster pay it:
  ``sync_<crm>_all``, with all of Dagster's own steps, events and checks.

Before that, what Dagster costs by itself: an event that is written, and a step that does nothing. ``--storage`` keeps
Dagster's runs and events in PostgreSQL, as delivered, or in SQLite.

The calls of HubSpot and CallRail are compared with what their protocols force, for which see ``forced``. The simulated
records end an hour before they are made, and the cursor of HubSpot goes an hour back from the newest, so a delta that
finds nothing new still reads the records of that hour again; they are the ``records`` of the table.

The last line is one JSON object.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import measure


def forced(crm: str, entity: Any, records: int, known: dict[str, int]) -> int | None:
    """Return how many calls the vendor's protocol takes for a delta that reads ``records`` records again.

    None for a vendor whose least nobody has worked out.

    HubSpot: one search for what changed, one list of what is archived for each 100, a page of what was found at 100 a
    page with the properties' names before it, the type of a custom object; of associations 1,000 records of the side
    that is asked a call, and the type where a side is a custom object.
    CallRail: one list of accounts, then 250 records a page of what the window or the whole list has.
    """
    if crm == "hubspot":
        custom = int("custom:" in entity.path)
        if entity.parent:
            asked = entity.path.partition("/")[0].removeprefix("custom:").removesuffix("s") + "s"
            return math.ceil(known[asked] / 1000) + custom
        archived = max(1, math.ceil(known.get(f"archived {entity.path.partition(':')[2] or entity.path}", 0) / 100))
        found = 1 + math.ceil(records / 100) if records else 0
        return max(1, math.ceil(records / 200)) + archived + found + custom
    if crm != "callrail":
        return None
    if entity.name == "accounts":
        return 1
    return 1 + max(1, math.ceil(records / 250))


EVENTS, STEPS = 200, 20


def by_itself(instance: Any) -> tuple[float, float]:
    """Return the milliseconds of an event and of a step that does nothing."""
    import dagster as dg

    @dg.op
    def nothing() -> None:
        """Do nothing."""

    @dg.job
    def steps() -> None:
        for _ in range(STEPS):
            nothing()

    done = steps.execute_in_process(instance=instance)  # the first one also writes what later ones find
    began = time.perf_counter()
    steps.execute_in_process(instance=instance)
    step = (time.perf_counter() - began) / STEPS
    began = time.perf_counter()
    for _ in range(EVENTS):
        instance.report_engine_event("nothing", done.dagster_run)
    return (time.perf_counter() - began) / EVENTS * 1000, step * 1000


def run(contacts: int, rounds: int, storage: str, crm: str) -> dict[str, Any]:
    """Measure both, print the tables, and return the summary."""
    from warehouse_pipelines.observability import logs
    from warehouse_pipelines.simulators.server import start_process

    with (
        tempfile.TemporaryDirectory(prefix="warehouse-benchmark-") as folder,
        measure.server() as server,
        start_process(contacts=contacts) as simulators,
    ):
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else the command would compile what it imports each time
        os.environ |= {
            "WAREHOUSE_HOME": folder,
            "DAGSTER_HOME": f"{folder}/dagster",
            "WAREHOUSE_DATABASE_URL": server.url(),
            "DAGSTER_STORAGE_URL": "sqlite" if storage == "sqlite" else "",
            **simulators.environment(),
        }
        from warehouse_pipelines.commands.runner import Runner
        from warehouse_pipelines.schema.migrate import migrate
        from warehouse_pipelines.sources import SOURCES

        chosen = [source for source in SOURCES if crm in ("", source.name)]
        migrate(server.url())
        logs.configure(level=30)
        runner = Runner(url=server.url())
        event, step = by_itself(runner.instance)
        for source in chosen:
            runner.run(source.name, "all")
        counts = simulators.control("hubspot", "counts")
        known = {**counts["live"]}
        known |= {f"archived {name}": number for name, number in counts["archived"].items()}

        words = ["sync", "hubspot", "contacts"] if crm in ("", "hubspot") else ["sync", crm, chosen[0].entities[0].name]
        command = [str(Path(sys.executable).with_name("warehouse")), *words]
        commands: list[measure.Cost] = []
        jobs: dict[str, list[measure.Cost]] = {}
        outcomes: dict[tuple[str, str], Any] = {}
        syncs: dict[tuple[str, str], list[float]] = {}
        changed = 0
        for _ in range(rounds):
            with measure.measured(server) as cost:
                subprocess.run(command, check=True, capture_output=True)
            commands.append(cost)
            for source in chosen:
                with measure.measured(server) as cost:
                    done = runner.run(source.name, "all")
                jobs.setdefault(source.name, []).append(cost)
                for outcome in done:
                    if outcome.status != "success":
                        raise RuntimeError(f"{outcome.crm} {outcome.sync_type}: {outcome.reason}")
                    outcomes[outcome.crm, outcome.sync_type] = outcome
                    syncs.setdefault((outcome.crm, outcome.sync_type), []).append(outcome.seconds)
                    changed += outcome.created + outcome.updated
        runner.close()
    lines = []
    excess = []
    for source in chosen:
        for entity in source.entities:
            done = outcomes[source.name, entity.name]
            least = forced(source.name, entity, done.processed, known)
            if least is not None:
                excess.append(done.calls - least)
            took = measure.spread(syncs[source.name, entity.name], ".3f")
            counted = f"{done.calls}", "" if least is None else f"{least}"
            lines.append((f"{source.name} {entity.name}", f"{done.processed:,}", took, *counted))
    print(measure.table(("entity", "records", "seconds of the sync itself", "calls", "forced"), lines))
    entities = len(outcomes)
    each = [sum(job.seconds for job in both) / entities for both in zip(*jobs.values(), strict=True)]
    busy = [sum(job.client_seconds for job in both) / entities for both in zip(*jobs.values(), strict=True)]
    itself = sum(statistics.median(seconds) for seconds in syncs.values()) / entities
    seconds = [command.seconds for command in commands]
    used = statistics.median(command.client_seconds for command in commands)
    others = [cost.other_cores for cost in (*commands, *(job for both in jobs.values() for job in both))]
    print(f"\n`warehouse {' '.join(words)}`: {measure.spread(seconds, '.2f')} s, {used:.2f} s of processor time")
    print(
        f"one process, {entities} entities: {measure.spread(each, '.3f')} s each, {statistics.median(busy):.3f} s of "
        f"processor time, {itself:.3f} s of it the sync"
    )
    print(
        f"Dagster by itself, its storage in {storage}: {event:.1f} ms an event, {step:.0f} ms a step that does nothing"
    )
    print(f"cores that others used meanwhile: {measure.spread(others, '.1f')}")
    return {
        "rounds": rounds,
        "storage": storage,
        "event_ms": round(event, 2),
        "step_ms": round(step, 1),
        "command_seconds": round(statistics.median(seconds), 3),
        "command_cpu_seconds": round(used, 3),
        "entities": entities,
        "seconds_per_entity": round(statistics.median(each), 3),
        "cpu_seconds_per_entity": round(statistics.median(busy), 3),
        "sync_seconds_per_entity": round(itself, 3),
        "other_cores": round(statistics.median(others), 2),
        "calls_beyond_forced_worst": max(excess, default=None),
        "rows_changed": changed,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--contacts", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--crm", default="", help="only this one")
    parser.add_argument("--storage", choices=("postgresql", "sqlite"), default="postgresql")
    given = parser.parse_args()
    print(json.dumps(run(given.contacts, given.rounds, given.storage, given.crm)))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
