"""Rules of alerts that nobody edited are explained by settings of a CRM that cannot be used. SQL for psql."""

from pathlib import Path

from alembic import op

revision = "0047_explained_alerts"
down_revision = "0046_identity_rules"


def upgrade() -> None:
    """Add the rule that explains them."""
    _run(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Take it out."""
    _run(Path(__file__).with_name("0047_explained_alerts_down.sql"))


def _run(part: Path) -> None:
    # Without parameters, so that % means itself.
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(part.read_text())
