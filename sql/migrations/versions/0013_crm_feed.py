"""The feed of crm: what people and records of the sources become there, and the schema marts. SQL that psql can run."""

from pathlib import Path

from warehouse_pipelines.schema import scripts

revision = "0013_crm_feed"
down_revision = "0012_identity"


def upgrade() -> None:
    """Make the tables, the columns, and the mapping of statuses with its defaults."""
    scripts.run_file(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop them; refuse while they hold what cannot be made again, unless forced."""
    scripts.run_file(Path(__file__).with_name("0013_crm_feed_down.sql"))
