"""Erased people are not brought back by the API, as neither a sync nor a file brings them back."""

from typing import TYPE_CHECKING

from warehouse_pipelines.loading.erased import LOCK
from warehouse_pipelines.loading.erased_values import asked
from warehouse_pipelines.model import emails
from warehouse_pipelines.queries import query
from warehouse_pipelines.serving.database import CRM_APP, become, leave
from warehouse_pipelines.serving.guard import Visitor
from warehouse_pipelines.serving.problems import Refusal

if TYPE_CHECKING:
    from warehouse_pipelines.serving.database import Session

REFUSED = "This person was erased, and is kept out. docs/erasure.md says how to let them in again."


async def require_not_erased(session: "Session", who: Visitor, *, email: str | None, phone: str | None) -> None:
    """Let an erasure wait until the transaction ends. Raises ``Refusal`` for an address or a number of the list.

    The list is read as the warehouse's own user: ``crm_app``, the role of the transaction, may not see it.
    """
    if not email and not phone:
        return
    await leave(session)
    await session.execute("SELECT pg_advisory_xact_lock_shared(%s)", [LOCK])
    cursor = await session.execute(query("api_erasure_key"), {"phone": phone})
    row = await cursor.fetchone()
    digests: list[bytes] = []
    if row is not None and email:
        digests += asked(bytes(row["key"]), "email", emails.address(email) or email.strip().lower())
    if row is not None and row["phone"]:
        digests += asked(bytes(row["key"]), "phone", row["phone"])
    found = await (await session.execute(query("api_is_erased"), {"digests": digests})).fetchone()
    await become(session, CRM_APP, who)
    if found is not None and found["is_erased"]:
        raise Refusal(409, REFUSED)
