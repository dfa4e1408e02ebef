"""Links by which a person ends what is sent: who has the link may, whoever is signed in.

    https://<WAREHOUSE_PUBLIC_URL>/unsubscribe/<organization, lead, channel and their signature>

The ids are random and say nothing of the person. The signature is 128 bits of an HMAC-SHA256 with
``WAREHOUSE_UNSUBSCRIBE_KEY``: several keys with commas between them, of which the first signs and all verify, so that
links in messages of last year still work after a key was replaced. A link does not end: the law gives it 30 days at
least, and somebody who finds an old message means what the link says.
"""

import base64
import binascii
import hmac
from typing import NamedTuple
from uuid import UUID

CHANNELS = ("email", "sms", "call")
"""A link holds the index, so add at the end only: links in sent messages stay valid."""

_SIGNED, _SIGNATURE = 33, 16
SHORTEST_KEY = 32


class Link(NamedTuple):
    """What a link names: the lead, and the channel of the message that it stood in."""

    organization_id: UUID
    lead_id: UUID
    channel: str


def _signature(key: str, signed: bytes) -> bytes:
    return hmac.digest(key.encode(), b"unsubscribe\0" + signed, "sha256")[:_SIGNATURE]


def token(link: Link, key: str) -> str:
    """Return the last part of the address."""
    signed = link.organization_id.bytes + link.lead_id.bytes + bytes([CHANNELS.index(link.channel)])
    return _written(signed + _signature(key, signed))


def _written(whole: bytes) -> str:
    return base64.urlsafe_b64encode(whole).decode().rstrip("=")


def read(given: str, keys: tuple[str, ...]) -> Link | None:
    """Return what a token names; None for one that none of these keys signed."""
    try:
        whole = base64.b64decode(given.encode("ascii") + b"=" * (-len(given) % 4), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error, ValueError):
        return None
    signed, signature = whole[:_SIGNED], whole[_SIGNED:]
    if len(whole) != _SIGNED + _SIGNATURE or _written(whole) != given:
        return None
    # All are compared, so that the time tells nothing of which key it was.
    good = [hmac.compare_digest(_signature(key, signed), signature) for key in keys]
    if not any(good) or signed[32] >= len(CHANNELS):
        return None
    return Link(UUID(bytes=signed[:16]), UUID(bytes=signed[16:32]), CHANNELS[signed[32]])
