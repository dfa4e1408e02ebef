"""How a delivery proves that its vendor sent it: a function for each way, over the exact bytes that came.

Nothing of a body is parsed before its function has returned True. Every comparison takes the same time wherever two
texts differ. A vendor whose secret is not set, or empty, proves nothing.

HubSpot's older versions 1 and 2 cannot tell a repetition from a new delivery. They are accepted all the same: who has
no secret cannot make one, and a repetition only has records read again.
"""

import base64
import hashlib
import hmac
import re
import time
from urllib.parse import unquote

from pydantic import SecretStr

from warehouse_pipelines.model.webhook import Delivery
from warehouse_pipelines.settings import ServeSettings

OLDEST_SECONDS = 300.0
"""HubSpot's own limit: an older delivery is refused, and so is one from so far ahead."""

_DECODED = re.compile(r"(?i:%3A|%2F|%3F|%40|%21|%24|%27|%28|%29|%2A|%2C|%3B)")
"""The escapes that HubSpot writes out in the address before it signs."""

SECRET_HEADER = "x-webhook-secret"  # noqa: S105  (the name of the header)


def hubspot(delivery: Delivery, settings: ServeSettings) -> bool:
    """Version 3 where its header is there, else version 1 or 2."""
    if not settings.hubspot_client_secret:
        return False
    secret = settings.hubspot_client_secret.get_secret_value().encode()
    headers = delivery.headers
    if (given := headers.get("x-hubspot-signature-v3")) is not None:
        sent_at = headers.get("x-hubspot-request-timestamp", "")
        if not sent_at.isascii() or not sent_at.isdigit() or len(sent_at) > 16:
            return False
        if abs(time.time() - int(sent_at) / 1000) > OLDEST_SECONDS:
            return False
        url = _DECODED.sub(lambda escape: unquote(escape[0]), delivery.url)
        signed = b"".join((delivery.method.encode(), url.encode(), delivery.body, sent_at.encode()))
        return _same(given, base64.b64encode(hmac.digest(secret, signed, "sha256")).decode())
    given = headers.get("x-hubspot-signature", "")
    parts = [secret, delivery.body]
    if headers.get("x-hubspot-signature-version", "v1").lower() == "v2":
        parts[1:1] = [delivery.method.encode(), delivery.url.encode()]
    return _same(given, hashlib.sha256(b"".join(parts)).hexdigest())


def callrail(delivery: Delivery, settings: ServeSettings) -> bool:
    """By the key of any company: a delivery names its company only by whose key fits."""
    if not settings.callrail_signing_keys:
        return False
    given = delivery.headers.get("signature", "")
    keys = filter(None, map(str.strip, settings.callrail_signing_keys.get_secret_value().split(",")))
    found = False
    for key in keys:  # all of them, so that the time does not tell which one fits
        found |= _same(given, base64.b64encode(hmac.digest(key.encode(), delivery.body, "sha1")).decode())
    return found


def arrivy(delivery: Delivery, settings: ServeSettings) -> bool:
    """By a header that its dashboard sends with each delivery: Arrivy signs nothing."""
    return _by_header(delivery, settings.arrivy_webhook_secret)


def leadconduit(delivery: Delivery, settings: ServeSettings) -> bool:
    """By a header that the recipient's configuration sends with each delivery."""
    return _by_header(delivery, settings.leadconduit_webhook_secret)


def _by_header(delivery: Delivery, secret: SecretStr | None) -> bool:
    if not secret:
        return False
    scheme, _, token = delivery.headers.get("authorization", "").partition(" ")
    given = delivery.headers.get(SECRET_HEADER) or (token if scheme.lower() == "bearer" else "")
    return _same(given, secret.get_secret_value())


def token_digest(token: str) -> bytes:
    """Return what is kept of a channel's token, and compared."""
    return hashlib.sha256(token.encode()).digest()


def _same(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode(), right.encode())
