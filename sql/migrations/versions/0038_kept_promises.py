"""An opt-out outlives the erasure of the address; what the outbox keeps is not called sent. SQL that psql can run."""

from pathlib import Path

from warehouse_pipelines.schema import scripts

revision = "0038_kept_promises"
down_revision = "0035_accounts"


def upgrade() -> None:
    """Add the hash and the status."""
    scripts.run_file(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Take both away; refuse while there are hashes, unless forced: those addresses would be written to again."""
    scripts.run_file(Path(__file__).with_name("0038_kept_promises_down.sql"))
