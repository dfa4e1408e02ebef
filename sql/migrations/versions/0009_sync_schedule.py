"""The switch of each entity's schedule. Written as SQL that psql can run."""

from pathlib import Path

from warehouse_pipelines.schema import scripts

revision = "0009_sync_schedule"
down_revision = "0008_join_keys"


def upgrade() -> None:
    """Make the table; ``loading.sync_schedule`` writes its rows."""
    scripts.run_file(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop it: every schedule is on again."""
    scripts.run_file(Path(__file__).with_name("0009_sync_schedule_down.sql"))
