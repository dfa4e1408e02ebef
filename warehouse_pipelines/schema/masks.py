"""Which mask a column has in the views of ``masked``, by ``personal``: what is not known to be harmless is masked.

    e-mail address    a keyed token and the domain; one address has one token in every table
    phone number      a keyed token and the last two digits; one number has one token, however it is spelled
    name of a person  its first letter, and no token: the commonest names would be known by their counts
    postal code       its first three digits; a city or street is a text
    coordinates       to a tenth of a degree
    text              whether something is written
    document, URL     whether there is one; so ``raw_data`` and ``custom_properties``
    document of a run its state and what looks like an e-mail address: a sync token names the calendar that it is of
    other             nothing: dates of birth, addresses of the network, hashes, and what is no text of a column that
                      the installation added, unless ``config/columns.toml`` says that it is not personal

Keys, ids that join, times, amounts and flags stay as they are: without them nothing can be counted or joined. So do
words of short lists and the names of employees who served, as in an erasure; an e-mail address among them is masked.
Tables of ``LISTS`` speak of no customer: their names and labels stay.
"""

import functools
import re
from dataclasses import dataclass

from psycopg import sql

from warehouse_pipelines.model.entity import BOOKKEEPING
from warehouse_pipelines.schema.personal import PERSONAL_NUMBERS, is_text, treatment
from warehouse_pipelines.schema.readable import Relation


@dataclass(frozen=True)
class Mask:
    """A function of ``masked``, or none for NULL; ``said`` is a sentence for the column's comment."""

    function: str
    said: str
    keyed: bool = False

    def of(self, column: str, pg_type: str) -> str:
        """Return the masked value of a column of ``t``."""
        return self.over(f"t.{quoted(column)}") if self.function else f"NULL::{pg_type}"

    def over(self, expression: str) -> str:
        """Return the masked value of an expression."""
        key = ", (SELECT k.key FROM identity.mask_key AS k)" if self.keyed else ""
        return f"masked.{self.function}({expression}{key})"


@functools.cache
def quoted(name: str) -> str:
    """Return a name as an identifier."""
    return sql.Identifier(name).as_string()


EMAIL = Mask("email", "Masked: a token and the domain.", keyed=True)
EMAILS = Mask("emails", "Masked: a token and the domain of each.", keyed=True)
PHONE = Mask("phone", "Masked: a token and the last two digits.", keyed=True)
PHONES = Mask("phones", "Masked: a token and the last two digits of each.", keyed=True)
INITIAL = Mask("initial", "Masked: the first letter.")
ZIP = Mask("zip", "Masked: the first three digits.")
PLACE = Mask("place", "Masked: to a tenth of a degree.")
TEXT = Mask("text", "Masked: whether something is written.")
TEXTS = Mask("texts", "Masked: how many there are.")
DOCUMENT = Mask("document", "Masked: whether there is one.")
RUN = Mask("run", "The state and e-mail addresses are masked.")
WORD = Mask("word", "")
COLLEAGUE = Mask("colleague", "An e-mail address is masked.", keyed=True)
REASON = Mask("reason", "A sentence is masked.")
NOTHING = Mask("", "Masked: always null.")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


LISTS = _words("""
    arrivy_status arrivy_template callrail_account callrail_company callrail_tag callrail_tracker
    genius_appointment_outcome genius_appointment_outcome_type genius_appointment_type genius_division
    genius_division_group genius_division_region genius_integration_field_definition genius_job_change_order_reason
    genius_job_change_order_status genius_job_change_order_type genius_job_status genius_marketing_source
    genius_marketing_source_type genius_marketsharp_marketing_source_map genius_marketsharp_source genius_service
    genius_user_title gsheet_marketing_spend hubspot_division hubspot_line_item hubspot_pipeline
    hubspot_pipeline_stage hubspot_zipcode marketsharp_activity_reference marketsharp_activity_result
    marketsharp_appointment_result marketsharp_inquiry_source_primary marketsharp_inquiry_source_secondary
    marketsharp_inquiry_status marketsharp_product_detail marketsharp_product_type
    pipedesk.lead_origins pipedesk.lead_statuses pipedesk.tags pipedesk.drive_structure_nodes
    pipedesk.drive_structure_templates salespro_office
    crm.dnc_reasons crm.feed_position crm.feed_source crm.fx_rate crm.lead_source_costs crm.message_template
    crm.nurture_sequences crm.source_status crm.status_mapping crm.status_rank
    identity.read_position identity.source_trust identity.survivorship identity.weight identity.weight_version
    crm.lead_source_alias marts.call_performance marts.data_quality marts.position marts.refused_costs
    marts.sync_metrics_daily marts.unmapped_lead_source marts.unmapped_status marts.zip_performance
    orchestration.alembic_version orchestration.alert_event orchestration.alert_rule
    orchestration.dead_letter orchestration.sync_history orchestration.sync_schedule
""")
"""Tables whose rows are of no customer: lists of words, what is sold, where we are, what a run did."""

OURS = _words("""
    a_key a_table action amount_from b_key b_table certainty channel channels codes crm crm_source crms currency
    detected_by direction division entered_in field field_name first_touch_source flag from_status ids kind
    last_touch_source lead_source lifecycle links loaded_as matched_by model_version our_user outcome owner
    person_key person_table records reference_id relation rep rep_id rule rules says source source_key source_keys
    source_status source_table source_tables stage state status stop_reason stopped_at strategy to_status
    tracker_id triggered_by user_key user_table verdict
""")
"""Columns of our own tables that are words of a list, or keys."""

REASONS = _words("crm.dnc_list identity.alias marts.dnc_conflicts")
"""Tables of our own whose ``reason`` is a word of a list, and not somebody's sentence."""

SCORES = _words("factors lead_score_factors")
"""Documents of numbers by the name of a factor."""

_NAME = re.compile(r"(^|_)(first|last|middle|display|full|sur)?_?name(_alt)?$|^(first|last)name$|^middle_initial$")
_NO_NAME = re.compile(r"user_?name$|^file_name$")
_COLLEAGUE = re.compile(r"(^|_)(by|user|users|agent|owner|canvasser|rep|salesrep|organizer|marketer|calendar|id)($|_)")
_MAY_NAME_A_CALENDAR = re.compile(r"calendar_id|(source|person|user|record|a|b)_key")
"""A calendar is called by its owner's e-mail address, and that is the key of its events."""
_PLACE = re.compile(r"latitude|longitude|(?:^|_)(?:lat|lng)(?:_|$)")
_ZIP = re.compile(r"(^|_)(zip|zip_?code|postal_code)$")


def mask_of(relation: Relation, column: str) -> Mask | None:
    """Return how a column is masked, or None where it stays as it is."""
    pg_type = relation.columns[column]
    many = pg_type.endswith("[]")
    if pg_type in ("uuid", "uuid[]") and not _is_unknown(relation, column):
        return None
    if (contact := _contact(relation, column)) and pg_type.startswith(("text", "character")):
        return (EMAILS if many else EMAIL) if contact == "email" else (PHONES if many else PHONE)
    if _MAY_NAME_A_CALENDAR.fullmatch(column) and pg_type == "text":
        return COLLEAGUE
    named = relation.entity.local.renamed.get(column, column) if relation.entity else column
    if _ZIP.search(named) and pg_type == "text" and relation.label not in LISTS:
        return ZIP  # in a key too: few leads come from one postal code on one day
    if relation.schema == "pipedesk" and column == "delete_reason":
        return REASON  # of a row that was made here, as somebody wrote it
    if column in relation.keys or (column in BOOKKEEPING and column != "raw_data"):
        return None
    if not is_text(pg_type):
        return _number(relation, column, named, pg_type)
    if _stays(relation, column, pg_type):
        joins = relation.entity is not None and column in relation.entity.refs
        if joins or pg_type != "text":
            return None
        return COLLEAGUE if _COLLEAGUE.search(named) else WORD
    if many:
        return TEXTS if pg_type == "text[]" else NOTHING
    if pg_type == "jsonb":
        return RUN if relation.schema == "orchestration" else DOCUMENT
    if not pg_type.startswith(("text", "character")):
        return NOTHING
    return INITIAL if _NAME.search(named) and not _NO_NAME.search(named) else TEXT


def _contact(relation: Relation, column: str) -> str:
    """Return whether a column holds e-mail addresses or phone numbers, of whomever; else nothing."""
    if relation.entity:
        spelled = relation.entity.e164.get(column, column)
        if spelled in relation.entity.columns:
            kind = relation.entity.columns[spelled].kind
            return kind if kind in ("email", "phone") else ""
    parts = column.rstrip("s").split("_")
    return next((word for word in ("email", "phone") if word in parts), "")


def _number(relation: Relation, column: str, named: str, pg_type: str) -> Mask | None:
    """Return the mask of a number, a time or a flag; ``named`` is what the column is declared as."""
    if relation.entity is None or relation.label in LISTS:
        personal = PERSONAL_NUMBERS.search(named) is not None
    else:
        personal = treatment(relation.entity, column, pg_type) == "clear"
    if not personal:
        return None
    return PLACE if pg_type == "numeric" and _PLACE.search(named) else NOTHING


def _is_unknown(relation: Relation, column: str) -> bool:
    entity = relation.entity
    return entity is not None and relation.label not in LISTS and treatment(entity, column, "uuid") == "clear"


def _stays(relation: Relation, column: str, pg_type: str) -> bool:
    """Whether a text tells nothing of a customer."""
    if pg_type in ("json", "jsonb", "bytea"):
        return column in SCORES or (relation.schema == "orchestration" and pg_type != "jsonb")
    if relation.label in LISTS:
        return True
    if relation.entity:
        return treatment(relation.entity, column, pg_type) != "clear"
    return column in OURS or (column == "reason" and relation.label in REASONS)
