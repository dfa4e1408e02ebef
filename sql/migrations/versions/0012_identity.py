"""Who is who: the schema identity. Written as SQL that psql can run."""

from pathlib import Path

from alembic import op

revision = "0012_identity"
down_revision = "0011_flags"


def upgrade() -> None:
    """Make the schema and its tables."""
    _run(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop them; refuse while there are decisions of people, unless forced."""
    _run(Path(__file__).with_name("0012_identity_down.sql"))


def _run(part: Path) -> None:
    # Without parameters, so that % means itself.
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(part.read_text())
