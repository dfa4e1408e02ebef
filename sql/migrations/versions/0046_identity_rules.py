"""By which rules records were read is kept. SQL for psql."""

from pathlib import Path

from alembic import op

revision = "0046_identity_rules"
down_revision = "0045_refused_amounts"


def upgrade() -> None:
    """Add the column."""
    _run(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop it."""
    _run(Path(__file__).with_name("0046_identity_rules_down.sql"))


def _run(part: Path) -> None:
    # Without parameters, so that % means itself.
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(part.read_text())
