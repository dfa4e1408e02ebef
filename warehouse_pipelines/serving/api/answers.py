"""What the API answers: JSON that loses nothing.

Money is a text of decimal digits, because a number of JSON is a float to most readers. A time is in UTC, with its
microseconds. ``limit`` and ``cursor`` page by key: a cursor says where the page before ended, so pages neither repeat
nor leave out a row when others are added, and the last page costs what the first one does.
"""

import base64
import binascii
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from fastapi.responses import Response

from warehouse_pipelines.serving.problems import Refusal

MOST = 500
"""Rows of a page."""

_encoder = msgspec.json.Encoder(decimal_format="string")


def reply(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer of JSON."""
    return Response(_encoder.encode(content), status, headers, media_type="application/json")


def created(content: Any, address: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return the answer to a request that made something, and where it is."""
    return reply(content, 201, {"Location": address, **(headers or {})})


def cursor_after(at: datetime, key: UUID) -> str:
    """Return the cursor of the page behind a row."""
    return base64.urlsafe_b64encode(f"{at.astimezone(UTC).isoformat()}|{key}".encode()).decode().rstrip("=")


def read_cursor(given: str) -> tuple[datetime, UUID]:
    """Return the row that a cursor stands behind. Raises ``Refusal``."""
    try:
        text = base64.b64decode(given + "=" * (-len(given) % 4), altchars=b"-_", validate=True).decode()
        at, _, key = text.partition("|")
        found = datetime.fromisoformat(at), UUID(key)
    except (ValueError, binascii.Error):
        raise Refusal(422, "The cursor is none that this API gave.") from None
    if found[0].tzinfo is None:
        raise Refusal(422, "The cursor is none that this API gave.")
    return found


def read_json(given: str, name: str) -> Any:
    """Return the value of a parameter that is JSON. Raises ``Refusal``."""
    try:
        return msgspec.json.decode(given)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        raise Refusal(422, f"{name} is no JSON that can be read.") from None
