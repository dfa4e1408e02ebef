"""Whether a consent has a date is kept, and opt-outs by message and ended entries have an index. SQL for psql."""

from pathlib import Path

from alembic import op

from warehouse_pipelines.schema import online

revision = "0043_consent_dates"
down_revision = "0042_changed_rows"
steps = (
    online.Index("consent_fact_said_from", "crm.consent_fact", "(source_table, source_key) WHERE phone IS NOT NULL"),
    online.Index("dnc_list_ended", "crm.dnc_list", "(organization_id, phone) WHERE ended_at IS NOT NULL"),
)


def upgrade() -> None:
    """Add the column."""
    _run(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop it and the indexes."""
    _run(Path(__file__).with_name("0043_consent_dates_down.sql"))


def _run(part: Path) -> None:
    # Without parameters, so that % means itself.
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(part.read_text())
