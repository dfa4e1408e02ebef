"""Flags of Genius are boolean, also where Genius keeps them as 0 and 1 or HubSpot repeats them as such.

Another number becomes null, as the loader makes it; the number remains in ``raw_data``. Each table is rewritten once.
No view of ``sql/views`` shows the columns; PostgreSQL names a view of your own that does. On an empty database there
is nothing to change: the tables are made as they are declared, after the migrations.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011_flags"
down_revision = "0010_cancelled_runs"

FLAGS = {
    "genius_lead": (
        "is_valid_address is_year_built_verified is_zillow is_express_consent is_express_consent_being_reviewed "
        "is_estimate_set is_credit_request is_valid_email is_high_potential is_mobile_lead is_dnc is_dummy "
        "is_estimate_confirmed is_carpentry_followup"
    ),
    "genius_prospect": "is_address_valid",
    "genius_appointment": "is_complete",
    "genius_division": "is_inactive",
    "genius_marketsharp_source": "inactive",
    "genius_job": (
        "subcontractor_confirmed is_in_progress prep_status_is_reset is_lead_pb is_financing is_sales_tax_exempt "
        "is_refund is_earned_not_paid is_reviewed is_cogs_report_month_updated is_payment_finalized is_company_cam "
        "is_five_star_review is_company_cam_images_correct is_loan_document_uptodate is_labor_adjustment_correct "
        "is_change_order_correct is_coc_pdf_attached"
    ),
    "genius_job_status": "is_system",
    "genius_job_financing": "is_joint_application is_financing_factor is_active_stipulations_cleared",
    "genius_job_change_order_status": "is_selectable",
    "hubspot_contact": (
        "lead_is_carpentry_followup lead_is_dnc lead_is_dummy lead_is_estimate_confirmed lead_is_estimate_set "
        "lead_is_express_consent lead_is_express_consent_being_reviewed lead_is_high_potential lead_is_mobile_lead "
        "lead_is_valid_address lead_is_valid_email lead_is_year_built_verified lead_is_zillow "
        "prospect_is_address_valid prospect_is_year_built_valid"
    ),
}
"""The columns by table, as they were declared when this was written."""


def upgrade() -> None:
    """Make booleans of numbers."""
    _alter("bigint", "boolean", "CASE {0} WHEN 1 THEN true WHEN 0 THEN false END")


def downgrade() -> None:
    """Make numbers of booleans."""
    _alter("boolean", "bigint", "{0}::int::bigint")


def _alter(before: str, after: str, using: str) -> None:
    there = sa.inspect(op.get_bind())
    for table, names in FLAGS.items():
        if not there.has_table(table):
            continue
        types = {column["name"]: str(column["type"]).lower() for column in there.get_columns(table)}
        changes = [
            f"ALTER COLUMN {name} TYPE {after} USING {using.format(name)}"
            for name in names.split()
            if types.get(name) == before
        ]
        if changes:
            op.get_bind().exec_driver_sql(f"ALTER TABLE {table} {', '.join(changes)}")
