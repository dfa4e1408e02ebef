"""The inbox of webhooks. Written as SQL that psql can run."""

from pathlib import Path

from warehouse_pipelines.schema import scripts

revision = "0020_webhooks"
down_revision = "0019_entered_leads"


def upgrade() -> None:
    """Make the table."""
    scripts.run_file(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop it: polls find what was not worked off."""
    scripts.run_file(Path(__file__).with_name("0020_webhooks_down.sql"))
