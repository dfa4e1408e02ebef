"""Who can reach ``serve``, and whether what they send is encrypted."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from warehouse_pipelines.errors import NotConfigured
from warehouse_pipelines.serving.public_address import LOOPBACK
from warehouse_pipelines.settings import ServeSettings


def is_loopback(settings: ServeSettings) -> bool:
    """Return whether only this machine reaches it."""
    if settings.warehouse_serve_host == "localhost":
        return True
    try:
        return ip_address(settings.warehouse_serve_host).is_loopback
    except ValueError:
        return False


def is_https(settings: ServeSettings) -> bool:
    """Return whether browsers reach it by HTTPS, so that cookies and headers may be strict."""
    return settings.warehouse_public_url.startswith("https://") or settings.warehouse_tls_certificate is not None


def trusted(settings: ServeSettings) -> str:
    """Return the proxies whose word is taken for who calls: those that are named, else one on this machine."""
    return settings.warehouse_trusted_proxy or ("127.0.0.1,::1" if is_loopback(settings) else "")


def require_safe(settings: ServeSettings) -> None:
    """Raise ``NotConfigured`` where passwords and data would cross a network in clear, or OIDC lacks a part."""
    if (settings.warehouse_tls_certificate is None) != (settings.warehouse_tls_key is None):
        raise NotConfigured("WAREHOUSE_TLS_CERTIFICATE and WAREHOUSE_TLS_KEY belong together.")
    if not is_loopback(settings) and not settings.warehouse_tls_certificate and not settings.warehouse_trusted_proxy:
        raise NotConfigured(
            f"WAREHOUSE_SERVE_HOST is {settings.warehouse_serve_host}, which others reach, and nothing encrypts what "
            "they send. Set WAREHOUSE_TLS_CERTIFICATE and WAREHOUSE_TLS_KEY, or put a proxy that speaks HTTPS in "
            "front and name it in WAREHOUSE_TRUSTED_PROXY, or listen on 127.0.0.1."
        )
    public = urlsplit(settings.warehouse_public_url)
    if public.scheme not in ("https", "") and public.hostname not in LOOPBACK:
        raise NotConfigured(
            f"WAREHOUSE_PUBLIC_URL begins with {public.scheme}://. Vendors deliver by https:// alone, and browsers "
            "keep the cookie of a session there alone: let a proxy speak HTTPS and write that address, or none."
        )
    if settings.warehouse_trusted_proxy.strip() == "*":
        raise NotConfigured("WAREHOUSE_TRUSTED_PROXY is *, which is everybody; name the proxy's address or network.")
    if settings.warehouse_oidc_issuer:
        given = {
            "WAREHOUSE_OIDC_CLIENT_ID": settings.warehouse_oidc_client_id,
            "WAREHOUSE_OIDC_CLIENT_SECRET": settings.warehouse_oidc_client_secret,
            "WAREHOUSE_PUBLIC_URL": settings.warehouse_public_url,
        }
        if missing := [name for name, value in given.items() if not value]:
            raise NotConfigured(f"WAREHOUSE_OIDC_ISSUER is set; set also: {', '.join(missing)}.")
