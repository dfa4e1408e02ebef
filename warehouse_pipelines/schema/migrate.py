"""Migrations: the written ones of ``sql/migrations`` by Alembic, then the tables that the entities declare.

The declared tables are what other tools call a repeatable migration: they are aligned after every upgrade, so a new
entity needs no file. What ``sql/schemas`` adds to them and the views of ``sql/views`` follow. Down to base removes
everything, the version table included. Rows that a sync can fetch again go without a question; a revision that holds
others refuses, unless forced.
"""

import contextlib
import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import alembic.command
import psycopg
import sqlalchemy as sa
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.script.revision import ResolutionError
from psycopg.rows import tuple_row

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import WrongUse
from warehouse_pipelines.loading import sync_schedule
from warehouse_pipelines.queries import query
from warehouse_pipelines.schema import (
    account_views,
    applications,
    comments,
    local_columns,
    masked_views,
    online,
    reading,
    remade_views,
    repeatable,
    source_tables,
    tables,
)
from warehouse_pipelines.settings import sql_folder
from warehouse_pipelines.sources import SOURCES

log = logging.getLogger("warehouse")

LARGE = 1_000_000
"""Rows from which a table is only rewritten when that is asked for."""

StageDone = Callable[[sa.Connection, Sequence[str]], None]


def _ignore_stage(connection: sa.Connection, lines: Sequence[str]) -> None:
    """Do nothing."""


def engine(url: str) -> sa.Engine:
    """Return an engine for a ``postgresql://`` URL, by psycopg 3. Its connections raise ``DatabaseUnavailable``."""

    def connect() -> Any:
        session: Any = warehouse.connect(url, application_name="warehouse-migrate", autocommit=False)
        session.row_factory = tuple_row
        return session

    return sa.create_engine("postgresql+psycopg://", creator=connect, poolclass=sa.NullPool)


def migrate(
    url: str,
    *,
    down: int = 0,
    force: bool = False,
    dry_run: bool = False,
    rewrite: bool = False,
) -> list[str]:
    """Bring the database to head, or ``down`` that many revisions; return a line for each change.

    A ``dry_run`` makes the changes and takes them back, but for the steps of ``online``, which it names. Safe to repeat
    and safe to run twice at a time: the second waits and finds nothing to do.

    Raises ``RuntimeError`` when a table differs in a way that only a written migration may change, and ``WrongUse``
    when a revision that holds rows is to be undone without ``force``, a table of over ``LARGE`` rows is to be
    rewritten without ``rewrite``, something of somebody else's is built upon what has to change, or the database is not
    in UTF-8, or was migrated by a newer version.
    """
    with _alone(url):
        if down:
            return online.patiently(None, "Migrating", lambda: _locking(lambda: _down(url, down, force=force)))

        def up() -> list[str]:
            return upgrade(url, dry_run=dry_run, largest=None if rewrite else LARGE)

        changes = online.patiently(None, "Migrating", lambda: _locking(up))
        if dry_run:
            return changes
        revisions, indexes = remaining(url)
        if revisions or indexes:
            with warehouse.connect(url, application_name="warehouse-migrate") as session:
                session.execute("SET statement_timeout = 0")
                changes += online.run(session, revisions)
                for index in indexes:
                    log.info("%s of %s: begun", index.name, index.table)
                    index.run(session)
                    changes.append(index.name)
        return changes


def upgrade(
    url: str, stage_done: StageDone = _ignore_stage, *, dry_run: bool = False, largest: int | None = LARGE
) -> list[str]:
    """Do all that is done in one transaction, and return a line for each change; ``migrate`` does the rest.

    ``stage_done`` is called after each stage of it, with its lines. A ``dry_run`` takes it back, and also names what
    ``migrate`` would do afterwards. Raises as ``migrate`` does.
    """
    entities = [entity for source in SOURCES for entity in source.entities]
    with (
        remade_views.naming_views_of_others(url),
        engine(url).connect() as connection,
        connection.begin() as transaction,
    ):
        script, config = _begin(connection)
        before = _revisions(connection, script)
        granted = remade_views.granted(connection)
        if before[-1:] != script.get_heads():
            masked_views.drop(connection)
            account_views.drop(connection)
        stage_done(connection, [])
        changes: list[str] = []

        def done(lines: Sequence[str]) -> None:
            changes.extend(lines)
            stage_done(connection, lines)

        config.attributes["applied"] = lambda revision: done([f"revision {revision}"])
        alembic.command.upgrade(config, "head")
        revised = bool(changes)
        local_columns.require_redacted(connection, entities)
        aligned = [
            *local_columns.rename(connection, entities),
            *tables.align(connection, entities, indexes=False, largest=largest),
        ]
        done(aligned)
        made = set(re.findall(r"^table (\w+)\.", "\n".join(aligned), re.MULTILINE))
        if revised:
            made.add("orchestration")  # whose tables the revisions make, and their columns
        _keep_strangers_from_making_objects(connection)
        views = sql_folder() / "views"
        done(sync_schedule.align(connection, SOURCES))
        done(source_tables.align(connection, SOURCES))
        done(repeatable.align_schemas(connection, sql_folder() / "schemas", made))
        done(repeatable.align_views(connection, views))
        done(repeatable.align_defaults(connection, sql_folder() / "defaults"))
        done(account_views.align(connection, SOURCES))
        read, of_views = reading.align(connection, entities, views)
        remade_views.grant_again(connection, granted)
        done(read)
        done(applications.align(connection))
        done(comments.align(connection, entities, views, of_views))
        for remark in local_columns.stored_in_clear(connection, entities):
            log.warning("%s", remark)
        if dry_run:
            changes += [step.name for _, step in unfinished(connection)]
            changes += [index.name for index in tables.missing_indexes(connection, entities)]
            transaction.rollback()
        return changes


def _down(url: str, down: int, *, force: bool) -> list[str]:
    """Undo so many revisions, with what is noted of their steps."""
    with remade_views.naming_views_of_others(url), engine(url).connect() as connection, connection.begin():
        script, config = _begin(connection)
        before = _revisions(connection, script)
        masked_views.drop(connection)
        account_views.drop(connection)
        if force:
            connection.execute(sa.text("SET LOCAL warehouse.force_down = on"))
        try:
            alembic.command.downgrade(config, f"-{min(down, len(before))}" if before else "base")
        except sa.exc.DBAPIError as error:
            if isinstance(error.orig, psycopg.errors.ObjectInUse) and error.orig.diag.message_hint:
                diagnosis = error.orig.diag
                raise WrongUse(f"{diagnosis.message_primary} {diagnosis.message_hint}") from error
            raise
        after = _revisions(connection, script)
        undone = [revision for revision in reversed(before) if revision not in after]
        if not after:
            connection.execute(sa.text("DROP SCHEMA IF EXISTS orchestration CASCADE"))
        elif _has_steps(connection):
            connection.execute(
                sa.text("DELETE FROM orchestration.migration_step WHERE revision = ANY(:undone)"), {"undone": undone}
            )
        return [f"revision {revision} undone" for revision in undone]


def _begin(connection: sa.Connection) -> tuple[ScriptDirectory, Config]:
    """Make the transaction give way to others, and return what Alembic wants."""
    connection.execute(
        sa.text(f"SET LOCAL client_min_messages = warning; SET LOCAL lock_timeout = '{online.LOCK_TIMEOUT}'")
    )
    config = Config()
    config.set_main_option("script_location", str(sql_folder() / "migrations"))
    config.attributes["connection"] = connection
    return ScriptDirectory.from_config(config), config


def _locking(work: Callable[[], list[str]]) -> list[str]:
    """Return what ``work`` returns; raise PostgreSQL's own error when it waited for a lock too long."""
    try:
        return work()
    except sa.exc.DBAPIError as error:
        if isinstance(error.orig, psycopg.errors.LockNotAvailable | psycopg.errors.DeadlockDetected):
            raise error.orig from error
        raise


def remaining(url: str) -> tuple[list[tuple[str, online.Step]], list[online.Index]]:
    """Return the steps of the applied revisions that are not done, and the indexes that entities lack."""
    with engine(url).connect() as connection:
        entities = [entity for source in SOURCES for entity in source.entities]
        return unfinished(connection), tables.missing_indexes(connection, entities)


def unfinished(connection: sa.Connection) -> list[tuple[str, online.Step]]:
    """Return the steps of the applied revisions that are not done, each after its revision."""
    script = _script()
    finished = set()
    if _has_steps(connection):
        rows = connection.execute(
            sa.text("SELECT revision, step FROM orchestration.migration_step WHERE finished_at IS NOT NULL")
        )
        finished = {(row.revision, row.step) for row in rows}
    return [
        (revision, step)
        for revision in _revisions(connection, script)
        for step in getattr(script.get_revision(revision).module, "steps", ())
        if (revision, step.name) not in finished
    ]


def _has_steps(connection: sa.Connection) -> bool:
    return bool(connection.scalar(sa.text("SELECT to_regclass('orchestration.migration_step') IS NOT NULL")))


def _script() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(sql_folder() / "migrations"))
    return ScriptDirectory.from_config(config)


def pending(connection: sa.Connection) -> list[str]:
    """Return the revisions that are not applied, oldest first."""
    script = _script()
    applied = _revisions(connection, script)
    return [found.revision for found in script.walk_revisions() if found.revision not in applied][::-1]


def _keep_strangers_from_making_objects(connection: sa.Connection) -> None:
    """Take TEMPORARY on this database, and all of the schema ``public``, from PUBLIC.

    The user that migrates keeps TEMPORARY, and USAGE of ``public`` is given to whoever owns or was granted something
    there; where that is PUBLIC, it stays. With USAGE, a login can lock what it may not read.

    It loads, and loading needs temporary tables. Nobody else of ours does, and with an object of its own a tenant can
    reach for functions of ours. A copy by CREATE DATABASE and a restored dump lose it, so every migration sees to it.
    """
    public = """
        SELECT EXISTS (SELECT FROM pg_database AS d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) AS a
                       WHERE d.datname = current_database() AND a.grantee = 0 AND a.privilege_type = 'TEMPORARY')
            OR EXISTS (SELECT FROM pg_namespace AS n, aclexplode(n.nspacl) AS a
                       WHERE n.nspname = 'public' AND a.grantee = 0 AND a.privilege_type = 'CREATE')
        """
    _keep_strangers_from_public(connection)
    if not connection.scalar(sa.text(public)):
        return
    database = connection.dialect.identifier_preparer.quote(
        str(connection.scalar(sa.text("SELECT current_database()")))
    )
    connection.execute(sa.text(f"GRANT TEMPORARY ON DATABASE {database} TO CURRENT_USER"))
    connection.execute(sa.text(f"REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC"))
    connection.execute(sa.text("REVOKE CREATE ON SCHEMA public FROM PUBLIC"))
    if connection.scalar(sa.text(public)):
        user = connection.scalar(sa.text("SELECT quote_ident(current_user)"))
        log.warning(
            "Every user may make temporary tables in this database, or tables in its schema public, and %s"
            " does not own "
            "it. As its owner: REVOKE TEMPORARY ON DATABASE %s FROM PUBLIC; REVOKE CREATE ON SCHEMA public"
            " FROM PUBLIC; "
            "GRANT TEMPORARY ON DATABASE %s TO %s",
            user,
            database,
            database,
            user,
        )


def _keep_strangers_from_public(connection: sa.Connection) -> None:
    granted = """
        SELECT EXISTS (SELECT FROM pg_namespace AS n, aclexplode(n.nspacl) AS a
                       WHERE n.nspname = 'public' AND a.grantee = 0 AND a.privilege_type = 'USAGE')
        """
    if not connection.scalar(sa.text(granted)):
        return
    found = [row[0] for row in connection.execute(sa.text(query("public_users")))]
    if "PUBLIC" in found:
        log.warning("Tables in the schema public are granted to PUBLIC, so every user may lock them.")
        return
    connection.execute(sa.text(f"GRANT USAGE ON SCHEMA public TO {', '.join(sorted(found))}"))
    connection.execute(sa.text("REVOKE USAGE ON SCHEMA public FROM PUBLIC"))


@contextlib.contextmanager
def _alone(url: str) -> Iterator[None]:
    """Hold the lock of migrations for the block; say that loads are running, for which changes of their tables wait.

    It is asked for again and again. A session that waits for it would have a snapshot, and whoever builds an index
    CONCURRENTLY waits for all older snapshots: the two would wait for each other.
    """
    with warehouse.connect(url, application_name="warehouse-migrate") as session:
        require_utf8(session)
        logged = False
        while True:
            with warehouse.try_lock(session, "warehouse:migrate") as free:
                if free:
                    loads = warehouse.value(
                        session,
                        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'warehouse-loader' "
                        "AND datname = current_database() AND xact_start IS NOT NULL",
                    )
                    if loads:
                        log.warning("%d loads are running; a change of their tables waits for their end.", loads)
                    yield
                    return
            if not logged:
                logged = True
                log.warning("Another migration of this database is running; waiting for its end.")
            time.sleep(0.3)


def require_utf8(session: "warehouse.Session") -> None:
    """Raise ``WrongUse`` unless the database holds the characters of any record."""
    encoding = session.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise WrongUse(
            f"The database {session.info.dbname} is in {encoding}, which cannot hold every record. Make one in UTF-8: "
            "CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
        )


def seed(url: str) -> list[str]:
    """Add the invented rows of ``sql/seeds``, one transaction per file; return a line for each. Safe to repeat.

    Rows that are needed come with the migrations.

    Raises ``DatabaseUnavailable``.
    """
    files = sorted((sql_folder() / "seeds").glob("*.sql"))
    for file in files:
        with warehouse.connect(url) as connection, connection.transaction():
            connection.execute(file.read_bytes())
    return [f"seed {file.stem}" for file in files]


def _revisions(connection: sa.Connection, script: ScriptDirectory) -> list[str]:
    """Return the applied revisions, oldest first.

    Raises ``WrongUse`` when the database is at a revision that this program does not have.
    """
    if not connection.scalar(sa.text("SELECT to_regclass('orchestration.alembic_version')")):
        return []
    current = connection.scalar(sa.text("SELECT version_num FROM orchestration.alembic_version"))
    if current is None:
        return []
    try:
        return [revision.revision for revision in script.iterate_revisions(current, "base")][::-1]
    except ResolutionError as error:
        raise WrongUse(
            f"This database was migrated by a newer version ({current}): start that, or undo with it what it added, by "
            "`warehouse migrate --down N`."
        ) from error
