"""The further accounts of CRMs that this warehouse has. Written as SQL that psql can run."""

from pathlib import Path

from warehouse_pipelines.schema import scripts

revision = "0035_accounts"
down_revision = "0034_many_workers"


def upgrade() -> None:
    """Make the table."""
    scripts.run_file(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop the tables of the accounts, which a sync fetches again, their views and deliveries, and what names them."""
    scripts.run_file(Path(__file__).with_name("0035_accounts_down.sql"))
