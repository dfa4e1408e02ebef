"""Identity: who left a household or a property, and indexes for touches. Written as SQL that psql can run."""

from pathlib import Path

from warehouse_pipelines.schema import scripts

revision = "0018_identity_lookups"
down_revision = "0017_answers"


def upgrade() -> None:
    """Make the tables, the trigger and the indexes."""
    scripts.run_file(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop them."""
    scripts.run_file(Path(__file__).with_name("0018_identity_lookups_down.sql"))
