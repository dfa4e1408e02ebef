"""What workers share: a lease per entity, and turns of a budget of requests. Written as SQL that psql can run."""

from pathlib import Path

from warehouse_pipelines.schema import scripts

revision = "0034_many_workers"
down_revision = "0033_sequences"


def upgrade() -> None:
    """Make the table, and have budgets give turns."""
    scripts.run_file(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop the table, and have those ask again who have to wait."""
    scripts.run_file(Path(__file__).with_name("0034_many_workers_down.sql"))
