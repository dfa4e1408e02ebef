"""What CallRail delivers: the fields of one call, form or conversation, which are not used, and its id.

The id that the API knows has three letters and 32 digits. Notes have it in ``resource_id`` or in ``id``, and older
accounts send a number there (unconfirmed): then the entity is asked for what changed. The call that a pre-call event
names is not listed yet, and its own event follows.
"""

import re
from typing import Any

import msgspec

from warehouse_pipelines.model.webhook import Change, Delivery, Events, UnreadableDelivery

ID = re.compile(r"[A-Z]{3}[0-9a-f]{32}")
BY_PREFIX = {"CAL": "calls", "FOR": "form_submissions", "SCI": "text_messages"}
OF_FORMS = frozenset({"form_data", "form_url", "submitted_at"})
OF_TEXTS = frozenset({"recent_messages", "last_message_at", "content", "message", "conversation_id", "thread_id"})

_decode = msgspec.json.Decoder(dict[str, Any]).decode


def read(delivery: Delivery, account: str = "") -> Events:
    """Return what was touched. Raises ``UnreadableDelivery``."""
    try:
        body = _decode(delivery.body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableDelivery(f"CallRail delivered no object: {type(error).__name__}") from None
    named = [str(body[name]) for name in ("resource_id", "id", "call_id", "conversation_id") if body.get(name)]
    for one in named:
        if ID.fullmatch(one) and one[:3] in BY_PREFIX:
            entity = BY_PREFIX[one[:3]]
            # The single answer of a conversation has another form than the list's (``by_key``).
            return Events([one], [Change("callrail", entity, None if entity == "text_messages" else one)])
    entity = "calls"
    if OF_FORMS & body.keys():
        entity = "form_submissions"
    elif OF_TEXTS & body.keys():
        entity = "text_messages"
    return Events(named[:1], [Change("callrail", entity)])
