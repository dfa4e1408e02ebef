"""The marts: a file of SQL for each group of tables, which psql can run, in the order of their names."""

from pathlib import Path

from warehouse_pipelines.schema import scripts

revision = "0016_marts"
down_revision = "0015_erasure"


def upgrade() -> None:
    """Make the tables."""
    for part in sorted(Path(__file__).parent.glob("0016_marts_[0-9]*.sql")):
        scripts.run_file(part)


def downgrade() -> None:
    """Drop them: the next run computes them again."""
    scripts.run_file(Path(__file__).with_name("0016_marts_down.sql"))
