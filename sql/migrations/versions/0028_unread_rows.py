"""Rows of a file of leads that were not read are said; the flag of ``crm.entered_leads`` is named for what it tells."""

from pathlib import Path

from alembic import op

revision = "0028_unread_rows"
down_revision = "0027_good_runs"


def upgrade() -> None:
    """Allow the outcome, and rename the column."""
    _run(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Forget which rows were not read, and rename the column back."""
    _run(Path(__file__).with_name("0028_unread_rows_down.sql"))


def _run(part: Path) -> None:
    # Without parameters, so that % means itself.
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(part.read_text())
