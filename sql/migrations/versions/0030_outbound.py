"""What is written back to vendors: plans, items, and a receipt of each write. Written as SQL that psql can run."""

from pathlib import Path

from warehouse_pipelines.schema import scripts

revision = "0030_outbound"
down_revision = "0028_unread_rows"


def upgrade() -> None:
    """Make the schema."""
    scripts.run_file(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop it; refuse while there are receipts, unless forced: without them nothing can be undone."""
    scripts.run_file(Path(__file__).with_name("0030_outbound_down.sql"))
