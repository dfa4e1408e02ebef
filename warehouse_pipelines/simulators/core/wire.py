"""HTTP/1.1 over a socket, as little of it as a simulated vendor needs, and the ways in which an answer can go wrong.

The standard library's server spends more time on headers than a page of a hundred records takes to make, and it cannot
break off in the middle of a body. One thread per connection, keep-alive, no delay of small packets.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, unquote

import msgspec


class BadRequestError(Exception):
    """The body is not what it says it is."""


@dataclass(slots=True)
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    client: str
    path: str = ""
    query: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        path, _, query = self.target.partition("?")
        self.path = unquote(path)
        self.query = parse_qs(query, keep_blank_values=True) if query else {}

    def first(self, name: str, default: str = "") -> str:
        values = self.query.get(name)
        return values[0] if values else default

    def json(self) -> Any:
        if not self.body:
            return {}
        try:
            return msgspec.json.decode(self.body)
        except msgspec.DecodeError as error:
            raise BadRequestError(str(error)) from error


@dataclass(slots=True)
class Answer:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json;charset=utf-8"
    route: str = ""  # the template of the path, for the counters
    page_size: int | None = None
    list_key: str | None = None  # where the records are, when there are any; "" when they are the whole answer
    breakage: str | None = None  # reset | length | chunked | cut


def answer_json(status: int, value: Any, **more: Any) -> Answer:
    return Answer(status, msgspec.json.encode(value), **more)


class Listener:
    """Accepts connections on a port of its own and gives each a thread."""

    def __init__(self, host: str, port: int, respond: Callable[[Request], Answer]) -> None:
        self._respond = respond
        self._socket = socket.create_server((host, port), backlog=256)
        self.host = host
        self.port: int = self._socket.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._closed = False
        self._thread = threading.Thread(target=self._accept, name=f"simulator:{self.port}", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def close(self) -> None:
        self._closed = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(timeout=5)

    def _accept(self) -> None:
        while not self._closed:
            try:
                connection, address = self._socket.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection, address[0]), daemon=True).start()

    def _serve(self, connection: socket.socket, client: str) -> None:
        reader = connection.makefile("rb", buffering=65536)
        try:
            while not self._closed:
                line = reader.readline(1 << 20)
                parts = line.split()
                if len(parts) != 3:
                    return
                headers: dict[str, str] = {}
                while (header := reader.readline(1 << 16)) not in (b"\r\n", b"\n", b""):
                    name, _, value = header.partition(b":")
                    headers[name.decode("latin-1").lower()] = value.strip().decode("latin-1")
                body = reader.read(int(headers.get("content-length") or 0))
                request = Request(parts[0].decode(), parts[1].decode("latin-1"), headers, body, client)
                if not _send(connection, self._respond(request)):
                    return
                if headers.get("connection", "").lower() == "close":
                    return
        except (OSError, ValueError):
            return
        finally:
            self._open.discard(connection)
            reader.close()
            connection.close()


def _send(connection: socket.socket, answer: Answer) -> bool:
    """Whether the connection can be used again."""
    body = answer.body
    half = body[: max(1, len(body) // 2)]
    try:
        reason = HTTPStatus(answer.status).phrase
    except ValueError:
        reason = "Unknown"
    lines = [f"HTTP/1.1 {answer.status} {reason}"]
    if answer.status != 204:
        lines.append(f"Content-Type: {answer.content_type}")
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    if answer.breakage == "chunked":
        lines.append("Transfer-Encoding: chunked")
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(half), half)
    elif answer.breakage == "cut":
        lines.append(f"Content-Length: {len(half)}")
        body = half
    elif answer.status != 204 and "Content-Length" not in answer.headers:  # of a HEAD: what GET would send
        lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join([*lines, "\r\n"]).encode("latin-1")
    if answer.breakage in ("reset", "length"):
        connection.sendall(head + half)
        if answer.breakage == "reset":
            # Lingering for zero seconds makes the kernel send RST instead of FIN.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False
    connection.sendall(head + body)
    return True
