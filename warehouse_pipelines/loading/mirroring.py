"""Load tables of a mirrored source (``Source.mirrored``) without firing their triggers and foreign keys.

The tables have triggers and foreign keys for the rows that are made here; on rows of the vendor they would rewrite or
refuse what it sent. ``MIRROR`` switches them off until the end of a transaction, which takes a right that only a
superuser can grant: ``check_mirroring`` asks for it before a run needs it.
"""

import psycopg

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import NotConfigured
from warehouse_pipelines.model.source import Source

MIRROR = "SET LOCAL session_replication_role = replica"


def may_not_mirror(source: Source) -> NotConfigured:
    """Return the error for a role to which PostgreSQL refuses ``MIRROR``."""
    return NotConfigured(
        f"{source.title} is mirrored, and the role that loads the warehouse may not keep triggers from rewriting it. "
        "As a superuser run: GRANT SET ON PARAMETER session_replication_role TO <that role>"
    )


def check_mirroring(url: str, source: Source) -> None:
    """Raise ``NotConfigured`` when ``url``'s role may not load a mirrored source; ``DatabaseUnavailable``."""
    try:
        with warehouse.session(url) as session, session.transaction():
            session.execute(MIRROR)
    except psycopg.errors.InsufficientPrivilege as error:
        raise may_not_mirror(source) from error
