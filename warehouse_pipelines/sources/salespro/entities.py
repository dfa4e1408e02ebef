"""The tables of SalesPro (Leap), shared as a database of AWS Athena; there is no API. ``fetch`` says how they are read.

**Deleted rows** leave no trace, so everything is read once a day. A query costs ten megabytes at the least whatever it
reads, and a million rows cost less than a cent either way.

The last read wins, even with an older ``updated_at`` (the hour that occurs twice in autumn, where times have no
offset), because rows come from this database only. That is why ``lookback`` is set beside ``overlap``.

**Customers** may have a row for each estimate (unconfirmed). The row of the newest estimate is kept, by the query, and
all estimates are in ``salespro_estimate``. When that row is deleted an older one is read. ``crm_source_id`` is the key
of a person in the CRM that ``crm_source`` names, so it is no reference to one table; both are indexed.

**Lead results** have only ``created_at``, which an edit does not change. The last seven days are read again each time,
all of them once a day. An estimate may have several, of which the newest is kept; where it is removed, the older one is
asked for (``fetch``). Answers have columns beside ``lead_results_raw``, which holds them all (``forms``). A **line
item** is a pair of answers, job type and amount, made of the same table.

Left out: payments and user activities, which the catalogue does not have. ``docs/vendors/salespro.md`` lists what is
unconfirmed, and how a wrong guess would show. Verified against the simulator only; no live account has been read yet.
"""

from datetime import date, timedelta

from warehouse_pipelines.model.cadence import Cadence
from warehouse_pipelines.model.deletes import Deletes
from warehouse_pipelines.model.entity import Column, Entity, columns
from warehouse_pipelines.sources.salespro.forms import FORM

DAY = timedelta(days=1)
"""An overlap costs no scan, and the time of the vendor's export is unknown."""

SINCE = date(2024, 1, 1)

CREDIT_APPLICATIONS = Entity(
    name="credit_applications",
    table="salespro_credit_application",
    about="Applications for credit, and what the lender said.",
    path="credit_applications",
    key="id",
    cursor="updated_at",
    cadence=Cadence(overlap=DAY, lookback=DAY, full_every=DAY, backfill_since=SINCE),
    index="customer_id",
    refs={"customer_id": "salespro_customer", "estimate_id": "salespro_estimate"},
    columns=columns(
        id="""
            id=leap_credit_app_id leap_credit_app_id customer_id estimate_id company_id sales_rep_id
            credit_app_vendor_id
        """,
        text="company_name credit_app_vendor credit_app_status credit_app_note",
        numeric="credit_app_amount credit_limit",
        timestamptz="created_at updated_at",
    ),
)

CUSTOMERS = Entity(
    name="customers",
    table="salespro_customer",
    about="Customers with their newest estimate, and where another CRM has them.",
    path="customer",
    key="customer_id",
    cursor="updated_at",
    cadence=Cadence(overlap=DAY, lookback=DAY, full_every=DAY, backfill_since=SINCE),
    index="estimate_id crm_source crm_source_id",
    refs={"estimate_id": "salespro_estimate"},
    columns=columns(
        id="customer_id estimate_id company_id crm_source_id",
        text="company_name customer_first_name customer_last_name crm_source",
        timestamptz="created_at updated_at",
    ),
)

ESTIMATES = Entity(
    name="estimates",
    table="salespro_estimate",
    about="Estimates: for whom, by whom, for how much, and whether it was sold.",
    path="estimate",
    key="estimate_id",
    cursor="updated_at",
    cadence=Cadence(overlap=DAY, lookback=DAY, full_every=DAY, backfill_since=SINCE),
    index="customer_id office_id",
    refs={"customer_id": "salespro_customer", "office_id": "salespro_office"},
    columns=columns(
        id="estimate_id company_id office_id sales_rep_id customer_id",
        text="""
            status=status|is_sale company_name office_name sales_rep_first_name sales_rep_last_name customer_first_name
            customer_last_name street_address city state zip_code job_type bank_name loan_name
        """,
        boolean="is_sale has_credit_app",
        integer="document_count",
        numeric="total_amount=total_amount|sale_amount sale_amount finance_amount down_payment",
        timestamptz="created_at updated_at",
    ),
)

LEAD_RESULTS = Entity(
    name="lead_results",
    table="salespro_lead_result",
    about="What came of a visit, as the representative answered the company's questions. `lead_id` is unconfirmed: the "
    "`crm_source_id` of the customer of this estimate, a key in the CRM that the customer's `crm_source` names, and so "
    "no reference to one table. Where it is null for all but a customer's newest estimate, the vendor has one row a "
    "customer, and not one an estimate.",
    path="lead_results",
    key="id",
    cursor="created_at",
    cadence=Cadence(lookback=timedelta(days=7), full_every=DAY, backfill_since=SINCE),
    deletes=Deletes(by_window=True),
    index="estimate_id status_bucket",
    refs={"estimate_id": "salespro_estimate"},
    columns={
        **columns(
            id="id=estimate_id estimate_id lead_id company_id",
            text="result_type=answers.appointment_result",
            timestamptz="result_date=created_at created_at updated_at",
            jsonb="lead_results_raw=lead_results|lead_results_raw",
        ),
        **{name: Column(kind, f"answers.{name}") for name, (kind, _) in FORM.items()},
    },
)

LEAD_RESULT_LINE_ITEMS = Entity(
    name="lead_result_line_items",
    table="salespro_lead_result_line_item",
    about="The job types of a visit with their amounts.",
    path="lead_results/line_items",
    key="estimate_id job_type_number",
    cursor="created_at",
    cadence=Cadence(lookback=timedelta(days=7), full_every=DAY, backfill_since=SINCE),
    deletes=Deletes(by_window=True),
    refs={"estimate_id": "salespro_estimate"},
    columns=columns(
        id="estimate_id company_id",
        integer="job_type_number=line.number",
        text="job_type=line.job_type",
        numeric="job_type_amount=line.amount",
        timestamptz="created_at",
    ),
)

OFFICES = Entity(
    name="offices",
    table="salespro_office",
    about="The offices of the company.",
    path="office",
    key="office_id",
    cadence=Cadence(every=DAY),
    columns=columns(
        id="office_id company_id last_edit_user",
        text="name company_name",
        boolean="can_search_all_estimates",
        timestamptz="created_at updated_at last_edit_date",
    ),
)

USERS = Entity(
    name="users",
    table="salespro_user",
    about="Who may use SalesPro, and for which offices.",
    path="user",
    key="user_object_id",
    cadence=Cadence(every=DAY),
    columns=columns(
        id="user_object_id company_id selected_office identifier",
        text="username first_name last_name license_number",
        email="email",
        phone="phone_number",
        boolean="""
            is_active is_manager is_available_to_call can_activate_users can_change_settings can_submit_credit_apps
            disable_change_company
        """,
        timestamptz="created_at updated_at last_login_date deactivated_date",
        jsonb="allowed_offices",
    ),
)
