"""The marts that answer questions, the way between two people, views for the operator. SQL that psql can run."""

from pathlib import Path

from alembic import op

revision = "0017_answers"
down_revision = "0016_marts"


def upgrade() -> None:
    """Make the tables, the function and the views."""
    _run(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop them: the next run computes the tables again."""
    _run(Path(__file__).with_name("0017_answers_down.sql"))


def _run(part: Path) -> None:
    # Without parameters, so that % means itself.
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(part.read_text())
