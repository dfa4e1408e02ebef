"""The schema ``masked`` and the key of its masks. What is in it, and who may read, follows the tables (``reading``)."""

from pathlib import Path

from warehouse_pipelines.schema import scripts

revision = "0021_reading"
down_revision = "0020_webhooks"


def upgrade() -> None:
    """Make the schema and the key."""
    scripts.run_file(Path(__file__).with_name("0021_reading.sql"))


def downgrade() -> None:
    """Remove them, and the roles unless another database of the cluster uses them."""
    scripts.run_file(Path(__file__).with_name("0021_reading_down.sql"))
