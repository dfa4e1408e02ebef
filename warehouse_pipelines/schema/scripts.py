"""SQL that is sent as it stands: files of ``sql/``, and statements that were composed of names and texts.

SQLAlchemy would read a ``%`` in it as a placeholder. The option that says otherwise is given with each script: set on
the connection (``Connection.execution_options``) it stays there, and a later ``sa.text`` then has each ``%`` twice.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlalchemy as sa


def run(connection: "sa.Connection", script: str) -> "sa.CursorResult[Any]":
    """Send one statement or several, without parameters, so that ``%`` means itself."""
    return connection.exec_driver_sql(script, execution_options={"no_parameters": True})


def run_file(file: Path) -> None:
    """Run a file in the transaction of the revision that calls this."""
    from alembic import op

    run(op.get_bind(), file.read_text())
