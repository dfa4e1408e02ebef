"""Dagster's own folder, ``DAGSTER_HOME``: its ``dagster.yaml``, its storage, the limits of its pools.

Runs and events are kept in PostgreSQL, in a database of their own beside the warehouse: on SQLite Dagster's UI watches
a file, and a run that is written by another process stands still in it. ``DAGSTER_STORAGE_URL`` names another database,
or is ``sqlite`` for files under ``DAGSTER_HOME`` (``storage_url``).

Whoever is about to use Dagster calls ``prepare``. The first call migrates the storage under a lock: six runs that
together opened a fresh folder left it broken for good (`alembic_version has more than one head`). Later calls compare
a stamp and return, without importing Dagster. As a program, ``python -m warehouse_pipelines.local.dagster_home`` does
the same; followed by a command it only writes the configuration and becomes the command, which containers begin with.

A limit is set for each pool by its name. ``concurrency.pools.default_limit`` is not used: once it is changed on
PostgreSQL, every run of a pool fails (dagster-io/dagster#33552). A limit that an operator set by hand stays until the
source declares another one.
"""

import contextlib
import fcntl
import hashlib
import io
import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from warehouse_pipelines import settings, warehouse
from warehouse_pipelines.errors import DatabaseUnavailable, NotConfigured, masked

log = logging.getLogger("warehouse")

HEADER = "# Written by warehouse_pipelines/local/dagster_home.py from the top-level dagster.yaml: change that one.\n"

IN_POSTGRES = """
storage:
  custom:
    module: warehouse_pipelines.orchestration.dagster_storage
    class: Storage
    config: {}
"""

SQLITE = "sqlite"
"""The value of ``DAGSTER_STORAGE_URL`` that asks for SQLite."""

DAEMON_SECONDS = {
    "FRESHNESS_DAEMON_INTERVAL_SECONDS": "300",  # of assets that are late after two hours at the earliest
    "DAGSTER_EVENT_LOG_CONSUMER_DAEMON_INTERVAL_SECONDS": "15",  # looks for runs to start again
}
"""How often parts of Dagster's daemon look, which is no setting of ``dagster.yaml``; by default 30 and 5 seconds."""

CODE_SERVER_SECONDS = {
    "DAGSTER_GRPC_TIMEOUT_SECONDS": "170",
    # As they are by default; else they would be as long, and a sensor that hangs would keep all from ticking.
    "DAGSTER_SENSOR_GRPC_TIMEOUT_SECONDS": "60",
    "DAGSTER_SCHEDULE_GRPC_TIMEOUT_SECONDS": "60",
    "DAGSTER_GRPC_SHUTDOWN_GRACE_PERIOD": "60",
}
"""How long Dagster waits for an answer of the code server; by default 60 seconds.

The first run waits until everything is imported. Where that took over a minute, Dagster called the run failed, and it
ran nevertheless. ``start_timeout_seconds`` of ``dagster.yaml`` is longer, so that nobody else calls it so meanwhile.
"""

LONGEST_NAME = 63
"""Bytes of a name in PostgreSQL."""


def prepare(home: Path | None = None, *, pools: Mapping[str, int] | None = None) -> Path:
    """Make ``home`` usable and the ``DAGSTER_HOME`` of this process and its children; return it.

    ``home`` is by default that of the settings, ``pools`` the limits that the sources declare. A ``dagster.yaml`` in
    ``home`` that somebody else wrote is left as it is. The database of the storage is created if need be. Raises
    ``NotConfigured`` when it cannot be, and ``DatabaseUnavailable`` when its server does not answer.
    """
    home, wanted = _home(home)
    storage = None if wanted is None else storage_url()
    digest = _fingerprint(wanted, storage, pools)
    there = storage is None or _create_database(storage)
    if there and _stamp(home).get("fingerprint") == digest:
        return home
    with _locked(home):
        before = _stamp(home) if there else {}
        if before.get("fingerprint") == digest:
            return home
        _write(home, wanted)
        limits = dict(declared_pools() if pools is None else pools)
        with _locked_storage(storage):
            _migrate(
                home, {name: limit for name, limit in limits.items() if before.get("pools", {}).get(name) != limit}
            )
        unfinished = home / "prepared.json.unfinished"
        unfinished.write_text(json.dumps({"fingerprint": digest, "pools": limits}, indent=1))
        unfinished.rename(home / "prepared.json")
    return home


def configure(home: Path | None = None) -> Path:
    """Do what of ``prepare`` concerns this folder alone; for a storage that was migrated from elsewhere.

    A folder whose ``dagster.yaml`` is somebody else's may be one that this process cannot write to.
    """
    home, wanted = _home(home)
    if wanted is None:
        return home
    with _locked(home):
        _write(home, wanted)
    return home


def storage_url() -> str | None:
    """Return the URL of Dagster's storage, its server started if it is the embedded one; None is SQLite.

    ``DAGSTER_STORAGE_URL``, else the database that is named after the warehouse's on the same server; beside the
    warehouse of the embedded server it is ``dagster``.

    Raises ``NotConfigured`` for a name that PostgreSQL cannot have.
    """
    found = settings.settings()
    if (given := found.dagster_storage_url) is not None:
        if given.get_secret_value().strip().lower() == SQLITE:
            return None
        return settings.postgresql_url("DAGSTER_STORAGE_URL", given)
    from warehouse_pipelines.local.database import database_url

    url = urlsplit(database_url())
    if found.warehouse_database_url is None:
        return url._replace(path="/dagster").geturl()
    name = f"{unquote(url.path.removeprefix('/'))}_dagster"
    if len(url.path) < 2 or len(name.encode()) > LONGEST_NAME:
        raise NotConfigured(
            "The database of Dagster's storage is named after that of WAREHOUSE_DATABASE_URL, which names none or one "
            f"with too long a name. Set DAGSTER_STORAGE_URL to a database for it, or to {SQLITE}."
        )
    return url._replace(path=f"/{quote(name)}").geturl()


def _home(home: Path | None) -> tuple[Path, str | None]:
    """Return the folder, and what its ``dagster.yaml`` must say."""
    home = (home or settings.dagster_home()).absolute()
    os.environ["DAGSTER_HOME"] = str(home)
    for name, seconds in (DAEMON_SECONDS | CODE_SERVER_SECONDS).items():
        os.environ.setdefault(name, seconds)
    given = settings.settings().dagster_storage_url
    in_sqlite = given is not None and given.get_secret_value().strip().lower() == SQLITE
    return home, _configuration(home, in_postgres=not in_sqlite)


@contextlib.contextmanager
def _locked(home: Path) -> Iterator[None]:
    home.mkdir(parents=True, exist_ok=True)
    with (home / "prepare.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.warning("%s is being prepared by another process; waiting for that", home)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _locked_storage(url: str | None) -> Iterator[None]:
    """Hold the lock of a storage in PostgreSQL, which folders of several machines may share."""
    if url is None:
        yield
        return
    with warehouse.connect(url, application_name="warehouse-storage") as connection:
        connection.execute("SELECT pg_advisory_lock(hashtextextended('warehouse: migrate', 0))")
        yield


def _write(home: Path, wanted: str | None) -> None:
    if wanted is not None:
        (home / "dagster.yaml").write_text(wanted)


def _create_database(url: str) -> bool:
    """Create the database of the storage when its server has none of this name; return whether there was one.

    Nobody but its owner may connect to it, and its commits are not waited for until they are on the disk: after a power
    cut it may lack its last events, and is whole. What a sync did stands in ``orchestration.sync_history``.
    """
    import psycopg
    from psycopg import conninfo, sql

    try:
        warehouse.connect(url, application_name="warehouse-storage").close()
        return True
    except DatabaseUnavailable as error:
        refused, name = error.__cause__, str(conninfo.conninfo_to_dict(url).get("dbname"))
        if f'database "{name}" does not exist' not in str(refused):
            raise DatabaseUnavailable(
                f"cannot connect to Dagster's storage, {settings.masked_url(url)}: {masked(str(refused))}. Is it up? "
                f"DAGSTER_STORAGE_URL names another database for it, or {SQLITE}."
            ) from refused
    database = sql.Identifier(name)
    try:
        with warehouse.connect(url, application_name="warehouse-storage", dbname="postgres") as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(database))
            connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
            connection.execute(sql.SQL("ALTER DATABASE {} SET synchronous_commit = off").format(database))
    except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):  # by another process, a moment ago
        return True
    except (psycopg.errors.InsufficientPrivilege, DatabaseUnavailable) as error:
        raise NotConfigured(
            f"Dagster's storage, the database {name}, is not there and cannot be created by this login "
            f"({masked(str(error).splitlines()[0])}). Let its administrator do that (CREATE DATABASE {name} OWNER "
            f"<login>), or set DAGSTER_STORAGE_URL to another database of PostgreSQL, or to {SQLITE}."
        ) from error
    return False


def declared_pools() -> dict[str, int]:
    """Return the limit of each vendor's pool: how many steps may read it at a time, over all runs."""
    from warehouse_pipelines.sources import SOURCES

    return {source.pool_name: source.pool for source in SOURCES}


def ui_command(host: str, port: int) -> list[str]:
    """Return the command of Dagster's UI with its daemon, on the workspace of this project (``dagster_dev``)."""
    dagster = [sys.executable, "-m", "warehouse_pipelines.orchestration.dagster_dev"]
    workspace = settings.shipped("workspace.yaml")
    return [*dagster, "dev", "-w", str(workspace), "-h", host, "-p", str(port)]


def _configuration(home: Path, *, in_postgres: bool) -> str | None:
    """Return what ``dagster.yaml`` must say, or None when the one that is there is not ours to write."""
    ours = settings.shipped(settings.settings().warehouse_dagster_config)
    there = home / "dagster.yaml"
    if there.exists() and not there.read_text().startswith(HEADER):
        return None
    try:
        configuration = ours.read_text()
    except FileNotFoundError as error:
        raise NotConfigured(
            f"There is no {settings.settings().warehouse_dagster_config}, which WAREHOUSE_DAGSTER_CONFIG names: correct"
            f" it, or put a dagster.yaml into {home}."
        ) from error
    return HEADER + configuration + (IN_POSTGRES if in_postgres else "")


def _fingerprint(configuration: str | None, storage: str | None, pools: Mapping[str, int] | None) -> str:
    """Return a digest of all that ``prepare`` depends on; the sources' limits count by their files' times."""
    known: list[Any] = [configuration, storage, metadata.version("dagster")]
    if pools is None:
        sources = Path(__file__).parents[1] / "sources"
        known += sorted((str(file), file.stat().st_mtime_ns) for file in sources.rglob("*.py"))
    else:
        known += sorted(pools.items())
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()


def _stamp(home: Path) -> dict[str, Any]:
    try:
        stamp = json.loads((home / "prepared.json").read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def _migrate(home: Path, limits: Mapping[str, int]) -> None:
    """Do as ``dagster instance migrate`` and ``dagster instance concurrency set`` do, in this process."""
    import dagster as dg

    with dg.DagsterInstance.from_config(str(home)) as instance:
        with contextlib.redirect_stdout(io.StringIO()):  # SQLite's storage prints, and our output is for results
            instance.upgrade()
        for name, limit in limits.items():
            instance.event_log_storage.set_concurrency_slots(name, limit)


if __name__ == "__main__":
    if sys.argv[1:]:
        configure()
        os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606  # no shell is wanted
    print(prepare())
