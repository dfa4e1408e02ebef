"""The further accounts of CRMs that this warehouse has. Written as SQL that psql can run."""

from pathlib import Path

from alembic import op

revision = "0035_accounts"
down_revision = "0034_many_workers"


def upgrade() -> None:
    """Make the table."""
    _run(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop the tables of the accounts, which a sync fetches again, their views and deliveries, and what names them."""
    _run(Path(__file__).with_name("0035_accounts_down.sql"))


def _run(part: Path) -> None:
    # Without parameters, so that % means itself.
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(part.read_text())
