"""The account without a name has a row once it was emptied, so that what was loaded before counts no more."""

from pathlib import Path

from warehouse_pipelines.schema import online, scripts

revision = "0049_emptied_accounts"
down_revision = "0048_touches_of_several_phones"
steps = (online.Validate("orchestration.account", "account_is_named_so"),)


def upgrade() -> None:
    """Allow the row."""
    scripts.run_file(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Delete such rows."""
    scripts.run_file(Path(__file__).with_name("0049_emptied_accounts_down.sql"))
