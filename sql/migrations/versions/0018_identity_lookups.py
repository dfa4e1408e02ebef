"""Identity: who left a household or a property, and indexes for touches. Written as SQL that psql can run."""

from pathlib import Path

from alembic import op

revision = "0018_identity_lookups"
down_revision = "0017_answers"


def upgrade() -> None:
    """Make the tables, the trigger and the indexes."""
    _run(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop them."""
    _run(Path(__file__).with_name("0018_identity_lookups_down.sql"))


def _run(part: Path) -> None:
    # Without parameters, so that % means itself.
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(part.read_text())
