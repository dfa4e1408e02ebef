"""What a migration does while others read and write is noted; so is what is deleted of identity. SQL for psql.

Marts ask what changed of three tables since they were computed. Without an index each question walked through all
touches, members and records.
"""

from pathlib import Path

from warehouse_pipelines.schema import online, scripts

revision = "0039_large_tables"
down_revision = "0038_kept_promises"
steps = (
    online.Index("touch_updated", "identity.touch", "(updated_at)"),
    online.Index("member_since", "identity.member", "(since)"),
    online.Index("record_changed", "identity.record", "(changed_at)"),
)


def upgrade() -> None:
    """Make the tables and the triggers."""
    scripts.run_file(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop them and the indexes: the first run of each mart after it asks everything."""
    scripts.run_file(Path(__file__).with_name("0039_large_tables_down.sql"))
