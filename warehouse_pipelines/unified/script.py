"""A query of several statements: parameters go with one statement at a time, so they are run one by one."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from psycopg import sql

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session


def run_script(
    session: "Session",
    script: str,
    given: Mapping[str, Any],
    names: Mapping[str, sql.Composable] | None = None,
) -> int:
    """Run the statements, apart by ``;`` at the end of a line, and return the rows of the last one.

    ``names`` are composed into those that have braces. Raises ``psycopg.Error``.
    """
    rows = 0
    for statement in script.split(";\n"):
        composed = sql.SQL(statement).format(**names) if names and "{" in statement else sql.SQL(statement)
        rows = session.execute(composed, given if "%(" in statement else None).rowcount
    return rows
