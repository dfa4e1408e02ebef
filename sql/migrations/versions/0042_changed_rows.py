"""Marts that sum rows, and relationships, look at what changed and not at everything. SQL for psql."""

from pathlib import Path

from warehouse_pipelines.schema import online, scripts

revision = "0042_changed_rows"
down_revision = "0041_calls_by_month"
steps = (
    online.Index("leads_updated", "crm.leads", "USING brin (updated_at)"),
    online.Index(
        "leads_referred",
        "crm.leads",
        "(golden_id) WHERE source_metadata ? 'referred_by' AND golden_id IS NOT NULL AND deleted_at IS NULL",
    ),
    online.Index("relationships_via", "marts.relationships", "(via) WHERE via IS NOT NULL"),
    online.Index("relationships_referral", "marts.relationships", "(a_id) WHERE relation = 'referral'"),
)


def upgrade() -> None:
    """Make the tables."""
    scripts.run_file(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop them and the indexes; the marts of before are computed anew by their next run."""
    scripts.run_file(Path(__file__).with_name("0042_changed_rows_down.sql"))
