"""What is written to Google: why a plan was made, and which folder a template has for whom. As SQL for psql."""

from pathlib import Path

from alembic import op

revision = "0031_google_writes"
down_revision = "0030_outbound"


def upgrade() -> None:
    """Add the column and the table."""
    _run(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop them; refuse while folders are known, unless forced: a template would make second ones."""
    _run(Path(__file__).with_name("0031_google_writes_down.sql"))


def _run(part: Path) -> None:
    # Without parameters, so that % means itself.
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(part.read_text())
