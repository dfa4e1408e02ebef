"""Files of leads: what was imported, row by row. Written as SQL that psql can run."""

from pathlib import Path

from warehouse_pipelines.schema import scripts

revision = "0014_lead_import"
down_revision = "0013_crm_feed"


def upgrade() -> None:
    """Make the two tables, and the index that finds a number which several leads share."""
    scripts.run_file(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop them; refuse while there are imports, unless forced."""
    scripts.run_file(Path(__file__).with_name("0014_lead_import_down.sql"))
