"""The push channels of Google: which there are, and whether a notification is of one of them.

A notification is not signed. Its channel must be known, its token must have the hash that is kept, and the resource
must be the channel's; the first message may come before Google has told which that is. A channel that was stopped goes
on sending for a while: it is known, so it is answered as if it were active, and marked as ignored.

The rows are few and kept for ``KEPT_SECONDS``; an unknown channel has them read anew, at most once a second, because it
may have been registered just now.
"""

import hmac
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from warehouse_pipelines.model.webhook import Delivery
from warehouse_pipelines.serving.signatures import token_digest

KEPT_SECONDS = 5.0
AGAIN_SECONDS = 1.0

STATEMENT = """
    SELECT channel_id, token_sha256, resource_id, active AND (expiration IS NULL OR expiration > now()) AS alive
    FROM pipedesk.calendar_sync_states WHERE channel_id IS NOT NULL
    UNION ALL
    SELECT channel_id, token_sha256, resource_id, active AND (expires_at IS NULL OR expires_at > now())
    FROM pipedesk.drive_webhook_channels
"""


class Channel(NamedTuple):
    """A channel as the tables have it."""

    token_sha256: bytes | None
    resource_id: str | None
    alive: bool


class Channels:
    """Asks whether notifications are of known channels; ``ask`` returns the rows of a statement."""

    def __init__(self, ask: Callable[[str], Awaitable[list[tuple[Any, ...]]]]) -> None:
        self._ask = ask
        self._known: Mapping[str, Channel] = {}
        self._read_at = float("-inf")

    async def of(self, delivery: Delivery) -> Channel | None:
        """Return the channel that a notification is of; None for a stranger's. Raises ``InboxAway``."""
        headers = delivery.headers
        channel_id = headers.get("x-goog-channel-id", "")
        age = time.monotonic() - self._read_at
        if age > KEPT_SECONDS or (channel_id not in self._known and age > AGAIN_SECONDS):
            rows = await self._ask(STATEMENT)
            self._known = {row[0]: Channel(bytes(row[1]) if row[1] else None, row[2], bool(row[3])) for row in rows}
            self._read_at = time.monotonic()
        found = self._known.get(channel_id)
        right = found.token_sha256 if found and found.token_sha256 else b"\0" * 32
        same = hmac.compare_digest(token_digest(headers.get("x-goog-channel-token", "")), right)
        if found is None or not same:
            return None
        resource = headers.get("x-goog-resource-id", "")
        if found.resource_id and not hmac.compare_digest(found.resource_id.encode(), resource.encode()):
            return None
        return found
