"""The switch of each entity's schedule. Written as SQL that psql can run."""

from pathlib import Path

from alembic import op

revision = "0009_sync_schedule"
down_revision = "0008_join_keys"


def upgrade() -> None:
    """Make the table; ``loading.sync_schedule`` writes its rows."""
    _run(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop it: every schedule is on again."""
    _run(Path(__file__).with_name("0009_sync_schedule_down.sql"))


def _run(part: Path) -> None:
    # Without parameters, so that % means itself.
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(part.read_text())
