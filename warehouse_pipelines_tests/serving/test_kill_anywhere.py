"""``serve`` is killed at one line after the other, from the receipt of a delivery to its answer.

What was answered with 200 is in the inbox; what was not is taken when the vendor sends it again; none is there twice.
The lines are those of the rooms that keep a delivery and of the driver, so a kill also falls between the statement that
commits and the answer to it.
"""

import os
import signal
import socket
import sys
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any

import httpx
import pytest
import uvicorn

from warehouse_pipelines.serving.receive import Receiver
from warehouse_pipelines.serving.server import configuration
from warehouse_pipelines.settings import ServeSettings
from warehouse_pipelines_tests.harness.examples import examples
from warehouse_pipelines_tests.harness.serving import PUBLIC, SECRETS, contact_event, events, hubspot, serving
from warehouse_pipelines_tests.harness.source_harness import looking
from warehouse_pipelines_tests.harness.subprocesses import FORKS, PATIENCE

ROOMS = ("/serving/", "/psycopg/")


def _serve(url: str, listener: socket.socket, last_line: int, told: Connection) -> None:
    """Serve; end this process by SIGKILL at so many lines after the second delivery has come."""
    deliveries = lines = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal deliveries, lines
        code = frame.f_code
        begins = frame.f_lineno == code.co_firstlineno  # and does not go on after a wait
        if event == "call" and code is Receiver.__call__.__code__ and begins:
            deliveries += 1
        if not any(room in code.co_filename for room in ROOMS):
            return None
        if event == "line" and deliveries == 2:
            lines += 1
            if lines == last_line:
                os.kill(os.getpid(), signal.SIGKILL)
        if code.co_name == "_answer" and event == "return" and deliveries == 2:
            told.send(lines)
        return trace

    given: dict[str, Any] = {**SECRETS, "warehouse_public_url": PUBLIC}
    server = uvicorn.Server(configuration(ServeSettings(**given), url))
    sys.settrace(trace)
    server.run(sockets=[listener])


def killed_at(url: str, line: int, number: int) -> tuple[int, int]:
    """Deliver a numbered event to a ``serve`` that ends at a line; return the status, and the lines to the answer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours, theirs = FORKS.Pipe()
        process: Any = FORKS.Process(target=_serve, args=(url, listener, line, theirs), daemon=True)
        process.start()
        port = listener.getsockname()[1]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
        assert deliver(client, 1_000_000) == 200, "the session of the database is open now"
        status = deliver(client, number)
    lines = ours.recv() if status == 200 and ours.poll(5) else 0
    process.kill()
    process.join()
    return status, lines


def deliver(client: httpx.Client, number: int) -> int:
    body = events(contact_event(number))
    headers = {name.replace("_", "-"): value for name, value in hubspot(body).items()}
    try:
        return client.post("/webhooks/hubspot", content=body, headers=headers).status_code
    except httpx.HTTPError:
        return 0


KILLS = examples(4, of=6)


@pytest.mark.timeout(1200)
@pytest.mark.slow("the same in other circumstances")
def test_no_line_between_receipt_and_commit_loses_a_delivery(database_url: str) -> None:
    status, lines = killed_at(database_url, 0, 0)
    assert status == 200
    assert lines > 100, "the lines of a delivery are counted"
    statuses = {}
    for number in range(1, KILLS + 1):
        statuses[number], _ = killed_at(database_url, max(1, number * lines // KILLS), number)
    assert 0 in statuses.values(), "none was killed in time"
    found = looking(database_url).execute(
        "SELECT (body::jsonb -> 0 ->> 'objectId')::int AS number FROM orchestration.webhook_inbox"
    )
    kept = [row["number"] for row in found.fetchall()]
    assert {number for number, status in statuses.items() if status == 200} <= set(kept)
    assert len(kept) == len(set(kept))
    with serving(database_url) as serve:
        for number in statuses:
            body = events(contact_event(number))
            assert serve.post("hubspot", body, **hubspot(body)) == 200
        assert len(serve.inbox()) == KILLS + 2
