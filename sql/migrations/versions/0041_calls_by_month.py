"""Calls are counted by the months that changed, and the call that led to an appointment is kept. SQL for psql."""

from pathlib import Path

from warehouse_pipelines.schema import scripts

revision = "0041_calls_by_month"
down_revision = "0039_large_tables"


def upgrade() -> None:
    """Make the tables."""
    scripts.run_file(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop them; the marts of before are computed anew by their next run."""
    scripts.run_file(Path(__file__).with_name("0041_calls_by_month_down.sql"))
