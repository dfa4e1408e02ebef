"""A running ``warehouse serve``, in a thread of the test, and deliveries as vendors sign them."""

import base64
import hashlib
import hmac
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

import httpx
import uvicorn

from warehouse_pipelines.serving import app as application
from warehouse_pipelines.serving.server import configuration
from warehouse_pipelines.settings import ServeSettings
from warehouse_pipelines_tests.harness.crm_database import A
from warehouse_pipelines_tests.harness.http_client import PLAIN
from warehouse_pipelines_tests.harness.source_harness import looking

NO_COLLECTING = SimpleNamespace(collect=lambda: None, freeze=lambda: None, unfreeze=lambda: None)
"""In place of the garbage collector: all that the tests have imported takes 0.3 s to look through at each start."""

PUBLIC = "https://hooks.example.test"
SECRETS = {
    "hubspot_client_secret": "invented-client-secret",
    "callrail_signing_keys": "key-of-company-one, key-of-company-two",
    "arrivy_webhook_secret": "invented-arrivy-word",
    "leadconduit_webhook_secret": "invented-leadconduit-word",
}


class Serving:
    """Where the program listens, and what it has kept."""

    def __init__(self, address: str, url: str, app: Any = None) -> None:
        self.address, self.url, self.app = address, url, app
        self.client = httpx.Client(base_url=address, timeout=30, verify=PLAIN)

    def post(self, source: str, body: bytes = b"", **headers: str) -> int:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(f"/webhooks/{source}", content=body, headers=sent).status_code

    def inbox(self) -> list[dict[str, Any]]:
        return looking(self.url).execute("SELECT * FROM orchestration.webhook_inbox ORDER BY id").fetchall()

    def outcomes(self, source: str) -> dict[str, int]:
        found: dict[str, int] = self.client.get("/health").json()["webhooks"].get(source, {})
        return found


@contextmanager
def serving(url: str, **settings: Any) -> Iterator[Serving]:
    """Serve the warehouse at ``url`` on a free port; sources feed the organization A."""
    given: dict[str, Any] = {**SECRETS, "warehouse_public_url": PUBLIC, "warehouse_serve_port": 0, **settings}
    with mock.patch.dict(os.environ, CRM_ORGANIZATION_ID=A):
        configured = configuration(ServeSettings(**given), url)
    front: Any = configured.app
    server = uvicorn.Server(configured)
    thread = threading.Thread(target=server.run, name="serve", daemon=True)
    with mock.patch.object(application, "gc", NO_COLLECTING):
        thread.start()
        deadline = time.monotonic() + 60
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        served = Serving(f"http://127.0.0.1:{port}", url, front._app)
        try:
            yield served
        finally:
            served.client.close()
            server.should_exit = True
            thread.join(timeout=30)


def hubspot(
    body: bytes, *, secret: str = SECRETS["hubspot_client_secret"], age: float = 0.0, path: str = "/webhooks/hubspot"
) -> dict[str, str]:
    """Return the headers of a delivery of HubSpot's version 3."""
    sent_at = str(int((time.time() - age) * 1000))
    signed = b"POST" + f"{PUBLIC}{path}".encode() + body + sent_at.encode()
    signature = base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()
    return {"X_HubSpot_Signature_v3": signature, "X_HubSpot_Request_Timestamp": sent_at}


def callrail(body: bytes, key: str = "key-of-company-two") -> dict[str, str]:
    """Return the headers of a delivery of CallRail."""
    return {"Signature": base64.b64encode(hmac.new(key.encode(), body, hashlib.sha1).digest()).decode()}


def contact_event(key: int | str, kind: str = "contact.propertyChange", **more: Any) -> dict[str, Any]:
    """Return an event of HubSpot as its documentation shows it."""
    return {
        "eventId": 31, "subscriptionId": 12, "portalId": 4440001, "appId": 9, "occurredAt": 1781000000123,
        "subscriptionType": kind, "attemptNumber": 0, "objectId": int(key), "changeSource": "CRM_UI", **more,
    }  # fmt: skip


def events(*found: dict[str, Any]) -> bytes:
    return json.dumps(found).encode()
