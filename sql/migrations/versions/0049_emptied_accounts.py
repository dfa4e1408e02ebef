"""The account without a name has a row once it was emptied, so that what was loaded before counts no more."""

from pathlib import Path

from alembic import op

from warehouse_pipelines.schema import online

revision = "0049_emptied_accounts"
down_revision = "0048_touches_of_several_phones"
steps = (online.Validate("orchestration.account", "account_is_named_so"),)


def upgrade() -> None:
    """Allow the row."""
    _run(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Delete such rows."""
    _run(Path(__file__).with_name("0049_emptied_accounts_down.sql"))


def _run(part: Path) -> None:
    # Without parameters, so that % means itself.
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(part.read_text())
