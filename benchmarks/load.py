"""How fast a load is, against the least that PostgreSQL allows and against dlt's own two paths.

    python benchmarks/load.py --records 100000 --rounds 5

Every path loads the same contacts (``contacts``) into the same embedded server, each time into an empty database of
its own and then with the delta on top; the paths take turns within each round, each in a fresh process that has
imported everything and loaded a page elsewhere before the clock starts. A ratio is the median of the ratios of the
rounds, so that what else the machine does falls on both sides.

    floor        Arrow tables made beforehand -> ADBC -> temporary table -> one INSERT ... ON CONFLICT for each 5,000;
                 same table, same indexes, and nothing else: no hash, no counts, no history, no dead letters
    plain floor  the same into a table of which PostgreSQL decides how its rows are stored (``schema.tables``)
    project      pages -> ``loading.sync.sync``: splitting, dlt resource, coercion, merge, tombstones, history row
    dlt arrow    pages -> the project's coercion (dlt has none) -> dlt, ADBC, upsert: the fastest that dlt can do
    dlt tables   the same from Arrow tables made beforehand, as the floor; for information
    dlt default  pages decoded into dictionaries -> dlt with nothing chosen but merge and a primary key
    dlt record   the same, and the record itself beside its columns, as every other path keeps it; for information

Beside them the project loads corrupt records: one in a thousand (``dirty_ratio``), every one (``refused_ratio``),
every one so that PostgreSQL alone notices (``unloadable_ratio``); and it loads again after a load that was killed at a
quarter, while a vacuum counts the rows that nobody has committed yet, as autovacuum does (``killed_ratio``).

dlt's paths make neither indexes nor counts nor dead letters, and its default path keeps texts as texts; whatever that
saves is left to them. The default path gets a fifth of the records, since its rate hardly depends on their number.

The last line is one JSON object with the ratios (above 1: the project is faster). ``--memory`` measures the peak
memory of a load of 100,000 and of one of 1,000,000 records; it is the default from 100,000 records on.
"""

import argparse
import contextlib
import gc
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import contacts
import measure
from contacts import CONTACT

from warehouse_pipelines.local.postgres import Server

DATABASE = "benchmark"
TEMPLATE = "benchmark_template"
WARM_UP = 200
QUICK = 20_000
SMALL, LARGE = 100_000, 1_000_000

Load = Callable[[str, Any], Any]


def chunks(pages: Sequence[bytes]) -> Iterator[Any]:
    """Yield the Arrow tables that the project makes of pages."""
    from warehouse_pipelines.loading.coerce import Coercer
    from warehouse_pipelines.loading.resource import CHUNK

    coercer = Coercer("benchmark", CONTACT)
    for start in range(0, len(pages), CHUNK // contacts.PAGE):
        few = pages[start : start + CHUNK // contacts.PAGE]
        yield coercer.table([record for page in few for record in contacts.split(page)])


class Floor:
    """The least that has to be done: transfer, cast, insert or update."""

    def __init__(self, *, plain: bool = False) -> None:
        self._plain = plain

    def prepare(self, pages: Sequence[bytes]) -> Any:
        names = [*CONTACT.columns, *CONTACT.e164, "raw_data", "archived"]
        return [table.select(names) for table in chunks(pages)]

    def __call__(self, url: str, tables: Any) -> None:
        from adbc_driver_postgresql import dbapi

        own = [*CONTACT.columns, *CONTACT.e164, "raw_data", "archived"]
        types = {name: CONTACT.pg_types[name].split(" ")[0] for name in own}
        loose = {"numeric": "text", "jsonb": "text"}
        columns = ", ".join(own)
        with dbapi.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
            for statement in (
                *([f"ALTER TABLE {CONTACT.table} RESET (toast_tuple_target)"] if self._plain else []),
                "BEGIN",
                "SET temp_buffers = '64MB'",
                "SET LOCAL jit = off",
                # Rows of the staging table are not compressed: that alone takes PostgreSQL 16 µs a record.
                f"CREATE TEMP TABLE incoming ({', '.join(f'{n} {loose.get(t, t)}' for n, t in types.items())}) "
                "WITH (toast_tuple_target = 8160)",
            ):
                cursor.execute(statement)
            for table in tables:
                cursor.execute("TRUNCATE incoming")
                cursor.adbc_ingest("incoming", table, mode="append", temporary=True)
                cursor.execute(
                    f"INSERT INTO {CONTACT.table} AS t ({columns}) "
                    f"SELECT {', '.join(f'{n}::{t}' if t in loose else n for n, t in types.items())} FROM incoming "
                    f"ON CONFLICT (id) DO UPDATE SET {', '.join(f'{n} = excluded.{n}' for n in own if n != 'id')} "
                    f"WHERE ({', '.join(f't.{n}' for n in own)}) "
                    f"IS DISTINCT FROM ({', '.join(f'excluded.{n}' for n in own)})"
                )
            cursor.execute("COMMIT")


class Project:
    """What is delivered, all of it."""

    def prepare(self, pages: Sequence[bytes]) -> Any:
        return pages

    def __call__(self, url: str, pages: Any) -> Any:
        from warehouse_pipelines.loading.options import Options
        from warehouse_pipelines.loading.sync import sync

        return sync(contacts.source(lambda: pages), CONTACT, Options(), url=url)


class Dlt:
    """dlt's own way to PostgreSQL: the ``default`` one, or with ``arrow`` tables."""

    def __init__(self, folder: str, *, arrow: bool, prepared: bool = False, record: bool = False) -> None:
        self._folder, self._arrow, self._prepared, self._record = folder, arrow, prepared, record
        self._pipelines: dict[str, Any] = {}

    def prepare(self, pages: Sequence[bytes]) -> Any:
        return [self._for_dlt(table) for table in chunks(pages)] if self._prepared else pages

    def __call__(self, url: str, given: Any) -> None:
        import dlt

        if url not in self._pipelines:
            self._pipelines[url] = dlt.pipeline(
                f"benchmark_{len(self._pipelines)}",
                destination=dlt.destinations.postgres(credentials=url),
                dataset_name="dlt",
                pipelines_dir=self._folder,
            )
        if self._arrow:
            hints: Any = {
                name: {"data_type": "json"}
                for name in ("raw_data", *(n for n, c in CONTACT.columns.items() if c.kind == "jsonb"))
            }
            resource = dlt.resource(
                lambda: iter(given) if self._prepared else map(self._for_dlt, chunks(given)),
                name="contact",
                primary_key="id",
                write_disposition={"disposition": "merge", "strategy": "upsert"},
                columns=hints,
            )
            self._pipelines[url].run(resource, loader_file_format="parquet")
        else:
            resource = dlt.resource(
                lambda: map(self._decoded, given), name="contact", primary_key="id", write_disposition="merge"
            )
            self._pipelines[url].run(resource)

    def _decoded(self, page: bytes) -> Any:
        """Return the records of a page as dictionaries."""
        records = json.loads(page)["results"]
        if self._record:
            return [{**one, "raw_data": raw.decode()} for one, raw in zip(records, contacts.split(page), strict=True)]
        return records

    @staticmethod
    def _for_dlt(table: Any) -> Any:
        """Numbers are decimals for dlt, and text is text."""
        import pyarrow as pa

        for name, column in CONTACT.columns.items():
            if column.kind == "numeric":
                table = table.set_column(table.column_names.index(name), name, table[name].cast(pa.decimal128(20, 2)))
        return table


def paths(folder: str) -> dict[str, Any]:
    """Return the paths by name."""
    return {
        "floor": Floor(),
        "plain floor": Floor(plain=True),
        "project": Project(),
        "dlt arrow": Dlt(folder, arrow=True),
        "dlt tables": Dlt(folder, arrow=True, prepared=True),
        "dlt default": Dlt(folder, arrow=False),
        "dlt record": Dlt(folder, arrow=False, record=True),
    }


def work(task: dict[str, Any]) -> dict[str, Any]:
    """Run one path once, in this process: warm up, then each dataset; return its costs and what was counted."""
    server = Server(Path(task["home"]))
    found: dict[str, Any] = {}
    quiet()
    with tempfile.TemporaryDirectory() as folder:
        path = paths(folder)[task["path"]]
        path(fresh(server, "warm_up"), path.prepare(list(contacts.pages("base", WARM_UP))))
        server.drop_database("warm_up")
        for datasets in task["datasets"]:
            url = fresh(server, DATABASE)
            for dataset in datasets:
                given = path.prepare(Path(task["pages"], f"{dataset}-{task['records']}").read_bytes().splitlines())
                gc.collect()
                gc.freeze()
                with measure.measured(server) as cost:
                    result = path(url, given)
                found[dataset] = cost.as_dict() | check(server, task, dataset, result)
            server.drop_database(DATABASE)
    return found


def quiet() -> None:
    """Print nothing of what the paths log about bad records or about themselves."""
    import logging
    import os

    os.environ |= {"RUNTIME__LOG_LEVEL": "ERROR", "RUNTIME__DLTHUB_TELEMETRY": "false"}  # dlt's

    logging.getLogger("warehouse").setLevel(logging.CRITICAL)
    logging.getLogger("warehouse.sync").setLevel(logging.CRITICAL)


def fresh(server: Server, name: str) -> str:
    """Return the URL of an empty, migrated database."""
    server.drop_database(name)
    return server.create_database(name, template=TEMPLATE)


def check(server: Server, task: dict[str, Any], dataset: str, result: Any) -> dict[str, Any]:
    """Compare with the generator's truth: rows for every path, all counts and dead letters for the project."""
    true = contacts.truth(dataset, task["records"])
    rows = true.created + (task["records"] if dataset == "delta" else 0)
    table = "dlt.contact" if task["path"].startswith("dlt") else CONTACT.table
    with server.connect(DATABASE) as connection:
        counted = connection.execute(f"SELECT count(*), count(DISTINCT id) FROM {table}").fetchone()
        if counted is None or counted[0] < rows:
            raise RuntimeError(f"{task['path']}, {dataset}: {counted} rows, and there should be {rows}")
        if result is None:
            return {"exact": counted == (rows, rows)}
        letters = connection.execute(
            # What jsonb refuses lies there as text.
            "SELECT coalesce(payload #>> '{properties,lead_id}', payload ->> 'lead_id',"
            """ substring(payload #>> '{}' FROM '"lead_id":"([0-9]+)"'))"""
            " FROM orchestration.dead_letter WHERE sync_history_id = %s AND status = 'pending'",
            (result.history_id,),
        ).fetchall()
    counts = (result.created, result.updated, result.unchanged, result.failed, result.filtered)
    expected = (true.created, true.updated, true.unchanged, len(true.bad), 0)
    dead = sorted(int(lead or 0) - 1_000_000 for (lead,) in letters)
    exact = counted == (rows, rows) and counts == expected and dead == list(true.bad)
    where = {name: result.metrics[f"{name}_seconds"] for name in ("waiting", "coercing", "loading")}
    return {"exact": exact, "counts": counts, "expected": expected, **where}


def remember(task: dict[str, Any]) -> dict[str, Any]:
    """Load records that are made one by one, and return the peak memory of this process."""
    server = Server(Path(task["home"]))
    url = fresh(server, DATABASE)
    source = contacts.source(lambda: contacts.pages("base", task["records"]))
    quiet()
    from warehouse_pipelines.loading.options import Options
    from warehouse_pipelines.loading.sync import sync

    result = sync(source, CONTACT, Options(), url=url)
    server.drop_database(DATABASE)
    exact = result.created == task["records"]
    return {"peak_mb": measure.peak_memory_mb(), "seconds": result.seconds, "exact": exact}


class Killed(BaseException):
    """Ends a load where a kill would: nothing is committed, and the rows that are there are dead."""


def reload(task: dict[str, Any]) -> dict[str, Any]:
    """Load after a load that ended at a quarter, and return the costs.

    When a quarter is read, and at the half, a vacuum comes by. It removes the dead rows and writes that the table is
    empty, which is what autovacuum does to a table that nobody has committed a row of.
    """
    from warehouse_pipelines.loading.options import Options
    from warehouse_pipelines.loading.sync import sync

    server = Server(Path(task["home"]))
    quiet()
    url = fresh(server, DATABASE)
    pages = Path(task["pages"], f"absorbing-{task['records']}").read_bytes().splitlines()
    quarter = max(1, len(pages) // 4)

    def killed() -> Iterator[bytes]:
        yield from pages[:quarter]
        raise Killed

    def vacuumed() -> Iterator[bytes]:
        for number, page in enumerate(pages):
            if number in (quarter, 2 * quarter):
                with server.connect(DATABASE) as connection:
                    connection.execute(f"VACUUM {CONTACT.table}")
            yield page

    with contextlib.suppress(Killed):
        sync(contacts.source(killed), CONTACT, Options(), url=url)
    with measure.measured(server) as cost:
        result = sync(contacts.source(vacuumed), CONTACT, Options(), url=url)
    server.drop_database(DATABASE)
    return cost.as_dict() | {"exact": result.created == task["records"], "counts": result.created}


def in_a_process(task: dict[str, Any]) -> Any:
    """Run a task in a fresh Python."""
    done = subprocess.run(
        [sys.executable, __file__, "--task", json.dumps(task)], stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def prepare_template(server: Server) -> None:
    """Make the database that every measurement begins with: migrated, and with the benchmark's table."""
    from warehouse_pipelines.schema import tables
    from warehouse_pipelines.schema.migrate import engine, migrate

    url = server.create_database(TEMPLATE)
    migrate(url)
    with engine(url).connect() as connection, connection.begin():
        tables.align(connection, [CONTACT])


def run(records: int, rounds: int, *, memory: bool) -> dict[str, Any]:
    """Run everything, print the tables, and return the summary."""
    few = max(records // 5, contacts.PAGE)
    plan: dict[str, tuple[int, list[list[str]]]] = {
        "floor": (records, [["base", "delta"]]),
        "plain floor": (records, [["base", "delta"]]),
        "project": (records, [["base", "delta"], ["dirty"], ["refused"], ["unloadable"]]),
        "dlt arrow": (records, [["base", "delta"]]),
        "dlt tables": (records, [["base", "delta"]]),
        "dlt default": (few, [["base", "delta"]]),
        "dlt record": (few, [["base", "delta"]]),
    }
    if records < QUICK:
        del plan["plain floor"], plan["dlt tables"], plan["dlt record"]
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in plan}
    reloaded: list[dict[str, Any]] = []
    with measure.server() as server, tempfile.TemporaryDirectory() as folder:
        prepare_template(server)
        for dataset in ("base", "delta", "dirty", "refused", "unloadable", "absorbing"):
            for size in {records, few}:
                Path(folder, f"{dataset}-{size}").write_bytes(b"\n".join(contacts.pages(dataset, size)))
        for number in range(rounds):
            names = list(plan)
            for name in names[number % len(names) :] + names[: number % len(names)]:
                size, datasets = plan[name]
                task = {"path": name, "home": str(server.home), "pages": folder, "records": size, "datasets": datasets}
                found[name].append(in_a_process(task))
                print(f"round {number + 1}: {name}: " + "; ".join(
                    f"{dataset} {size / cost['seconds']:,.0f}/s" for dataset, cost in found[name][-1].items()
                ), file=sys.stderr)  # fmt: skip
            task = {"path": "reload", "home": str(server.home), "pages": folder, "records": records}
            reloaded.append(in_a_process(task))
            print(f"round {number + 1}: after a kill: {records / reloaded[-1]['seconds']:,.0f}/s", file=sys.stderr)
        remembered = {}
        for size in (SMALL, LARGE) if memory else ():
            remembered[size] = in_a_process({"path": "memory", "home": str(server.home), "records": size})
            print(f"memory: {size:,} records: {remembered[size]['peak_mb']:.0f} MB", file=sys.stderr)
    return summary(records, {name: size for name, (size, _) in plan.items()}, found, remembered, reloaded)


def summary(
    records: int,
    sizes: dict[str, int],
    found: dict[str, list[dict[str, Any]]],
    remembered: dict[int, Any],
    reloaded: list[dict[str, Any]],
) -> dict[str, Any]:
    """Print the tables and return what the last line says."""

    def rates(path: str, dataset: str) -> list[float]:
        return [sizes[path] / one[dataset]["seconds"] for one in found[path]]

    def ratio(path: str, dataset: str) -> float:
        pairs = zip(rates("project", dataset), rates(path, dataset), strict=True)
        return round(statistics.median(ours / theirs for ours, theirs in pairs), 3)

    for dataset, title in (
        ("base", "initial"), ("delta", "delta"), ("dirty", "dirty"), ("refused", "all refused"),
        ("unloadable", "all refused by PostgreSQL"),
    ):  # fmt: skip
        rows = []
        for path, runs in found.items():
            if dataset not in runs[0]:
                continue
            costs = [one[dataset] for one in runs]
            each = [statistics.median(cost[f"{who}_seconds"] for cost in costs) for who in ("client", "postgres")]
            rows.append(
                (
                    path,
                    f"{sizes[path]:,}",
                    measure.spread(rates(path, dataset)),
                    f"{ratio(path, dataset):.2f}",
                    " + ".join(f"{seconds / sizes[path] * 1e6:.0f}" for seconds in each),
                    f"{statistics.median(cost['memory_mb'] for cost in costs):.0f}",
                    measure.spread([cost["other_cores"] for cost in costs], ".1f"),
                    "yes" if all(cost["exact"] for cost in costs) else "NO",
                )
            )
        head = ("path", "records", "records/s", "project is faster", "CPU µs/record, client + PostgreSQL", "MB",
                "other cores", "rows right")  # fmt: skip
        print(f"\n{title}, median of {len(found['project'])}:\n\n{measure.table(head, rows)}")
        where = [one[dataset] for one in found["project"]]
        print(
            "\nThe project's seconds: "
            + ", ".join(
                f"{statistics.median(one[name] for one in where):.2f} {name}"
                for name in ("coercing", "loading", "seconds")
            )
        )
    for size, one in remembered.items():
        print(f"\n{size:,} records made while loading: peak {one['peak_mb']:.0f} MB, {one['seconds']:.0f} s", end="")
    print()
    wrong = [
        f"{dataset}: {one[dataset]['counts']} for {one[dataset]['expected']}"
        for one in found["project"] for dataset in one if not one[dataset]["exact"]
    ]  # fmt: skip
    for line in wrong:
        print(f"WRONG COUNTS (created, updated, unchanged, failed, filtered) of {line}")
    said: dict[str, Any] = {
        "records": records,
        "rounds": len(found["project"]),
        "counts_exact": not wrong and all(one["exact"] for one in [*remembered.values(), *reloaded]),
        "peak_memory_ratio": None,
        "peak_memory_mb": None,
    }
    for path in found:
        name = path.replace(" ", "_")
        for dataset, title in (("base", "initial"), ("delta", "delta")):
            if path == "project":
                said[f"records_per_second_{title}"] = round(statistics.median(rates(path, dataset)))
            else:
                said[f"{name}_ratio_{title}"] = ratio(path, dataset)
    clean = rates("project", "base")
    for dataset in ("dirty", "refused", "unloadable"):
        pairs = zip(rates("project", dataset), clean, strict=True)
        said[f"{dataset}_ratio"] = round(statistics.median(a / b for a, b in pairs), 3)
    again = zip(reloaded, clean, strict=True)
    said["killed_ratio"] = round(statistics.median(records / one["seconds"] / rate for one, rate in again), 3)
    if remembered:
        said["peak_memory_mb"] = round(remembered[LARGE]["peak_mb"])
        said["peak_memory_ratio"] = round(remembered[LARGE]["peak_mb"] / remembered[SMALL]["peak_mb"], 3)
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", action="store_true", help="also measure the peak memory of a million records")
    parser.add_argument("--task", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.task:
        task = json.loads(given.task)
        print(json.dumps({"memory": remember, "reload": reload}.get(task["path"], work)(task)))
        return
    said = run(given.records, given.rounds, memory=given.memory or given.records >= SMALL)
    print(json.dumps(said))
    sys.exit(0 if said["counts_exact"] else 1)


if __name__ == "__main__":
    main()
