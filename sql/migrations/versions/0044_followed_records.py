"""Which records a lead follows, and of whom a sale is, are kept; deleted leads have an index. SQL for psql."""

from pathlib import Path

from warehouse_pipelines.schema import online, scripts

revision = "0044_followed_records"
down_revision = "0043_consent_dates"
steps = (
    online.Index("lead_feed_records", "crm.lead_feed", "USING gin (records) WITH (fastupdate = off)"),
    online.Index("leads_deleted", "crm.leads", "(deleted_at) WHERE deleted_at IS NOT NULL AND phone IS NOT NULL"),
    online.Index(
        "sale_persons",
        "marts.sale",
        "USING gin (person_ids) WITH (fastupdate = off) WHERE cardinality(person_ids) > 1",
    ),
)


def upgrade() -> None:
    """Add the columns."""
    scripts.run_file(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop them and the indexes; marts.sale is computed anew by its next run."""
    scripts.run_file(Path(__file__).with_name("0044_followed_records_down.sql"))
