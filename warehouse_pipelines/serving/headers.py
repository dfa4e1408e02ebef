"""Headers of every answer: what a browser may do with it.

The policy lets a page load scripts, styles, images and data from here alone, and run nothing that stands in the page
itself: no ``<script>`` with a body, no ``onclick``, no ``style="…"``. Answers are not kept by a browser or a proxy, for
they hold data of people; files of ``static/`` are.
"""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
ALWAYS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
HTTPS_ONLY = "max-age=31536000"


class Headers:
    """Adds them; one that the answer has stays."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self._app, self._https = app, https

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/webhooks/"):
            await self._app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in ALWAYS.items():
                    headers.setdefault(name, value)
                kept = "max-age=3600" if scope["path"].startswith("/static/") else "no-store"
                headers.setdefault("cache-control", kept)
                if self._https:
                    headers.setdefault("strict-transport-security", HTTPS_ONLY)
            await send(message)

        await self._app(scope, receive, sending)
