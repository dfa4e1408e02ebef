"""A run that somebody stopped is ``cancelled`` and no longer counted among those that failed."""

from alembic import op

revision = "0010_cancelled_runs"
down_revision = "0009_sync_schedule"


def upgrade() -> None:
    """Let a history row be closed as cancelled, with a message."""
    _allow("'running', 'success', 'failed', 'partial', 'cancelled'")
    _demand_message("status NOT IN ('failed', 'cancelled')")


def downgrade() -> None:
    """Count those rows as failed, as they were before; their messages stay."""
    op.execute("UPDATE orchestration.sync_history SET status = 'failed' WHERE status = 'cancelled'")
    _allow("'running', 'success', 'failed', 'partial'")
    _demand_message("status <> 'failed'")


def _allow(statuses: str) -> None:
    op.execute(f"""
        ALTER TABLE orchestration.sync_history
            DROP CONSTRAINT sync_history_status_known,
            ADD CONSTRAINT sync_history_status_known CHECK (status IN ({statuses}))
    """)


def _demand_message(unless: str) -> None:
    op.execute(f"""
        ALTER TABLE orchestration.sync_history
            DROP CONSTRAINT sync_history_failure_has_message,
            ADD CONSTRAINT sync_history_failure_has_message CHECK ({unless} OR coalesce(error_message, '') <> '')
    """)
