"""Who is who: the schema identity. Written as SQL that psql can run."""

from pathlib import Path

from warehouse_pipelines.schema import scripts

revision = "0012_identity"
down_revision = "0011_flags"


def upgrade() -> None:
    """Make the schema and its tables."""
    scripts.run_file(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop them; refuse while there are decisions of people, unless forced."""
    scripts.run_file(Path(__file__).with_name("0012_identity_down.sql"))
