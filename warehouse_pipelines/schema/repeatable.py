"""SQL that runs again when it changed, after the tables are aligned with their entities.

A file of ``sql/schemas`` says what the rows of the entities in the schema of its name cannot: defaults, constraints,
indexes. It runs again too when one of their tables was made, so it must not mind what is there already. Of a schema
whose tables are written (``crm``) it holds what changes without a migration: functions, policies and privileges.

A file of ``sql/views`` is a view of its name, in ``public`` unless it names a schema. Those of ``AS_READER`` read as
whoever asks, so that row-level security binds readers there too; others read as their owner.

A file of ``sql/defaults`` adds the rows that are missing of tables that users edit, and changes none that is there. It
runs in every migration, so a row that is not wanted is changed and not deleted.

What was run stands at the end of the comment of the schema or view, so one whose file has not changed is left alone,
with whatever others have built upon it.
"""

import hashlib
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from psycopg import sql

from warehouse_pipelines.schema import remade_views, scripts

AS_READER = re.compile(r"answers\.|pipedesk\.(leads_v|primary_contacts|sales_view|\w+_active)$")
"""Views that read as whoever asks: below the policies of ``crm``, and of ``pipedesk`` for its applications."""


def align_schemas(connection: sa.Connection, folder: Path, made: Collection[str]) -> list[str]:
    """Run the files that changed, and those of the schemas that are ``made`` of new tables; return a line for each."""
    done = []
    for path in _files(folder):
        script, comment = _commented(path)
        known = connection.scalar(sa.text("SELECT obj_description(to_regnamespace(:name), 'pg_namespace')"),
                                  {"name": path.stem})  # fmt: skip
        if known == comment and path.stem not in made:
            continue
        scripts.run(connection, script)
        schema = sql.Identifier(path.stem).as_string()
        scripts.run(connection, f"COMMENT ON SCHEMA {schema} IS {sql.quote(comment)}")
        done.append(f"schema {path.stem}")
    return done


def align_views(connection: sa.Connection, folder: Path) -> list[str]:
    """Create or replace what differs from its file; return a line for each.

    Fails when somebody's own view depends on one of which a column goes, changes its type or is no longer in its place
    (``remade_views.naming_views_of_others``).
    """
    done = []
    for path in _files(folder):
        as_reader = " WITH (security_invoker = true)" if AS_READER.match(path.stem) else ""
        query, comment = _commented(path, as_reader)
        view = _view(path)
        known = sa.text("SELECT obj_description(to_regclass(:view), 'pg_class')")
        if connection.scalar(known, {"view": view}) == comment:
            continue
        remade_views.replace(connection, view, query, as_reader)
        scripts.run(connection, f"COMMENT ON VIEW {view} IS {sql.quote(comment)}")
        done.append(f"view {path.stem}")
    return done


def align_defaults(connection: sa.Connection, folder: Path) -> list[str]:
    """Add the default rows that are missing; return a line for each file that had some."""
    done = []
    for path in _files(folder):
        cursor: Any = connection.connection.cursor()
        with cursor:
            cursor.execute(path.read_text())
            added = cursor.rowcount
            while cursor.nextset():
                added += cursor.rowcount
        if added:
            done.append(f"default rows of {path.stem}: {added}")
    return done


def drop_views(connection: sa.Connection, folder: Path) -> None:
    """Drop the views; they would keep their tables from being dropped."""
    for path in _files(folder):
        scripts.run(connection, f"DROP VIEW IF EXISTS {_view(path)}")


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.sql"))


def _commented(path: Path, options: str = "") -> tuple[str, str]:
    """Return the SQL, and its first line with the hash of it and of the view's options behind it."""
    text = path.read_text()
    about, _, _ = text.removeprefix("-- ").partition("\n")
    return text, f"{about} [{hashlib.sha256(f'{text}{options}'.encode()).hexdigest()[:12]}]"


def _view(path: Path) -> str:
    schema, _, name = path.stem.rpartition(".")
    return sql.Identifier(schema or "public", name).as_string()
