"""Which records a lead follows, and of whom a sale is, are kept; deleted leads have an index. SQL for psql."""

from pathlib import Path

from alembic import op

from warehouse_pipelines.schema import online

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
    _run(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop them and the indexes; marts.sale is computed anew by its next run."""
    _run(Path(__file__).with_name("0044_followed_records_down.sql"))


def _run(part: Path) -> None:
    # Without parameters, so that % means itself.
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(part.read_text())
