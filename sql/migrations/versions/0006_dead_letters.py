"""Dead letters that are met again, and that a person may waive. Written as SQL that psql can run."""

from pathlib import Path

from warehouse_pipelines.schema import scripts

revision = "0006_dead_letters"
down_revision = "0005_crm_tenants"


def upgrade() -> None:
    """Tell dead letters by their payload, and let them be waived."""
    scripts.run_file(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Forget who waived what: those wait again."""
    scripts.run_file(Path(__file__).with_name("0006_dead_letters_down.sql"))
