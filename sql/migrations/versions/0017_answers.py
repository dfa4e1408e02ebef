"""The marts that answer questions, the way between two people, views for the operator. SQL that psql can run."""

from pathlib import Path

from warehouse_pipelines.schema import scripts

revision = "0017_answers"
down_revision = "0016_marts"


def upgrade() -> None:
    """Make the tables, the function and the views."""
    scripts.run_file(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop them: the next run computes the tables again."""
    scripts.run_file(Path(__file__).with_name("0017_answers_down.sql"))
