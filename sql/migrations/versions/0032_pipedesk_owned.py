"""PipeDesk's audit log, and what tells an erased row that is mirrored from an owned one. Written as SQL."""

from pathlib import Path

from warehouse_pipelines.schema import scripts

revision = "0032_pipedesk_owned"
down_revision = "0031_google_writes"


def upgrade() -> None:
    """Make the log; triggers, functions and policies are in ``sql/schemas/pipedesk.sql``."""
    scripts.run_file(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Remove them with the log; refuse while it has entries, unless forced."""
    scripts.run_file(Path(__file__).with_name("0032_pipedesk_owned_down.sql"))
