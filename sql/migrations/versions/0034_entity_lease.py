"""Who may load an entity: a lease with a token that the load transaction checks. Written as SQL that psql can run."""

from pathlib import Path

from alembic import op

revision = "0034_entity_lease"
down_revision = "0033_sequences"


def upgrade() -> None:
    """Make the table."""
    op.get_bind().exec_driver_sql(Path(__file__).with_suffix(".sql").read_text())


def downgrade() -> None:
    """Drop it: the lock of an entity is free while nothing loads, and a lease says nothing else."""
    op.execute("DROP TABLE orchestration.entity_lease")
