"""The marts: a file of SQL for each group of tables, which psql can run, in the order of their names."""

from pathlib import Path

from alembic import op

revision = "0016_marts"
down_revision = "0015_erasure"


def upgrade() -> None:
    """Make the tables."""
    for part in sorted(Path(__file__).parent.glob("0016_marts_[0-9]*.sql")):
        _run(part)


def downgrade() -> None:
    """Drop them: the next run computes them again."""
    _run(Path(__file__).with_name("0016_marts_down.sql"))


def _run(part: Path) -> None:
    # Without parameters, so that % means itself.
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(part.read_text())
