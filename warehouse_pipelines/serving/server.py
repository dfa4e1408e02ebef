"""Run the program: uvicorn with its parser in C, and a deadline for headers that come too slowly.

It listens on this machine alone, or encrypts, or has a proxy in front that does: else it does not start.

uvicorn limits how long a connection may be idle between requests, and nothing else of what somebody sends who never
ends. ``PatientProtocol`` closes a connection whose request has begun, or has not, for ``HEADER_SECONDS``; that sends
something else than a request between two of them, such as empty lines or the rest of a body that was refused; whose
headers are too large; and that asks again and again before it was answered. Each would hold the memory of this program,
or one of its connections, for nothing.
"""

import asyncio
import contextlib
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from warehouse_pipelines.serving import exposure
from warehouse_pipelines.serving.app import Front, build_app
from warehouse_pipelines.settings import ServeSettings

HEADER_SECONDS = 10.0
MOST_CONNECTIONS = 2_000
"""Beyond these uvicorn answers 503 without a handler."""

LARGEST_HEAD = 64_000
"""Bytes of an address and headers: three times the longest filter of leads."""
MOST_HEADERS = 200
MOST_PIPELINED = 20
"""Requests that may come before the first of them was answered."""


TICK_SECONDS = 1.0
"""How often the server writes its date header; uvicorn wakes up ten times a second."""


class Server(uvicorn.Server):
    """uvicorn, which sleeps while nothing happens: to wake up was most of what an idle server used."""

    _loop: asyncio.AbstractEventLoop | None = None
    _woken: asyncio.Event

    async def main_loop(self) -> None:
        """Do as ``uvicorn.Server.main_loop``, less often; a signal ends it at once."""
        self._loop, self._woken = asyncio.get_running_loop(), asyncio.Event()
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), TICK_SECONDS)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._woken.set)


class TooMuch(Exception):
    """A request is larger than its kind; the parser makes 400 of it, and the connection is closed."""


class PatientProtocol(HttpToolsProtocol):
    """Closes a connection whose headers do not come, or do not end."""

    _deadline: asyncio.TimerHandle | None = None
    _in_head = True
    _head_bytes = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        was_in_head = self._in_head
        super().data_received(data)
        if was_in_head and self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > LARGEST_HEAD and not self.transport.is_closing():
                self.send_400_response("The headers are too large.")
        cycle: Any = self.cycle  # None before the first request
        answered = cycle is None or cycle.response_complete
        if answered and self._deadline is None and self.timeout_keep_alive_task is None:
            self._wait()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0
        self._wait()

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self.headers) >= MOST_HEADERS:
            raise TooMuch
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if len(self.pipeline) >= MOST_PIPELINED:
            raise TooMuch
        self._in_head, self._head_bytes = False, 0
        self._stop_waiting()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._stop_waiting()
        self._deadline = self.loop.call_later(HEADER_SECONDS, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def configuration(settings: ServeSettings, url: str) -> uvicorn.Config:
    """Return how the program is run. Raises ``NotConfigured`` where it would not be safe."""
    exposure.require_safe(settings)
    trusted = exposure.trusted(settings)
    return uvicorn.Config(
        Front(build_app(settings, url)),
        host=settings.warehouse_serve_host,
        port=settings.warehouse_serve_port,
        http=PatientProtocol,
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=bool(trusted),
        forwarded_allow_ips=trusted,
        ssl_certfile=settings.warehouse_tls_certificate,
        ssl_keyfile=settings.warehouse_tls_key,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=10,
    )


def serve(settings: ServeSettings, url: str) -> None:
    """Serve until SIGINT or SIGTERM; what has been accepted by then is committed first."""
    Server(configuration(settings, url)).run()
