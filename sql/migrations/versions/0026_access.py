"""Who may use ``warehouse serve``: users, sessions, tokens. Written as SQL that psql can run."""

from pathlib import Path

from alembic import op

revision = "0026_access"
down_revision = "0025_crm_activities"


def upgrade() -> None:
    """Make the schema."""
    _run(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop it; refuses while there are users, unless forced."""
    _run(Path(__file__).with_name("0026_access_down.sql"))


def _run(part: Path) -> None:
    # Without parameters, so that % means itself.
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(part.read_text())
