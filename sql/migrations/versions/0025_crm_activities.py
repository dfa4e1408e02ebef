"""What was done in crm as activities, and what a mart knew when it was computed. SQL that psql can run."""

from pathlib import Path

from warehouse_pipelines.schema import scripts

revision = "0025_crm_activities"
down_revision = "0024_webhook_outcomes"


def upgrade() -> None:
    """Make the views of what was done in crm, and keep how an owner came to a lead."""
    scripts.run_file(Path(__file__).with_name("0025_crm_activities.sql"))
    scripts.run_file(Path(__file__).with_name("0025_crm_activities_marts.sql"))


def downgrade() -> None:
    """Drop them; the timeline is computed again by the next run."""
    scripts.run_file(Path(__file__).with_name("0025_crm_activities_marts_down.sql"))
    scripts.run_file(Path(__file__).with_name("0025_crm_activities_down.sql"))
