"""Erasure: who was erased, as keyed hashes, the certificates and the proposals. Written as SQL that psql can run."""

from pathlib import Path

from warehouse_pipelines.schema import scripts

revision = "0015_erasure"
down_revision = "0014_lead_import"


def upgrade() -> None:
    """Make the tables and the key."""
    scripts.run_file(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop them; refuse while somebody was erased, unless forced: later syncs would bring them back."""
    scripts.run_file(Path(__file__).with_name("0015_erasure_down.sql"))
