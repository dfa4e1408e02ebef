"""What a day costs on which nothing happens: all entities, all schedules on, nothing new at any vendor.

    python benchmarks/idle_day.py

The programs of an installation run for real on an embedded server and the simulators: code server, ``dagster-daemon``
and ``serve``, each a process, after a first load of everything. Two things are measured, in processor time of the
processes and of PostgreSQL, in rows that were written, and in calls of vendors:

- **waiting**: ``--seconds`` in which no schedule ticks but all are on, times what a day has of such stretches. Sensors
  tick in it as they always do. It needs no compression.
- **ticks**: every schedule that is on by default ticks, in batches of those that tick equally often, through
  Dagster's own scheduler function; the daemon takes the runs from its queue and the code server runs them. The cost of
  a batch, less what waiting costs in that time, is multiplied by the ticks that a day has by the schedules' own cron.
  Rare ones, weekly or monthly, count as their share of a day. Of those that tick often, once a day a run syncs what is
  due, and the others are ticks that find nothing new themselves (``orchestration.probes``); both are measured.

Evaluating a tick is done here and not in the daemon, to choose its time; its cost counts as the daemon's.

Storage is rows written times bytes per row, tables and indexes, of Dagster's database and of ``orchestration`` and
``audit`` in the warehouse; and the runs' files. PostgreSQL's log (WAL) is left out. Rows that replace others count by
what dead rows leave behind, as far as the size of the table at the end shows it.

The last line is one JSON object. Linux only.
"""

import argparse
import contextlib
import json
import logging
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import measure

ROOT = Path(__file__).parents[1]
DAY = 86_400.0
PARTS = ("daemon", "code server", "runs", "serve", "PostgreSQL")

LEAST_ROWS = 50
"""Of a table with fewer rows the size says how large a page is, and not a row."""

TYPICAL_ROW = 500
"""Bytes of a row, with its index entries, in such a table."""

HOURLY = ("unify_schedule",)
"""Schedules that tick more often and ask for a run once an hour while nothing is written; what the other ticks cost, a
statement each, is left out. In a batch both of their ticks ask for one, as the first run writes and the second does
not."""

ROUTINE = 60.0
"""Ticks of rare schedules are counted over so many days, and divided."""


@dataclass
class Figures:
    """What a stretch used: seconds by part, rows inserted by table, bytes of files, calls and rows of the history."""

    seconds: float = 0.0
    cpu: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))
    rows: dict[str, float] = field(default_factory=dict)
    files: float = 0.0
    calls: float = 0.0
    syncs: float = 0.0
    runs: float = 0.0

    def times(self, factor: float) -> "Figures":
        """Return it so many times."""
        return Figures(
            self.seconds * factor,
            {name: value * factor for name, value in self.cpu.items()},
            {name: value * factor for name, value in self.rows.items()},
            self.files * factor,
            self.calls * factor,
            self.syncs * factor,
            self.runs * factor,
        )

    def plus(self, other: "Figures") -> "Figures":
        """Return the sum."""
        return Figures(
            self.seconds + other.seconds,
            _sum(self.cpu, other.cpu),
            _sum(self.rows, other.rows),
            self.files + other.files,
            self.calls + other.calls,
            self.syncs + other.syncs,
            self.runs + other.runs,
        )

    @property
    def total(self) -> float:
        """Processor seconds of all parts."""
        return sum(self.cpu.values())


def _sum(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    return {name: one.get(name, 0.0) + other.get(name, 0.0) for name in one.keys() | other.keys()}


class Installation:
    """The programs of an installation, and what they have used so far."""

    def __init__(self, server: Any, home: Path) -> None:
        self.server, self.home = server, home
        self.urls = {"dagster": "", "warehouse": server.url()}
        self.programs: dict[str, measure.Program] = {}
        self._children: list[subprocess.Popen[bytes]] = []
        self.own = 0.0
        """Seconds of this process that the daemon would have used."""

    def start(self, name: str, *command: str) -> None:
        """Start a program by the name of its part."""
        with (self.home / f"{name.replace(' ', '_')}.log").open("wb") as log:
            child = subprocess.Popen(
                [str(Path(sys.executable).with_name(command[0])), *command[1:]],
                cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self._children.append(child)
        self.programs[name] = measure.Program(child.pid)

    def log(self, name: str) -> str:
        """Return the end of what a program has printed."""
        return (self.home / f"{name.replace(' ', '_')}.log").read_text(errors="replace")[-3000:]

    def close(self) -> None:
        """Stop the programs, the last one first."""
        for child in reversed(self._children):
            child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(30)
            child.kill()
            child.wait()

    def used(self) -> Figures:
        """Return what was used since the start."""
        now = Figures(seconds=time.monotonic())
        for name, program in self.programs.items():
            found = program.seconds()
            if name == "code server":
                now.cpu["code server"], now.cpu["runs"] = found["own"], found["below"]
            else:
                now.cpu[name] = found["own"] + found["below"]
        now.cpu["daemon"] += self.own
        now.cpu["PostgreSQL"] = measure.postgres_seconds(self.server)
        for table, (inserted, _, _) in self.tables().items():
            now.rows[table] = inserted
        now.files = sum(file.stat().st_blocks * 512 for file in self.home.rglob("*") if file.is_file())
        with self.server.connect("warehouse") as connection:
            row = connection.execute(
                """
                SELECT count(*), coalesce(sum((performance_metrics ->> 'total_api_calls')::numeric), 0)::float8,
                       count(*) FILTER (WHERE status <> 'success' AND status <> 'running')
                FROM orchestration.sync_history
                """
            ).fetchone()
        now.syncs, now.calls = row[0], row[1]
        with self.server.connect("dagster") as connection:
            now.runs = connection.execute("SELECT count(*) FROM runs").fetchone()[0]
        return now

    def tables(self) -> dict[str, tuple[int, int, int]]:
        """Return of each table the rows inserted so far, its living rows and its bytes with indexes.

        Without the maps of free space, which take 24 kB of a table of a hundred rows and nothing of one of a million.
        """
        found: dict[str, tuple[int, int, int]] = {}
        for database, schemas in (("dagster", ["public"]), ("warehouse", ["orchestration", "audit"])):
            with self.server.connect(database) as connection:
                rows = connection.execute(
                    """
                    SELECT schemaname || '.' || s.relname, n_tup_ins, n_live_tup,
                        pg_relation_size(relid) + pg_indexes_size(relid)
                            + CASE WHEN c.reltoastrelid <> 0 THEN pg_relation_size(c.reltoastrelid) ELSE 0 END
                    FROM pg_stat_user_tables AS s JOIN pg_class AS c ON c.oid = s.relid
                    WHERE schemaname = ANY(%s)
                    """,
                    [schemas],
                ).fetchall()
            found |= {f"{database}.{name}": (inserted, live, size) for name, inserted, live, size in rows}
        return found


def bytes_per_row(installation: Installation) -> dict[str, float]:
    """Return what a row of each table takes, with its share of the indexes."""
    for database in ("dagster", "warehouse"):
        with installation.server.connect(database) as connection:
            connection.execute("ANALYZE")
    return {
        name: size / live if live >= LEAST_ROWS else TYPICAL_ROW
        for name, (_, live, size) in installation.tables().items()
    }


@contextlib.contextmanager
def stretch(installation: Installation) -> Iterator[Figures]:
    """Measure the block. A second passes on either side of it, in which backends report what they have done."""
    time.sleep(1.1)
    before = installation.used()
    found = Figures()
    yield found
    time.sleep(1.1)
    whole = installation.used().plus(before.times(-1))
    found.__dict__.update(whole.__dict__)


def ticks_a_day(schedule: Any) -> float:
    """Return how often a schedule ticks, by its own cron, or asks for a run."""
    if schedule.name in HOURLY:
        return 24.0
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    end = begin + timedelta(days=ROUTINE)
    count = 0
    for at in schedule.execution_time_iterator(begin.timestamp()):
        if at >= end:
            break
        count += 1
    return count / ROUTINE


def last_due(schedule: Any, before: datetime) -> datetime:
    """Return the last time at which a schedule was due."""
    from dagster._utils.schedules import schedule_execution_time_iterator

    times = schedule_execution_time_iterator(
        before.timestamp(), schedule.cron_schedule, schedule.execution_timezone, ascending=False
    )
    return next(iter(times)).astimezone(UTC)


class Clock:
    """Ticks schedules at times of its choice, as Dagster's daemon does."""

    def __init__(self, installation: Installation, instance: Any, workspace: Path) -> None:
        from dagster._core.workspace.context import WorkspaceProcessContext
        from dagster._core.workspace.load_target import WorkspaceFileTarget

        self._installation, self._instance = installation, instance
        self._context = WorkspaceProcessContext(instance, WorkspaceFileTarget([str(workspace)]))
        request = self._context.create_request_context()
        (location,) = request.code_locations
        (repository,) = location.get_repositories().values()
        self.schedules = [one for one in repository.get_schedules() if one.default_status.value == "RUNNING"]

    def stop(self, schedules: Sequence[Any]) -> None:
        """Keep the daemon from ticking these."""
        for schedule in schedules:
            self._instance.stop_schedule(schedule.get_remote_origin_id(), schedule.selector_id, schedule)

    def due_within(self, seconds: float) -> list[Any]:
        """Return the schedules that tick soon."""
        now = datetime.now(UTC)
        end = now + timedelta(seconds=seconds)
        return [
            one for one in self.schedules if last_due(one, end) >= now - timedelta(minutes=1) and ticks_a_day(one) > 0
        ]

    def tick(self, schedules: Sequence[Any], *, before: int = 0) -> None:
        """Tick these once, for the last time that they were due, or for one of those ``before`` it."""
        from dagster._core.definitions.run_request import InstigatorType
        from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, ScheduleInstigatorData
        from dagster._scheduler.scheduler import launch_scheduled_runs_for_schedule

        began = time.process_time()
        for schedule in schedules:
            at = last_due(schedule, datetime.now(UTC))
            for _ in range(before):
                at = last_due(schedule, at - timedelta(seconds=1))
            data = ScheduleInstigatorData(schedule.cron_schedule, at.timestamp() - 1, at.timestamp() - 1)
            state = InstigatorState(
                schedule.get_remote_origin(), InstigatorType.SCHEDULE, InstigatorStatus.RUNNING, data
            )
            launch_scheduled_runs_for_schedule(
                self._context, logging.getLogger("dagster"), schedule, state, at, 1, 0,
                self._instance.get_tick_retention_settings(InstigatorType.SCHEDULE), None, None, None,
            )  # fmt: skip
        self._installation.own += time.process_time() - began

    def wait(self, seconds: float) -> None:
        """Wait until no run is under way."""
        import dagster as dg
        from dagster._core.storage.dagster_run import FINISHED_STATUSES

        unfinished = [status for status in dg.DagsterRunStatus if status not in FINISHED_STATUSES]
        deadline = time.monotonic() + seconds
        while self._instance.get_runs_count(dg.RunsFilter(statuses=unfinished)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"runs go on after {seconds} s\n{self._installation.log('code server')}")
            time.sleep(0.5)


def prepare(server: Any, only: str) -> None:
    """Migrate, and load once in this process what the schedules that are measured load."""
    from warehouse_pipelines.commands.runner import Runner
    from warehouse_pipelines.observability import logs
    from warehouse_pipelines.schema.migrate import migrate
    from warehouse_pipelines.sources import SOURCES

    migrate(server.url())
    logs.configure(level=30)
    runner = Runner(url=server.url())
    for source in (one for one in SOURCES if only in f"sync_{one.name}") if only else SOURCES:
        for outcome in runner.run(source.name, "all"):
            if outcome.status != "success":
                raise RuntimeError(f"{outcome.crm} {outcome.sync_type}: {outcome.reason}")
    runner.close()


def run(contacts: int, seconds: float, only: str, warm: float) -> dict[str, Any]:
    """Measure, print the tables, and return the summary."""
    from warehouse_pipelines.simulators.server import start_process

    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="warehouse-benchmark-")))
        server = stack.enter_context(measure.server())
        simulators = stack.enter_context(start_process(contacts=contacts, wait_seconds=300))
        port, serve_port = free_ports(2)
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each process would compile what it imports
        os.environ |= {
            "WAREHOUSE_HOME": str(folder),
            "DAGSTER_HOME": f"{folder}/dagster",
            "WAREHOUSE_DATABASE_URL": server.url(),
            "DAGSTER_STORAGE_URL": server.url().rpartition("/")[0] + "/dagster",
            "WAREHOUSE_SERVE_PORT": str(serve_port),
            **simulators.environment(),
        }
        server.create_database("dagster", template="template0")  # or a prepared server's tables were in it
        prepare(server, only)
        import dagster as dg

        workspace = folder / "workspace.yaml"
        workspace.write_text(
            f"load_from:\n  - grpc_server: {{host: 127.0.0.1, port: {port}, location_name: warehouse}}\n"
        )
        installation = Installation(server, folder)
        stack.callback(installation.close)
        installation.start("code server", "dagster", "api", "grpc", "-h", "127.0.0.1", "-p", str(port),
                           "-m", "warehouse_pipelines.definitions", "--location-name", "warehouse")  # fmt: skip
        await_server(installation, port)
        installation.start("serve", "warehouse", "serve")
        instance = stack.enter_context(dg.DagsterInstance.get())
        clock = Clock(installation, instance, workspace)
        by_rate: dict[float, list[Any]] = defaultdict(list)
        for schedule in clock.schedules:
            if only in schedule.name:
                by_rate[ticks_a_day(schedule)].append(schedule)
        clock.stop(clock.due_within(seconds + warm + 60))
        installation.start("daemon", "dagster-daemon", "run", "-w", str(workspace))
        time.sleep(warm)
        clock.wait(300)
        with stretch(installation) as waiting:
            time.sleep(seconds)
        clock.stop(clock.schedules)
        day = waiting.times(DAY / waiting.seconds)
        lines = [line("waiting", "", day)]
        for rate, schedules in sorted(by_rate.items(), reverse=True):
            stretches = [(rate, 0)]
            if rate >= OFTEN:
                clock.tick(schedules, before=4)
                clock.wait(1800)
                a_day_passes(server)
                stretches = [(1.0, 3), (1.0, 2), (1.0, 1), (rate - 3.0, 0)]
            for times, before in stretches:
                with stretch(installation) as batch:
                    clock.tick(schedules, before=before)
                    clock.wait(1800)
                net = batch.plus(waiting.times(-batch.seconds / waiting.seconds))
                spent = f"{batch.seconds:.0f} s, {net.total:.1f} s of processor time"
                print(
                    f"# {times:g} a day: {len(schedules)} ticks, {net.syncs:.0f} syncs, {net.runs:.0f} runs, {spent}",
                    file=sys.stderr, flush=True,
                )  # fmt: skip
                lines.append(line(f"{len(schedules)} schedules", f"{times:g}", net.times(times)))
                day = day.plus(net.times(times))
        failed = failures(server)
        sizes = bytes_per_row(installation)
    storage = {name: rows * sizes.get(name, 0.0) for name, rows in day.rows.items() if rows > 0}
    print(measure.table(("what", "a day each", "syncs", "calls", *PARTS, "all"), [*lines, line("a day", "", day)]))
    print("\nIn minutes of processor time, by part. What storage grows by:\n")
    largest = sorted(storage.items(), key=lambda one: -one[1])[:8]
    rows = [(name, f"{day.rows[name]:,.0f}", f"{sizes[name]:,.0f}", f"{size / 2**20:.1f}") for name, size in largest]
    rows.append(("files of runs", "", "", f"{max(0.0, day.files) / 2**20:.1f}"))
    print(measure.table(("table", "rows a day", "bytes a row", "MB a day"), rows))
    megabytes = (sum(storage.values()) + max(0.0, day.files)) / 2**20
    print(f"\n{day.total / 60:.1f} min of processor time, {megabytes:.0f} MB, {day.calls:,.0f} calls a day")
    return {
        "cpu_minutes": round(day.total / 60, 2),
        **{f"{name.lower().replace(' ', '_')}_minutes": round(value / 60, 2) for name, value in day.cpu.items()},
        "waiting_minutes": round(waiting.total * DAY / waiting.seconds / 60, 2),
        "megabytes": round(megabytes, 1),
        "event_megabytes": round(storage.get("dagster.public.event_logs", 0.0) / 2**20, 1),
        "history_megabytes": round(storage.get("warehouse.orchestration.sync_history", 0.0) / 2**20, 1),
        "tick_megabytes": round(storage.get("dagster.public.job_ticks", 0.0) / 2**20, 1),
        "runs": round(day.runs),
        "syncs": round(day.syncs),
        "api_calls": round(day.calls),
        "failed": failed,
    }


OFTEN = 24.0
"""Schedules that tick so often a day tick once before they are measured: who is who of everything that was loaded is
found once, and the process that runs are forked from imports once. Then they tick as once a day, then twice more, when
results of checks that were stored beside a run are stored again and recorded without it, and then as all other times.
"""

WARM = 180.0
"""After the start, before anything is measured: on a busy machine the daemon takes minutes to load the workspace, to
write the first state of each schedule and asset, and the code server to import what deliveries need."""


def line(what: str, rate: str, figures: Figures) -> tuple[str, ...]:
    """Return a line of the table: minutes of processor time by part."""
    minutes = [f"{figures.cpu[part] / 60:.1f}" for part in PARTS]
    return (what, rate, f"{figures.syncs:,.0f}", f"{figures.calls:,.0f}", *minutes, f"{figures.total / 60:.1f}")


def a_day_passes(server: Any) -> None:
    """Let the results of checks be a day older, after which the next tick asks for runs."""
    with server.connect("dagster") as connection:
        connection.execute("UPDATE asset_check_executions SET create_timestamp = create_timestamp - interval '1 day'")


def failures(server: Any) -> list[str]:
    """Return the entities whose last sync did not succeed, and the jobs that failed."""
    with server.connect("warehouse") as connection:
        rows = connection.execute(
            "SELECT crm_source || ' ' || sync_type FROM orchestration.sync_history"
            " WHERE status IN ('failed', 'running')"
        ).fetchall()
    with server.connect("dagster") as connection:
        jobs = connection.execute("SELECT pipeline_name FROM runs WHERE status = 'FAILURE'").fetchall()
    return sorted({name for (name,) in (*rows, *jobs)})


def free_ports(count: int) -> list[int]:
    """Return ports that nothing listens on."""
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in held]


def await_server(installation: Installation, port: int) -> None:
    """Wait until the code server answers."""
    deadline = time.monotonic() + 300
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if time.monotonic() > deadline:
            raise TimeoutError(installation.log("code server"))
        time.sleep(0.2)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--contacts", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=90.0, help="of waiting")
    parser.add_argument("--only", default="", help="schedules whose names contain this; no other CRM is loaded")
    parser.add_argument("--warm", type=float, default=WARM, help="seconds after the start before anything is measured")
    given = parser.parse_args()
    print(json.dumps(run(given.contacts, given.seconds, given.only, given.warm)))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
