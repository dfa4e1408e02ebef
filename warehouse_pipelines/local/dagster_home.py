"""Dagster's own folder, ``DAGSTER_HOME``: its ``dagster.yaml``, its storage, the limits of its pools.

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

from warehouse_pipelines import settings
from warehouse_pipelines.errors import NotConfigured

log = logging.getLogger("warehouse")

HEADER = "# Written by warehouse_pipelines/local/dagster_home.py from the top-level dagster.yaml: change that one.\n"

IN_POSTGRES = """
storage:
  postgres:
    postgres_url: {env: DAGSTER_STORAGE_URL}
"""

IN_SQLITE = """
event_log_storage:
  module: warehouse_pipelines.local.event_log
  class: EventLog
  config:
    base_dir: %s
"""


def prepare(home: Path | None = None, *, pools: Mapping[str, int] | None = None) -> Path:
    """Make ``home`` usable and the ``DAGSTER_HOME`` of this process and its children; return it.

    ``home`` is by default that of the settings, ``pools`` the limits that the sources declare. A ``dagster.yaml`` in
    ``home`` that somebody else wrote is left as it is. With ``DAGSTER_STORAGE_URL`` set, runs and events are kept in
    that PostgreSQL database instead of SQLite, and it is created; the setting is needed wherever Dagster runs.
    """
    home, wanted, storage = _home(home)
    digest = _fingerprint(wanted, storage, pools)
    if _stamp(home).get("fingerprint") == digest:
        return home
    with _locked(home):
        before = _stamp(home)
        if before.get("fingerprint") == digest:
            return home
        _write(home, wanted)
        if storage:
            _create_database(storage)
        limits = dict(declared_pools() if pools is None else pools)
        _migrate(home, {name: limit for name, limit in limits.items() if before.get("pools", {}).get(name) != limit})
        unfinished = home / "prepared.json.unfinished"
        unfinished.write_text(json.dumps({"fingerprint": digest, "pools": limits}, indent=1))
        unfinished.rename(home / "prepared.json")
    return home


def configure(home: Path | None = None) -> Path:
    """Do what of ``prepare`` concerns this folder alone; for a storage that was migrated from elsewhere."""
    home, wanted, _ = _home(home)
    with _locked(home):
        _write(home, wanted)
    return home


def _home(home: Path | None) -> tuple[Path, str | None, str]:
    """Return the folder, what its ``dagster.yaml`` must say, and the URL of the storage; empty is SQLite."""
    home = (home or settings.dagster_home()).absolute()
    os.environ["DAGSTER_HOME"] = str(home)
    given = settings.settings().dagster_storage_url
    if given is None:
        return home, _configuration(home, in_postgres=False), ""
    # With its driver: SQLAlchemy 2.1 takes a bare postgresql:// for another one than dagster-postgres needs.
    storage = settings.postgresql_url("DAGSTER_STORAGE_URL", given)
    os.environ["DAGSTER_STORAGE_URL"] = storage.replace("postgresql://", "postgresql+psycopg2://", 1)
    return home, _configuration(home, in_postgres=True), storage


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


def _write(home: Path, wanted: str | None) -> None:
    if wanted is not None:
        (home / "dagster.yaml").write_text(wanted)


def _create_database(url: str) -> None:
    """Create the database of the storage when its server has none of this name. It is not that of the warehouse."""
    import psycopg
    from psycopg import conninfo, sql

    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError as error:
        name = str(conninfo.conninfo_to_dict(url).get("dbname"))
        if f'database "{name}" does not exist' not in str(error):
            raise
        with psycopg.connect(url, dbname="postgres", autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


def declared_pools() -> dict[str, int]:
    """Return the limit of each vendor's pool: how many steps may read it at a time, over all runs."""
    from warehouse_pipelines.assets import pool
    from warehouse_pipelines.sources import SOURCES

    return {pool(source): source.pool for source in SOURCES}


def ui_command(host: str, port: int) -> list[str]:
    """Return the command of Dagster's UI with its daemon, on the workspace of this project."""
    dagster = Path(sys.executable).with_name("dagster")
    workspace = settings.project_root() / "workspace.yaml"
    return [str(dagster), "dev", "-w", str(workspace), "-h", host, "-p", str(port)]


def _configuration(home: Path, *, in_postgres: bool) -> str | None:
    """Return what ``dagster.yaml`` must say, or None when the one that is there is not ours to write."""
    ours = settings.project_root() / "dagster.yaml"
    there = home / "dagster.yaml"
    if there.exists() and not there.read_text().startswith(HEADER):
        return None
    try:
        configuration = ours.read_text()
    except FileNotFoundError as error:
        raise NotConfigured(
            f"There is no {ours}. Run from the top level of the project, or put a dagster.yaml into {home}."
        ) from error
    return (
        HEADER
        + configuration
        + (IN_POSTGRES if in_postgres else IN_SQLITE % json.dumps(str(home / "history" / "runs")))
    )


def _fingerprint(configuration: str | None, storage: str, pools: Mapping[str, int] | None) -> str:
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
