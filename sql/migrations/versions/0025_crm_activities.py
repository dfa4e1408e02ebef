"""What was done in crm as activities, and what a mart knew when it was computed. SQL that psql can run."""

from pathlib import Path

from alembic import op

revision = "0025_crm_activities"
down_revision = "0024_webhook_outcomes"


def upgrade() -> None:
    """Make the views of what was done in crm, and keep how an owner came to a lead."""
    _run("0025_crm_activities.sql")
    _run("0025_crm_activities_marts.sql")


def downgrade() -> None:
    """Drop them; the timeline is computed again by the next run."""
    _run("0025_crm_activities_marts_down.sql")
    _run("0025_crm_activities_down.sql")


def _run(name: str) -> None:
    # Without parameters, so that % means itself.
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(Path(__file__).with_name(name).read_text())
