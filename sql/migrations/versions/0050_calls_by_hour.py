"""Which hours of which table changed, so that a mart need not count all calls of a month."""

from pathlib import Path

from warehouse_pipelines.schema import scripts

revision = "0050_calls_by_hour"
down_revision = "0049_emptied_accounts"


def upgrade() -> None:
    """Keep hours instead of months."""
    scripts.run_file(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Keep months again."""
    scripts.run_file(Path(__file__).with_name("0050_calls_by_hour_down.sql"))
