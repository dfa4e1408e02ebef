"""Where a vendor reaches ``warehouse serve``: what it is told, and what a subscription is known by."""

from urllib.parse import urlsplit

from warehouse_pipelines.errors import NotConfigured
from warehouse_pipelines.settings import serve_settings

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def public_address(name: str) -> str:
    """Return the address of ``/webhooks/<name>``. Raises ``NotConfigured`` for one that no vendor would call."""
    public = serve_settings().warehouse_public_url.rstrip("/")
    parts = urlsplit(public)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise NotConfigured(
            "Vendors deliver by HTTPS only: set WAREHOUSE_PUBLIC_URL to how they reach `warehouse serve`, such as "
            "https://hooks.example.com"
        )
    return f"{public}/webhooks/{name}"
