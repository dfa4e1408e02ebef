"""A private MariaDB for the simulated vendor whose source is a database, and a proxy in front of it.

One server per process and time zone, in a temp folder, without a network: it listens on a Unix socket that nobody else
can reach. What a client connects to is the proxy.

The server ends and its folder goes when this process does, however it ends: it is the child of a shell that waits for
the end of a pipe.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import getpass
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warehouse_pipelines.simulators.core.proxy import ProxyConnection, Refusal, exactly

if TYPE_CHECKING:
    import pymysql

MISSING = "MariaDB (mariadbd; Debian's package is mariadb-server)"

SMALL = (
    "--skip-networking", "--skip-log-bin", "--skip-slave-start", "--skip-name-resolve", "--performance-schema=0",
    "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M", "--innodb-flush-log-at-trx-commit=0",
    "--innodb-flush-method=nosync", "--debug-no-sync", "--innodb-doublewrite=0", "--innodb-file-per-table=0",
    "--innodb-lock-wait-timeout=5",
    "--character-set-server=utf8mb4", "--max-allowed-packet=64M",
    "--sql-mode=NO_ENGINE_SUBSTITUTION",  # an old application: zero dates are stored
)  # fmt: skip

# The server runs until standard input ends, which it does when its owner ended.
OWNED = 'folder=$1; shift; "$@" </dev/null & pid=$!; read -r _; kill $pid; wait $pid; rm -rf "$folder"'


def program(name: str) -> str | None:
    """The path of one of MariaDB's programs; the server lies where a user's PATH does not look."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin"])
    return shutil.which(name, path=path)


def lacking() -> str | None:
    """What this machine lacks for a server of its own; None when it has all."""
    return None if program("mariadbd") and program("mariadb-install-db") else MISSING


class MariaDB:
    """A running server."""

    def __init__(self, zone: str) -> None:
        server, install = program("mariadbd"), program("mariadb-install-db")
        if server is None or install is None:
            raise RuntimeError(f"{MISSING} is not installed")
        self._folder = Path(tempfile.mkdtemp(prefix="mariadb-"))
        self.socket = str(self._folder / "socket")
        self.spare: dict[str, list[str]] = defaultdict(list)
        """Databases that are no longer used and as good as new, by the password of their account."""
        log = self._folder / "log"
        where = [f"--datadir={self._folder / 'data'}", f"--tmpdir={self._folder}"]
        user = [f"--user={getpass.getuser()}"]
        try:
            with log.open("wb") as stream:
                subprocess.run(
                    [install, "--no-defaults", *user, *where, "--auth-root-authentication-method=normal",
                     "--skip-test-db", "--innodb-log-file-size=16M"],
                    stdout=stream, stderr=stream, check=True,
                )  # fmt: skip
            command = [server, "--no-defaults", *user, *where, *SMALL, f"--socket={self.socket}",
                       f"--pid-file={self._folder / 'pid'}"]  # fmt: skip
            with log.open("ab") as stream:
                self._shell = subprocess.Popen(
                    ["/bin/sh", "-c", OWNED, "mariadb", str(self._folder), *command],
                    stdin=subprocess.PIPE, stdout=stream, stderr=stream, start_new_session=True,
                    env={**os.environ, "TZ": zone},
                )  # fmt: skip
            self._wait(log)
        except BaseException:
            self.close()
            raise
        atexit.register(self.close)

    def _wait(self, log: Path) -> None:
        import pymysql

        deadline = time.monotonic() + 60
        while True:
            if self._listens():
                with contextlib.suppress(pymysql.err.OperationalError):
                    self.connect().close()
                    return
            if time.monotonic() > deadline:
                raise RuntimeError(f"MariaDB did not start: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)

    def _listens(self) -> bool:
        """Return whether somebody is at the socket; pymysql leaves its own open when there is nobody."""
        with socket.socket(socket.AF_UNIX) as asking:
            return asking.connect_ex(self.socket) == 0

    def connect(self, **options: Any) -> pymysql.Connection[Any]:
        """A connection of the administrator, through the socket."""
        import pymysql

        chosen = {"user": "root", "autocommit": True, "charset": "utf8mb4", **options}
        return pymysql.connect(unix_socket=self.socket, ssl_disabled=True, **chosen)

    def close(self) -> None:
        atexit.unregister(self.close)
        shell = getattr(self, "_shell", None)
        if shell is not None:
            with contextlib.suppress(OSError):
                shell.stdin.close()
            shell.wait(timeout=60)
        shutil.rmtree(self._folder, ignore_errors=True)


@functools.lru_cache(maxsize=4)
def server(zone: str) -> MariaDB:
    """The server of this process whose clock is in `zone`."""
    return MariaDB(zone)


class MySQLRefusal(Refusal):
    def packet(self) -> bytes:
        body = b"\xff" + struct.pack("<H", self.number) + b"#" + self.state.encode() + self.message.encode()
        return struct.pack("<I", len(body))[:3] + b"\x01" + body


class MySQLProxyConnection(ProxyConnection):
    """MySQL's packets: three bytes of length, a number, and what they carry."""

    def _ask(self) -> None:
        with contextlib.suppress(OSError):
            while head := exactly(self._client, 4):
                payload = exactly(self._client, int.from_bytes(head[:3], "little"))
                if head[3] == 0 and payload[:1] == b"\x03":
                    treatment = self._treat(payload[1:].decode("utf-8", "replace"))
                    if treatment.refusal is not None:
                        self._client.sendall(treatment.refusal.packet())
                        continue
                    if not self._allowed(treatment):
                        continue
                self._server.sendall(head + payload)
        self.end(reset=False)
