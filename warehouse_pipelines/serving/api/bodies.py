"""What may be sent: each field that is not here is refused, so nobody sets what is not theirs to set.

An organization, a score, the times of a row and who made it are the database's. What else a value may be is said by the
tables (``leads_phone_is_e164``); what they refuse is answered with the name of the constraint.
"""

from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, StringConstraints, model_validator

from warehouse_pipelines.sequences import rendering, step
from warehouse_pipelines.sequences.rendering import TemplateRefused

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
Word = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Status = Literal[
    "new", "contacted", "qualified", "appointment_set", "proposal", "nurturing", "won", "lost", "disqualified"
]
Money = Annotated[Decimal, Field(ge=0, max_digits=12, decimal_places=2, allow_inf_nan=False)]
Email = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[^@\s]+@[^@\s]+$", max_length=320)]


def _small(value: dict[str, Any]) -> dict[str, Any]:
    if len(value) > 100:
        raise ValueError("it has more than 100 members")
    return value


Document = Annotated[dict[str, Any], AfterValidator(_small)]


class Body(BaseModel, extra="forbid"):
    """A body of a request."""


METADATA = (
    "What is known beside the other fields. `referred_by` is who sent the person: a phone number, an e-mail address, "
    "or the id of a lead or person. `marts.relationships` joins the two."
)


class Consent(Body):
    """By what a person agreed to be reached over a channel, or took that back."""

    channel: Literal["call", "sms", "email", "mail"]
    at: Word
    source: Text
    text_version: Word
    revoked_at: Word | None = None


class LeadChange(Body):
    """The fields of a lead that are to be changed; null empties one, and what is not named stays."""

    first_name: Text | None = None
    last_name: Text | None = None
    email: Email | None = None
    phone: Text | None = None
    status: Status = "new"
    source: Text | None = None
    source_metadata: Document = Field(default_factory=dict, description=METADATA)
    tags: list[Word] = Field(default_factory=list, max_length=100)
    timezone: Word | None = None
    division: Text | None = None
    postal_code: Word | None = None
    owner_id: UUID | None = None
    value_usd: Money | None = None
    consent: list[Consent] = Field(default_factory=list, max_length=100)


class NewLead(LeadChange):
    """A lead."""

    @model_validator(mode="after")
    def _says_something(self) -> "NewLead":
        if not any((self.first_name, self.last_name, self.email, self.phone)):
            raise ValueError("a lead has a name, an e-mail address or a phone number")
        return self


class NewDncEntry(Body):
    """Whom nobody may contact: by number, or by lead, whose number it takes."""

    phone: Text | None = None
    lead_id: UUID | None = None
    reason: Word
    channels: list[Literal["call", "sms", "email", "mail"]] | None = Field(default=None, min_length=1, max_length=4)
    evidence: Text | None = None
    expires_at: AwareDatetime | None = None

    @model_validator(mode="after")
    def _names_somebody(self) -> "NewDncEntry":
        if self.phone is None and self.lead_id is None:
            raise ValueError("an entry names a phone or a lead")
        return self


def _usable(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for place, one in enumerate(steps):
        try:
            step.check(one)
        except TemplateRefused as error:
            raise ValueError(f"step {place}: {error}") from None
    return steps


def _template(text: str) -> str:
    try:
        rendering.check(text)
    except TemplateRefused as error:
        raise ValueError(str(error)) from None
    return text


Template = Annotated[str, StringConstraints(min_length=1, max_length=rendering.LONGEST), AfterValidator(_template)]


class MessageTemplate(Body):
    """A text that steps of sequences name by ``template``."""

    name: Word
    channel: Literal["sms", "email", "call", "voicemail", "mail", "task"]
    subject: Template | None = None
    body: Template


class NewSequence(Body):
    """A series of steps; each has a channel, and may have delay_minutes and a text: template, or subject and body."""

    name: Text
    steps: Annotated[list[Document], Field(max_length=100), AfterValidator(_usable)]
    trigger_conditions: Document = Field(default_factory=dict)
    segment_id: UUID | None = None
    is_active: bool = True


class Enrollment(Body):
    """Which sequence a lead is enrolled in."""

    sequence_id: UUID


class NewSync(Body):
    """What to sync, with the options of the command ``sync``."""

    crm: Word
    entity: Word
    full: bool = False
    force: bool = False
    dry_run: bool = False
    max_records: int = Field(default=0, ge=0)
    start_date: Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\d$")] | None = None
