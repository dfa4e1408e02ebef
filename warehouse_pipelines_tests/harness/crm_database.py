"""The schema ``crm`` in tests: two organizations, their users, a row of each in every table, sessions as each role."""

import atexit
import contextlib
import itertools
import json
import re
import subprocess
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import psycopg
from alembic.config import Config
from alembic.script import ScriptDirectory

from warehouse_pipelines.local.postgres_programs import find_binaries
from warehouse_pipelines.settings import sql_folder

A = "00000000-0000-0000-0000-00000000000a"
B = "00000000-0000-0000-0000-00000000000b"
USER = "00000000-0000-0000-0000-0000000000a1"
OTHER_USER = "00000000-0000-0000-0000-0000000000a2"
THIRD_USER = "00000000-0000-0000-0000-0000000000a3"

CONSENT = json.dumps([
    {"channel": channel, "at": "2025-01-01T00:00:00Z", "source": "form", "text_version": "1"}
    for channel in ("call", "sms", "email")
])  # fmt: skip
"""To everything that needs one."""

TABLES = (
    "leads", "lead_audit_log", "lead_status_history", "dnc_list", "lead_source_costs", "nurture_sequences",
    "lead_sequence_enrollments", "segments", "budget_transactions", "lead_assignments", "lead_score_history",
    "system_config",
)  # fmt: skip

FEED_TABLES = (
    "feed_source", "status_mapping", "status_rank", "source_status", "feed_position", "fx_rate", "lead_feed",
    "consent_fact", "lead_source_alias",
)  # fmt: skip
"""What the feed goes by and keeps. The application reads them below their policies, and writes none."""

IMPORTS = ("lead_import", "lead_import_row")
"""Of files of leads. Applications read them, and the warehouse's own user writes them."""

SEQUENCES = ("message_template", "sequence_message")
"""Of what sequences send."""

Connection = psycopg.Connection[Any]


@contextlib.contextmanager
def session(
    url: str, *, role: str | None = "crm_app", organization: str | None = A, user: str | None = USER, keep: bool = False
) -> Iterator[Connection]:
    """A transaction as an application makes it behind a pooler; undone at its end unless ``keep``.

    ``role=None`` stays the superuser, whom row-level security does not bind.
    """
    with contextlib.ExitStack() as closing:
        connection = closing.enter_context(contextlib.closing(_borrowed(url)))
        if role:
            connection.execute(f"SET LOCAL ROLE {role}")
        connection.execute(
            "SELECT set_config('app.organization_id', %s, true), set_config('app.user_id', %s, true),"
            " set_config('app.client_ip', '192.0.2.7', true)",
            [organization or "", user or ""],
        )
        yield connection
        if keep:
            connection.commit()
        if _is_kept(url, connection):
            closing.pop_all()


_kept: dict[str, list[Connection]] = {}
"""Sessions of one database, for the next: a new one has to read the catalog and to compile each function anew."""
KEPT = 3


def _borrowed(url: str) -> Connection:
    """Return a session as if it were new."""
    for other in _kept.keys() - {url}:
        for former in _kept.pop(other, []):
            former.close()
    with contextlib.suppress(IndexError):  # threads borrow at a time
        while True:
            found = _kept.setdefault(url, []).pop()
            try:
                found.execute("")
            except psycopg.OperationalError:
                found.close()
            else:
                return found
    return psycopg.connect(url, prepare_threshold=None)  # DISCARD ALL would drop prepared statements


def _is_kept(url: str, connection: Connection) -> bool:
    """Undo what was not committed, and all settings; return whether the session is kept for the next."""
    if connection.closed or len(_kept.setdefault(url, [])) >= KEPT:
        return False
    connection.rollback()
    connection.autocommit = True
    connection.execute("DISCARD ALL")
    connection.autocommit = False
    _kept[url].append(connection)
    return True


@atexit.register
def _close_kept() -> None:
    for kept in _kept.values():
        for connection in kept:
            connection.close()


@contextlib.contextmanager
def login(
    url: str, *, role: str = "crm_app", user: str | None = USER, organizations: Sequence[str] = (A,)
) -> Iterator[str]:
    """A login of its own in ``role``, member of the organizations; yields its URL. Without a user: that of a pooler."""
    name = f"tenant_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(url, autocommit=True) as administrator:
        administrator.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'x' IN ROLE {role}")
        for organization in organizations:
            administrator.execute(
                "INSERT INTO crm.organization_member (login, organization_id, user_id, is_pooler)"
                " VALUES (%s, %s, %s, %s)",
                [name, organization, user, user is None],
            )
        try:
            yield psycopg.conninfo.make_conninfo(url, user=name, password="x")
        finally:
            administrator.execute("DELETE FROM crm.organization_member WHERE login = %s", [name])
            administrator.execute(f"DROP OWNED BY {name}")
            administrator.execute(f"DROP ROLE {name}")


def add(connection: Connection, table: str, **values: Any) -> Any:
    """Insert a row that every constraint accepts, but for ``values``; return its id, or None where there is none."""
    row = {"organization_id": A, **ROWS[table], **values}
    columns, places = ", ".join(row), ", ".join(f"%({name})s" for name in row)
    key = "key" if table == "system_config" else "id"
    found = connection.execute(f"INSERT INTO crm.{table} ({columns}) VALUES ({places}) RETURNING {key}", row)
    return found.fetchone()[0]  # type: ignore[index]


ROWS: Mapping[str, Mapping[str, Any]] = {
    "leads": {},
    "lead_audit_log": {"action": "update"},
    "lead_status_history": {"to_status": "new"},
    "dnc_list": {"phone": "+12065550166", "reason": "opt_out"},
    "lead_source_costs": {"source": "google", "month": "2025-01-01", "amount": 10},
    "nurture_sequences": {"name": "one", "steps": '[{"channel": "sms"}, {"channel": "email", "delay_minutes": 60}]'},
    "lead_sequence_enrollments": {},
    "segments": {"name": "all", "filter_criteria": "{}", "created_by": USER},
    "budget_transactions": {"amount_usd": 5, "kind": "deposit"},
    "lead_assignments": {"to_user_id": USER},
    "lead_score_history": {"score": 1, "factors": '{"source": 1}', "model_version": "x"},
    "system_config": {"key": "a setting", "value": "1"},
}
"""The least that each table asks for, besides the organization and what it refers to."""


def references(connection: Connection, table: str, organization: str) -> dict[str, Any]:
    """Return what a row of ``table`` refers to, made as needed."""
    if table in {"lead_audit_log", "lead_status_history", "lead_assignments", "lead_score_history"}:
        return {"lead_id": add(connection, "leads", organization_id=organization)}
    if table == "lead_sequence_enrollments":
        return {
            "lead_id": add(connection, "leads", organization_id=organization),
            "sequence_id": add(connection, "nurture_sequences", organization_id=organization),
        }
    if table == "budget_transactions":
        return {"account_id": str(uuid.uuid4())}
    return {}


def populate(connection: Connection, organization: str) -> None:
    """Give every table a row of the organization; runs as the superuser."""
    lead = add(connection, "leads", organization_id=organization, first_name="Ada", phone="+12065550101")
    sequence = add(connection, "nurture_sequences", organization_id=organization)
    add(connection, "lead_sequence_enrollments", organization_id=organization, lead_id=lead, sequence_id=sequence)
    add(connection, "budget_transactions", organization_id=organization, account_id=str(uuid.uuid4()))
    for table in ("lead_assignments", "lead_score_history"):
        add(connection, table, organization_id=organization, lead_id=lead)
    for table in ("dnc_list", "lead_source_costs", "segments", "system_config"):
        add(connection, table, organization_id=organization)


def one(connection: Connection, query: str, *parameters: Any) -> Any:
    """Return the first value of the first row."""
    row = connection.execute(query.encode(), parameters or None).fetchone()
    return None if row is None else row[0]


def sqlstate(connection: Connection, query: str, *parameters: Any) -> str:
    """Run a statement and undo it; return ``accepted``, or the state of the error."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(query.encode(), parameters or None)
    except psycopg.Error as error:
        return error.sqlstate or ""
    return "accepted"


def undone_by(revision: str) -> list[str]:
    """What `migrate` says when it undoes the newest revisions, down to this one and with it."""
    config = Config()
    config.set_main_option("script_location", str(sql_folder() / "migrations"))
    lines = []
    for found in ScriptDirectory.from_config(config).walk_revisions():
        lines.append(f"revision {found.revision} undone")
        if found.revision == revision:
            return lines
    raise LookupError(revision)


def dump(url: str, *schemas: str) -> str:
    """The schemas as pg_dump writes them, without the random token of its \\restrict line."""
    wanted = itertools.chain.from_iterable(("--schema", schema) for schema in schemas)
    command = [str(find_binaries() / "pg_dump"), "--schema-only", *wanted, url]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return re.sub(r"^\\(un)?restrict .*$", "", text, flags=re.MULTILINE)
