"""The unified CRM: schema ``crm``, written as SQL that can be read, and run by psql, in the order of its numbers.

``0003_crm_down.sql`` refuses while a table holds rows, unless the setting ``warehouse.force_down`` is on.
"""

from pathlib import Path

from warehouse_pipelines.schema import scripts

revision = "0003_crm"
down_revision = "0002_source_tables"


def upgrade() -> None:
    """Create the schema, its roles where the cluster lacks them, and the extensions."""
    for part in sorted(Path(__file__).parent.glob("0003_crm_[0-9]_*.sql")):
        scripts.run_file(part)


def downgrade() -> None:
    """Remove the schema; the roles too, unless another database of the cluster uses them."""
    scripts.run_file(Path(__file__).with_name("0003_crm_down.sql"))
