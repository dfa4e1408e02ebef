"""Keep secrets, and values that may say something about a person, out of all that is printed.

What is stored is ``loading.hash_and_drop``'s affair; texts of others within an error are masked by ``errors.masked``.

``hide`` and ``hide_settings`` register the secrets of this process; ``redacted`` removes them from a text, and bearer
tokens, passwords in URLs and e-mail addresses as well. ``Redaction`` does so to every log record. ``is_personal`` says
of which columns a value may be shown, ``shown`` what a line shows of it.
"""

import logging
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

from warehouse_pipelines.errors import EMAIL, LOGIN_IN_URL, MASK, masked

_SECRET = re.compile(
    r"(?i:\bbearer|\btoken|\bapi[_-]?key|\bkey|\bpassword|\bsecret)(?:\s*[=:]\s*|\s+token=|\s+)[\"']?[A-Za-z0-9_\-./+]{12,}=*"
    r"|\bpat-[\w-]+"
    rf"|{LOGIN_IN_URL}|{EMAIL}"
)

_DATE = re.compile(r"\s*(\d{4}-\d{1,2}-\d{1,2}|\d{1,2}/\d{1,2}/\d{2,4})")

_PERSONAL_NAME = re.compile(
    r"e?mail|phone|mobile|fax|address|street|city|zip|postal|birth|ssn|passw|token|secret|signature|transcri|recording"
    r"|(first|last|middle|full|sur|given|family|customer|contact|caller|agent|owner|spouse|signer|legal_app)_?name|^name$"
    r"|applicant|confirm_with"
    r"|note|comment|message|body|content|latitude|longitude|\bip\b|ip_address"
)

REDACTED = "warehouse_said"
"""The attribute of a log record that keeps its redacted message and extras."""

ENDED = "warehouse_ended"
"""The attribute of the log record that says that a sync ended."""

_OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", REDACTED, ENDED}

_hidden: set[str] = set()


def hide(values: Iterable[str]) -> None:
    """Never print these strings; those under five characters are left, they would hide half of every line."""
    _hidden.update(value for value in values if len(value) >= 5)


def hide_settings(settings: object) -> None:
    """Never print the secrets of these settings, or the password inside one of their URLs."""
    for value in vars(settings).values():
        secret = value.get_secret_value() if hasattr(value, "get_secret_value") else value
        if secret is not value:
            hide([str(secret)])
        if isinstance(secret, str):
            hide_password(secret)


def hide_password(url: str) -> None:
    """Never print the password inside a URL; text without one is let be."""
    if found := re.search(r"://[^/@\s:]*:([^/@\s]+)@", url):
        hide([found[1], unquote(found[1])])


def redacted(text: str) -> str:
    """Return ``text`` without secrets and e-mail addresses."""
    for value in sorted(_hidden, key=len, reverse=True):
        text = text.replace(value, MASK)
    return _SECRET.sub(MASK, text)


def redacted_members(value: Any) -> Any:
    """Return a value with its texts redacted, however deep they lie."""
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, Mapping):
        return {str(name): redacted_members(member) for name, member in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redacted_members(member) for member in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return redacted(str(value))


class Redaction(logging.Filter):
    """Redact a log record in place, so that handlers of others (Dagster's) print the redacted text too.

    ``REDACTED`` keeps the message beside it, because Dagster's handler writes its run and step into the message.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if REDACTED not in record.__dict__:
            record.msg, record.args = redacted(record.getMessage()), ()
            extra = {name: redacted_members(record.__dict__[name]) for name in record.__dict__.keys() - _OWN}
            record.__dict__.update(extra)
            record.__dict__[REDACTED] = {"message": record.msg, **extra}
        return True


def is_personal(field: str, kind: str = "text") -> bool:
    """Whether a value of this column may say something about a person; when in doubt it does."""
    return kind in {"email", "phone", "jsonb"} or bool(_PERSONAL_NAME.search(field))


def shown(value: object, *, personal: bool, limit: int = 100) -> str:
    """Return what a log line shows of a value: ``***`` when personal, else as much as is harmless.

    Long numbers are taken for phone numbers, dates are not.
    """
    if personal:
        return MASK
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return redacted(text)[:limit] if _DATE.match(text) else redacted(masked(text, limit))


def without(message: str, value: object, *, personal: bool) -> str:
    """Return a message redacted, and without a personal value that it repeats."""
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return redacted(message.replace(text, MASK) if personal and len(text) > 1 else message)
