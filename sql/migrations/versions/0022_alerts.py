"""Alerts: their rules, their incidents, what is silenced, what was sent. Written as SQL that psql can run."""

from pathlib import Path

from alembic import op

revision = "0022_alerts"
down_revision = "0021_reading"


def upgrade() -> None:
    """Make the tables; the rows of the rules come from ``sql/defaults``."""
    _run(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop them, with what somebody edited in the rules."""
    _run(Path(__file__).with_name("0022_alerts_down.sql"))


def _run(part: Path) -> None:
    # Without parameters, so that % means itself.
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(part.read_text())
