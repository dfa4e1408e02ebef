"""Calls are counted by the months that changed, and the call that led to an appointment is kept. SQL for psql."""

from pathlib import Path

from alembic import op

revision = "0041_calls_by_month"
down_revision = "0039_large_tables"


def upgrade() -> None:
    """Make the tables."""
    _run(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop them; the marts of before are computed anew by their next run."""
    _run(Path(__file__).with_name("0041_calls_by_month_down.sql"))


def _run(part: Path) -> None:
    # Without parameters, so that % means itself.
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(part.read_text())
