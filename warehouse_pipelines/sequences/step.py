"""A step of a sequence for one lead: the text of its message, and to whom it goes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from warehouse_pipelines.sequences import links, rendering
from warehouse_pipelines.sequences.rendering import TemplateRefused
from warehouse_pipelines.sequences.senders import is_address
from warehouse_pipelines.sequences.settings import SequenceSettings

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

SENT = frozenset({"email", "sms"})
"""Channels over which a program sends; every other is left to a person."""

LONGEST_TEXT_MESSAGE = 1_600
"""Characters, as providers split a text message into ten parts at most."""


class Text(NamedTuple):
    """A message as it was rendered."""

    recipient: str
    subject: str
    body: str
    unsubscribe_url: str


def write(
    session: "Session", step: Mapping[str, Any], due: Mapping[str, Any], lead: Mapping[str, Any], organization: UUID,
    settings: SequenceSettings,
) -> Text:  # fmt: skip
    """Return the message of a step of an enrollment that is due.

    Raises ``TemplateRefused`` where it cannot be made of this step and this lead.
    """
    channel = step["channel"]
    subject, body = _templates(session, step, organization)
    link = links.Link(organization, due["lead_id"], channel if channel in links.CHANNELS else "call")
    url = f"{settings.public_url}/unsubscribe/{links.token(link, settings.keys[0])}"
    values = {
        "lead": {name: lead[name] for name in rendering.FIELDS if lead[name]},
        "business": {
            name: value
            for name, value in (
                ("name", settings.warehouse_business_name),
                ("phone", settings.warehouse_business_phone),
            )
            if value
        },
        "sequence": {"name": due["sequence"]},
        "unsubscribe_url": url,
    }
    written = rendering.render(body, values)
    if channel == "sms" and url not in written:
        written = f"{written}\nNo more texts: {url}"
    title = rendering.one_line(rendering.render(subject, values)) if subject else ""
    text = Text(_recipient(channel, lead), title, written, url)
    if channel == "email" and not text.subject:
        raise TemplateRefused("an e-mail has no subject")
    if channel == "sms" and len(text.body) > LONGEST_TEXT_MESSAGE:
        raise TemplateRefused(f"a text message has more than {LONGEST_TEXT_MESSAGE:,} characters")
    return text


def check(step: Mapping[str, Any]) -> None:
    """Raise ``TemplateRefused`` for a step whose own text could not be used for anybody."""
    for name in ("subject", "body", "template"):
        if name in step and not isinstance(step[name], str):
            raise TemplateRefused(f"{name} is no text")
    for name in ("subject", "body"):
        if name in step:
            rendering.check(step[name])


def _templates(session: "Session", step: Mapping[str, Any], organization: UUID) -> tuple[str, str]:
    """Return the templates of subject and body: the step's own, or those that it names."""
    check(step)
    channel = step["channel"]
    if "body" in step:
        return step.get("subject", ""), step["body"]
    name = step.get("template")
    if name is None:
        if channel in SENT:
            raise TemplateRefused("the step has neither a body nor a template")
        return step.get("subject", ""), str(step.get("script") or f"{channel}: {{{{ sequence.name }}}}")
    found = session.execute(
        "SELECT subject, body FROM crm.message_template WHERE organization_id = %s AND name = %s AND channel = %s",
        [organization, name, channel],
    ).fetchone()
    if found is None:
        raise TemplateRefused(f"there is no template of this name for {channel}")
    return step.get("subject") or found["subject"] or "", found["body"]


def _recipient(channel: str, lead: Mapping[str, Any]) -> str:
    if channel == "email":
        if not lead["email"] or not is_address(lead["email"].strip()):
            raise TemplateRefused("the lead has no e-mail address that can be used")
        return str(lead["email"]).strip()
    if channel in ("sms", "call", "voicemail"):
        return str(lead["phone"])  # crm.lead_block_reason stops a lead without one
    return str(lead["email"] or lead["phone"] or "")
