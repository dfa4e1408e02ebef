"""The channels that alerts are sent through: apprise, which knows some hundred services by one URL each.

A URL holds tokens, so a channel is called after its kind and a few letters of a hash of the URL, and what apprise says
of a failure is told without any part of the URL.
"""

import hashlib
import logging
import re
import threading
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

from warehouse_pipelines.errors import NotConfigured
from warehouse_pipelines.observability import redaction

SECONDS = 15.0
"""How long a service has for a message."""

TYPES = {"info": "info", "warning": "warning", "critical": "failure"}


class ChannelRefused(Exception):
    """A channel did not take a message."""


class Channel:
    """One service that messages are sent to. Raises ``NotConfigured`` for a URL that apprise does not know."""

    def __init__(self, url: str) -> None:
        _hide_parts(url)
        self.name = f"{re.sub(r'[^a-z0-9]', '', url.partition('://')[0].lower()) or 'unknown'}-{_digest(url)}"
        self._service = _service(url)
        if self._service is None:
            raise NotConfigured(
                f"WAREHOUSE_ALERT_URLS: the channel {self.name} is no URL that apprise knows; "
                "https://github.com/caronc/apprise/wiki lists them. Blanks within one are %20."
            )

    def send(self, title: str, body: str, severity: str) -> None:
        """Send a message. Raises ``ChannelRefused``, also where the service does not answer within ``SECONDS``.

        In a thread that is left alone then: the timeouts of apprise begin anew with each byte that comes.
        """
        refusal: list[ChannelRefused | None] = []
        sending = threading.Thread(
            target=lambda: refusal.append(self._refusal(title, body, severity)), name="alert", daemon=True
        )
        sending.start()
        sending.join(SECONDS)
        if not refusal:
            raise ChannelRefused(f"it did not answer within {SECONDS:.0f} s")
        if refusal[0] is not None:
            raise refusal[0]

    def _refusal(self, title: str, body: str, severity: str) -> ChannelRefused | None:
        """Send a message, and return why it was not taken; None where it was."""
        said = _Said()
        logger = logging.getLogger("apprise")
        logger.addHandler(said)
        try:
            taken = self._service.notify(title=title, body=body, notify_type=TYPES.get(severity, "info"))
        except Exception as error:
            return ChannelRefused(f"{type(error).__name__}: {redaction.redacted(str(error))}")
        finally:
            logger.removeHandler(said)
        return None if taken else ChannelRefused(said.text or "the service did not take it")


def channels(urls: Sequence[str]) -> tuple[list[Channel], list[str]]:
    """Return the channels of these URLs, and a sentence for each URL that is none: one typo stops no other channel."""
    found, wrong = [], []
    for url in urls:
        try:
            found.append(Channel(url))
        except NotConfigured as error:
            wrong.append(str(error))
    return found, wrong


def _service(url: str) -> Any:
    import apprise

    logger = logging.getLogger("apprise")
    logger.propagate = False
    logger.addFilter(_redaction)
    return apprise.Apprise.instantiate(url, suppress_exceptions=True)


_redaction = redaction.Redaction()


def _digest(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()[:6]


_HOST = re.compile(r"([\w-]+\.)+([a-z]{2,24}|\d{1,3})(:\d{1,5})?|[\w-]+:\d{1,5}")


def _hide_parts(url: str) -> None:
    """Never print what of a URL may be a token: its login, and what of its path and options looks like one.

    Not each piece: a path may be a word such as ``alerts``, and no text could say it any more. Nor the name of a
    host; a token may have a colon or points too, as Telegram's, so not all that has one is a host.
    """
    rest = url.partition("://")[2]
    authority = re.split(r"[/?]", rest)[0]
    login = (authority if "@" in authority else rest).rpartition("@")[0]
    behind = re.split(r"[/?&=@]", rest[len(login) :])
    pieces = [piece for piece in behind if len(piece) >= 8 and re.search(r"\d|[A-Z]", piece)]
    pieces += re.split(r"[:/@]", login)
    secret = {part for piece in pieces if not _HOST.fullmatch(piece) for part in (piece, *piece.split(":"))}
    redaction.hide({form for piece in (url, *secret) for form in (piece, unquote(piece))})


class _Said(logging.Handler):
    """Collects what apprise says of a failure in this thread; others send at the same time."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.text = ""
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread != self._thread:
            return
        self.text = f"{self.text} {redaction.redacted(record.getMessage())}".strip()
