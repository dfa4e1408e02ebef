"""Which tables hold people: a row per table, in the words of ``people``, and nothing else.

``identity.source_rows`` makes SQL of these rows, ``identity.normalise`` reads what it returns; the feed, the erasure
and the export read the same rows.

Decided:

- A row of a table of contacts, leads or appointments is a ``customer`` record when it has a name or an e-mail address.
  A call, a text, a form is one when it has a name *and* an e-mail address or a phone number. What remains is a
  ``touch``: a number without a name may be anybody of the household.
- The four overlapping tables of MarketSharp are a record each; they point at the contact by their common id.
- What a joined table says is part of the record, so a change there is a change of the record.
- Companies are no people: ``NOT_PEOPLE`` names the tables that have such columns and are left out, with the reason.
"""

from collections.abc import Mapping

from warehouse_pipelines.model.accounts import by_table, per_account
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines.unified.people import Consent, Join, People, Place, Pointer

CRM_TABLES: Mapping[str, str] = {
    "hubspot": "hubspot_contact",
    "salesrabbit": "salesrabbit_lead",
    "marketsharp": "marketsharp_contact",
    "genius": "genius_prospect",
    "leadconduit": "leadconduit_lead",
    "five9": "five9_contact",
    "pipedesk": "pipedesk.contacts",
    "arrivy": "arrivy_customer",
}
"""Where the people of a CRM stand that another one names by a word."""

_GENIUS_CONSENT = (
    Consent(column="is_dnc", says="opt_out", channels=("call", "sms")),
    Consent(
        column="is_express_consent",
        says="consent",
        channels=("call", "sms"),
        at="express_consent_set_on",
        proof="express_consent_source express_consent_upload_file_id",
    ),
    Consent(column="do_not_call_before", says="not_before", channels=("call", "sms")),
)

_ARRIVY_CUSTOMER = Place(
    street="customer_address_line_1|customer_address",
    unit="customer_address_line_2",
    city="customer_city",
    state="customer_state",
    zip="customer_zipcode",
)
_ARRIVY_IDS = (
    Pointer(column="customer_id", table="arrivy_customer", rule="arrivy_customer_id"),
    # The appointment in Genius that the visit was made of; what else stands there is not documented.
    Pointer(column="external_id", table="genius_appointment", rule="arrivy_external_id", prefix="HG-"),
)


def _marketsharp(table: str) -> People:
    """Return the row of one of the four tables that show the same contacts."""
    contact = (Pointer(column="id", table="marketsharp_contact", rule="marketsharp_id"),)
    return People(
        table=table,
        kind="customer",
        first="first_name",
        middle="middle_initial",
        last="last_name",
        business="business_name",
        emails="email1 email2 email3",
        phones="numbers.home_phone numbers.cell_phone numbers.home_phone2 numbers.cell_phone2 numbers.other_phone "
        "numbers.other_phone2 numbers.work_phone numbers.work_phone2 numbers.company_phone",
        places=(
            Place(
                street="home.line1|other.line1",
                unit="home.line2|other.line2",
                city="home.city|other.city",
                state="home.state|other.state",
                zip="home.zip|other.zip",
            ),
        ),
        ids=() if table == "marketsharp_contact" else contact,
        joins=(
            Join(name="numbers", table="marketsharp_contact_phone", column="contact_id", equals="id"),
            Join(name="home", table="marketsharp_address", column="id", equals="primary_address_id"),
            Join(
                name="other",
                table="marketsharp_address",
                column="contact_id",
                equals="id",
                first="is_active DESC NULLS LAST, id",
            ),
        ),
        consent=(
            Consent(column="has_dnc_phone", says="opt_out", channels=("call", "sms")),
            Consent(column="has_dne_email", says="opt_out", channels=("email",)),
            Consent(column="do_not_mail", says="opt_out", channels=("mail",)),
            Consent(column="email1_can_mail", says="opt_out", channels=("email",), when=False, email="email1"),
            Consent(column="email2_can_mail", says="opt_out", channels=("email",), when=False, email="email2"),
            Consent(column="email3_can_mail", says="opt_out", channels=("email",), when=False, email="email3"),
        ),
    )


_PEOPLE: tuple[People, ...] = (
    People(
        table="hubspot_contact",
        kind="customer",
        first="firstname",
        last="lastname",
        emails="email",
        phones="phone mobilephone lead_phone1 lead_phone2 lead_phone3 prospect_phone1",
        places=(
            Place(street="address", city="city", state="state", zip="zip"),
            Place(street="lead_address1", city="lead_city", state="lead_state", zip="lead_zip"),
        ),
        ids=(
            Pointer(column="lead_salesrabbit_lead_id", table="salesrabbit_lead", rule="hubspot_salesrabbit_id"),
            Pointer(column="lead_salesrabbit_lead_id_new", table="salesrabbit_lead", rule="hubspot_salesrabbit_id"),
            Pointer(column="sales_rabbit_lead_id", table="salesrabbit_lead", rule="hubspot_salesrabbit_id"),
            Pointer(column="marketsharp_id", table="marketsharp_contact", rule="hubspot_marketsharp_id"),
            Pointer(column="prospect_marketsharp_id", table="marketsharp_contact", rule="hubspot_marketsharp_id"),
            Pointer(column="prospect_id", table="genius_prospect", rule="hubspot_genius_prospect_id"),
            Pointer(column="lead_prospect_id", table="genius_prospect", rule="hubspot_genius_prospect_id"),
            Pointer(column="lead_id", table="genius_lead", rule="hubspot_genius_lead_id"),
            Pointer(column="hs_merged_object_ids", table="hubspot_contact", rule="hubspot_merged_id", separator=";"),
        ),
        made_up="lead_is_dummy",
        consent=(
            Consent(column="lead_is_dnc", says="opt_out", channels=("call", "sms")),
            Consent(
                column="lead_is_express_consent",
                says="consent",
                channels=("call", "sms"),
                at="lead_express_consent_set_on",
                proof="trustedform_cert_url lead_express_consent_source lead_express_consent_upload_file_id",
            ),
            Consent(column="lead_do_not_call_before", says="not_before", channels=("call", "sms")),
        ),
    ),
    People(
        table="hubspot_appointment",
        kind="customer",
        first="first_name|contact.firstname",
        last="last_name|contact.lastname",
        emails="email|contact.email",
        phones="phone1|contact.phone phone2|contact.mobilephone",
        places=(
            Place(street="address1", unit="address2", city="city", state="state", zip="zip"),
            Place(street="contact.address", city="contact.city", state="contact.state", zip="contact.zip"),
        ),
        ids=(
            Pointer(column="hscontact_id|link.contact_id", table="hubspot_contact", rule="hubspot_contact_id"),
            Pointer(column="genius_appointment_id", table="genius_appointment", rule="hubspot_genius_appointment_id"),
            Pointer(column="prospect_id", table="genius_prospect", rule="hubspot_genius_prospect_id"),
            Pointer(column="genius_prospect_id", table="genius_prospect", rule="hubspot_genius_prospect_id"),
            Pointer(column="salespro_customer_id", table="salespro_customer", rule="hubspot_salespro_id"),
            Pointer(column="salespro_estimate_id", table="salespro_estimate", rule="hubspot_salespro_id"),
            Pointer(column="arrivy_object_id", table="arrivy_task", rule="hubspot_arrivy_id"),
            Pointer(column="marketsharp_id", table="marketsharp_appointment", rule="marketsharp_appointment_id"),
            Pointer(
                column="hs_merged_object_ids", table="hubspot_appointment", rule="hubspot_merged_id", separator=";"
            ),
        ),
        joins=(
            Join(
                name="link",
                table="hubspot_appointment_to_contact_association",
                column="appointment_id",
                equals="id",
                first="contact_id",
            ),
            Join(name="contact", table="hubspot_contact", column="id", equals="hscontact_id|link.contact_id"),
        ),
    ),
    People(
        table="callrail_call",
        kind="touch",
        full="customer_name",
        caller_id=True,
        phones="customer_phone_number",
        places=(Place(city="customer_city", state="customer_state", zip="zip_code"),),
        ids=(Pointer(column="person_id", table="callrail_person", rule="callrail_person_id"),),
        created="start_time",
        edited="start_time",
    ),
    People(
        table="callrail_text_message",
        kind="touch",
        full="customer_name",
        caller_id=True,
        phones="customer_phone_number",
        created="last_message_at",
    ),
    People(
        table="callrail_form_submission",
        kind="touch",
        full="customer_name",
        emails="customer_email",
        phones="customer_phone_number",
        ids=(Pointer(column="person_id", table="callrail_person", rule="callrail_person_id"),),
    ),
    People(
        table="salesrabbit_lead",
        kind="customer",
        first="first_name",
        last="last_name",
        full="prospect_name",
        business="business_name",
        emails="prospect_email",
        phones="prospect_phone phone_alternate",
        places=(
            Place(street="street1", unit="street2", city="city", state="state", zip="zip"),
            Place(street="prospect_address"),
        ),
    ),
    People(
        table="arrivy_booking",
        kind="customer",
        first="customer_first_name",
        last="customer_last_name",
        full="customer_name",
        business="customer_company_name",
        emails="customer_email",
        phones="customer_mobile_number customer_phone",
        places=(_ARRIVY_CUSTOMER,),
        ids=_ARRIVY_IDS,
    ),
    People(
        table="arrivy_task",
        kind="customer",
        first="customer_first_name",
        last="customer_last_name",
        business="customer_company_name",
        emails="customer_email",
        phones="customer_mobile_number customer_phone",
        places=(
            Place(
                street="customer_address_line_1",
                unit="customer_address_line_2",
                city="customer_city",
                state="customer_state",
                zip="customer_zipcode",
            ),
        ),
        ids=(*_ARRIVY_IDS, Pointer(column="booking_id", table="arrivy_booking", rule="arrivy_booking_id")),
    ),
    People(
        table="five9_contact",
        kind="customer",
        first="first_name",
        last="last_name",
        business="company",
        emails="email",
        phones="phone number2 number3",
        places=(Place(street="street", city="city", state="state", zip="zip"),),
    ),
    People(
        table="marketsharp_data",
        kind="customer",
        full="customer_name",
        emails="email",
        phones="phone",
        places=(Place(street="address", city="city", state="state", zip="zip"),),
        ids=(Pointer(column="lead_id", table="marketsharp_contact", rule="marketsharp_id"),),
    ),
    _marketsharp("marketsharp_contact"),
    _marketsharp("marketsharp_lead"),
    _marketsharp("marketsharp_prospect"),
    _marketsharp("marketsharp_customer"),
    People(
        table="leadconduit_lead",
        kind="customer",
        first="first_name",
        last="last_name",
        emails="email",
        phones="phone",
        places=(Place(street="address", city="city", state="state", zip="zip"),),
        ids=(Pointer(column="salesrabbit_lead_id_hge", table="salesrabbit_lead", rule="leadconduit_salesrabbit_id"),),
    ),
    People(
        table="genius_lead",
        kind="customer",
        first="firstname",
        last="lastname",
        emails="email",
        phones="phone phone2 phone3 phone4",
        places=(Place(street="address1", unit="address2", city="city", state="state", zip="zipcode"),),
        ids=(
            Pointer(column="prospect_id", table="genius_prospect", rule="genius_prospect_id"),
            Pointer(column="salesrabbit_lead_id", table="salesrabbit_lead", rule="genius_salesrabbit_id"),
            Pointer(column="copied_from_id", table="genius_lead", rule="genius_copied_lead_id"),
        ),
        made_up="is_dummy",
        consent=_GENIUS_CONSENT,
    ),
    People(
        table="genius_prospect",
        kind="customer",
        first="firstname",
        last="lastname",
        emails="email",
        phones="phone phone2",
        places=(Place(street="address", unit="address2", city="city", state="state", zip="zip"),),
        ids=(
            Pointer(column="hubspot_contact_id", table="hubspot_contact", rule="genius_hubspot_id"),
            Pointer(column="marketsharp_id", table="marketsharp_contact", rule="genius_marketsharp_id"),
            Pointer(column="leap_customer_id", table="salespro_customer", rule="genius_salespro_id"),
        ),
    ),
    People(
        table="genius_appointment",
        kind="customer",
        first="person.firstname",
        last="person.lastname",
        emails="email|person.email",
        phones="person.phone person.phone2",
        places=(
            Place(street="address1", unit="address2", city="city", state="state", zip="zip"),
            Place(
                street="person.address",
                unit="person.address2",
                city="person.city",
                state="person.state",
                zip="person.zip",
            ),
        ),
        ids=(
            Pointer(column="prospect_id", table="genius_prospect", rule="genius_prospect_id"),
            Pointer(column="lead_id", table="genius_lead", rule="genius_lead_id"),
            Pointer(column="hubspot_appointment_id", table="hubspot_appointment", rule="genius_hubspot_id"),
            Pointer(column="marketsharp_id", table="marketsharp_appointment", rule="marketsharp_appointment_id"),
            Pointer(column="leap_estimate_id", table="salespro_estimate", rule="genius_salespro_id"),
        ),
        joins=(Join(name="person", table="genius_prospect", column="prospect_id", equals="prospect_id"),),
    ),
    People(
        table="genius_contact",
        kind="customer",
        first="first_name",
        last="last_name",
        emails="email",
        phones="phone",
    ),
    People(
        table="genius_marketsharp_contact",
        kind="customer",
        first="first_name",
        last="last_name",
        emails="email",
        phones="phone",
        places=(Place(street="address_1", unit="address_2", city="city", state="state", zip="zip"),),
        ids=(Pointer(column="external_id", table="marketsharp_contact", rule="genius_marketsharp_id"),),
    ),
    People(
        table="salespro_customer",
        kind="customer",
        first="customer_first_name",
        last="customer_last_name",
        places=(
            Place(
                street="estimate.street_address", city="estimate.city", state="estimate.state", zip="estimate.zip_code"
            ),
        ),
        ids=(
            Pointer(column="crm_source_id", by="crm_source", tables=CRM_TABLES, rule="salespro_source_id"),
            Pointer(column="estimate_id", table="salespro_estimate", rule="salespro_estimate_id"),
        ),
        joins=(Join(name="estimate", table="salespro_estimate", column="estimate_id", equals="estimate_id"),),
    ),
    People(
        table="salespro_estimate",
        kind="customer",
        first="customer_first_name",
        last="customer_last_name",
        places=(Place(street="street_address", city="city", state="state", zip="zip_code"),),
        ids=(Pointer(column="customer_id", table="salespro_customer", rule="salespro_customer_id"),),
    ),
    People(
        table="gsheet_marketing_lead",
        kind="customer",
        first="first_name",
        last="last_name",
        emails="email",
        phones="phone",
        places=(Place(street="marketsharp_address", zip="form_submit_zipcode"),),
    ),
    People(
        table="pipedesk.contacts",
        kind="customer",
        full="name",
        business="company.name",
        emails="email",
        phones="phone",
        joins=(Join(name="company", table="pipedesk.companies", column="id", equals="company_id"),),
        created="sync_created_at",
    ),
    People(
        table="pipedesk.leads",
        kind="customer",
        full="contact.name",
        business="trade_name|legal_name",
        emails="contact.email",
        phones="contact.phone",
        places=(Place(city="address_city", state="address_state"),),
        ids=(Pointer(column="link.contact_id", table="pipedesk.contacts", rule="pipedesk_contact_id"),),
        joins=(
            Join(
                name="link",
                table="pipedesk.lead_contacts",
                column="lead_id",
                equals="id",
                first="is_primary IS TRUE DESC, added_at, contact_id",
            ),
            Join(name="contact", table="pipedesk.contacts", column="id", equals="link.contact_id"),
        ),
    ),
    People(
        table="pipedesk.calendar_events",
        kind="touch",
        emails="attendees",
        created="start_time",
    ),
    People(table="hubspot_owner", kind="staff", first="first_name", last="last_name", emails="email"),
    People(
        table="hubspot_geniususer",
        kind="staff",
        first="firstname",
        last="lastname",
        full="name",
        emails="email",
        ids=(
            Pointer(column="user_id", table="genius_user", rule="hubspot_genius_user_id"),
            Pointer(column="arrivy_user_id", table="arrivy_entity", rule="hubspot_arrivy_user_id"),
        ),
    ),
    People(table="callrail_user", kind="staff", first="first_name", last="last_name", full="name", emails="email"),
    People(
        table="salesrabbit_user",
        kind="staff",
        first="first_name",
        last="last_name",
        emails="email",
        phones="phone",
        ids=(Pointer(column="external_ids", table="genius_user", rule="salesrabbit_genius_user_id", member="genius"),),
    ),
    People(table="arrivy_entity", kind="staff", full="name", emails="email", phones="phone"),
    People(
        table="genius_user",
        kind="staff",
        first="firstname",
        last="lastname",
        emails="email personal_email",
        ids=(Pointer(column="primary_user_id", table="genius_user", rule="genius_primary_user_id"),),
    ),
    People(
        table="salespro_user",
        kind="staff",
        first="first_name",
        last="last_name",
        emails="email",
        phones="phone_number",
    ),
    People(table="marketsharp_employee", kind="staff", full="name"),
    People(table="pipedesk.users", kind="staff", full="name", emails="email", created="sync_created_at"),
)
PEOPLE: tuple[People, ...] = per_account(_PEOPLE, SOURCES)

BY_TABLE: Mapping[str, People] = {row.table: row for row in PEOPLE}

_NOT_PEOPLE: Mapping[str, str] = {
    "hubspot_company": "companies; the people of a company are contacts",
    "hubspot_division": "branches of the business; the manager is among the users",
    "callrail_company": "parts of the business itself",
    "callrail_tracker": "numbers of the business itself",
    "arrivy_group": "branches of the business, with a number and an address of their own",
    "marketsharp_company": "the business itself",
    "marketsharp_contact_phone": "the numbers of contacts, joined to the four tables that have the name",
    "genius_job_financing": "the names of a loan's applicants alone; the job leads to the prospect",
    "genius_job_change_order": "the signer of a change order, often the spouse; the job leads to the prospect",
    "pipedesk.master_deals": "the name of a client without anything to reach them by; the company is the client's",
    "pipedesk.drive_files": "who deleted a file, by the e-mail address alone: a user of Google's",
    "pipedesk.google_drive_folders": "who deleted a folder, by the e-mail address alone: a user of Google's",
    "pipedesk.drive_folder_links": "who deleted a link, by the e-mail address alone: a user of Google's",
}
NOT_PEOPLE: Mapping[str, str] = by_table(_NOT_PEOPLE, SOURCES)
"""Tables with a column that reads like a person's, and why they hold no records."""

_OWN_NUMBERS: tuple[tuple[str, str], ...] = (
    ("callrail_tracker", "tracking_number"),
    ("callrail_tracker", "destination_number"),
    ("hubspot_division", "phone"),
    ("arrivy_group", "phone"),
    ("arrivy_group", "mobile_number"),
    ("marketsharp_company", "phone"),
)
OWN_NUMBERS: tuple[tuple[str, str], ...] = per_account(_OWN_NUMBERS, SOURCES)
"""Phone columns with numbers of the business itself, which are nobody's even where a record has them."""

_OUT_OF_USE: Mapping[str, tuple[str, str]] = {
    "callrail_tracker": ("status", "disabled"),
    "salesrabbit_user": ("active", "false"),
    "salespro_user": ("is_active", "false"),
    "genius_user": ("is_inactive", "true"),
    "hubspot_geniususer": ("is_active", "false"),
    "arrivy_entity": ("is_disabled", "true"),
    "arrivy_group": ("is_disabled", "true"),
}
OUT_OF_USE: Mapping[str, tuple[str, str]] = by_table(_OUT_OF_USE, SOURCES)
"""Of tables with numbers and addresses of the business or its people: the column, and its value in a row that is kept
though it is out of use. Its number may be anybody's since, and so may that of an archived row."""
