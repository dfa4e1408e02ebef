"""The folder of an embedded PostgreSQL: its data, log, password, port and process number, and making it.

A data folder belongs to one major version. It is never deleted or upgraded here; the message says what to do.
"""

import contextlib
import fcntl
import logging
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from warehouse_pipelines.errors import DatabaseUnavailable, NotConfigured
from warehouse_pipelines.local.postgres_programs import Account, account_for, give_to_nobody, major, reachable, run

log = logging.getLogger("warehouse")

USER = "warehouse"


class DataFolder:
    """``home``: ``postgres/`` are the data, ``postgres.log`` is the log of the server.

    With ``durable=False``, for tests, ``initdb`` does not wait for the disk, and who signs in is hashed once.
    """

    def __init__(self, home: Path, *, durable: bool = True) -> None:
        self.home = home.absolute()
        self._durable = durable

    @property
    def data(self) -> Path:
        """The data folder. It is elsewhere when PostgreSQL has to run as ``nobody``."""
        with contextlib.suppress(FileNotFoundError):
            return Path((self.home / "postgres.elsewhere").read_text()) / "data"
        return self.home / "postgres"

    @property
    def log(self) -> Path:
        """The log of the server."""
        with contextlib.suppress(FileNotFoundError):
            return Path((self.home / "postgres.elsewhere").read_text()) / "postgres.log"
        return self.home / "postgres.log"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the one lock of this folder; it ends with the process that holds it."""
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.home / "postgres.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                log.warning("%s is being started or stopped by another process; waiting for that", self.name())
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def password(self) -> str:
        """Return the password of the superuser. Raises ``NotConfigured`` when none was made yet."""
        try:
            return (self.home / "postgres.password").read_text()
        except FileNotFoundError as error:
            raise NotConfigured(f"There is no password in {self.home}: no server was ever started there.") from error

    def port(self) -> int:
        """Return the port it listens on, or that it last listened on; 0 when it never did."""
        with contextlib.suppress(FileNotFoundError, IndexError, ValueError):
            return int((self.data / "postmaster.pid").read_text().splitlines()[3])
        with contextlib.suppress(FileNotFoundError, ValueError):
            return int((self.home / "postgres.port").read_text())
        return 0

    def pid(self) -> int | None:
        """Return the process of the server, or None when there is none or the number is another program's by now."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return None
        return pid if str(self.data) in _command_line(pid) else None

    def initialise(self, binaries: Path) -> tuple[Account, Path]:
        """Make the data folder unless there is one; return as whom PostgreSQL runs, and which binaries.

        Raises ``DatabaseUnavailable`` when ``initdb`` fails, ``NotConfigured`` when nobody can run it.
        """
        if (self.home / "postgres.elsewhere").exists() and (self.data / "PG_VERSION").exists():
            return "nobody", reachable(binaries, self.data.with_name("binaries"))
        account = account_for(binaries, self.home)
        if (self.data / "PG_VERSION").exists():
            return account, binaries
        if account == "nobody":
            elsewhere = Path(tempfile.mkdtemp(prefix="warehouse-postgres-"))
            (self.home / "postgres.elsewhere").write_text(str(elsewhere))
            give_to_nobody(elsewhere)
            binaries = reachable(binaries, self.data.with_name("binaries"))
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
            give_to_nobody(given)
        locale = ["--locale=C.UTF-8"]
        if major(binaries) >= 17:
            locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        command: list[str | Path] = [binaries / "initdb", "-D", unfinished, "-U", USER, f"--pwfile={given}"]
        command += ["-E", "UTF8", *locale, "--no-instructions"]
        # 4096 rounds of a hash take 2.5 ms of each session; a test's password is random, and sent on loopback alone.
        if self._durable:
            command += ["-A", "scram-sha-256"]
        elif major(binaries) >= 16:
            command += ["-A", "scram-sha-256", "-c", "scram_iterations=1", "--no-sync"]
        else:
            command += ["-A", "password", "--no-sync"]
        try:
            made = run(command, account)
        finally:
            given.unlink()
        if made.returncode:
            raise DatabaseUnavailable(f"initdb in {unfinished} failed: {made.stderr.strip() or made.stdout.strip()}")
        with (unfinished / "postgresql.conf").open("a") as stream:
            stream.write("\ninclude 'warehouse.conf'  # written anew at every start\n")
        unfinished.rename(self.data)
        return account, binaries

    def check_version(self, binaries: Path) -> None:
        """Raise ``NotConfigured`` when another major version made the data."""
        made_by, have = (self.data / "PG_VERSION").read_text().strip(), str(major(binaries))
        if made_by != have:
            aside = self.data.with_name(f"{self.data.name}-{made_by}")
            raise NotConfigured(
                f"The data in {self.data} are of PostgreSQL {made_by}, and {binaries} is PostgreSQL {have}. Either set "
                f"PG_BIN to the bin folder of PostgreSQL {made_by}, or put the data aside (mv '{self.data}' '{aside}') "
                "and let the next start make an empty warehouse, which a full sync fills again. Nothing was changed."
            )

    def forget_stranger(self) -> None:
        """Remove a ``postmaster.pid`` whose number is a zombie's, or by now another program's, as in containers.

        PostgreSQL would take either for itself. A number that no process has is left to PostgreSQL, which then also
        looks for children of the dead server; therefore a zombie is first given 5 s to be reaped.
        """
        if self.pid() is not None:
            return
        pid_file = self.data / "postmaster.pid"
        with contextlib.suppress(FileNotFoundError, ValueError, ProcessLookupError, PermissionError):
            pid = int(pid_file.read_text().split("\n", 1)[0])
            deadline = time.monotonic() + 5
            while not _command_line(pid) and time.monotonic() < deadline:
                os.kill(pid, 0)
                time.sleep(0.05)
            pid_file.unlink()

    def name(self) -> str:
        """Return how messages call this server."""
        return f"The PostgreSQL of {self.home}"

    def last_words(self) -> str:
        """Return the end of the log, for a message."""
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
