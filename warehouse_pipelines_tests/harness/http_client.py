"""The HTTP client of the tests that speak to a simulator as a vendor's customer would."""

import ssl
import weakref
from typing import Any

import httpx

PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""A simulator speaks plain HTTP, and to read the certificates that are trusted takes 20 ms for each client."""


class HttpClient(httpx.Client):
    """Closes its sockets when nobody uses it any more, so that a test need not."""

    def __init__(self, **given: Any) -> None:
        transport = httpx.HTTPTransport(verify=PLAIN)
        super().__init__(transport=transport, **given)
        # Not __del__: of a circle, which a caught exception makes, the sockets may be collected before their client.
        weakref.finalize(self, transport.close)
