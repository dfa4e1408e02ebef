"""Alerts: their rules, their incidents, what is silenced, what was sent. Written as SQL that psql can run."""

from pathlib import Path

from warehouse_pipelines.schema import scripts

revision = "0022_alerts"
down_revision = "0021_reading"


def upgrade() -> None:
    """Make the tables; the rows of the rules come from ``sql/defaults``."""
    scripts.run_file(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop them, with what somebody edited in the rules."""
    scripts.run_file(Path(__file__).with_name("0022_alerts_down.sql"))
