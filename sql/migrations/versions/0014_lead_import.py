"""Files of leads: what was imported, row by row. Written as SQL that psql can run."""

from pathlib import Path

from alembic import op

revision = "0014_lead_import"
down_revision = "0013_crm_feed"


def upgrade() -> None:
    """Make the two tables, and the index that finds a number which several leads share."""
    _run(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop them; refuse while there are imports, unless forced."""
    _run(Path(__file__).with_name("0014_lead_import_down.sql"))


def _run(part: Path) -> None:
    # Without parameters, so that % means itself.
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(part.read_text())
