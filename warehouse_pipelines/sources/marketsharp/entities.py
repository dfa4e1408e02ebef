"""The entity sets of MarketSharp, a row each, and ``data``, the flattened view. ``fetch`` says how they are read.

Columns are those that installations hold; a property's name is its column's in camel case, unless it is written behind
``=``. Sets with ``lastUpdate`` are read by it, and once a day in full (``full_every``): a hard delete leaves no
trace, and ``lastUpdate`` may be empty. The others are read in full every time, ``ProductInterests`` too, which has the
property. ``isActive`` false is how things are deleted here; such a row is ``archived``.

The last read wins, even with an older ``lastUpdate`` (the hour that occurs twice in autumn, where times have no
offset), because rows come from this service only. That is why ``lookback`` is set beside ``overlap``.

``Leads``, ``Prospects`` and ``Customers`` are parts of ``Contacts``. A lead that becomes a prospect leaves ``Leads``
without a trace; its row there is ``archived`` as missing at the next daily read. Uniting the four counts people twice.

Left out: the sets that no installation is known to store (contracts, loans, payments, proposals, notes, surveys,
crews, lead paint and others), and the REST interface, whose delta shows records that never changed as new.

``docs/vendors/marketsharp.md`` lists what is unconfirmed, and how a wrong guess would show.
"""

from collections.abc import Mapping
from datetime import date, timedelta

from warehouse_pipelines.model.cadence import Cadence
from warehouse_pipelines.model.deletes import Deletes
from warehouse_pipelines.model.entity import DAY, Entity, columns
from warehouse_pipelines.sources.marketsharp.fetch import OVERLAP

SIX_HOURS = timedelta(hours=6)
"""Cadence of sets as large as the contacts that are read in full every time."""


def camel_case(name: str) -> str:
    """Return a column's name as the vendor writes it.

    >>> camel_case("job_site_address_line1")
    'jobSiteAddressLine1'
    """
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def paths(names: str, kind: str) -> str:
    """Return the names with their paths; for a time, the one with the offset (``zoned``) comes first."""
    found = []
    for word in names.split():
        name, _, path = word.partition("=")
        path = path or camel_case(name)
        found.append(f"{name}=zoned.{path}|{path}" if kind == "timestamptz" else f"{name}={path}")
    return " ".join(found)


def _set(
    table: str,
    path: str,
    about: str,
    *,
    key: str = "id",
    archived: bool = True,
    index: str = "",
    refs: Mapping[str, str] | None = None,
    every: timedelta = timedelta(hours=1),
    timed: bool = True,
    of: Mapping[str, str] | None = None,
    **names_by_kind: str,
) -> Entity:
    """Return the row of one set; one with ``last_update`` is read by it if it is ``timed``. ``of`` are shared names."""
    names_by_kind = {**(of or {}), **names_by_kind}
    timed = timed and "last_update" in names_by_kind.get("timestamptz", "").split()
    cadence = Cadence(every=every, overlap=OVERLAP, lookback=OVERLAP, full_every=DAY, backfill_since=date(2024, 1, 1))
    return Entity(
        name=table.removeprefix("marketsharp_"),
        table=table,
        about=about,
        path=path,
        key=key,
        cursor="last_update" if timed else None,
        cadence=cadence if timed else Cadence(every=every),
        deletes=Deletes(flag="isActive=false" if archived else None),
        index=index,
        refs=refs or {},
        columns=columns(**{kind: paths(names, kind) for kind, names in names_by_kind.items()}),
    )


PERSON = {
    "id": "id contact_phone_id primary_address_id",
    "integer": "company_id",
    "text": """
        first_name last_name middle_initial title business_name source reference income_code age_code structure_age_code
        structure_value_code year_home_built marital_status length_of_residence style_of_home mail_merge_name qb_id
        qb_name qb_edit_sequence
    """,
    "email": "email1 email2 email3",
    "url": "website1 website2 website3",
    "boolean": """
        email1_can_mail email2_can_mail email3_can_mail do_not_mail is_tagged is_active has_dnc_phone=hasDNCPhone
        has_dne_email=hasDNEEmail qb_sync_data
    """,
    "timestamptz": "qb_sync_date creation_date created_date last_update",
}
"""What a contact has, whichever of the four sets it is read from."""

CONTACTS = _set(
    "marketsharp_contact",
    "Contacts",
    "Everybody that the company has to do with.",
    index="email1 primary_address_id",
    refs={"primary_address_id": "marketsharp_address", "contact_phone_id": "marketsharp_contact_phone"},
    of=PERSON,
)

LEADS = _set("marketsharp_lead", "Leads", "Contacts that asked.", index="email1", of=PERSON)

PROSPECTS = _set("marketsharp_prospect", "Prospects", "Contacts that were visited.", index="email1", of=PERSON)

CUSTOMERS = _set("marketsharp_customer", "Customers", "Contacts that bought.", index="email1", of=PERSON)

CONTACT_PHONES = _set(
    "marketsharp_contact_phone",
    "ContactPhones",
    "The telephone numbers of a contact.",
    key="contact_id",
    archived=False,
    index="home_phone_e164 cell_phone_e164 work_phone_e164",
    refs={"contact_id": "marketsharp_contact"},
    every=SIX_HOURS,
    id="contact_id",
    phone="""
        home_phone home_phone2 cell_phone cell_phone2 work_phone work_phone2 other_phone other_phone2 company_phone
        assistant_phone home_fax work_fax company_fax pager
    """,
)

CONTACT_TYPES = _set(
    "marketsharp_contact_type",
    "ContactTypes",
    "What a contact is to the company; it may be several things.",
    index="contact_id",
    refs={"contact_id": "marketsharp_contact"},
    every=SIX_HOURS,
    id="id contact_id",
    text="contact_type",
    boolean="is_active",
)

CUSTOM_FIELDS = _set(
    "marketsharp_custom_field",
    "CustomFields",
    "What the company writes down of a contact in fields of its own.",
    archived=False,
    index="contact_id",
    refs={"contact_id": "marketsharp_contact"},
    every=SIX_HOURS,
    id="id contact_id",
    text="name value",
)

ADDRESSES = _set(
    "marketsharp_address",
    "Addresses",
    "The addresses of contacts.",
    index="contact_id",
    refs={"contact_id": "marketsharp_contact"},
    every=SIX_HOURS,
    id="id contact_id",
    # The first is the vendor's own spelling.
    text="line1 line2 city state county=coounty|county zip zip4 country carrier_route cass dpbc2 bar_code",
    numeric="latitude longitude",
    boolean="is_active",
)

INQUIRIES = _set(
    "marketsharp_inquiry",
    "Inquiries",
    "What a contact asked for, and where they heard of the company.",
    index="contact_id inquiry_status_id",
    refs={
        "contact_id": "marketsharp_contact",
        "inquiry_source_primary_id": "marketsharp_inquiry_source_primary",
        "inquiry_source_secondary_id": "marketsharp_inquiry_source_secondary",
        "inquiry_status_id": "marketsharp_inquiry_status",
    },
    id="""
        id contact_id inquiry_source_primary_id inquiry_source_secondary_id promoter_id canvasser_id telemarketer_id
        set_by_id
    """,
    integer="inquiry_status_id",
    text="""
        description division note job_site_address_line1 job_site_address_line2 job_site_city job_site_state
        job_site_zip job_site_directions last_update_by created_by
    """,
    boolean="is_active",
    timestamptz="inquiry_date set_date creation_date created_date last_update",
)

INQUIRY_SOURCE_PRIMARIES = _set(
    "marketsharp_inquiry_source_primary",
    "InquirySourcePrimaries",
    "Where inquiries come from.",
    every=DAY,
    id="id",
    integer="company_id",
    text="name",
    boolean="is_active",
)

INQUIRY_SOURCE_SECONDARIES = _set(
    "marketsharp_inquiry_source_secondary",
    "InquirySourceSecondaries",
    "Where inquiries come from, more closely.",
    refs={"inquiry_source_primary_id": "marketsharp_inquiry_source_primary"},
    every=DAY,
    id="id inquiry_source_primary_id",
    integer="company_id",
    text="name",
    boolean="is_active",
)

INQUIRY_STATUSES = _set(
    "marketsharp_inquiry_status",
    "InquiryStatuses",
    "What an inquiry may have come to.",
    every=DAY,
    integer="id company_id",
    text="name last_update_by created_by",
    boolean="is_active",
    timestamptz="created_date_utc last_update_utc",
)

APPOINTMENTS = _set(
    "marketsharp_appointment",
    "Appointments",
    "When who visits whom, and what came of it.",
    index="inquiry_id appointment_date",
    refs={
        "inquiry_id": "marketsharp_inquiry",
        "result_id": "marketsharp_appointment_result",
        "salesperson1_id": "marketsharp_employee",
    },
    id="id inquiry_id salesperson1_id salesperson2_id set_by_id result_id",
    text="note subject type result_reason last_update_by created_by",
    boolean="is_active",
    timestamptz="appointment_date set_date issued_date created_date last_update",
)

APPOINTMENT_RESULTS = _set(
    "marketsharp_appointment_result",
    "AppointmentResults",
    "What an appointment may have come to.",
    every=DAY,
    id="id",
    text="name",
    boolean="presentation sold is_active",
)

ACTIVITIES = _set(
    "marketsharp_activity",
    "Activities",
    "What somebody has to do for a contact.",
    index="contact_id inquiry_id appointment_id",
    refs={
        "contact_id": "marketsharp_contact",
        "inquiry_id": "marketsharp_inquiry",
        "appointment_id": "marketsharp_appointment",
        "activity_result_id": "marketsharp_activity_result",
        "activity_reference_id": "marketsharp_activity_reference",
    },
    id="id contact_id appointment_id inquiry_id assign_to_employee_id scheduled_by_employee_id",
    integer="reminder_minutes activity_result_id activity_reference_id",
    text="name type notes last_updated_by created_by",
    boolean="reminder_dismissed is_active",
    timestamptz="completed_date due_date created_date last_update",
)

ACTIVITY_REFERENCES = _set(
    "marketsharp_activity_reference",
    "ActivityReferences",
    "What an activity may refer to.",
    every=DAY,
    integer="id company_id",
    text="name created_by last_update_by",
    boolean="inquiry_required appointment_required is_active",
    timestamptz="created_date_utc last_update_utc",
)

ACTIVITY_RESULTS = _set(
    "marketsharp_activity_result",
    "ActivityResults",
    "What an activity may have come to.",
    every=DAY,
    integer="id company_id",
    text="name last_update_by created_by",
    boolean="""
        email_success email_failure confirmed is_active count_as_appt_confirmed count_as_appt_created count_as_contacted
    """,
    timestamptz="created_date last_update",
)

JOBS = _set(
    "marketsharp_job",
    "Jobs",
    "What was sold, and its work.",
    index="contact_id inquiry_id appointment_id",
    refs={
        "contact_id": "marketsharp_contact",
        "inquiry_id": "marketsharp_inquiry",
        "appointment_id": "marketsharp_appointment",
    },
    id="id contact_id inquiry_id appointment_id",
    text="""
        site number name description type status address_line1 address_line2 city state zip structure_value_code note
    """,
    boolean="is_active exported_to_guild_quality",
    timestamptz="start_date sale_date completed_date created_date last_update",
)

PRODUCT_INTERESTS = _set(
    "marketsharp_product_interest",
    "ProductInterests",
    "What an inquiry is about, and the price that was quoted.",
    timed=False,
    index="inquiry_id",
    refs={
        "inquiry_id": "marketsharp_inquiry",
        "product_type_id": "marketsharp_product_type",
        "product_detail_id": "marketsharp_product_detail",
    },
    every=SIX_HOURS,
    id="id inquiry_id product_type_id product_detail_id",
    numeric="price_quoted",
    boolean="is_active",
    timestamptz="last_update",
)

PRODUCT_TYPES = _set(
    "marketsharp_product_type",
    "ProductTypes",
    "What the company sells.",
    every=DAY,
    id="id",
    integer="company_id",
    text="name",
    boolean="is_active",
)

PRODUCT_DETAILS = _set(
    "marketsharp_product_detail",
    "ProductDetails",
    "What the company sells, more closely.",
    refs={"product_type_id": "marketsharp_product_type"},
    every=DAY,
    id="id product_type_id",
    integer="company_id",
    text="name",
    boolean="is_active",
)

EMPLOYEES = _set(
    "marketsharp_employee",
    "Employees",
    "Who works there.",
    id="id",
    integer="company_id",
    text="name",
    boolean="is_active",
    timestamptz="last_update",
)

COMPANIES = _set(
    "marketsharp_company",
    "Companies",
    "The company itself.",
    archived=False,
    every=DAY,
    integer="id number",
    text="""
        name owner address_line1 address_line2 address_city address_state address_zip contact_name contact_title
        time_zone
    """,
    email="email",
    url="website",
    phone="phone fax",
)

PHONES = (
    "homePhone", "cellPhone", "workPhone", "homePhone2", "cellPhone2", "workPhone2", "otherPhone", "otherPhone2",
    "companyPhone",
)  # fmt: skip
"""Where a telephone number of a contact may be, the preferred place first."""

DATA = _set(
    "marketsharp_data",
    "Inquiries?$expand=Contact/Address,Contact/ContactPhone",
    "Each inquiry with the name, the address and the telephone number of its contact.",
    index="lead_id email phone_e164",
    refs={"lead_id": "marketsharp_contact"},
    id="id lead_id=Contact.id|contactId",
    text="""
        customer_name=Contact.firstName+Contact.lastName|Contact.businessName
        address=Address.line1+Address.line2 city=Address.city state=Address.state zip=Address.zip
        status=InquiryStatus.name
    """,
    phone=f"phone={'|'.join(f'ContactPhone.{name}' for name in PHONES)}",
    email="email=Contact.email1",
    boolean="is_active",
    timestamptz="created_date last_update",
)
