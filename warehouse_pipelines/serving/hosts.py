"""Which names ``serve`` answers to. Deliveries are no matter of this: they prove themselves.

A stranger can have his own name lead to this machine (DNS rebinding). His page, in a browser here, then reads what
this machine alone may read, such as the metrics, and its requests have his name in ``Host``. So a request under a name
that is none of ours is answered 421. Ours are ``localhost``, the name of ``WAREHOUSE_PUBLIC_URL``, that of
``WAREHOUSE_SERVE_HOST``, and those of ``WAREHOUSE_ALLOWED_HOSTS``. An address is answered: no page of another machine
can ask by it.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from warehouse_pipelines.settings import ServeSettings

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

ANSWER = (
    b"This name is none that is answered to here: set WAREHOUSE_PUBLIC_URL, or add it to WAREHOUSE_ALLOWED_HOSTS.\n"
)


class Hosts:
    """The names that are answered to."""

    def __init__(self, settings: ServeSettings) -> None:
        public = urlsplit(settings.warehouse_public_url).hostname or ""
        given = ("localhost", public, settings.warehouse_serve_host, *settings.warehouse_allowed_hosts.split(","))
        self._names = {name.strip().lower() for name in given} - {""}

    def allows(self, scope: Scope) -> bool:
        """Whether a request asks for a name of ours, or for none."""
        return all(self._is_ours(value.decode("latin-1")) for name, value in scope["headers"] if name == b"host")

    def _is_ours(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        except ValueError:
            return False
        return not host or name in self._names or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


async def misdirected(send: Send) -> None:
    """Answer 421."""
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(ANSWER)).encode())]
    await send({"type": "http.response.start", "status": 421, "headers": headers})
    await send({"type": "http.response.body", "body": ANSWER})
