"""An embedded PostgreSQL for a laptop, the demo and the tests: a data folder, a loopback port and a password.

Nobody owns the server. It is started by whoever needs it first and stays up until ``down``.

Decided, each after it went wrong once:

- A server is up when a connection with our password succeeds. ``pg_ctl status`` still says "running" for seconds
  after a kill, and a port may have been given to a stranger since.
- TCP on loopback only, scram with a random password. A socket's path has a limit of 107 bytes, and ``trust`` would
  make every local user a superuser.
- The locale is C.UTF-8: ``lower('É')`` is right, and sorting is the same on every machine.

``postgres_programs`` has where the binaries are and as whom they run, ``postgres_data`` the folder.
"""

import contextlib
import logging
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import psycopg
from psycopg import sql

from warehouse_pipelines.errors import DatabaseUnavailable, NotConfigured
from warehouse_pipelines.local.postgres_data import USER, DataFolder
from warehouse_pipelines.local.postgres_programs import Account, find_binaries, give_to_nobody, major, memory, run

log = logging.getLogger("warehouse")

DATABASE = "warehouse"

START_SECONDS = 60
STOP_SECONDS = 60

LEAST_BUFFERS, MOST_BUFFERS = 256, 8192
"""Megabytes of ``shared_buffers``, between which it is a quarter of the memory, as PostgreSQL's manual recommends for a
machine of its own. Memory is taken as tables are read. A test server has the least: dropping a table looks through all
of it."""

CONFIGURATION = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": f"{LEAST_BUFFERS}MB",
    "work_mem": "32MB",
    "maintenance_work_mem": "256MB",
    "max_wal_size": "4GB",  # a first sync would otherwise checkpoint every few seconds
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",  # an SSD
    "jit": "off",  # it costs half the throughput of small chunks
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
}
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "1GB", "autovacuum": "off"}
"""A commit still outlives a kill of the server. The folder may lie in memory. Autovacuum would look every minute
through each of a hundred databases that live for seconds."""


def up(home: Path | None = None) -> str:
    """Return the URL of the server of ``home``, started if need be. Without ``home``: that of the project."""
    return Server(_home(home)).start()


def down(home: Path | None = None) -> bool:
    """Stop the server of ``home``; return False when none was running."""
    return Server(_home(home)).stop()


def running(home: Path | None = None) -> bool:
    """Return whether the server of ``home`` answers."""
    return Server(_home(home)).running()


def _home(home: Path | None) -> Path:
    if home is not None:
        return home
    from warehouse_pipelines import settings

    return settings.state_folder()


class Server:
    """The server of one folder, ``home``: ``postgres/`` are its data, ``postgres.log`` is what it says.

    Any number of processes may hold a ``Server`` of the same folder; there is one server. With ``durable=False``,
    for tests, commits are not forced to the disk: a crash of the server loses nothing, one of the machine does.
    """

    def __init__(self, home: Path, *, durable: bool = True) -> None:
        self._folder = DataFolder(home, durable=durable)
        self._durable = durable

    @property
    def home(self) -> Path:
        """The folder of the server."""
        return self._folder.home

    @property
    def data(self) -> Path:
        """The data folder. It is elsewhere when PostgreSQL has to run as ``nobody``."""
        return self._folder.data

    @property
    def log(self) -> Path:
        """The log of the server."""
        return self._folder.log

    def start(self) -> str:
        """Start it unless it is up, and return the URL of its database ``warehouse``.

        Raises ``NotConfigured`` when it cannot be started on this machine, and ``DatabaseUnavailable`` when
        PostgreSQL itself did not come up.
        """
        if self.running():
            return self.url()
        with self._folder.locked():
            if self.running():
                return self.url()
            binaries = find_binaries()
            account, binaries = self._folder.initialise(binaries)
            self._folder.check_version(binaries)
            if not self._comes_up():
                self._launch(binaries, account)
            with self.connect("postgres") as connection:
                known = connection.execute("SELECT FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
            if known is None:
                self.create_database(DATABASE)
            return self.url()

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> bool:
        """Stop it and wait for its end; ``immediate`` is a crash that it must recover from.

        Return False when it was not up.
        """
        with self._folder.locked():
            return self._signal(signal.SIGINT if mode == "fast" else signal.SIGQUIT)

    def kill(self) -> bool:
        """Kill it with signal 9, as the machine would when memory runs out. Return False when it was not up."""
        return self._signal(signal.SIGKILL)

    def running(self) -> bool:
        """Return whether a connection to its database ``warehouse`` succeeds."""
        try:
            self.connect(DATABASE).close()
        except (psycopg.OperationalError, NotConfigured):
            return False
        return True

    def url(self, dbname: str = DATABASE) -> str:
        """Return the URL of a database of this server, whether or not it is up."""
        return f"postgresql://{USER}:{self._folder.password()}@127.0.0.1:{self._folder.port()}/{quote(dbname)}"

    def connect(self, dbname: str = DATABASE) -> psycopg.Connection:
        """Return a connection in autocommit mode."""
        return psycopg.connect(self.url(dbname), autocommit=True, connect_timeout=5)

    def create_database(self, name: str, *, template: str | None = None) -> str:
        """Create a database and return its URL; nobody may be connected to the ``template`` meanwhile."""
        command = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if template is not None:
            command += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
            if not self._durable:  # half the work of a copy through the log, and a third of it to drop the copy
                command += sql.SQL(" STRATEGY file_copy")
        with self.connect("postgres") as connection:
            connection.execute(command)
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, whoever is connected to it."""
        with self.connect("postgres") as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _comes_up(self) -> bool:
        """Wait for a server that is there and does not answer yet, or is going; return False when there is none."""
        began = time.monotonic()
        deadline, warned = began + START_SECONDS, False
        while self._folder.pid() is not None:
            with contextlib.suppress(psycopg.OperationalError):
                self.connect("postgres").close()
                return True
            if not warned and time.monotonic() > began + 2:
                warned = True
                log.warning("%s does not answer yet; waiting at most %d s", self._folder.name(), START_SECONDS)
            if time.monotonic() > deadline:
                raise DatabaseUnavailable(
                    f"{self._folder.name()} runs and does not answer. {self._folder.last_words()}"
                )
            time.sleep(0.05)
        return False

    def _launch(self, binaries: Path, account: Account) -> None:
        """Start it. Several tries: a port can be taken in between, and a killed server's children take a moment."""
        if self.log.exists() and self.log.stat().st_size > 10_000_000:
            self.log.unlink()
        log.info("%s is not up; starting it, which may take %d s", self._folder.name(), START_SECONDS)
        message = ""
        buffers = {"shared_buffers": f"{_buffers(memory())}MB"}
        for attempt in range(5):
            time.sleep(attempt * 0.5)
            self._folder.forget_stranger()
            port = free_port(self._folder.port() if attempt < 2 else 0)
            settings = {"port": str(port), **CONFIGURATION, **(buffers if self._durable else NOT_DURABLE)}
            if not self._durable and major(binaries) >= 18:
                settings["io_method"] = "sync"  # what lies in memory is read sooner than a worker is asked for it
            configuration = self.data / "warehouse.conf"
            configuration.write_text("".join(f"{name} = '{value}'\n" for name, value in settings.items()))
            if account == "nobody":
                give_to_nobody(configuration)
            command: list[str | Path] = [
                binaries / "pg_ctl",
                "-D",
                self.data,
                "-l",
                self.log,
                "-w",
                "-t",
                str(START_SECONDS),
                "start",
            ]
            started = run(command, account)
            if started.returncode == 0:
                (self.home / "postgres.port").write_text(str(port))
                return
            message = started.stderr.strip()
            if "could not map anonymous shared memory" in self._folder.last_words():
                log.warning(
                    "This machine refuses %s of shared memory; PostgreSQL gets less", settings["shared_buffers"]
                )
                buffers = {}
        raise DatabaseUnavailable(f"{self._folder.name()} did not start: {message} {self._folder.last_words()}")

    def _signal(self, number: signal.Signals) -> bool:
        pid = self._folder.pid()
        if pid is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + STOP_SECONDS
        while self._folder.pid() == pid:
            if time.monotonic() > deadline:
                raise DatabaseUnavailable(f"{self._folder.name()} does not stop. {self._folder.last_words()}")
            time.sleep(0.02)
        return True


def _buffers(memory_bytes: int) -> int:
    """Return the megabytes of ``shared_buffers`` of a durable server."""
    return min(max(memory_bytes // 4 // 2**20, LEAST_BUFFERS), MOST_BUFFERS)


def free_port(wanted: int) -> int:
    """Return ``wanted`` when it is free, so that URLs live through a restart, else any free port."""
    with socket.socket() as candidate:
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind(("127.0.0.1", wanted))
        except OSError:
            candidate.bind(("127.0.0.1", 0))
        return int(candidate.getsockname()[1])


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["up"]:
            print(up())
        case ["down"]:
            print("stopped" if down() else "was not running")
        case _:
            sys.exit("Usage: python -m warehouse_pipelines.local.postgres up|down")
