"""What is written back, a row each; their queries are ``sql/queries/outbound_*.sql``.

Decided:

- We write properties of our own (``genius_…``), except for the custom objects that the business made for this. Of these
  the key is a property of our own, too, so that records which people made are found by e-mail address, name or zip code
  and get their key.
- A user who left is a user who is not active; the record stays, since deals and associations name it. Zip codes that
  nobody serves any more are archived, if it was us who created them.
- HubSpot's API has no switch for "do not call": a property of ours says so, which its workflows and lists can use.
  CallRail has calls and no list of numbers, so the last call of each number gets a tag. What a person set by hand
  stays, and the feed hears it as an opt-out of the person (``unified.feed.marks``).
"""

from dataclasses import replace

from warehouse_pipelines.model.accounts import sql_for_account
from warehouse_pipelines.model.reading import ReadContext
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.outbound import google_calendar, google_drive
from warehouse_pipelines.outbound.callrail import CallRailPartner
from warehouse_pipelines.outbound.hubspot import HubSpotPartner
from warehouse_pipelines.outbound.partner import Partner
from warehouse_pipelines.outbound.target import Field, Target
from warehouse_pipelines.queries import query
from warehouse_pipelines.sources import SOURCES

DIVISIONS = Target(
    name="hubspot_divisions",
    about="The divisions of Genius as custom objects in HubSpot.",
    crm="hubspot",
    object="custom:division",
    labels=("Division", "Divisions"),
    source=query("outbound_divisions"),
    reads=("genius_division", "genius_division_region"),
    partner=HubSpotPartner,
    lists_all=True,
    key="genius_division_id",
    match="division_name",
    fields=(
        Field(name="genius_division_id", origin="genius_division.id", about="The division's id in Genius."),
        Field(name="division_name", origin="genius_division.label", about="The division's name in Genius."),
        Field(name="division_code", origin="genius_division.abbreviation", about="Its short name in Genius."),
        Field(name="region", origin="genius_division_region.name", owner="newest", about="The region in Genius."),
        Field(name="status", origin="genius_division.is_inactive", about="active or inactive, as Genius says."),
    ),
)

GENIUS_USERS = Target(
    name="hubspot_genius_users",
    about="The users of Genius as custom objects in HubSpot, each associated with its division.",
    crm="hubspot",
    object="custom:geniususer",
    labels=("Geniususer", "Geniususers"),
    source=query("outbound_genius_users"),
    reads=("genius_user", "genius_division", "genius_user_title"),
    partner=HubSpotPartner,
    lists_all=True,
    key="genius_user_id",
    match="email",
    subject="genius_user",
    fields=(
        Field(name="genius_user_id", origin="genius_user.user_id", about="The user's id in Genius."),
        Field(name="user_id", origin="genius_user.user_id", about="The user's id in Genius."),
        Field(name="firstname", origin="genius_user.firstname", about="Given name."),
        Field(name="lastname", origin="genius_user.lastname", about="Surname."),
        Field(name="name", origin="genius_user.firstname", about="Given name and surname."),
        Field(name="email", origin="genius_user.email", about="E-mail address at work."),
        Field(name="job_title", origin="genius_user_title.title", owner="newest", about="What the user is."),
        Field(name="division_id", origin="genius_user.division_id", about="The division's id in Genius."),
        Field(name="division_name", origin="genius_division.label", about="The division's name."),
        Field(name="is_active", origin="genius_user.is_inactive", about="Whether the user works here.", kind="bool"),
        Field(
            name="division_link", column="division_key", origin="genius_user.division_id", link="custom:division",
            link_key="genius_division_id",
        ),
    ),
)  # fmt: skip

ZIP_CODES = Target(
    name="hubspot_zip_codes",
    about="Zip codes, each with the division that serves most of its people, as custom objects in HubSpot.",
    crm="hubspot",
    object="custom:zipcode",
    labels=("Zipcode", "Zipcodes"),
    source=query("outbound_zip_codes"),
    reads=("genius_lead", "genius_prospect", "genius_division"),
    partner=HubSpotPartner,
    lists_all=True,
    key="genius_zip",
    match="zipcode",
    absent="archive",
    fields=(
        Field(name="genius_zip", origin="genius_prospect.zip", about="The five digits, as the warehouse wrote them."),
        Field(name="zipcode", origin="genius_prospect.zip", about="The five digits."),
        Field(name="division", origin="genius_division.label", owner="newest", about="The division that serves it."),
        Field(
            name="division_link", column="division_key", origin="genius_prospect.division_id", link="custom:division",
            link_key="genius_division_id",
        ),
    ),
)  # fmt: skip

PEOPLE = Target(
    name="hubspot_people",
    about="The golden id and the lead score of each contact, as properties of HubSpot's contacts.",
    crm="hubspot",
    object="contacts",
    source=query("outbound_people"),
    reads=("hubspot_contact", "identity.member", "identity.person", "crm.leads"),
    partner=HubSpotPartner,
    subject="hubspot_contact",
    most=5_000,
    fields=(
        Field(
            name="genius_golden_id", origin="identity.person.person_id",
            about="The person in the warehouse; the same for all contacts that are one person.",
        ),
        Field(
            name="genius_lead_score", origin="crm.leads.lead_score", kind="number",
            about="How promising the lead is, 0 to 100, as the warehouse scores it.",
        ),
    ),
)  # fmt: skip

DO_NOT_CALL = Target(
    name="hubspot_do_not_call",
    about="Whether the warehouse's do-not-call list blocks a contact, as a property of HubSpot's contacts.",
    crm="hubspot",
    object="contacts",
    source=query("outbound_do_not_call"),
    reads=("hubspot_contact", "identity.record", "identity.member", "crm.leads", "crm.dnc_list"),
    partner=HubSpotPartner,
    subject="hubspot_contact",
    asks_again=True,
    fields=(
        Field(
            name="genius_do_not_call", origin="crm.dnc_list.phone", kind="bool", owner="newest",
            about="Yes: this contact must not be called. Set by the warehouse, or by hand: then the warehouse lists "
            "the person. No by hand stays here, and ends nothing there.",
        ),
    ),
)  # fmt: skip

CALLRAIL_DO_NOT_CALL = Target(
    name="callrail_do_not_call",
    about="A tag on the last call of each number that must not be called, in CallRail.",
    crm="callrail",
    object="calls",
    source=query("outbound_callrail_do_not_call"),
    reads=("callrail_call", "crm.dnc_list"),
    partner=CallRailPartner,
    subject="callrail_call",
    asks_again=True,
    most=250,
    fields=(
        Field(name="do_not_call", origin="crm.dnc_list.phone", kind="bool", clears=True, owner="newest"),
    ),
)  # fmt: skip


def of_account(target: Target, source: Source) -> Target:
    """Return the same of an account with a name: what is read of it is written to it, and to no other."""
    name = target.name.replace(source.vendor, source.name, 1)
    query_ = sql_for_account(target.source, source).replace(f"'{source.vendor}'", f"'{source.name}'")

    def partner(made: Target, context: ReadContext) -> Partner:
        context.account = source.account
        return target.partner(made, context)

    return replace(
        target,
        name=name,
        crm=source.name,
        about=f"{target.about} In {source.title}.",
        source=query_.replace(f"'{target.name}'", f"'{name}'"),
        reads=tuple(sql_for_account(table, source) for table in target.reads),
        fields=tuple(replace(field, origin=_origin(field.origin, source)) for field in target.fields),
        subject=source.tables.get(target.subject) or target.subject,
        partner=partner,
    )


def _origin(origin: str, source: Source) -> str:
    table, _, column = origin.rpartition(".")
    return f"{sql_for_account(table, source)}.{column}" if table else origin


_TARGETS = (DIVISIONS, GENIUS_USERS, ZIP_CODES, PEOPLE, DO_NOT_CALL, CALLRAIL_DO_NOT_CALL)
TARGETS = (
    *_TARGETS,
    *(of_account(one, source) for source in SOURCES if source.account for one in _TARGETS if one.crm == source.vendor),
)
"""In the order in which they are written: users and zip codes are associated with divisions. An account has its own."""

BY_HAND = (google_calendar.EVENTS, google_drive.FILES, google_drive.SHARING)
"""What somebody asks for, record by record (`warehouse google`): without a query, an asset or a schedule."""

BY_NAME = {target.name: target for target in (*TARGETS, *BY_HAND)}
