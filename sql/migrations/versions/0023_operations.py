"""Schedules beside the declared cadence. Written as SQL that psql can run."""

from pathlib import Path

from warehouse_pipelines.schema import scripts

revision = "0023_operations"
down_revision = "0022_alerts"


def upgrade() -> None:
    """Make what operating the warehouse needs."""
    scripts.run_file(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop it: schedules that somebody added are deleted."""
    scripts.run_file(Path(__file__).with_name("0023_operations_down.sql"))
