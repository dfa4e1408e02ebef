"""The counts of deliveries of webhooks. Written as SQL that psql can run."""

from pathlib import Path

from alembic import op

revision = "0024_webhook_outcomes"
down_revision = "0023_operations"


def upgrade() -> None:
    """Make the table."""
    script = Path(__file__).with_suffix(".sql").read_text()
    # Without parameters, so that % means itself.
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(script)


def downgrade() -> None:
    """Drop it: these are figures for an operator."""
    op.execute("DROP TABLE orchestration.webhook_outcome")
