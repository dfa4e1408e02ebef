"""What the tables of the sources say of a sale: a row per table and word, and nothing else.

The feed makes SQL of these rows (``feed.signals``). How a column is written is said in ``people``.
``people_rows`` says who a record is; a table here may hold no people, such as deals and jobs, and then names the table
of the people that it tells of.

Decided:

- Words of the vendor are given as they are. What they mean stands in rows of ``crm.status_mapping``, by ``word``.
- Codes without a documented meaning (Genius' ``status`` of a lead) are not read; flags that mean something are.
- A sale is known to several CRMs. Its value is taken from the table of the smallest ``value_rank`` that has one, so it
  is not counted twice: contracts first, then deals, then estimates, then what the marketing sheet says.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from warehouse_pipelines.model.accounts import by_table, per_account
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines.unified.people import (
    Consent,
    Join,
)


@dataclass(frozen=True, kw_only=True)
class Signal:
    """What a row of ``table`` says of the lead that its person is.

    ``crm``         whose table it is
    ``of``, ``key`` the table of the people that it tells of, and the column with their key; empty: its own rows
    ``origin``      table and column that name the record that says it, where that is a joined one
    ``makes_lead``  whether such a row alone makes its person a lead
    ``lead_words``  statuses that alone do so, where not every row does
    ``word``        under what ``source`` its statuses stand in ``crm.status_mapping``
    ``status``      the column of the status
    ``flags``       column to word: the first flag or time that is set gives the status where ``status`` is empty
    ``otherwise``   the status where both are empty
    ``unmapped``    what a status is loaded as that no row maps: what claims least
    ``closed``, ``chance``  columns of a stage of a deal: whether it ends the deal, and its probability, from which the
                    nearest status of an unmapped stage is taken
    ``calls_off``   a lost row ends the sale, of which other rows may tell too (``feed.called_off``)
    ``cancelled``   a column that, when it is filled, says that it was cancelled, whatever its status
    ``said``        the column of the time of the status, where it is not when the row was edited
    ``owner``       the column of the rep, a key of ``owner_table``
    ``tags``        a JSON list of tags, texts or objects with a name; or a query of ``TAG_QUERIES`` in angle brackets
    ``currency``    the column of the currency of ``value``, else it is US dollars; ``converted`` that of the value that
                    the source itself converts to US dollars
    ``alive``       a column that, when it is filled, says that an archived row is not deleted
    """

    crm: str
    table: str
    of: str = ""
    key: str = ""
    origin: tuple[str, str] = ("", "")
    joins: tuple[Join, ...] = ()
    makes_lead: bool = True
    lead_words: tuple[str, ...] = ()
    word: str = ""
    status: str = ""
    flags: Mapping[str, str] = field(default_factory=dict)
    otherwise: str = ""
    unmapped: str = "new"
    closed: str = ""
    chance: str = ""
    calls_off: bool = False
    cancelled: str = ""
    said: str = ""
    source: str = ""
    owner: str = ""
    owner_table: str = ""
    tags: str = ""
    value: str = ""
    value_rank: int = 9
    currency: str = ""
    converted: str = ""
    division: str = ""
    alive: str = ""

    def __post_init__(self) -> None:
        wrong = []
        if bool(self.of) != bool(self.key):
            wrong.append("of and key come together")
        if bool(self.word) != bool(self.status or self.flags or self.otherwise):
            wrong.append("a status has a word, and a word a status")
        if bool(self.owner) != bool(self.owner_table):
            wrong.append("owner and owner_table come together")
        if self.lead_words and not self.word:
            wrong.append("lead_words without a status")
        if wrong:
            raise ValueError(f"{self.table}: {'; '.join(wrong)}")


TAG_QUERIES: Mapping[str, str] = {
    "<pipedesk>": "ARRAY(SELECT tag.name FROM pipedesk.lead_tags AS given JOIN pipedesk.tags AS tag ON tag.id ="
    " given.tag_id WHERE given.lead_id = t.id AND NOT given.archived AND NOT tag.archived)",
}
TAG_TABLES: Mapping[str, Mapping[str, str]] = {
    "<pipedesk>": {
        "pipedesk.lead_tags": "INSERT INTO feed_changed SELECT %(of)s, t.lead_id::text FROM pipedesk.lead_tags AS t"
        " WHERE t.sync_updated_at > %(since)s",
        "pipedesk.tags": "INSERT INTO feed_changed SELECT %(of)s, given.lead_id::text FROM pipedesk.tags AS t"
        " JOIN pipedesk.lead_tags AS given ON given.tag_id = t.id WHERE t.sync_updated_at > %(since)s",
    }
}
"""The tables whose changes are changes of the tags, and what notes the rows that have these."""


def _join(name: str, table: str, equals: str, column: str = "id") -> Join:
    return Join(name=name, table=table, column=column, equals=equals)


_DIVISION = _join("division", "genius_division", "division_id")

_SIGNALS: tuple[Signal, ...] = (
    Signal(
        crm="hubspot", table="hubspot_contact", word="hubspot.lifecyclestage", status="lifecyclestage",
        source="hge_primary_source|original_lead_source|hs_analytics_source", division="division",
        owner="hubspot_owner_id", owner_table="hubspot_owner",
    ),
    Signal(crm="hubspot", table="hubspot_contact", word="hubspot.hs_lead_status", status="hs_lead_status"),
    Signal(
        crm="hubspot", table="hubspot_contact_to_deal_association", of="hubspot_contact", key="contact_id",
        origin=("hubspot_deal", "deal.id"),
        joins=(_join("deal", "hubspot_deal", "deal_id"), _join("stage", "hubspot_pipeline_stage", "deal.dealstage")),
        word="hubspot.dealstage", status="deal.dealstage", unmapped="qualified", closed="stage.is_closed",
        chance="stage.probability", said="deal.closedate|deal.hs_lastmodifieddate", value="deal.amount", value_rank=2,
        currency="deal.deal_currency_code", converted="deal.amount_in_home_currency",
        owner="deal.hubspot_owner_id", owner_table="hubspot_owner", division="deal.division",
    ),
    Signal(
        crm="hubspot", table="hubspot_appointment", word="hubspot.appointment",
        status="salespro_result|appointment_status|meeting_outcome", unmapped="appointment_set",
        source="primary_source", division="division", owner="hubspot_owner_id", owner_table="hubspot_owner",
    ),
    Signal(
        crm="callrail", table="callrail_form_submission", word="callrail.lead_status", status="lead_status",
        source="source", tags="tags",
    ),
    Signal(
        crm="callrail", table="callrail_call", makes_lead=False,
        lead_words=("good_lead", "previously_marked_good_lead"), word="callrail.lead_status", status="lead_status",
        source="source", tags="tags",
    ),
    Signal(
        crm="callrail", table="callrail_text_message", makes_lead=False,
        lead_words=("good_lead", "previously_marked_good_lead"), word="callrail.lead_status", status="lead_status",
        source="source",
    ),
    Signal(
        crm="salesrabbit", table="salesrabbit_lead", word="salesrabbit.status", status="status", said="status_modified",
        owner="user_id", owner_table="salesrabbit_user",
    ),
    Signal(crm="arrivy", table="arrivy_booking", word="arrivy.status", status="status", unmapped="appointment_set"),
    Signal(crm="arrivy", table="arrivy_task", word="arrivy.status", status="status", unmapped="appointment_set"),
    Signal(crm="five9", table="five9_contact", word="five9.status", status="status", division="division"),
    Signal(
        crm="five9", table="five9_contact", word="five9.disposition", status="sys_last_disposition",
        unmapped="contacted", said="sys_last_disposition_time",
    ),
    Signal(crm="marketsharp", table="marketsharp_data", word="marketsharp.inquiry", status="status"),
    Signal(crm="marketsharp", table="marketsharp_contact", source="source"),
    Signal(crm="marketsharp", table="marketsharp_lead"),
    Signal(crm="marketsharp", table="marketsharp_prospect"),
    Signal(crm="marketsharp", table="marketsharp_customer"),
    Signal(
        crm="marketsharp", table="marketsharp_inquiry", of="marketsharp_contact", key="contact_id",
        joins=(
            _join("state", "marketsharp_inquiry_status", "inquiry_status_id"),
            _join("primary_source", "marketsharp_inquiry_source_primary", "inquiry_source_primary_id"),
        ),
        word="marketsharp.inquiry", status="state.name", source="primary_source.name", division="division",
    ),
    Signal(
        crm="marketsharp", table="marketsharp_appointment", of="marketsharp_contact", key="inquiry.contact_id",
        joins=(
            _join("inquiry", "marketsharp_inquiry", "inquiry_id"),
            _join("result", "marketsharp_appointment_result", "result_id"),
        ),
        word="marketsharp.appointment", status="result.name", otherwise="set", unmapped="appointment_set",
        owner="salesperson1_id", owner_table="marketsharp_employee",
    ),
    Signal(
        crm="marketsharp", table="marketsharp_job", of="marketsharp_contact", key="contact_id",
        word="marketsharp.job", status="status", unmapped="proposal", said="sale_date|last_update", calls_off=True,
    ),
    Signal(
        crm="leadconduit", table="leadconduit_lead", word="leadconduit.outcome", status="outcome",
        source="source", said="created_at",
    ),
    Signal(
        crm="genius", table="genius_lead",
        joins=(_DIVISION, _join("source_of", "genius_marketing_source", "marketing_source")),
        word="genius.lead", flags={"dead_on": "dead", "is_estimate_set": "estimate set", "viewed_on": "viewed"},
        otherwise="open", source="source_of.label", division="division.label",
    ),
    Signal(
        crm="genius", table="genius_prospect", joins=(_DIVISION,), division="division.label",
        owner="user_id", owner_table="genius_user",
    ),
    Signal(
        crm="genius", table="genius_appointment",
        joins=(_join("outcome", "genius_appointment_outcome", "complete_outcome_id"),),
        word="genius.appointment", status="outcome.label", otherwise="set", unmapped="appointment_set",
        said="complete_date|add_date", owner="user_id", owner_table="genius_user",
    ),
    Signal(
        crm="genius", table="genius_job", of="genius_prospect", key="prospect_id",
        joins=(_DIVISION, _join("state", "genius_job_status", "status")),
        word="genius.job", status="state.label", unmapped="proposal", calls_off=True, cancelled="cancel_date",
        value="contract_amount|job_value", value_rank=1, division="division.label",
        owner="sold_user_id|user_id", owner_table="genius_user",
    ),
    Signal(
        crm="genius", table="genius_quote", of="genius_prospect", key="prospect_id", value="amount", value_rank=4,
    ),
    Signal(
        crm="genius", table="genius_marketsharp_contact", word="genius.marketsharp_contact", status="lead_status",
    ),
    Signal(crm="salespro", table="salespro_customer"),
    Signal(
        crm="salespro", table="salespro_estimate", word="salespro.estimate", flags={"is_sale": "sale"},
        otherwise="no sale", value="sale_amount|total_amount", value_rank=3, division="office_name",
        owner="sales_rep_id", owner_table="salespro_user",
    ),
    Signal(
        crm="salespro", table="salespro_lead_result", of="salespro_estimate", key="estimate_id",
        word="salespro.result", status="appointment_result|result_type", unmapped="appointment_set",
    ),
    Signal(
        crm="gsheet", table="gsheet_marketing_lead", word="gsheet.appointment",
        status="appt_result|appointment_outcome", flags={"lead_set": "set"}, otherwise="not set",
        source="channel|source", division="division", value="total_job_value", value_rank=5,
    ),
    Signal(
        crm="gsheet", table="gsheet_marketing_lead", word="gsheet.disposition", status="csr_disposition",
        unmapped="contacted",
    ),
    Signal(crm="pipedesk", table="pipedesk.contacts", makes_lead=False),
    Signal(
        crm="pipedesk", table="pipedesk.leads",
        joins=(
            _join("state", "pipedesk.lead_statuses", "lead_status_id"),
            _join("came_by", "pipedesk.lead_origins", "lead_origin_id"),
        ),
        word="pipedesk.status", status="state.code",
        source="came_by.label", owner="owner_user_id", owner_table="pipedesk.users", tags="<pipedesk>",
        alive="qualified_at",
    ),
)  # fmt: skip
SIGNALS: tuple[Signal, ...] = per_account(_SIGNALS, SOURCES)

_MORE_CONSENT: Mapping[str, tuple[Consent, ...]] = {
    # No column has these: fields that installations add, by the names that are usual.
    "hubspot_contact": (
        Consent(column="raw_data:properties.hs_email_optout", says="opt_out", channels=("email",)),
    ),
    "five9_contact": (
        Consent(column="raw_data:contact.DoNotDial", says="opt_out", channels=("call", "sms")),
        Consent(column="raw_data:contact.DNC", says="opt_out", channels=("call", "sms")),
        Consent(column="raw_data:contact.Do Not Call", says="opt_out", channels=("call", "sms")),
    ),
    "leadconduit_lead": (
        Consent(column="raw_data:lead.opt_in_phone", says="consent", channels=("call", "sms"), at="created_at"),
        Consent(column="raw_data:lead.opt_in_email", says="consent", channels=("email",), at="created_at"),
        Consent(column="raw_data:lead.tcpa_consent", says="consent", channels=("call", "sms"), at="created_at"),
    ),
}  # fmt: skip
MORE_CONSENT: Mapping[str, tuple[Consent, ...]] = by_table(_MORE_CONSENT, SOURCES)
"""What ``people_rows`` cannot say, because no column has it: ``raw_data:`` and the path in the record, with dots."""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A do-not-call that the warehouse writes to the records of a table, and that people set there, too.

    ``name``   of the property or the tag; a field of the target that is called as the CRM and ``_do_not_call``
    ``value``  where it stands: as a text, or in a list of tags
    ``phone``  the column of the number that is meant, of a record that need not be anybody's
    ``merged`` the column of the keys, apart by ``;``, of records that became part of this one, with their marks
    """

    crm: str
    table: str
    name: str
    value: str
    phone: str = ""
    merged: str = ""


_MARKS: tuple[Mark, ...] = (
    Mark(
        crm="hubspot", table="hubspot_contact", name="genius_do_not_call",
        value="raw_data:properties.genius_do_not_call", merged="hs_merged_object_ids",
    ),
    Mark(crm="callrail", table="callrail_call", name="do_not_call", value="tags", phone="customer_phone_number"),
)  # fmt: skip
MARKS: tuple[Mark, ...] = per_account(_MARKS, SOURCES)


@dataclass(frozen=True, kw_only=True)
class Contacted:
    """A table of calls and messages: to which number, when, and which rows went out from us."""

    crm: str
    table: str
    channel: str
    phone: str
    at: str
    outbound: tuple[str, str] = ("", "")
    counted: str = ""
    messages: str = ""


_CONTACTED: tuple[Contacted, ...] = (
    Contacted(
        crm="callrail", table="callrail_call", channel="call", phone="customer_phone_number", at="start_time",
        outbound=("direction", "outbound"),
    ),
    Contacted(
        crm="callrail", table="callrail_text_message", channel="sms", phone="customer_phone_number",
        at="last_message_at", messages="recent_messages",
    ),
    Contacted(
        crm="five9", table="five9_contact", channel="call", phone="phone", at="sys_last_disposition_time",
        counted="attempts",
    ),
    Contacted(
        crm="gsheet", table="gsheet_marketing_lead", channel="call", phone="phone", at="first_call_date_time",
        counted="call_attempts",
    ),
)  # fmt: skip
CONTACTED: tuple[Contacted, ...] = per_account(_CONTACTED, SOURCES)
