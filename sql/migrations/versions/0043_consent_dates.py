"""Whether a consent has a date is kept, and opt-outs by message and ended entries have an index. SQL for psql."""

from pathlib import Path

from warehouse_pipelines.schema import online, scripts

revision = "0043_consent_dates"
down_revision = "0042_changed_rows"
steps = (
    online.Index("consent_fact_said_from", "crm.consent_fact", "(source_table, source_key) WHERE phone IS NOT NULL"),
    online.Index("dnc_list_ended", "crm.dnc_list", "(organization_id, phone) WHERE ended_at IS NOT NULL"),
)


def upgrade() -> None:
    """Add the column."""
    scripts.run_file(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop it and the indexes."""
    scripts.run_file(Path(__file__).with_name("0043_consent_dates_down.sql"))
