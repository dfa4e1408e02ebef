"""Leads that were entered in crm as records of identity; one name for a source of leads. SQL that psql can run."""

from pathlib import Path

from alembic import op

revision = "0019_entered_leads"
down_revision = "0018_identity_lookups"


def upgrade() -> None:
    """Make the view that identity reads, and the table of the spellings of lead sources with its defaults."""
    _run(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop them; refuse while leads of imports or of users were taken over, unless forced."""
    _run(Path(__file__).with_name("0019_entered_leads_down.sql"))


def _run(part: Path) -> None:
    # Without parameters, so that % means itself.
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(part.read_text())
