"""The roles for those who read: ``warehouse_read``, and ``warehouse_read_masked`` without personal data in clear.

Every migration sees to them, so that a new table is readable at once and a restored dump has its readers again: roles
are no part of a database. They cannot log in. An analyst gets a login of their own that is a member of one of them
(``docs/reading.md``), and rows of ``crm`` only for the organizations that ``crm.organization_member`` lists for it.

Who migrates may lack the right to make roles (CREATEROLE), or to give ``crm_read``, which another user made. Then the
warehouse is migrated all the same, and a warning says what an administrator has to run.

Nothing is taken back that an administrator granted beside this.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import psycopg
import sqlalchemy as sa
from psycopg import sql

from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.queries import query
from warehouse_pipelines.schema import masked_views, readable, scripts
from warehouse_pipelines.schema.comments import Name
from warehouse_pipelines.schema.masked_views import MASKED, MASKING
from warehouse_pipelines.schema.readable import READ, Relation

log = logging.getLogger("warehouse")

ROLES = (MASKING, READ, MASKED)


def align(
    connection: sa.Connection, entities: Sequence[Entity], views: Path
) -> tuple[list[str], Mapping[Name, tuple[Name, str]]]:
    """Make the roles, give them what they may read, and make the masked views.

    Returns a line for each change, and what ``comments`` shall say of the views.
    """
    if not _roles(connection):
        return [], {}
    relations = readable.relations(connection, entities, views)
    done = _grants(connection, relations)
    if done:
        relations = readable.relations(connection, entities, views)
    wanted = masked_views.wanted([one for one in relations if not one.lacking], views)
    connection.execute(sa.text(f"SET LOCAL ROLE {MASKING}"))
    made = masked_views.align(connection, wanted)
    connection.execute(sa.text("RESET ROLE"))
    comments = {name: said for view in wanted for name, said in view.comments.items()}
    return [*done, *made], comments


def _roles(connection: sa.Connection) -> bool:
    """Make the roles that are missing; return whether they are there and of use."""
    try:
        with connection.begin_nested():
            scripts.run(connection, query("reading_roles"))
            owner = "SELECT nspowner = to_regrole(:role)::oid FROM pg_namespace WHERE nspname = 'masked'"
            if not connection.scalar(sa.text(owner), {"role": MASKING}):
                connection.execute(sa.text(f"ALTER SCHEMA masked OWNER TO {MASKING}"))
            masked_views.give_to_their_owner(connection)
    except sa.exc.DBAPIError as error:
        if not isinstance(error.orig, psycopg.errors.InsufficientPrivilege):
            raise
        user = connection.scalar(sa.text("SELECT quote_ident(current_user)"))
        log.warning(
            "The roles of readers could not be made (%s), so nobody but %s reads. As an administrator: ALTER ROLE %s "
            "CREATEROLE, or CREATE ROLE for each of %s, GRANT %s TO %s and GRANT %s, %s TO %s; then migrate again.",
            error.orig.diag.message_primary, user, user, ", ".join(ROLES), READ, MASKING, MASKING, MASKED, user,
        )  # fmt: skip
        return False
    strong = connection.scalars(
        sa.text("SELECT rolname FROM pg_roles WHERE rolname = ANY(:names) AND (rolsuper OR rolbypassrls)"),
        {"names": list(ROLES)},
    ).all()
    strong = [
        *strong,
        *([MASKED] if connection.scalar(sa.text(f"SELECT pg_has_role('{MASKED}', '{READ}', 'MEMBER')")) else []),
    ]
    if strong:
        log.warning(
            "%s may read more than it should: it is a superuser, escapes row-level security, or is a member of %s. "
            "Nothing is granted to readers. ALTER ROLE … NOSUPERUSER NOBYPASSRLS, or REVOKE, then migrate again.",
            ", ".join(strong), READ,
        )  # fmt: skip
    return not strong


def _grants(connection: sa.Connection, relations: Sequence[Relation]) -> list[str]:
    """Give the roles what they lack; return a line if there was anything."""
    statements: list[sql.Composable] = []
    lacking = [one for one in relations if one.lacking and one.schema != "crm"]
    whole = [sql.Identifier(one.schema, one.name) for one in lacking if one.whole]
    if whole:
        statements.append(sql.SQL("GRANT SELECT ON {} TO {}").format(sql.SQL(", ").join(whole), sql.Identifier(READ)))
    statements += [
        sql.SQL("GRANT SELECT ({}) ON {} TO {}").format(
            sql.SQL(", ").join(map(sql.Identifier, one.lacking)),
            sql.Identifier(one.schema, one.name),
            sql.Identifier(READ),
        )
        for one in lacking
        if not one.whole
    ]
    for schema in _without_usage(connection, {one.schema for one in relations} - {"crm"}):
        statements.append(
            sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(schema), sql.Identifier(READ))
        )
    if not connection.scalar(sa.text(f"SELECT has_table_privilege('{MASKING}', 'identity.mask_key', 'SELECT')")):
        statements.append(sql.SQL("GRANT SELECT ON identity.mask_key TO {}").format(sql.Identifier(MASKING)))
    may = "SELECT has_function_privilege(:role, 'crm.session_context()', 'EXECUTE')"
    # The policies call it, as whoever reads.
    if not connection.scalar(sa.text(may), {"role": MASKED}):
        statements.append(
            sql.SQL("GRANT EXECUTE ON FUNCTION crm.session_context() TO {}").format(sql.Identifier(MASKED))
        )
    for statement in statements:
        scripts.run(connection, statement.as_string())
    done = [f"{READ} may read {len(lacking)} more relation{'s' * (len(lacking) != 1)}"] if lacking else []
    return [*done, *_membership(connection), *_connect(connection)]


def _without_usage(connection: sa.Connection, schemas: set[str]) -> list[str]:
    statement = (
        "SELECT name FROM unnest(CAST(:names AS text[])) AS name WHERE NOT has_schema_privilege(:role, name, 'USAGE')"
    )
    return list(connection.scalars(sa.text(statement), {"names": sorted(schemas), "role": READ}))


def _membership(connection: sa.Connection) -> list[str]:
    """Make the reader a member of ``crm_read``."""
    if connection.scalar(sa.text(f"SELECT pg_has_role('{READ}', 'crm_read', 'USAGE')")):
        return []
    try:
        with connection.begin_nested():
            connection.execute(sa.text(f"GRANT crm_read TO {READ}"))
    except sa.exc.DBAPIError as error:
        if not isinstance(error.orig, psycopg.errors.InsufficientPrivilege):
            raise
        log.warning(
            "%s reads nothing of crm. As an administrator: GRANT crm_read TO %s; then migrate again.", READ, READ
        )
        return []
    return [f"{READ} may read crm, as crm_read"]


def _connect(connection: sa.Connection) -> list[str]:
    """Let readers connect, where this user owns the database and not everybody may."""
    lacking = connection.scalars(
        sa.text("""
            SELECT role FROM unnest(CAST(:roles AS text[])) AS role, pg_database AS d
            WHERE d.datname = current_database() AND pg_has_role(d.datdba, 'USAGE')
                AND NOT has_database_privilege(role, d.oid, 'CONNECT')
            """),
        {"roles": [READ, MASKED]},
    ).all()
    if lacking:
        name = sql.Identifier(str(connection.scalar(sa.text("SELECT current_database()")))).as_string()
        scripts.run(connection, f"GRANT CONNECT ON DATABASE {name} TO {', '.join(lacking)}")
    return [f"{role} may connect" for role in lacking]
