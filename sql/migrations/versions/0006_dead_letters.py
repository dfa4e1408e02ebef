"""Dead letters that are met again, and that a person may waive. Written as SQL that psql can run."""

from pathlib import Path

from alembic import op

revision = "0006_dead_letters"
down_revision = "0005_crm_tenants"


def upgrade() -> None:
    """Tell dead letters by their payload, and let them be waived."""
    _run(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Forget who waived what: those wait again."""
    _run(Path(__file__).with_name("0006_dead_letters_down.sql"))


def _run(part: Path) -> None:
    # Without parameters, so that % means itself.
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(part.read_text())
