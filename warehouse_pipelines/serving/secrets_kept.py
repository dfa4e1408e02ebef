"""What is kept of tokens and cookies, and how a token looks. They are random, so a plain hash is enough.

The beginning of a token tells a scanner of repositories that it is one.
"""

import hashlib
import hmac
import re

PREFIX = "wht_"
TOKEN = re.compile(PREFIX + r"[A-Za-z0-9_-]{43}")


def digest(secret: str) -> bytes:
    """Return what is kept of a secret."""
    return hashlib.sha256(secret.encode()).digest()


def csrf_of(secret: str) -> str:
    """Return the token for forms of whoever has this cookie. It is made of the cookie, so none is kept."""
    return hmac.new(secret.encode(), b"csrf", "sha256").hexdigest()


def is_csrf_of(secret: str, given: str) -> bool:
    """Whether a form was made for whoever has this cookie."""
    return hmac.compare_digest(csrf_of(secret).encode(), given.encode("utf-8", "replace"))
