"""By which rules records were read is kept. SQL for psql."""

from pathlib import Path

from warehouse_pipelines.schema import scripts

revision = "0046_identity_rules"
down_revision = "0045_refused_amounts"


def upgrade() -> None:
    """Add the column."""
    scripts.run_file(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop it."""
    scripts.run_file(Path(__file__).with_name("0046_identity_rules_down.sql"))
