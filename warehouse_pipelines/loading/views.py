"""Views over the tables that the entities declare: a file of ``sql/views`` is a view of its name in ``public``.

Like the tables they are aligned after every upgrade. What a view was made of stands at the end of its comment, so one
whose file has not changed is left alone, with whatever others have built upon it.
"""

import hashlib
from pathlib import Path

import sqlalchemy as sa
from psycopg import sql


def align(connection: sa.Connection, folder: Path) -> list[str]:
    """Create or replace what differs from its file; return a line for each.

    Fails when somebody's own view depends on one that has changed: a person must drop that first.
    """
    done = []
    for path in _files(folder):
        query = path.read_text()
        about, _, _ = query.removeprefix("-- ").partition("\n")
        comment = f"{about} [{hashlib.sha256(query.encode()).hexdigest()[:12]}]"
        view = _view(path)
        known = sa.text("SELECT obj_description(to_regclass(:view), 'pg_class')")
        if connection.scalar(known, {"view": view}) == comment:
            continue
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS {view}")
        connection.exec_driver_sql(f"CREATE VIEW {view} AS\n{query}")
        connection.exec_driver_sql(f"COMMENT ON VIEW {view} IS {sql.quote(comment)}")
        done.append(f"view {path.stem}")
    return done


def drop(connection: sa.Connection, folder: Path) -> None:
    """Drop the views; they would keep their tables from being dropped."""
    for path in _files(folder):
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS {_view(path)}")


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.sql"))


def _view(path: Path) -> str:
    return sql.Identifier("public", path.stem).as_string()
