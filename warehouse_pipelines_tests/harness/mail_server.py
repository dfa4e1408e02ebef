"""A mail server and a text message service on loopback: real sockets, and the bad habits of real ones."""

import contextlib
import json
import socketserver
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class MailServer:
    """What it answers to each command, if not 250; ``ends_after`` closes the connection after that command."""

    port: int = 0
    answers: dict[str, str] = field(default_factory=dict)
    ends_after: str = ""
    received: list[tuple[str, EmailMessage]] = field(default_factory=list)
    """To whom, and what."""
    raw: list[bytes] = field(default_factory=list)
    """The same as it came."""

    def recipients(self) -> Counter[str]:
        return Counter(recipient for recipient, _ in self.received)


@contextlib.contextmanager
def mail_server() -> Iterator[MailServer]:
    made = MailServer()

    class Conversation(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 loopback\r\n")
            recipient = ""
            while line := self.rfile.readline():
                command = line[:4].decode().strip().upper()
                if command == "QUIT":
                    self.wfile.write(b"221 bye\r\n")
                    return
                if command == "RCPT":
                    recipient = line.decode().partition("<")[2].partition(">")[0]
                answer = made.answers.get(command, "354 go on" if command == "DATA" else "250 ok")
                if command == "DATA" and answer.startswith("354"):
                    self.wfile.write(f"{answer}\r\n".encode())
                    lines = []
                    while (one := self.rfile.readline()) not in (b".\r\n", b""):
                        lines.append(one.removeprefix(b"."))
                    answer = made.answers.get("END", "250 taken")
                    if answer.startswith("250"):
                        made.raw.append(b"".join(lines))
                        found = message_from_bytes(b"".join(lines), policy=policy.default)
                        made.received.append((recipient, found))
                if command == made.ends_after:
                    return
                self.wfile.write(f"{answer}\r\n".encode())

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = daemon_threads = True

    with Server(("127.0.0.1", 0), Conversation) as server:
        made.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield made
        finally:
            server.shutdown()


@dataclass
class TextService:
    """``status`` is what it answers to a message; ``ends`` closes the connection instead, after it took the message."""

    url: str = ""
    status: int = 202
    ends: bool = False
    can_be_asked: bool = True
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    sent: list[dict[str, Any]] = field(default_factory=list)
    """What went to a phone: a repeated key does not."""


@contextlib.contextmanager
def text_service() -> Iterator[TextService]:
    made = TextService()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.requests.append((dict(self.headers), body))
            message = json.loads(body)
            if made.status < 300:
                if message["key"] in {one["key"] for one in made.sent}:
                    self._answer(409, {"id": f"sm-{message['key']}"})
                    return
                made.sent.append(message)
            if made.ends:
                self.connection.close()
            else:
                self._answer(made.status, {"id": f"sm-{message['key']}"})

        def do_GET(self) -> None:
            key = self.path.rpartition("/")[2].replace("%3A", ":")
            there = key in {one["key"] for one in made.sent}
            self._answer((200 if there else 404) if made.can_be_asked else 405, {"id": f"sm-{key}"})

        def _answer(self, status: int, content: dict[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_address[1]}/messages"
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield made
        finally:
            server.shutdown()
