"""What the simulated vendors share whose source is a database: faults, and a proxy, whatever protocol is spoken.

The proxy is a port on loopback that passes the bytes on, asks about each query what becomes of it, and can do what
a server does on a bad day: refuse with an error, hang up in the middle of an answer, give an answer again.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from warehouse_pipelines.simulators.core.simulator import Simulator, operation

KEPT = 8  # pieces of the last answer, for when it is given again: a page of a test, not one of a benchmark


@dataclass(frozen=True)
class Refusal:
    """What the proxy answers instead of the server."""

    number: int
    state: str
    message: str

    def packet(self) -> bytes:
        raise NotImplementedError


@dataclass(frozen=True)
class Treatment:
    """What becomes of one query: `cut` is after how many bytes of its answer the connection ends, `reset` how."""

    refusal: Refusal | None = None
    cut: int | None = None
    reset: bool = False
    repeat: bool = False


Treat = Callable[[str], Treatment]
Upstream = str | tuple[str, int]
"""A Unix socket, or a port."""


NO_COUNTERPART = {"html", "endless", "lying_total", "missing_list", "null_last_page"}


class DatabaseSimulator(Simulator):
    """A vendor whose clients ask in SQL; what corrupts an answer elsewhere happens to its tables here."""

    def key_of(self, table: str) -> tuple[str, ...]:
        raise NotImplementedError

    def corrupt_column(self, table: str, name: str) -> None:
        """The vendor makes a column text, and somebody types words into one row."""
        raise NotImplementedError

    def rename_column(self, table: str, name: str, to: str) -> None:
        raise NotImplementedError

    @operation
    def set_fault(self, kind: str, **parameters: Any) -> None:
        if kind in NO_COUNTERPART:
            raise ValueError(f"a database has no counterpart of {kind!r}")
        if kind != "malformed":
            super().set_fault(kind, **parameters)
            return
        table = parameters["path"].strip("/")
        match parameters.get("what", "bad_date"):
            case "bad_date" | "bad_number":
                self.corrupt_column(table, parameters["property"])
            case "non_object":
                self.rename_column(table, self.key_of(table)[0], "another_key")
            case what:
                raise ValueError(f"a database has no counterpart of {what!r}")


class Proxy:
    """Accepts connections on loopback and passes them on to the server. `treat` is asked about each query."""

    def __init__(
        self, host: str, port: int, upstream: Upstream, treat: Treat, connection: type[ProxyConnection]
    ) -> None:
        self._upstream = upstream
        self._treat = treat
        self._connection = connection
        self._listening = socket.create_server((host, port), backlog=64)
        self.port: int = self._listening.getsockname()[1]
        self._open: set[ProxyConnection] = set()
        threading.Thread(target=self._accept, name=f"proxy:{self.port}", daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            try:
                connection = self._connection(client, self._upstream, self._treat, self._open.discard)
            except OSError:
                client.close()
                continue
            self._open.add(connection)
            connection.start()

    def hang_up(self) -> int:
        """End every connection now; returns how many there were."""
        connections = list(self._open)
        for connection in connections:
            connection.end(reset=True)
        return len(connections)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for connection in list(self._open):
            connection.end(reset=False)


class ProxyConnection:
    """One connection, both halves. A subclass knows the client's messages."""

    def __init__(
        self, client: socket.socket, upstream: Upstream, treat: Treat, ended: Callable[[ProxyConnection], None]
    ) -> None:
        self._client = client
        self._server = socket.socket(socket.AF_UNIX if isinstance(upstream, str) else socket.AF_INET)
        try:
            self._server.connect(upstream)
        except OSError:
            self._server.close()
            raise
        if not isinstance(upstream, str):
            self._server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
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
        """Pass on what the client says, until it says no more."""
        raise NotImplementedError

    def _allowed(self, treatment: Treatment) -> bool:
        """Prepare for the answer of a query; False when it is given from memory."""
        if treatment.repeat and self._answer:
            self._client.sendall(b"".join(self._answer))
            return False
        self._left, self._reset = treatment.cut, treatment.reset
        self._answer = []
        return True

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


def exactly(connection: socket.socket, length: int) -> bytes:
    """The next bytes of a connection; nothing when it ends."""
    data = b""
    while len(data) < length:
        more = connection.recv(length - len(data))
        if not more:
            return b""
        data += more
    return data
