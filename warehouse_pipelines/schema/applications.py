"""The role ``pipedesk_app``, for applications that use the schema ``pipedesk`` as theirs.

Every migration sees to it, so that a restored dump, a column that the installation adds and a view that was made anew
are usable at once. It cannot log in: an application gets a login of its own that is a member. What it may do follows
from the policies of ``sql/schemas/pipedesk.sql``.
"""

import logging

import psycopg
import sqlalchemy as sa

from warehouse_pipelines.queries import query
from warehouse_pipelines.schema import scripts

log = logging.getLogger("warehouse")

APPLICATION = "pipedesk_app"


def align(connection: sa.Connection) -> list[str]:
    """Make the role, and give it what it lacks; return a line if there was anything."""
    try:
        with connection.begin_nested():
            scripts.run(connection, query("pipedesk_role"))
    except sa.exc.DBAPIError as error:
        if not isinstance(error.orig, psycopg.errors.InsufficientPrivilege):
            raise
        log.warning(
            "The role %s could not be made (%s), so no application uses the schema pipedesk. As an administrator: "
            "CREATE ROLE %s; then migrate again.",
            APPLICATION, error.orig.diag.message_primary, APPLICATION,
        )  # fmt: skip
        return []
    strong = "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = :name"
    if connection.scalar(sa.text(strong), {"name": APPLICATION}):
        log.warning(
            "%s escapes row-level security, so it is granted nothing. ALTER ROLE %s NOSUPERUSER NOBYPASSRLS, then "
            "migrate again.", APPLICATION, APPLICATION,
        )  # fmt: skip
        return []
    statements = [row[0] for row in scripts.run(connection, query("pipedesk_grants"))]
    for statement in statements:
        scripts.run(connection, statement)
    return [f"{APPLICATION} may do more: {len(statements)} grants"] if statements else []
