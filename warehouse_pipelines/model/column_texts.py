"""What columns mean: the one source of texts for the UI's column schema and for ``COMMENT ON COLUMN``.

A text says what the value is, in which unit, and where in the vendor's record it comes from. It is put together from
the declaration, so that a new row has texts at once. What a name does not say stands in ``MEANINGS``, by table and
column, by CRM and column, or by column alone; the most particular one counts. Add a line there where the text that
``python -m warehouse_pipelines.commands.docs`` writes says nothing.
"""

import re
from collections.abc import Mapping

from warehouse_pipelines.model.entity import Entity

KEPT: Mapping[str, str] = {
    "raw_data": "The record as the vendor sent it, with all that has no column.",
    "archived": "Whether the row is a tombstone: the vendor has the record no more, or calls it deleted.",
    "deleted_at": "Since when the row is a tombstone: the vendor's time where it tells one, else that of the run.",
    "delete_reason": "Why it is a tombstone: `archived`, `merged into <key>`, `erased` or `missing` (entities.md).",
    "sync_hash": "Hash of the record and of its declaration; equal means that nothing changed.",
    "sync_created_at": "When the row was first loaded here.",
    "sync_updated_at": "When the row was last written here; a run that finds nothing changed leaves it.",
    "custom_properties": "Members of the record that have no column of their own, by their names at the vendor.",
}
"""The columns that every table has, and the one that holds undeclared members."""

MEANINGS: Mapping[str, str] = {
    # any table
    "add_date": "When the record was created at the vendor",
    "created": "When the record was created at the vendor",
    "created_at": "When the record was created at the vendor",
    "created_date": "When the record was created at the vendor",
    "createdate": "When the record was created at the vendor",
    "creation_date": "When the record was created at the vendor",
    "date_created": "When the record was created at the vendor",
    "hs_createdate": "When the record was created at the vendor",
    "updated": "When the record was last changed at the vendor",
    "updated_at": "When the record was last changed at the vendor",
    "modified": "When the record was last changed at the vendor",
    "modified_at": "When the record was last changed at the vendor",
    "date_modified": "When the record was last changed at the vendor",
    "last_modified": "When the record was last changed at the vendor",
    "last_modified_date": "When the record was last changed at the vendor",
    "last_update": "When the record was last changed at the vendor",
    "lastmodifieddate": "When the record was last changed at the vendor",
    "hs_lastmodifieddate": "When the record was last changed at the vendor",
    "add_user_id": "Id of the user who created the record",
    "created_by": "Who created the record",
    "updated_by": "Who last changed the record",
    "last_update_by": "Who last changed the record",
    "deleted_by": "Who deleted the record",
    "address": "Street address",
    "address1": "Street address, first line",
    "address2": "Street address, second line",
    "address_line_1": "Street address, first line",
    "address_line_2": "Street address, second line",
    "state": "State or province of the address",
    "zip": "ZIP or postal code",
    "zip_code": "ZIP or postal code",
    "zipcode": "ZIP or postal code",
    "latitude": "Latitude, in degrees",
    "longitude": "Longitude, in degrees",
    "firstname": "First name",
    "lastname": "Last name",
    "gclid": "Click id of Google Ads",
    "fbclid": "Click id of Facebook",
    "msclkid": "Click id of Microsoft Advertising",
    "utm_source": "UTM parameter `utm_source` of the visit: where it came from",
    "utm_medium": "UTM parameter `utm_medium` of the visit: by what kind of link",
    "utm_campaign": "UTM parameter `utm_campaign` of the visit: by which campaign",
    "utm_term": "UTM parameter `utm_term` of the visit: the keyword that was paid for",
    "utm_content": "UTM parameter `utm_content` of the visit: which advertisement or link",
    "landing_page_url": "First page of the visit",
    "referring_url": "Page that led to the visit",
    "timeline_url": "The vendor's page about this contact's history",
    "time_zone": "Time zone, by its IANA name",
    "sort_order": "Place in the vendor's lists; the smallest comes first",
    "is_active": "Whether it is in use; false is out of use, not deleted",
    "active": "Whether it is in use; false is out of use, not deleted",
    "spouses_present": "Whether the spouses were, or will be, there; of Genius a number of its own",
    "label": "What the vendor's own screens call it",
    "association_type_id": "Kind of the association, by the vendor's number",
    # hubspot
    "hubspot.hs_object_id": "HubSpot's id of the object, the same as the key",
    "hubspot.hs_merged_object_ids": "Ids of the records that were merged into this one, with `;` between them",
    "hubspot.hubspot_owner_id": "Id of the HubSpot owner to whom the record is assigned",
    "hubspot.lifecyclestage": "Stage in HubSpot's life cycle of a contact, by its internal name",
    "hubspot.dealstage": "Stage in the deal's pipeline, by its internal name",
    "hubspot.pipeline": "Pipeline of the deal, by its internal name",
    "hubspot.closedate": "When the deal was closed, or is expected to be",
    "hubspot.amount": "Amount of money, in the currency of the deal or of the portal",
    "hubspot.annualrevenue": "Revenue of a year, in the portal's currency",
    "hubspot.hs_google_click_id": "Click id of Google Ads",
    "hubspot.hs_all_owner_ids": "Ids of all owners of the record, with `;` between them",
    "hubspot.hs_object_source": "What created the record, by HubSpot's word for it",
    "hubspot.hs_object_source_label": "What created the record, as HubSpot's screens say it",
    "hubspot.hs_analytics_source": "Kind of source of the contact's first visit, as HubSpot classes it",
    "hubspot.category": "Who defined the kind of the association: HUBSPOT_DEFINED, USER_DEFINED, INTEGRATOR_DEFINED",
    "hubspot.label": "Label of the association; null where its kind has none",
    "hubspot.marketsharp_id": "Id of the same person or appointment in MarketSharp",
    # callrail
    "callrail.duration": "Length of the call, in seconds",
    "callrail.recording_duration": "Length of the recording, in seconds",
    "callrail.value": "Worth of the lead, as somebody entered it; an amount of money",
    "callrail.first_call": "Whether it is the first call of this number to this company",
    "callrail.prior_calls": "Calls of this number before this one",
    "callrail.total_calls": "Calls of this number, this one included",
    "callrail.answered": "Whether somebody took the call",
    "callrail.voicemail": "Whether the caller left a message",
    "callrail.direction": "inbound or outbound",
    "callrail.lead_status": "good_lead, not_a_lead, previously_marked_good_lead or not_scored",
    "callrail.tracking_phone_number": "Number of the tracker that was called",
    "callrail.customer_phone_number": "Number of the caller",
    "callrail.business_phone_number": "Number to which the call was put through",
    "callrail.swap_cookie_duration": "How long a visitor keeps its number, in `swap_cookie_duration_unit`",
    "callrail.start_time": "When the call began",
    "callrail.person_id": "CallRail's id of the person, over all calls, texts and forms",
    "callrail.keywords": "Keywords of the search that led to the visit",
    "callrail.medium": "Kind of channel: paid, organic, direct",
    "callrail.ga": "Client id of Google Analytics",
    # salesrabbit
    "salesrabbit.status": "Status of the lead, as the canvasser sees it",
    # arrivy
    "arrivy.duration": "Planned length",
    "arrivy.owner": "Id of the owner of the record in Arrivy",
    "arrivy.url_safe_id": "Id of the record in Arrivy's links",
    "arrivy.start_datetime": "When it is planned to begin",
    "arrivy.end_datetime": "When it is planned to end",
    "arrivy.actual_start_datetime": "When it really began",
    "arrivy.actual_end_datetime": "When it really ended",
    "arrivy.start_datetime_original_iso_str": "The planned begin as it was entered, with the offset of its time zone",
    "arrivy.end_datetime_original_iso_str": "The planned end as it was entered, with the offset of its time zone",
    "arrivy.unscheduled": "Whether it has no time yet",
    "arrivy.external_id": "Id of the same thing in the customer's own system",
    # five9
    "five9.phone": "First number of the contact, number1 in Five9",
    "five9.sys_last_disposition": "How the last call ended, by the name of its disposition",
    "five9.sys_last_disposition_time": "When the last call ended",
    "five9.sys_last_agent": "Agent of the last call",
    "five9.attempts": "Calls made to the contact",
    # leadconduit
    "leadconduit.ms": "Time the step took, in milliseconds",
    "leadconduit.accepted": "Whether the lead was taken: the outcome of its source event is success",
    "leadconduit.outcome": "success, failure or error; of a filter also continue or skip",
    "leadconduit.reason": "Why the outcome is what it is",
    "leadconduit.cost": "What the step cost; an amount of money",
    "leadconduit.purchase_price": "What is paid for the lead; an amount of money",
    "leadconduit.cap_reached": "Whether a limit on the number of leads was reached",
    # genius
    "genius.division_id": "Id of the division, a branch of the business",
    "genius.add_date": "When the record was created in Genius",
    # salespro
    "salespro.sale_amount": "Price that was agreed; an amount of money",
    "salespro.is_sale": "Whether the estimate became a sale",
    "salespro.total_amount": "Total of the estimate; an amount of money",
    "salespro.finance_amount": "Part of the price that is financed; an amount of money",
    "salespro.down_payment": "Part of the price that is paid at first; an amount of money",
    "salespro.status_bucket": "Result of the visit, in a word out of a short list",
    # gsheet
    "gsheet.row_number": "Row of the sheet, the header being row 1",
    "gsheet.spreadsheet_id": "Google's id of the spreadsheet",
    "gsheet.sheet_name": "Name of the sheet within the spreadsheet",
    "gsheet.content_hash": "Hash of the row's cells",
    "gsheet.hold_time": "How long the caller waited",
    "gsheet.recording_duration": "Length of the recording",
    "gsheet.amount": "What was spent; an amount of money",
    "gsheet.impressions": "How often the advertisement was shown",
    "gsheet.clicks": "How often the advertisement was clicked",
    "gsheet.conversions": "How many visits became a lead",
    # google and pipedesk
    "pipedesk.md5": "MD5 hash of the content",
    "pipedesk.size": "Size, in bytes",
    "pipedesk.version": "Google's version of the record; grows with every change",
    "pipedesk.sequence": "Sequence number of the event, as iCalendar has it",
    "pipedesk.cnpj": "Tax number of the company in Brazil (CNPJ)",
    "pipedesk.start_date": "Day on which an event of whole days begins",
    "pipedesk.end_date": "Day after the last of an event of whole days",
    "pipedesk.start_time": "When the event begins; of one of whole days, midnight UTC",
    "pipedesk.end_time": "When the event ends; of one of whole days, midnight UTC",
    "pipedesk.recurring_event_id": "Id of the series to which the event belongs",
}  # fmt: skip
"""By ``table.column``, ``crm.column`` or ``column``. A unit is given where the vendor's documentation says one."""

WORDS: Mapping[str, str] = {
    "addr": "address", "ap": "AP", "appt": "appointment", "aptmt": "appointment", "attrib": "attribution",
    "canvasser": "canvasser", "cc": "call centre", "cdyne": "CDYNE", "cms": "CMS", "csr": "call centre agent",
    "cid": "client id", "desc": "description", "dnc": "do-not-call", "dne": "do-not-e-mail", "dni": "number swapping",
    "dob": "date of birth", "email": "e-mail address", "f9": "Five9", "firstname": "first name", "genius": "Genius",
    "guid": "GUID", "hs": "HubSpot", "html": "HTML", "hubspot": "HubSpot", "ical": "iCal", "id": "id", "idx": "index",
    "ip": "IP address", "lastname": "last name", "lat": "latitude", "lng": "longitude", "lon": "longitude",
    "marketsharp": "MarketSharp", "mes": "MES", "mime": "MIME", "mktg": "marketing", "msm": "MSM", "num": "number of",
    "okta": "Okta", "pct": "percentage", "ppc": "pay per click", "qb": "QuickBooks", "qty": "quantity",
    "salespro": "SalesPro", "salesrabbit": "SalesRabbit", "sf": "square feet", "sku": "SKU", "sms": "text messages",
    "sqft": "square feet", "ssn": "social security number", "sys": "system's", "tel": "telephone", "tz": "time zone",
    "uid": "unique id", "uri": "URI", "url": "link", "utc": "(UTC)", "utm": "UTM", "uuid": "UUID", "zip": "ZIP code",
}  # fmt: skip

_MONEY = re.compile(
    r"(^|_)(amount|price|cost|costs|revenue|balance|payment|payments|deposit|budget|fee|total_value)(_|$)"
)
_SPAN = re.compile(r"(^|_)(seconds|minutes|hours|days|weeks|months|years|ms)$")
_ROLE = re.compile(r"^(is|has|can|was|are|use|allow|require|visible)_")


def text(entity: Entity, name: str) -> str:
    """Return what a column means, in which unit, and where it comes from."""
    if name in KEPT and name not in entity.columns:
        return KEPT[name]
    if name in entity.e164:
        return f"`{entity.e164[name]}` in E.164, by which numbers of all sources can be joined; null where it is none."
    if name in entity.source_times:
        did = "created" if name == "source_created_at" else "last edited"
        return f"When the record was {did} at the vendor, by one name in all tables: `{entity.source_times[name]}`."
    return f"{meaning(entity, name)}. {origin(entity, name)}"


def meaning(entity: Entity, name: str) -> str:
    """Return the first sentence, without its end."""
    own = (f"{entity.table}.{name}", f"{crm(entity)}.{name}", name)
    found = next((MEANINGS[key] for key in own if key in MEANINGS), None)
    said = found or _derived(entity, name)
    if name in entity.refs:
        said += f"; refers to `{entity.refs[name]}`"
    if name in entity.keys:
        said += "; the key" if len(entity.keys) == 1 else "; part of the key"
    if name == entity.cursor:
        said += "; the cursor, by which a delta run asks"
    return said


def origin(entity: Entity, name: str) -> str:
    """Return where in the vendor's record the value is."""
    return (
        "From "
        + " or, where that is empty, ".join(
            " and ".join(f"`{part}`" for part in parts) for parts in entity.columns[name].parts
        )
        + "."
    )


def crm(entity: Entity) -> str:
    """Return the first word of the table, which is its CRM, or its schema."""
    return entity.schema if entity.schema != "public" else entity.table.partition("_")[0]


def thing(entity: Entity) -> str:
    """Return what a row is, in words: ``form submission``."""
    name = entity.table_name.removeprefix(f"{crm(entity)}_")
    for many, one in (("ies", "y"), ("ses", "s"), ("s", "")):
        if name.endswith(many) and not name.endswith(("ss", "us")):
            return spoken(name.removesuffix(many) + one)
    return spoken(name)


def spoken(name: str) -> str:
    """Return a name as words."""
    return " ".join(WORDS.get(word, word) for word in name.split("_"))


def _derived(entity: Entity, name: str) -> str:
    kind, what = entity.columns[name].kind, thing(entity)
    if name == "id":
        return f"The vendor's id of the {what}"
    if name.endswith("_id") and kind not in {"jsonb", "timestamptz"}:
        return f"Id of the {spoken(name.removesuffix('_id'))}"
    if name.endswith("_ids"):
        return f"Ids of the {spoken(name.removesuffix('_ids'))}s"
    if kind == "boolean":
        if role := _ROLE.match(name):
            verb = {"can": "may", "visible": "is visible", "use": "uses", "allow": "allows", "require": "requires"}
            return f"Whether the {what} {verb.get(role[1], role[1])} {spoken(name.removeprefix(role[0]))}"
        return f"{_capital(spoken(name))} of the {what}: yes or no"
    if kind == "timestamptz":
        words = re.sub(r"_(at|on|date|datetime|time|timestamp)$", "", name)
        return (
            f"Time of the {what}: {spoken(words)}"
            if words != name
            else f"{_capital(spoken(name))} of the {what}, a time"
        )
    if kind == "date":
        return f"{_capital(spoken(name))} of the {what}, a day"
    if kind == "email":
        return f"{_capital(spoken(name))} of the {what}, as the vendor has it"
    if kind == "phone":
        return f"{_capital(spoken(name))} of the {what}, as the vendor writes it; `{name}_e164` has it in one form"
    if kind == "url":
        return f"{_capital(spoken(name))} of the {what}, a link"
    if kind == "jsonb":
        return f"{_capital(spoken(name))} of the {what}, a document as the vendor sends it"
    said = f"{_capital(spoken(name))} of the {what}"
    if unit := _SPAN.search(name):
        return f"{said}, in {'milliseconds' if unit[2] == 'ms' else unit[2]}"
    if kind in {"numeric", "integer"} and _MONEY.search(name):
        return f"{said}; an amount of money"
    return said


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
