"""Writes that may be repeated: ``Idempotency-Key``.

A client that got no answer does not know whether its write was made. It sends the same request again under the same
key, and it is made once: the key is kept in the transaction of the write, and the second request is answered with what
the first one made. Of that only the id is kept, not the answer, so erasing a person leaves nothing here; the repetition
shows it as it is by then. Two at a time wait for each other. Another request under the same key is refused (422).

What another program makes is in no transaction of ours. Its key is kept before it is asked (``once_elsewhere``), and
a repetition looks there for what was made.
"""

import hashlib
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from fastapi import Request
from fastapi.responses import Response

from warehouse_pipelines.serving.database import CRM_APP, become, leave
from warehouse_pipelines.serving.guard import Visitor, visitor
from warehouse_pipelines.serving.problems import Refusal
from warehouse_pipelines.serving.secrets_kept import digest

if TYPE_CHECKING:
    from warehouse_pipelines.serving.database import Session

LONGEST = 200
UNDECIDED = "10 minutes"
"""After this a program that was asked for something no longer works on it. ``make`` sees to that."""
RETRY_SECONDS = "30"

TAKE = """
    INSERT INTO access.idempotency_key (user_id, key_hash, fingerprint) VALUES (%s, %s, %s)
    ON CONFLICT (user_id, key_hash) DO NOTHING RETURNING created_at
"""
KEEP = "UPDATE access.idempotency_key SET status = %s, resource = %s WHERE user_id = %s AND key_hash = %s"
TAKE_OVER = """
    UPDATE access.idempotency_key SET created_at = now()
    WHERE user_id = %s AND key_hash = %s AND resource IS NULL AND created_at < now() - %s::interval
    RETURNING created_at
"""
GIVE_BACK = "DELETE FROM access.idempotency_key WHERE user_id = %s AND key_hash = %s AND resource IS NULL"

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
    fingerprint = await _fingerprint(request, key)
    async with request.app.state.pool.session(who) as session, session.transaction():
        # Waits while another request holds the key, and goes on if that one fails.
        cursor = await session.execute(TAKE, [who.user_id, digest(key), fingerprint])
        if await cursor.fetchone() is None:
            return await _again(session, request, digest(key), fingerprint, show)
        await become(session, CRM_APP, who)
        made = await write(session)
        answer = await show(session, made)
        await leave(session)
        await session.execute(KEEP, [answer.status_code, made, who.user_id, digest(key)])
        return answer


async def once_elsewhere(
    request: Request,
    make: Callable[[str, datetime | None], Awaitable[str]],
    find: Callable[[str], Awaitable[str | None]],
    *,
    unknown: type[Exception],
    status: int,
) -> tuple[str, bool]:
    """Have another program make something, once for each key; return its id, and whether it was made before.

    ``make`` and ``find`` get a mark by which the other program knows what it makes, and ``make`` the time of the try by
    PostgreSQL's clock, None without a key. ``make`` raises ``unknown`` where
    it did not say whether it made it: a repetition asks ``find``, and makes it anew only after ``UNDECIDED``, when the
    other program works on it no longer. No session is lent while that is asked. Raises ``Refusal``.
    """
    who, key = visitor(request), request.headers.get("idempotency-key")
    if key is None:
        return await make(str(uuid4()), None), False
    fingerprint, hashed, pool = await _fingerprint(request, key), digest(key), request.app.state.pool
    async with pool.session(who) as session:
        taken = await (await session.execute(TAKE, [who.user_id, hashed, fingerprint])).fetchone()
        kept = None if taken else await _kept(session, who, hashed, fingerprint)
    if kept is not None:
        if kept["resource"] is not None:
            return kept["resource"], True
        if (found := await find(_mark(who, hashed, kept))) is not None:
            async with pool.session(who) as session:
                await session.execute(KEEP, [status, found, who.user_id, hashed])
            return found, True
        async with pool.session(who) as session:
            taken = await (await session.execute(TAKE_OVER, [who.user_id, hashed, UNDECIDED])).fetchone()
    if taken is None:
        said = "Whether the request under this Idempotency-Key was carried out is not known yet. Send it again later."
        raise Refusal(503, said, headers={"Retry-After": RETRY_SECONDS})
    try:
        made = await make(_mark(who, hashed, taken), taken["created_at"])
    except unknown:
        raise
    except Exception:
        async with pool.session(who) as session:
            await session.execute(GIVE_BACK, [who.user_id, hashed])
        raise
    async with pool.session(who) as session:
        await session.execute(KEEP, [status, made, who.user_id, hashed])
    return made, False


def _mark(who: Visitor, key: bytes, taken: dict[str, Any]) -> str:
    """Return the mark of a try. The key may be used anew after a day, so its time is in it."""
    return hashlib.sha256(f"{who.user_id} {key.hex()} {taken['created_at'].timestamp()}".encode()).hexdigest()


async def _fingerprint(request: Request, key: str) -> bytes:
    if not 1 <= len(key) <= LONGEST:
        raise Refusal(422, f"An Idempotency-Key has 1 to {LONGEST} characters.")
    return hashlib.sha256(
        b"\n".join((key.encode(), request.method.encode(), request.url.path.encode(), await request.body()))
    ).digest()


async def _kept(session: "Session", who: Visitor, key: bytes, fingerprint: bytes) -> dict[str, Any]:
    cursor = await session.execute(
        "SELECT fingerprint, resource, created_at FROM access.idempotency_key WHERE user_id = %s AND key_hash = %s",
        [who.user_id, key],
    )
    row = await cursor.fetchone()
    if row is None:
        raise Refusal(409, "A request under this Idempotency-Key has just ended. Send it again.")
    if bytes(row["fingerprint"]) != fingerprint:
        raise Refusal(422, "This Idempotency-Key was used for another request. Use a new one.")
    return row


async def _again(session: "Session", request: Request, key: bytes, fingerprint: bytes, show: Show) -> Response:
    who = visitor(request)
    row = await _kept(session, who, key, fingerprint)
    await become(session, CRM_APP, who)
    return replayed(await show(session, row["resource"]))


def replayed(answer: Response) -> Response:
    """Return the answer to a repetition, which says that it is one."""
    answer.headers["Idempotency-Replayed"] = "true"
    return answer
