"""Receive a delivery: in this order the address, the sender's rate, the body, the proof, the inbox.

    404  no such vendor                413  more than a megabyte
    401  the proof does not hold       408  the body does not come
    429  too many from this sender     503  the inbox is away, or there is no room: the vendor should try again
    200  committed to the inbox, or there already

Nothing of a body is parsed before its proof holds. Neither headers nor bodies are logged. What is refused is counted
(``outcomes``), and not kept.

It speaks ASGI by itself: the request, the router and the middleware of Starlette cost a delivery as much processor time
as all that is done here.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from warehouse_pipelines.model.webhook import Delivery, UnreadableDelivery
from warehouse_pipelines.serving.channels import Channels
from warehouse_pipelines.serving.inbox import Inbox, InboxAway, Kept, Unstorable
from warehouse_pipelines.serving.limits import BODY_SECONDS, LARGEST_BODY, Rate, Room
from warehouse_pipelines.serving.outcomes import Outcomes
from warehouse_pipelines.serving.vendors import VENDORS, Vendor
from warehouse_pipelines.settings import ServeSettings

log = logging.getLogger("warehouse.webhooks")

MOST_IDS = 1_000
"""Ids of events that are kept of a delivery: ten times what a vendor sends at once."""

PATH = "/webhooks/"

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Refused(Exception):
    """A delivery is answered with this status, and counted under this word."""

    def __init__(self, status: int, outcome: str) -> None:
        super().__init__(outcome)
        self.status, self.outcome = status, outcome


class Receiver:
    """What answers ``POST /webhooks/<vendor>``."""

    def __init__(self, settings: ServeSettings, inbox: Inbox, outcomes: Outcomes) -> None:
        self._settings, self._inbox, self._outcomes = settings, inbox, outcomes
        self._rate, self._room = Rate(settings.warehouse_webhook_rate), Room()
        self._channels = Channels(inbox.ask)
        self._public = settings.warehouse_public_url.rstrip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one delivery."""
        if scope["method"] != "POST":
            await _answer(send, 405, (b"allow", b"POST"))
            return
        vendor = VENDORS.get(scope["path"].removeprefix(PATH))
        if vendor is None:
            self._outcomes.add("unknown", "not found")
            await _answer(send, 404)
            return
        try:
            outcome = await self._receive(vendor, scope, receive)
        except Refused as refused:
            self._outcomes.add(vendor.name, refused.outcome)
            await _answer(send, refused.status)
        except InboxAway:
            self._outcomes.add(vendor.name, "away")
            await _answer(send, 503)
        else:
            self._outcomes.add(vendor.name, outcome)
            await _answer(send, 200)

    async def _receive(self, vendor: Vendor, scope: Scope, receive: Receive) -> str:
        sender = scope["client"][0] if scope.get("client") else ""
        if not self._rate.allows(vendor.name, sender):
            raise Refused(429, "too many")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        parts: list[bytes] = []
        try:
            await self._read_body(headers, receive, parts)
            return await self._keep(vendor, scope, headers, b"".join(parts))
        finally:
            self._room.give_back(sum(map(len, parts)))

    async def _read_body(self, headers: dict[str, str], receive: Receive, parts: list[bytes]) -> None:
        """Add to ``parts`` the body, of which no more is read than is allowed."""
        announced = headers.get("content-length", "0")
        if announced.isdigit() and int(announced) > LARGEST_BODY:
            raise Refused(413, "too large")
        size, more = 0, True
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Refused(400, "broken off")
                    part, more = message.get("body", b""), message.get("more_body", False)
                    parts.append(part)
                    size += len(part)
                    room = self._room.take(len(part))
                    if size > LARGEST_BODY:
                        raise Refused(413, "too large")
                    if not room:
                        raise Refused(503, "no room")
        except TimeoutError:
            raise Refused(408, "too slow") from None

    async def _keep(self, vendor: Vendor, scope: Scope, headers: dict[str, str], body: bytes) -> str:
        delivery = Delivery(headers, body, self._url(scope, headers), scope["method"])
        alive = await self._verified(vendor, delivery)
        status, error, ids = "pending", "", []
        try:
            ids = [one.replace("\0", "")[:200] for one in vendor.read(delivery).ids[:MOST_IDS]]
        except UnreadableDelivery as unreadable:
            status, error = "failed", str(unreadable)
        if not alive:
            status = "ignored"
        kept = Kept(
            vendor.name, vendor.key(delivery), ids, vendor.kept_headers(delivery),
            body.decode("utf-8", "replace").replace("\0", "\ufffd") if status != "ignored" else "", status, error,
        )  # fmt: skip
        try:
            new = await self._inbox.put(kept)
        except Unstorable as unstorable:
            log.error("a delivery of %s cannot be stored: %s", vendor.name, unstorable)
            raise Refused(400, "unstorable") from None
        return "duplicate" if not new else "accepted" if status == "pending" else status

    async def _verified(self, vendor: Vendor, delivery: Delivery) -> bool:
        """Return whether to act on a delivery that is the vendor's. Raises ``Refused`` for any other."""
        if vendor.verify is not None:
            if not vendor.is_verified(delivery, self._settings):
                raise Refused(401, "refused")
            return True
        channel = await self._channels.of(delivery)
        if channel is None:
            raise Refused(401, "refused")
        return channel.alive

    def _url(self, scope: Scope, headers: dict[str, str]) -> str:
        """Return the address that the vendor called, as it wrote it."""
        path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
        query = scope["query_string"].decode("latin-1")
        host = self._public or f"{scope['scheme']}://{headers.get('host', '')}"
        return f"{host}{path}{'?' if query else ''}{query}"


async def _answer(send: Send, status: int, *more: tuple[bytes, bytes]) -> None:
    if status in (429, 503):
        more += ((b"retry-after", b"1" if status == 429 else b"10"),)
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0"), *more]})
    await send({"type": "http.response.body", "body": b""})
