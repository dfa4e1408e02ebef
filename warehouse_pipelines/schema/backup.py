"""Back up and restore the warehouse: a dump by PostgreSQL's ``pg_dump``, and a manifest of what it holds.

    backup/
    ├── warehouse.dump    by ``pg_dump --format=custom``, of the whole database
    └── manifest.json     of the same moment: when, of what, how many rows each table had, the dump's SHA-256

The rows are counted in the snapshot that ``pg_dump`` reads, so a restored warehouse can be compared to the last row.
Cursors, history, dead letters and webhooks that wait are rows too: a sync after a restore reads on where the backup
ends, and what a vendor still has comes again.

Roles belong to the cluster and are no part of a database, and the database's own grants are no part of its dump. The
roles of this project are made where they are missing; any other that the dump names must be there, with the rights that
the administrator chose. The one that loads is given those without which it does not work (``loader_lacks.sql``).

The folder holds personal data in clear. It is made for its owner alone.
"""

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import sqlalchemy as sa
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import WrongUse
from warehouse_pipelines.queries import query
from warehouse_pipelines.schema import dump_programs, migrate
from warehouse_pipelines.schema.applications import APPLICATION
from warehouse_pipelines.schema.remade_views import OURS

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

log = logging.getLogger("warehouse")

DUMP, MANIFEST = "warehouse.dump", "manifest.json"
SESSIONS = "access.session"
OF_CRM = ("crm_app", "crm_read")


@dataclass(frozen=True)
class Manifest:
    """What a backup holds. ``rows`` are by ``schema.table``, exact; ``roles`` own or were granted something in it."""

    taken_at: datetime
    database: str
    revision: str
    server: int
    sha256: str
    roles: tuple[str, ...]
    rows: Mapping[str, int]

    def text(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self) | {"taken_at": self.taken_at.isoformat()}, indent=2, sort_keys=True) + "\n"


def backup(url: str, folder: Path) -> Manifest:
    """Write a backup into ``folder``, which must not exist; it appears when it is complete.

    The user must see every row: a superuser, or a role with BYPASSRLS. Raises ``WrongUse`` for a folder that exists, a
    database without our tables or a user that does not see all rows, ``NotConfigured`` without a ``pg_dump`` that is as
    new as the server, and ``DatabaseUnavailable``.
    """
    if folder.exists():
        raise WrongUse(f"Writing the backup: {folder} exists. Name a folder that does not.")
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700, parents=True)
    try:
        with warehouse.connect(url) as session:
            session.execute("SET statement_timeout = 0")
            made = _write(session, url, unfinished)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    unfinished.rename(folder)
    return made


def _write(session: "Session", url: str, folder: Path) -> Manifest:
    server = session.info.server_version // 10_000
    with session.transaction():
        session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        session.execute("SET LOCAL row_security = off")
        [found] = session.execute("SELECT pg_export_snapshot() AS snapshot, current_database() AS name, now() AS at")
        revision = _revision(session)
        if revision is None:
            raise WrongUse(f"Writing a backup: the database {found['name']} is no warehouse. Migrate it first.")
        dump = ["--format=custom", f"--snapshot={found['snapshot']}", f"--file={folder / DUMP}"]
        dump_programs.dump(url, server, dump, f"Writing a backup of the database {found['name']}")
        rows = counted(session)
        roles = tuple(row["role"] for row in session.execute(query("backup_roles")))
    made = Manifest(found["at"].astimezone(UTC), found["name"], revision, server, _digest(folder / DUMP), roles, rows)
    (folder / MANIFEST).write_text(made.text())
    for file in (folder / DUMP, folder / MANIFEST):
        file.chmod(0o600)
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
    return made


def read(folder: Path) -> Manifest:
    """Return what a backup holds. Raises ``WrongUse`` where it is none, or not as it was written."""
    try:
        found = json.loads((folder / MANIFEST).read_text())
        made = Manifest(
            **{**found, "taken_at": datetime.fromisoformat(found["taken_at"]), "roles": tuple(found["roles"])}
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WrongUse(
            f"Reading the backup {folder}: {MANIFEST} is not there, or not ours ({type(error).__name__})."
        ) from error
    if not (folder / DUMP).is_file() or _digest(folder / DUMP) != made.sha256:
        raise WrongUse(f"Reading the backup {folder}: {DUMP} is not the file that was written. Take another backup.")
    return made


def restore(folder: Path, url: str) -> Manifest:
    """Fill the empty database at ``url`` from a backup, compare every table, and migrate it to this version.

    All or nothing: the dump is restored in one transaction. The role that loads, which owns the schema
    ``orchestration``, is given the memberships and the rights on the database that it needs, and the migration is made
    as that role. Sessions of browsers are ended, because one may have been signed out since, and sequences are switched
    off, both in the transaction that brings the rows. Until these have been compared the schema ``restore_unfinished``
    is there, with which ``verify`` finds fault and no sequence runs.

    Raises ``WrongUse`` for a backup that is damaged, a database that is not empty, a role that is missing and not ours,
    or a table with other rows than the backup had; ``NotConfigured``; ``DatabaseUnavailable``.
    """
    held = read(folder)
    with warehouse.connect(url) as session:
        name = str(warehouse.value(session, "SELECT current_database()"))
        if warehouse.value(session, query("restore_unfinished")):
            raise WrongUse(
                f"Restoring into the database {name}: an earlier restore into it did not end. Drop the database, make "
                "it anew, and restore again."
            )
        if relation := warehouse.value(session, query("backup_is_empty")):
            raise WrongUse(f"Restoring into the database {name}: it has {relation}. Name an empty database.")
        make_roles(session, held.roles)
    dump_programs.load(
        folder / DUMP,
        url,
        f"Restoring into the database {name}",
        after_schemas=query("restored_schemas"),
        last=query("restored_quiet"),
    )
    with warehouse.connect(url) as session:
        session.execute("SET statement_timeout = 0")
        with session.transaction():
            session.execute("SET LOCAL row_security = off")
            now = counted(session)
        wanted = {**held.rows, **({SESSIONS: 0} if SESSIONS in held.rows else {})}
        wrong = sorted(one for one in {*wanted, *now} if wanted.get(one) != now.get(one))
        if wrong:
            first = f"{wrong[0]} has {now.get(wrong[0])} rows, the backup {wanted.get(wrong[0])}"
            raise WrongUse(f"Restoring into the database {name}: {len(wrong)} tables differ, {first}. Do not use it.")
        session.execute("ANALYZE")
        loader = _give_to_loader(session)
        session.execute("DROP SCHEMA restore_unfinished")
    migrate.migrate(_as_role(url, loader))
    return held


def _give_to_loader(session: "Session") -> str:
    """Give the role that loads what no dump gives, as far as this user can, and return its name."""
    owner = "SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 'orchestration'"
    loader = str(warehouse.value(session, owner))
    for row in session.execute(query("loader_lacks")).fetchall():
        try:
            session.execute(row["statement"])
        except psycopg.errors.InsufficientPrivilege as error:
            log.warning(
                "%s lacks a right (%s). As an administrator: %s", row["role"], error.diag.message_primary,
                row["statement"],
            )  # fmt: skip
    return loader


def _as_role(url: str, role: str) -> str:
    """Return ``url`` for sessions that act as ``role``: what they make belongs to it."""
    given = str(conninfo_to_dict(url).get("options") or "")
    escaped = role.replace("\\", "\\\\").replace(" ", "\\ ")
    return make_conninfo(url, options=f"{given} -c role={escaped}".strip())


def counted(session: "Session") -> dict[str, int]:
    """Return how many rows each table has, by ``schema.table``. It reads them."""
    found = {}
    for row in session.execute(query("backup_tables")).fetchall():
        count = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(row["schema"], row["name"]))
        found[f"{row['schema']}.{row['name']}"] = int(warehouse.value(session, count))
    return found


def make_roles(session: "Session", roles: tuple[str, ...]) -> None:
    """Make those of ``roles`` that are ours and missing. Raises ``WrongUse`` for others that are missing."""
    known = {row["rolname"] for row in session.execute("SELECT rolname FROM pg_roles")}
    if strange := [one for one in roles if one not in known and one not in OURS]:
        raise WrongUse(
            f"Restoring: the backup has objects or grants of roles that are missing here: {', '.join(strange)}. "
            "CREATE ROLE for each of them, then restore again."
        )
    is_superuser = warehouse.value(session, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
    for role in (one for one in OURS if one not in known):
        session.execute(sql.SQL("CREATE ROLE {} NOLOGIN NOSUPERUSER NOBYPASSRLS").format(sql.Identifier(role)))
        if role in OF_CRM:
            session.execute(sql.SQL("ALTER ROLE {} SET search_path = crm, public").format(sql.Identifier(role)))
        if not is_superuser and role != APPLICATION:
            session.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(role)))


def _revision(session: "Session") -> str | None:
    if not warehouse.has_table(session, "orchestration.alembic_version"):
        return None
    revision: str | None = warehouse.value(session, "SELECT version_num FROM orchestration.alembic_version")
    return revision


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check(archive: Path, url: str, *, hours: float) -> None:
    """Raise ``WrongUse`` unless ``archive`` is a dump of this database by ``pg_dump``, not older than ``hours``.

    Its table of contents is read, by the newest program there is, which knows what older ones wrote. That finds a file
    that is cut off at its head or is no dump; only restoring it would prove more. The age is that which the archive
    states. Raises ``NotConfigured`` without any ``pg_restore``.
    """
    again = "Make one first: `warehouse backup FOLDER`, which has warehouse.dump."
    try:
        listed = dump_programs.listed(archive, f"Reading the backup {archive}")
    except WrongUse as error:
        raise WrongUse(f"{error}. {again}") from error
    made = re.search(r"Archive created at (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)", listed)
    name = re.search(r"dbname: (.*)", listed)
    if made is None or name is None:
        raise WrongUse(f"The backup {archive} does not say when and of what it was made. {again}")
    if name[1].strip() != (wanted := sa.make_url(url).database):
        raise WrongUse(f"The backup {archive} is of the database {name[1].strip()} and not of {wanted}. {again}")
    age = datetime.now(UTC) - datetime.fromisoformat(f"{made[1]}+00:00")
    if age > timedelta(hours=hours):
        old = age.total_seconds() / 3600
        raise WrongUse(f"The backup {archive} is {old:.0f} hours old; at most {hours:g} are asked for. {again}")
