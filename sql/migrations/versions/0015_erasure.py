"""Erasure: who was erased, as keyed hashes, the certificates and the proposals. Written as SQL that psql can run."""

from pathlib import Path

from alembic import op

revision = "0015_erasure"
down_revision = "0014_lead_import"


def upgrade() -> None:
    """Make the tables and the key."""
    _run(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop them; refuse while somebody was erased, unless forced: later syncs would bring them back."""
    _run(Path(__file__).with_name("0015_erasure_down.sql"))


def _run(part: Path) -> None:
    # Without parameters, so that % means itself.
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(part.read_text())
