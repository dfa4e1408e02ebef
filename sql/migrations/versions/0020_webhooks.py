"""The inbox of webhooks. Written as SQL that psql can run."""

from pathlib import Path

from alembic import op

revision = "0020_webhooks"
down_revision = "0019_entered_leads"


def upgrade() -> None:
    """Make the table."""
    _run(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop it: polls find what was not worked off."""
    _run(Path(__file__).with_name("0020_webhooks_down.sql"))


def _run(part: Path) -> None:
    # Without parameters, so that % means itself.
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(part.read_text())
