"""As whom, and for which organization, a session acts in ``crm``; each ends with the transaction.

Row-level security is forced there: ``crm_owner`` sees the rows of the organization that the session acts for, and
``crm_definer`` those of all. The user that migrated may take both roles; any other needs them granted.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import UUID

from warehouse_pipelines.errors import NotConfigured

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session


@contextmanager
def acting(
    session: "Session", organization: UUID, triggered_by: str, *, lock_timeout: str | None = None
) -> Iterator[None]:
    """Begin a transaction that acts for an organization, as ``crm_owner``. Raises ``NotConfigured`` as ``as_role``."""
    with session.transaction(), as_role(session, "crm_owner"):
        act_for(session, organization, triggered_by)
        if lock_timeout is not None:
            session.execute("SELECT set_config('lock_timeout', %s, true)", [lock_timeout])
        yield


@contextmanager
def as_role(session: "Session", role: str | None) -> Iterator[None]:
    """Act as a role, or as the session's user, until the block ends, and then as before; within a transaction.

    Raises ``NotConfigured`` when the user may not act as the role.
    """
    import psycopg
    from psycopg.pq import TransactionStatus

    try:
        [was] = session.execute(
            "SELECT current_setting('role') AS role, set_config('role', %s, true)", [role]
        ).fetchall()
    except psycopg.errors.InsufficientPrivilege as error:
        user = session.info.user
        raise NotConfigured(
            f"The database user {user} may not act as {role}; as a superuser: GRANT crm_owner, crm_definer TO {user}"
        ) from error
    try:
        yield
    finally:
        if session.info.transaction_status == TransactionStatus.INTRANS:  # an error took the role with the transaction
            session.execute("SELECT set_config('role', %s, true)", [was["role"]])


def act_for(session: "Session", organization: UUID, triggered_by: str = "") -> None:
    """Say to policies and triggers for which organization, and why, the next statements are. Nobody is their user."""
    session.execute(
        "SELECT set_config('app.organization_id', %s, true), set_config('app.triggered_by', %s, true),"
        " set_config('app.user_id', '', true), set_config('app.client_ip', '', true)",
        [str(organization), triggered_by],
    )
