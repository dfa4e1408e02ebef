"""Rows of a file of leads that were not read are said; the flag of ``crm.entered_leads`` is named for what it tells."""

from pathlib import Path

from warehouse_pipelines.schema import scripts

revision = "0028_unread_rows"
down_revision = "0027_good_runs"


def upgrade() -> None:
    """Allow the outcome, and rename the column."""
    scripts.run_file(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Forget which rows were not read, and rename the column back."""
    scripts.run_file(Path(__file__).with_name("0028_unread_rows_down.sql"))
