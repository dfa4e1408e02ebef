"""Tenants of the schema ``crm`` that cannot reach each other: who may act for whom, keys, do-not-call rules.

The functions, policies and grants that go with it are in ``sql/schemas/crm.sql``, which runs after every upgrade in
which it has changed. What it replaces of ``0003_crm`` stands there for the databases that are older.

Down refuses while a table of ``crm`` holds rows, unless the setting ``warehouse.force_down`` is on: it makes the schema
anew as ``0003_crm`` has it. The roles stay, with who is in them.
"""

from pathlib import Path

from alembic import op

from warehouse_pipelines.schema import scripts

revision = "0005_crm_tenants"
down_revision = "0004_pipedesk"

HERE = Path(__file__).parent


def upgrade() -> None:
    """Change the tables; keep every row."""
    scripts.run_file(HERE / "0005_crm_tenants.sql")


def downgrade() -> None:
    """Make the schema as it was, empty."""
    scripts.run_file(HERE / "0005_crm_tenants_down.sql")
    scripts.run_file(HERE / "0003_crm_down.sql")
    for part in sorted(HERE.glob("0003_crm_[0-9]_*.sql")):
        scripts.run_file(part)
    op.execute("SET LOCAL warehouse.keep_roles = off")
