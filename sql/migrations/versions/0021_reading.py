"""The schema ``masked`` and the key of its masks. What is in it, and who may read, follows the tables (``reading``)."""

from pathlib import Path

from alembic import op

revision = "0021_reading"
down_revision = "0020_webhooks"


def upgrade() -> None:
    """Make the schema and the key."""
    _run("0021_reading.sql")


def downgrade() -> None:
    """Remove them, and the roles unless another database of the cluster uses them."""
    _run("0021_reading_down.sql")


def _run(name: str) -> None:
    # Without parameters, so that % means itself.
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(Path(__file__).with_name(name).read_text())
