"""Templates of messages, and an outbox of what sequences send. Written as SQL that psql can run."""

from pathlib import Path

from alembic import op

revision = "0033_sequences"
down_revision = "0032_pipedesk_owned"


def upgrade() -> None:
    """Make the tables."""
    _run(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop them; refuse while there are messages, unless forced: without them a step may be sent again."""
    _run(Path(__file__).with_name("0033_sequences_down.sql"))


def _run(part: Path) -> None:
    # Without parameters, so that % means itself.
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(part.read_text())
