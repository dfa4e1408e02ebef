"""The advisory lock of an entity, which one process at a time holds that loads it.

PostgreSQL frees the lock of a dead session at once, so a history row that is ``running`` while its lock is free belongs
to a dead process. ``lease`` waits for the lock, and takes it from a process that stands still.
"""

from typing import TYPE_CHECKING

from warehouse_pipelines import warehouse

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session


def key(crm: str, sync_type: str) -> str:
    """Return the name of the lock of an entity."""
    return f"{crm}:{sync_type}"


def loading_key(crm: str, sync_type: str) -> str:
    """Return the name of the lock that each transaction holds that loads this entity."""
    return f"load:{key(crm, sync_type)}"


def take(session: "Session", crm: str, sync_type: str) -> bool:
    """Take the lock of an entity, until the session ends; return whether it was free."""
    return bool(warehouse.value(session, "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [key(crm, sync_type)]))


def is_held(session: "Session", crm: str, sync_type: str) -> bool:
    """Return whether another session holds the lock of an entity now."""
    with warehouse.try_lock(session, key(crm, sync_type)) as free:
        return not free
