"""Touches with several phones have an index."""

from alembic import op

from warehouse_pipelines.schema import online

revision = "0048_touches_of_several_phones"
down_revision = "0047_explained_alerts"
steps = (
    online.Index(
        "record_touch_phones",
        "identity.record",
        "USING gin (phones) WITH (fastupdate = off) WHERE kind = 'touch' AND cardinality(phones) > 1",
    ),
)


def upgrade() -> None:
    """Nothing but the step."""


def downgrade() -> None:
    """Drop the index."""
    op.execute("DROP INDEX IF EXISTS identity.record_touch_phones")
