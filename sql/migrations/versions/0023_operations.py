"""Schedules beside the declared cadence. Written as SQL that psql can run."""

from pathlib import Path

from alembic import op

revision = "0023_operations"
down_revision = "0022_alerts"


def upgrade() -> None:
    """Make what operating the warehouse needs."""
    _run(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop it: schedules that somebody added are deleted."""
    _run(Path(__file__).with_name("0023_operations_down.sql"))


def _run(part: Path) -> None:
    # Without parameters, so that % means itself.
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(part.read_text())
