"""Migrations: the written ones of ``sql/migrations`` by Alembic, then the tables that the entities declare.

The declared tables are what other tools call a repeatable migration: they are aligned after every upgrade, so a new
entity needs no file. Down to base removes everything, the version table included.

The views over those tables, of ``sql/views``, follow them.
"""

import logging
from pathlib import Path

import alembic.command
import sqlalchemy as sa
from alembic.config import Config
from alembic.script import ScriptDirectory

from warehouse_pipelines.loading import tables, views
from warehouse_pipelines.sources import SOURCES

log = logging.getLogger("warehouse")

PACKAGE = Path(__file__).parents[1]


def sql_folder() -> Path:
    """The folder ``sql/``: beside the package in a checkout, within it in an installed wheel."""
    beside = PACKAGE.parent / "sql"
    return beside if beside.is_dir() else PACKAGE / "_sql"


def engine(url: str) -> sa.Engine:
    """Return an engine for a ``postgresql://`` URL, by psycopg 3."""
    return sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"), poolclass=sa.NullPool)


def migrate(url: str, *, down: int = 0) -> list[str]:
    """Bring the database to head, or ``down`` that many revisions; return a line for each change.

    Safe to repeat and safe to run twice at a time: the second waits and finds nothing to do. Raises
    ``RuntimeError`` when a table differs in a way that only a written migration may change.
    """
    config = Config()
    config.set_main_option("script_location", str(sql_folder() / "migrations"))
    script = ScriptDirectory.from_config(config)
    with engine(url).connect() as connection, connection.begin():
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtextextended('warehouse:migrate', 0))"))
        connection.execute(sa.text("SET LOCAL client_min_messages = warning"))
        config.attributes["connection"] = connection
        before = _revisions(connection, script)
        if not down:
            alembic.command.upgrade(config, "head")
            after = _revisions(connection, script)
            return [
                *(f"revision {revision}" for revision in after if revision not in before),
                *tables.align(connection, [entity for source in SOURCES for entity in source.entities]),
                *views.align(connection, sql_folder() / "views"),
            ]
        alembic.command.downgrade(config, f"-{min(down, len(before))}" if before else "base")
        after = _revisions(connection, script)
        if not after:
            connection.execute(sa.text("DROP SCHEMA IF EXISTS orchestration CASCADE"))
        return [f"revision {revision} undone" for revision in reversed(before) if revision not in after]


def _revisions(connection: sa.Connection, script: ScriptDirectory) -> list[str]:
    """Return the applied revisions, oldest first."""
    if not connection.scalar(sa.text("SELECT to_regclass('orchestration.alembic_version')")):
        return []
    current = connection.scalar(sa.text("SELECT version_num FROM orchestration.alembic_version"))
    if current is None:
        return []
    return [revision.revision for revision in script.iterate_revisions(current, "base")][::-1]
