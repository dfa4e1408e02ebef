"""What the server does while nobody asks."""

import signal
import threading
import time
from typing import Any

import httpx
import uvicorn

from warehouse_pipelines.serving.server import Server
from warehouse_pipelines_tests.harness.subprocesses import eventually


class Counted(Server):
    """Counts how often it wakes up."""

    ticks = 0

    async def on_tick(self, counter: int) -> bool:
        self.ticks += 1
        return await super().on_tick(counter)


async def answer(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"here"})


def test_a_server_sleeps_while_nobody_asks_and_ends_at_once() -> None:
    server = Counted(uvicorn.Config(answer, host="127.0.0.1", port=0, lifespan="off", log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    eventually(lambda: server.started, "it listens")
    address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    before = server.ticks
    answered = httpx.get(address, trust_env=False)
    assert answered.text == "here"
    assert "date" in answered.headers
    time.sleep(1.2)
    assert server.ticks - before <= 3
    server.handle_exit(signal.SIGTERM, None)
    thread.join(timeout=20)
    assert not thread.is_alive()
