"""PipeDesk as a source: its entities, and how its credential is checked."""

from warehouse_pipelines.errors import AnswerChanged, PermissionMissing
from warehouse_pipelines.model.reading import ReadContext
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.sources._sql import survey
from warehouse_pipelines.sources.pipedesk.client import PipeDeskClient
from warehouse_pipelines.sources.pipedesk.entities import (
    COMPANIES,
    CONTACTS,
    DRIVE_FOLDER_LINKS,
    LEAD_ACTIVITY_STATS,
    LEAD_CONTACTS,
    LEAD_ORIGINS,
    LEAD_STATUSES,
    LEAD_TAGS,
    LEADS,
    MASTER_DEALS,
    TAGS,
    USER_ROLES,
    USERS,
)
from warehouse_pipelines.sources.pipedesk.fetch import PAGE, UNSURE, fetch, inspect
from warehouse_pipelines.sources.pipedesk.reader import PipeDeskReader
from warehouse_pipelines.sources.pipedesk.settings import Settings


def check() -> str:
    """Ask for the tables, and whether row-level security would hide rows of any.

    Raises ``AnswerChanged`` for tables that are not there, ``PermissionMissing`` for rows that cannot be seen.
    """
    from psycopg import sql

    with PipeDeskClient(ReadContext()) as client:
        schema = client.settings.schema_name
        statement = sql.SQL("""
            SELECT c.relname, has_table_privilege(c.oid, 'SELECT'), row_security_active(c.oid),
                current_setting('server_version'), current_user::text
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = %s AND c.relname = ANY(%s)
        """)
        paths = [entity.path.split("|") for entity in PIPEDESK.entities]
        found = client.all(statement, [schema, [name for names in paths for name in names]])
        there = {name for name, *_ in found}
        readable = [entity for entity in PIPEDESK.entities if there & set(entity.path.split("|"))]
        without, changed = survey(readable, lambda entity: PipeDeskReader(client, entity).absent, UNSURE)
    if lacking := sorted(" or ".join(names) for names in paths if not there & set(names)):
        changed.insert(
            0,
            f"PipeDesk: schema {schema} has no table {', '.join(lacking)}. If the tables are in another schema, set "
            "PIPEDESK_SCHEMA_NAME.",
        )
    if changed:
        raise AnswerChanged(" ".join(changed))
    _, _, _, version, user = found[0]
    if refused := sorted(name for name, may, *_ in found if not may):
        raise PermissionMissing(f"PipeDesk: {user} needs SELECT on {', '.join(refused)}, and USAGE on the schema.")
    if hidden := sorted(name for name, _, active, *_ in found if active):
        raise PermissionMissing(
            f"PipeDesk: row-level security would hide rows of {', '.join(hidden)}. As a privileged role run "
            f"ALTER ROLE {user} BYPASSRLS on PipeDesk's database."
        )
    message = f"PipeDesk answers (PostgreSQL {version}): all of {len(paths)} tables, and {user} sees all of their rows"
    return "; ".join([message, *without])


PIPEDESK = Source(
    name="pipedesk",
    title="PipeDesk",
    transport="database",
    settings=Settings,
    fetch=fetch,
    check=check,
    inspect=inspect,
    page_size=PAGE,
    mirrored=True,
    measures=("hash_diff_rows", "hash_diff_bytes", "hash_diff_ms"),
    entities=(
        COMPANIES,
        USERS,
        CONTACTS,
        LEAD_STATUSES,
        LEAD_ORIGINS,
        MASTER_DEALS,
        TAGS,
        LEADS,
        LEAD_CONTACTS,
        LEAD_TAGS,
        LEAD_ACTIVITY_STATS,
        USER_ROLES,
        DRIVE_FOLDER_LINKS,
    ),
)
