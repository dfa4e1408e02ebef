"""A private MariaDB for the simulated vendor whose source is a database, and a middleman in front of it.

One server per process and time zone, in a temp folder, without a network: it listens on a Unix socket that nobody else
can reach. What a client connects to is the middleman, a port on loopback that passes the bytes on, counts the queries,
and can do what a server does on a bad day: refuse with an error number, hang up in the middle of an answer, be slow.

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
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pymysql

MISSING = "MariaDB (mariadbd; Debian's package is mariadb-server)"

SMALL = (
    "--skip-networking", "--skip-log-bin", "--skip-slave-start", "--skip-name-resolve", "--performance-schema=0",
    "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M", "--innodb-flush-log-at-trx-commit=0",
    "--innodb-doublewrite=0", "--innodb-file-per-table=0", "--innodb-lock-wait-timeout=5",
    "--character-set-server=utf8mb4", "--max-allowed-packet=64M",
    "--sql-mode=NO_ENGINE_SUBSTITUTION",  # an old application: zero dates are stored
)  # fmt: skip

# The server runs until standard input ends, which it does when its owner is gone.
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
            with contextlib.suppress(pymysql.err.OperationalError):
                self.connect().close()
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"MariaDB did not start: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)

    def connect(self, **options: Any) -> pymysql.Connection[Any]:
        """A connection of the administrator, through the socket."""
        import pymysql

        chosen = {"user": "root", "autocommit": True, "charset": "utf8mb4", **options}
        return pymysql.connect(unix_socket=self.socket, **chosen)

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


KEPT = 8  # pieces of the last answer, for when it is given again: a page of a test, not one of a benchmark


@dataclass(frozen=True)
class Refusal:
    """What the middleman answers instead of the server."""

    number: int
    state: str
    message: str

    def packet(self) -> bytes:
        body = b"\xff" + struct.pack("<H", self.number) + b"#" + self.state.encode() + self.message.encode()
        return struct.pack("<I", len(body))[:3] + b"\x01" + body


@dataclass(frozen=True)
class Treatment:
    """What becomes of one query: `cut` is after how many bytes of its answer the connection ends, `reset` how."""

    refusal: Refusal | None = None
    cut: int | None = None
    reset: bool = False
    repeat: bool = False


class Middleman:
    """Accepts connections on loopback and passes them on to the server's socket. `treat` is asked about each query."""

    def __init__(self, host: str, port: int, upstream: str, treat: Callable[[str], Treatment]) -> None:
        self._upstream = upstream
        self._treat = treat
        self._listening = socket.create_server((host, port), backlog=64)
        self.port: int = self._listening.getsockname()[1]
        self._open: set[_Pair] = set()
        threading.Thread(target=self._accept, name=f"mariadb:{self.port}", daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            try:
                pair = _Pair(client, self._upstream, self._treat, self._open.discard)
            except OSError:
                client.close()
                continue
            self._open.add(pair)
            pair.start()

    def hang_up(self) -> int:
        """End every connection now; returns how many there were."""
        pairs = list(self._open)
        for pair in pairs:
            pair.end(reset=True)
        return len(pairs)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for pair in list(self._open):
            pair.end(reset=False)


class _Pair:
    """One connection, both halves. MySQL's packets: three bytes of length, a number, and what they carry."""

    def __init__(
        self, client: socket.socket, upstream: str, treat: Callable[[str], Treatment], ended: Callable[[_Pair], None]
    ) -> None:
        self._client = client
        self._server = socket.socket(socket.AF_UNIX)
        self._server.connect(upstream)
        self._client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._treat = treat
        self._ended = ended
        self._left: int | None = None
        self._reset = False
        self._answer: list[bytes] = []  # of the last query, for when it is given again

    def start(self) -> None:
        for work in (self._ask, self._give):
            threading.Thread(target=work, daemon=True).start()

    def end(self, *, reset: bool) -> None:
        self._ended(self)
        with contextlib.suppress(OSError):
            if reset:
                # Lingering for zero seconds makes the kernel send RST instead of FIN.
                self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            # Wakes the thread that reads; a reset must not be announced by a FIN.
            self._client.shutdown(socket.SHUT_RD if reset else socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._client.close()
        self._server.close()

    def _ask(self) -> None:
        with contextlib.suppress(OSError):
            while head := _exactly(self._client, 4):
                payload = _exactly(self._client, int.from_bytes(head[:3], "little"))
                if head[3] == 0 and payload[:1] == b"\x03":
                    treatment = self._treat(payload[1:].decode("utf-8", "replace"))
                    if treatment.refusal is not None:
                        self._client.sendall(treatment.refusal.packet())
                        continue
                    if treatment.repeat and self._answer:
                        self._client.sendall(b"".join(self._answer))
                        continue
                    self._left, self._reset = treatment.cut, treatment.reset
                    self._answer = []
                self._server.sendall(head + payload)
        self.end(reset=False)

    def _give(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._server.recv(1 << 18):
                if self._left is not None:
                    if len(data) >= self._left:
                        self._client.sendall(data[: self._left])
                        self.end(reset=self._reset)
                        return
                    self._left -= len(data)
                if len(self._answer) < KEPT:
                    self._answer.append(data)
                self._client.sendall(data)
        self.end(reset=False)


def _exactly(connection: socket.socket, length: int) -> bytes:
    """The next bytes of a connection; nothing when it ends."""
    data = b""
    while len(data) < length:
        more = connection.recv(length - len(data))
        if not more:
            return b""
        data += more
    return data
