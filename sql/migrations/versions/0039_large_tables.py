"""What a migration does while others read and write is noted, so that one that was killed goes on. SQL for psql."""

from pathlib import Path

from alembic import op

revision = "0039_large_tables"
down_revision = "0033_sequences"


def upgrade() -> None:
    """Make the table."""
    _run(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop it: a step that is begun again finds what is there."""
    _run(Path(__file__).with_name("0039_large_tables_down.sql"))


def _run(part: Path) -> None:
    # Without parameters, so that % means itself.
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(part.read_text())
