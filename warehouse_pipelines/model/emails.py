"""E-mail addresses in one spelling, and the mailbox of one."""

import functools
import re

_ADDRESS = re.compile(r"[^@\s,;:<>()\"\\{}]+@(?:[\w-]+\.)+(?:[^\W\d_]{2,24}|xn--[a-z0-9-]{2,59})")
BETWEEN = re.compile(r"[\s,;|]+")
"""What stands between the addresses of a column that has several."""

GMAIL = frozenset(["gmail.com", "googlemail.com"])


def address(text: str) -> str | None:
    """Return an e-mail address in lower case, without what a link or a sentence puts around it; None for none."""
    text = text.strip().lower().removeprefix("mailto:").rstrip(".,;")
    return text if _ADDRESS.fullmatch(text) else None


def addresses(text: str) -> list[str]:
    """Return the addresses of a column that may have several."""
    return [one for part in BETWEEN.split(text) if "@" in part and (one := address(part))]


@functools.lru_cache(maxsize=1 << 16)
def gmail_box(address: str) -> str | None:
    """Return the mailbox of an address at Gmail, which is one however its dots and what is behind ``+`` are written."""
    local, _, domain = address.partition("@")
    box = (local.partition("+")[0] or local).replace(".", "")
    return f"{box}@gmail.com" if box and domain in GMAIL else None
