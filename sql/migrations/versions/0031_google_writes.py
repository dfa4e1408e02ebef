"""What is written to Google: why a plan was made, and which folder a template has for whom. As SQL for psql."""

from pathlib import Path

from warehouse_pipelines.schema import scripts

revision = "0031_google_writes"
down_revision = "0030_outbound"


def upgrade() -> None:
    """Add the column and the table."""
    scripts.run_file(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop them; refuse while folders are known, unless forced: a template would make second ones."""
    scripts.run_file(Path(__file__).with_name("0031_google_writes_down.sql"))
