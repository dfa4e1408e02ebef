"""What is written back to vendors: plans, items, and a receipt of each write. Written as SQL that psql can run."""

from pathlib import Path

from alembic import op

revision = "0030_outbound"
down_revision = "0028_unread_rows"


def upgrade() -> None:
    """Make the schema."""
    _run(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop it; refuse while there are receipts, unless forced: without them nothing can be undone."""
    _run(Path(__file__).with_name("0030_outbound_down.sql"))


def _run(part: Path) -> None:
    # Without parameters, so that % means itself.
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(part.read_text())
