"""The counts of deliveries of webhooks. Written as SQL that psql can run."""

from pathlib import Path

from alembic import op

from warehouse_pipelines.schema import scripts

revision = "0024_webhook_outcomes"
down_revision = "0023_operations"


def upgrade() -> None:
    """Make the table."""
    scripts.run_file(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop it: these are figures for an operator."""
    op.execute("DROP TABLE orchestration.webhook_outcome")
