"""What the simulated HubSpot delivers: events as the notes have them, signed by version 3."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from warehouse_pipelines.simulators.core.webhooks import Event, Message
from warehouse_pipelines.simulators.hubspot.objects import PORTAL, ObjectType

__all__ = ["MOST_TOGETHER", "Event", "Message", "event", "signed"]

MOST_TOGETHER = 100
STANDARD = {"contacts": "contact", "companies": "company", "deals": "deal", "line_items": "line_item"}


def event(kind: ObjectType, what: str, object_id: str, event_id: int, at_ms: int, more: dict[str, Any]) -> Event:
    """One event. Ids of events repeat, as the vendor warns."""
    return {
        "eventId": event_id % 97,
        "subscriptionId": 12,
        "portalId": PORTAL,
        "appId": 9,
        "occurredAt": at_ms,
        "subscriptionType": f"{STANDARD.get(kind.name, 'object')}.{what}",
        "attemptNumber": 0,
        "objectId": int(object_id),
        "objectTypeId": kind.type_id,
        "changeSource": "CRM_UI",
        **more,
    }


def signed(events: Sequence[Event], url: str, secret: str, public_url: str) -> Message:
    """An array of events, signed for the address by which the vendor knows it."""
    body = json.dumps(events).encode()
    at = str(int(time.time() * 1000))
    where = urlsplit(url)
    called = f"{public_url}{where.path}{'?' if where.query else ''}{where.query}" if public_url else url
    text = b"POST" + called.encode() + body + at.encode()
    signature = base64.b64encode(hmac.new(secret.encode(), text, hashlib.sha256).digest()).decode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "HubSpot Connect 2.0 (http://dev.hubspot.com/) (namespace: webhooks-nio-http-client)",
        "X-HubSpot-Signature-v3": signature,
        "X-HubSpot-Request-Timestamp": at,
    }
    return Message(body, headers)
