"""A private PostgreSQL for the simulated vendor whose source is one, and its protocol for the proxy.

One server per process, in a temp folder. It ends and its folder goes when this process does, however it ends: a shell
waits for the end of a pipe.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path

from warehouse_pipelines.errors import NotConfigured
from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines.local.postgres_programs import find_binaries
from warehouse_pipelines.simulators.core.proxy import ProxyConnection, Refusal, exactly

# Ends the server when standard input does, which is when its owner ended.
OWNED = 'read -r _; exec "$1" -c "$2" "$3"'
END = """
import shutil, sys
from pathlib import Path
from warehouse_pipelines.local.postgres import Server
server = Server(Path(sys.argv[1]), durable=False)
data = server.data
server.stop("immediate")
for folder in (server.home, data.parent):
    shutil.rmtree(folder, ignore_errors=True)
"""


def lacking() -> str | None:
    """What this machine lacks for a server of its own; None when it has all."""
    try:
        find_binaries()
    except NotConfigured:
        return "PostgreSQL's programs"
    return None


class Cluster:
    """A running server. Databases that are `copied` are made once and then copied, which takes a tenth of the time."""

    def __init__(self) -> None:
        home = Path(tempfile.mkdtemp(prefix="pipedesk-"))
        self.server = Server(home, durable=False)
        self._templates: dict[object, str] = {}
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", OWNED, "sh", sys.executable, END, str(home)],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            cwd=Path(__file__).parents[3],
        )  # fmt: skip
        try:
            self.server.start()
        except BaseException:
            self.close()
            raise
        atexit.register(self.close)

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", int(self.server.url().rpartition(":")[2].partition("/")[0])

    def copied(self, name: str, what: object, fill: Callable[[str], None]) -> None:
        """Make a database like the one that `fill` made for `what`."""
        if what not in self._templates:
            template = f"template_{uuid.uuid4().hex[:12]}"
            self.server.create_database(template)
            fill(template)
            self._templates[what] = template
        with self.server.connect("postgres") as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {self._templates[what]} STRATEGY file_copy")

    def close(self) -> None:
        atexit.unregister(self.close)
        with contextlib.suppress(OSError):
            if self._shell.stdin is not None:
                self._shell.stdin.close()
        self._shell.wait(timeout=60)
        shutil.rmtree(self.server.home, ignore_errors=True)


@functools.cache
def cluster() -> Cluster:
    """The server of this process."""
    return Cluster()


class PostgresRefusal(Refusal):
    """`number` 1 ends the connection with it."""

    def packet(self) -> bytes:
        severity = b"FATAL" if self.number else b"ERROR"
        fields = {b"S": severity, b"V": severity, b"C": self.state.encode(), b"M": self.message.encode()}
        body = b"".join(name + value + b"\0" for name, value in fields.items()) + b"\0"
        return b"E" + struct.pack("!I", len(body) + 4) + body


START, CANCEL, SSL, GSS = 196608, 80877102, 80877103, 80877104
CONNECT = ""
"""What the proxy is asked about a connection that begins."""

DECLARED = re.compile(r'\s*DECLARE\s+"?(\w+)"?\s', re.IGNORECASE)
FETCHED = re.compile(r'\s*FETCH\b.*\bFROM\s+"?(\w+)"?', re.IGNORECASE)
FAILED = b"Z\0\0\0\5E"
"""The server is ready, and the transaction has failed."""


class PostgresProxyConnection(ProxyConnection):
    """PostgreSQL's messages: a letter, four bytes of length, and what they carry; the first have no letter."""

    def _ask(self) -> None:
        with contextlib.suppress(OSError):
            if self._began():
                self._questions()
        self.end(reset=False)

    def _began(self) -> bool:
        while head := exactly(self._client, 4):
            rest = exactly(self._client, struct.unpack("!I", head)[0] - 4)
            code = struct.unpack("!I", rest[:4])[0]
            if code == START:
                treatment = self._treat(CONNECT)
                if treatment.refusal is not None:
                    self._client.sendall(treatment.refusal.packet())
                    return False
                if treatment.cut is not None:
                    return False
            self._server.sendall(head + rest)
            if code not in (SSL, GSS):
                return bool(code == START)
        return False

    def _questions(self) -> None:
        declared: dict[str, str] = {}
        while head := exactly(self._client, 5):
            payload = exactly(self._client, struct.unpack("!I", head[1:])[0] - 4)
            if head[:1] in (b"Q", b"P"):
                texts = payload.split(b"\0")
                statement = texts[0 if head[:1] == b"Q" else 1].decode("utf-8", "replace")
                if named := DECLARED.match(statement):
                    declared[named[1]] = statement
                elif (named := FETCHED.match(statement)) and named[1] in declared:
                    statement = f"{statement} OF {declared[named[1]]}"
                treatment = self._treat(statement)
                if treatment.refusal is not None:
                    self._rest_of(head)
                    self._client.sendall(treatment.refusal.packet())
                    if treatment.refusal.number:
                        return
                    self._client.sendall(FAILED)
                    continue
                if not self._allowed(treatment):
                    self._rest_of(head)
                    continue
            self._server.sendall(head + payload)

    def _rest_of(self, head: bytes) -> None:
        """Swallow what belongs to a question that the server is not asked."""
        while head[:1] not in (b"Q", b"S") and (head := exactly(self._client, 5)):
            exactly(self._client, struct.unpack("!I", head[1:])[0] - 4)
