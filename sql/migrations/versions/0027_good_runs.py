"""One definition of a good run; the glossary's words in alerts; sign-ins by OIDC leave no row. As SQL for psql."""

from pathlib import Path

from alembic import op

revision = "0027_good_runs"
down_revision = "0026_access"


def upgrade() -> None:
    """Make the views, rename the columns, drop the table."""
    _run(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Undo it: sign-ins that are with the provider at that moment are begun again."""
    _run(Path(__file__).with_name("0027_good_runs_down.sql"))


def _run(part: Path) -> None:
    # Without parameters, so that % means itself.
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(part.read_text())
