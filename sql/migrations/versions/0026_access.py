"""Who may use ``warehouse serve``: users, sessions, tokens. Written as SQL that psql can run."""

from pathlib import Path

from warehouse_pipelines.schema import scripts

revision = "0026_access"
down_revision = "0025_crm_activities"


def upgrade() -> None:
    """Make the schema."""
    scripts.run_file(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop it; refuses while there are users, unless forced."""
    scripts.run_file(Path(__file__).with_name("0026_access_down.sql"))
