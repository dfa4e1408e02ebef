"""Templates of messages, and an outbox of what sequences send. Written as SQL that psql can run."""

from pathlib import Path

from warehouse_pipelines.schema import scripts

revision = "0033_sequences"
down_revision = "0032_pipedesk_owned"


def upgrade() -> None:
    """Make the tables."""
    scripts.run_file(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop them; refuse while there are messages, unless forced: without them a step may be sent again."""
    scripts.run_file(Path(__file__).with_name("0033_sequences_down.sql"))
