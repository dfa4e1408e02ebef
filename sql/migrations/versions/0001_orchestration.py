"""The history of runs, the dead letters and the budgets of requests."""

from pathlib import Path

from alembic import op

revision = "0001_orchestration"
down_revision = None


def upgrade() -> None:
    """Create the schema ``orchestration``."""
    op.get_bind().exec_driver_sql(Path(__file__).with_suffix(".sql").read_text())


def downgrade() -> None:
    """Remove it, the version table apart, which goes when nothing is left."""
    op.execute("DROP FUNCTION orchestration.take_requests, orchestration.jsonb_or_text")
    op.execute("DROP TABLE orchestration.request_budget, orchestration.dead_letter, orchestration.sync_history")
