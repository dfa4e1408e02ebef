"""Rules of alerts that nobody edited are explained by settings of a CRM that cannot be used. SQL for psql."""

from pathlib import Path

from warehouse_pipelines.schema import scripts

revision = "0047_explained_alerts"
down_revision = "0046_identity_rules"


def upgrade() -> None:
    """Add the rule that explains them."""
    scripts.run_file(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Take it out."""
    scripts.run_file(Path(__file__).with_name("0047_explained_alerts_down.sql"))
