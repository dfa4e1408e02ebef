"""One definition of a good run; the glossary's words in alerts; sign-ins by OIDC leave no row. As SQL for psql."""

from pathlib import Path

from warehouse_pipelines.schema import scripts

revision = "0027_good_runs"
down_revision = "0026_access"


def upgrade() -> None:
    """Make the views, rename the columns, drop the table."""
    scripts.run_file(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Undo it: sign-ins that are with the provider at that moment are begun again."""
    scripts.run_file(Path(__file__).with_name("0027_good_runs_down.sql"))
