"""Leads have one index of e-mail addresses: all that is asked for is asked by ``lower(email)``, which has its own."""

from alembic import op

revision = "0051_one_index_of_addresses"
down_revision = "0050_calls_by_hour"


def upgrade() -> None:
    """Drop the other one."""
    op.execute("DROP INDEX crm.leads_email")


def downgrade() -> None:
    """Make it again."""
    op.execute("CREATE INDEX leads_email ON crm.leads (organization_id, email) WHERE deleted_at IS NULL")
