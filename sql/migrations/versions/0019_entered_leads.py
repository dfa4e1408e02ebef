"""Leads that were entered in crm as records of identity; one name for a source of leads. SQL that psql can run."""

from pathlib import Path

from warehouse_pipelines.schema import scripts

revision = "0019_entered_leads"
down_revision = "0018_identity_lookups"


def upgrade() -> None:
    """Make the view that identity reads, and the table of the spellings of lead sources with its defaults."""
    scripts.run_file(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop them; refuse while leads of imports or of users were taken over, unless forced."""
    scripts.run_file(Path(__file__).with_name("0019_entered_leads_down.sql"))
