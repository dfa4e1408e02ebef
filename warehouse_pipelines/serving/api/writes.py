"""Writes that may be repeated: ``Idempotency-Key``.

A client that got no answer does not know whether its write was made. It sends the same request again under the same
key, and it is made once: the key is kept in the transaction of the write, and the second request is answered with what
the first one made. Of that only the id is kept, not the answer, so erasing a person leaves nothing here; the repetition
shows it as it is by then. Two at a time wait for each other. Another request under the same key is refused (422).
"""

import hashlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from fastapi import Request
from fastapi.responses import Response

from warehouse_pipelines.serving.database import CRM_APP, become, leave
from warehouse_pipelines.serving.guard import visitor
from warehouse_pipelines.serving.problems import Refusal
from warehouse_pipelines.serving.secrets_kept import digest

if TYPE_CHECKING:
    from warehouse_pipelines.serving.database import Session

LONGEST = 200

Write = Callable[["Session"], Awaitable[str]]
"""Makes the write as ``crm_app``, and returns the id of what it made or changed."""

Show = Callable[["Session", str], Awaitable[Response]]
"""Answers with what has this id."""


async def once(request: Request, write: Write, show: Show) -> Response:
    """Make a write below row-level security, once for each key, and answer with what it made. Raises ``Refusal``."""
    who, key = visitor(request), request.headers.get("idempotency-key")
    if key is None:
        async with request.app.state.pool.acting(CRM_APP, who) as session:
            return await show(session, await write(session))
    if not 1 <= len(key) <= LONGEST:
        raise Refusal(422, f"An Idempotency-Key has 1 to {LONGEST} characters.")
    fingerprint = hashlib.sha256(
        b"\n".join((key.encode(), request.method.encode(), request.url.path.encode(), await request.body()))
    ).digest()
    async with request.app.state.pool.session() as session, session.transaction():
        # Waits while another request holds the key, and goes on if that one fails.
        cursor = await session.execute(
            "INSERT INTO access.idempotency_key (user_id, key_hash, fingerprint) VALUES (%s, %s, %s)"
            " ON CONFLICT (user_id, key_hash) DO NOTHING RETURNING true",
            [who.user_id, digest(key), fingerprint],
        )
        if await cursor.fetchone() is None:
            return await _again(session, request, digest(key), fingerprint, show)
        await become(session, CRM_APP, who)
        made = await write(session)
        answer = await show(session, made)
        await leave(session)
        await session.execute(
            "UPDATE access.idempotency_key SET status = %s, resource = %s WHERE user_id = %s AND key_hash = %s",
            [answer.status_code, made, who.user_id, digest(key)],
        )
        return answer


async def _again(session: "Session", request: Request, key: bytes, fingerprint: bytes, show: Show) -> Response:
    who = visitor(request)
    cursor = await session.execute(
        "SELECT fingerprint, status, resource FROM access.idempotency_key WHERE user_id = %s AND key_hash = %s",
        [who.user_id, key],
    )
    row = await cursor.fetchone()
    if row is None:
        raise Refusal(409, "A request under this Idempotency-Key has just ended. Send it again.")
    if bytes(row["fingerprint"]) != fingerprint:
        raise Refusal(422, "This Idempotency-Key was used for another request. Use a new one.")
    await become(session, CRM_APP, who)
    answer = await show(session, row["resource"])
    answer.headers["Idempotency-Replayed"] = "true"
    return answer
