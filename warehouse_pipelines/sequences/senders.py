"""What a message is handed to: SMTP, a text message service over HTTP, or the outbox, which sends nothing.

A sender answers in one of five ways, by which the worker knows what it may do next:

    returns a reference    it was taken
    VendorUnavailable      it was surely not taken; try again
    BadRecord              this message will never be taken: the address is none
    other ActionNeeded     none will be taken for now: the login was refused, the quota of the day is used up
    OutcomeUnknown         it may have been taken: the connection ended before the answer

Decided:

- SMTP confirms a message by the answer to its last line. Whatever breaks off after DATA began is ``OutcomeUnknown``.
  ``Message-ID`` is made of the key of the step, the same for each attempt, so a receiver can tell a repetition.
- A refusal is about the message, unless what the server says is about who sends: an enhanced status (RFC 3463) of 5.4.5
  or 5.7, a relay that is denied, a limit of sending. What says neither is found by its repetition (``hand_over``).
- Text messages go to one address that you give, of your provider or of a small program before it, because each
  provider's API is another. docs/sequences.md has the request and the answer. A 5xx other than 503 is
  ``OutcomeUnknown``: a service may fail after it sent.
- Neither an address nor a text stands in an error.
"""

import hashlib
import hmac
import json
import re
import smtplib
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email import policy
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, localtime, parseaddr
from typing import Protocol
from urllib.parse import quote, urlsplit

from warehouse_pipelines.errors import (
    BadRecord,
    CredentialRefused,
    NotConfigured,
    OutcomeUnknown,
    RequestRefused,
    VendorUnavailable,
    masked,
)
from warehouse_pipelines.sequences.settings import SequenceSettings

TIMEOUT_SECONDS = 30.0
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_ADDRESS = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z]{{2,}}")
_LONGEST_LOCAL, _LONGEST = 64, 254

_ENHANCED = re.compile(r"\s*([45])\.(\d{1,3})\.(\d{1,3})\b")
_OF_RECIPIENT = ("1", "2")
"""Subjects of an enhanced status that are about the recipient: its address, its mailbox."""
_POLICY = "7"
_POLICY_OF_RECIPIENT = ("2", "17", "18")
"""Details of a status of policy that are about the recipient: a mailing list, an address that changed hands."""
_OF_SENDER = re.compile(
    r"\brelay(?:ing)?(?: access)? (?:denied|is|not|prohibited|refused|rejected)\b"
    r"|\b(?:unable to|(?:permitted|allowed|authorized) to|cannot|can't|no) relay\b|authenticat"
    r"|\bsend(?:ing|er)?\W+(?:limit|quota|rate)|\b(?:daily|hourly|rate)\b.{0,30}\b(?:limit|quota)"
    r"|too many (?:messages|mails|e-?mails)",
    re.IGNORECASE,
)
_ENDS = 421
"""What a server answers that ends its service."""
_OF_TEXT = re.compile(r"spam|unsolicited|content|virus|malware|phish|suspicious", re.IGNORECASE)


def is_address(text: str) -> bool:
    """Whether this is one address and nothing else: a comma or a line's end in it would send to others as well."""
    short = len(text) <= _LONGEST and len(text.partition("@")[0]) <= _LONGEST_LOCAL
    return short and _ADDRESS.fullmatch(text) is not None


LINES = policy.SMTP.clone(cte_type="7bit")
"""Lines end as SMTP asks, and have no byte that a server may change."""

WIRE = LINES.clone(max_line_length=998)
"""The same for headers: a link that was cut at 78 characters would be encoded, and be none to most mail programs."""


class PutOff(VendorUnavailable):
    """The service puts this message off, as who greylists does; that says nothing of others."""


class MessageRefused(BadRecord):
    """The service refuses this message; ``code`` is its answer where that may be one about all messages, else empty."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


def is_about_sender(code: int, text: str) -> bool:
    """Whether what a mail server answers instead of taking a message is about who sends, and so about every message."""
    enhanced = _ENHANCED.match(text)
    if enhanced and enhanced[2] in _OF_RECIPIENT:
        return False
    if enhanced and code >= 500 and enhanced[1] == "5":
        if (enhanced[2], enhanced[3]) == ("4", "5"):
            return True
        if enhanced[2] == _POLICY:
            return enhanced[3] not in _POLICY_OF_RECIPIENT and not _OF_TEXT.search(text)
    return _OF_SENDER.search(text) is not None


@dataclass(frozen=True)
class Message:
    """A message to one person. ``key`` is the same for each attempt to send it."""

    key: str
    channel: str
    recipient: str
    subject: str
    body: str
    unsubscribe_url: str


class Sender(Protocol):
    """Something that messages are handed to."""

    name: str

    def send(self, message: Message) -> str:
        """Hand a message over and return what it is called there. Raises as the module says."""
        ...

    def look_up(self, key: str) -> str | None:
        """Return what a message of an earlier attempt is called there, "" if it was not taken, None if nobody knows."""
        ...


class Outbox:
    """Sends nothing: the row of the message is all there is, and its status is ``recorded``."""

    name = "outbox"

    def send(self, message: Message) -> str:
        """Take it."""
        return "kept"

    def look_up(self, key: str) -> str | None:
        """Nothing ever left."""
        return ""


class Smtp:
    """A mail server."""

    name = "smtp"

    def __init__(self, settings: SequenceSettings) -> None:
        name, self._from = parseaddr(settings.smtp_from)
        missing = [
            setting.upper()
            for setting in ("smtp_host", "smtp_from", "warehouse_business_address")
            if not getattr(settings, setting)
        ]
        if missing:
            raise NotConfigured(f"E-mail needs {', '.join(missing)}.")
        if not is_address(self._from):
            raise NotConfigured("SMTP_FROM is no e-mail address.")
        if settings.smtp_security == "none" and settings.smtp_host not in LOOPBACK:
            raise NotConfigured("SMTP_SECURITY is none, and SMTP_HOST is another machine: messages would go in clear.")
        self._settings, self._name = settings, name

    def send(self, message: Message) -> str:
        """Send an e-mail."""
        if not is_address(message.recipient):
            raise BadRecord("the lead's e-mail address is none that can be used")
        try:
            made = self._made(message)
        except (ValueError, MessageError) as error:
            raise BadRecord(f"no e-mail can be made of the message: {type(error).__name__}") from None
        with self._connected() as server:
            for step, answer in (("MAIL", server.mail(self._from)), ("RCPT", server.rcpt(message.recipient))):
                self._judge(step, *answer)
            try:
                answer = server.data(made.as_bytes(policy=WIRE))
            except smtplib.SMTPDataError as error:  # to DATA itself: nothing was sent yet
                self._judge("DATA", error.smtp_code, error.smtp_error)
                raise
            except (smtplib.SMTPException, OSError) as error:
                raise OutcomeUnknown(f"the mail server did not confirm the message: {type(error).__name__}") from error
            self._judge("the message", *answer)
        return str(made["Message-ID"])

    def look_up(self, key: str) -> str | None:
        """SMTP cannot be asked."""
        return None

    def _made(self, message: Message) -> EmailMessage:
        made = EmailMessage(policy=LINES)
        made["From"] = Address(self._name, addr_spec=self._from)
        made["To"] = Address(addr_spec=message.recipient)
        made["Subject"] = message.subject
        made["Date"] = format_datetime(localtime())
        made["Message-ID"] = f"<{message.key.replace(':', '.')}@{self._from.partition('@')[2]}>"
        made["List-Unsubscribe"] = f"<{message.unsubscribe_url}>"
        made["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        address = self._settings.warehouse_business_address.strip()
        made.set_content(f"{message.body}\n\n-- \n{address}\nNo more e-mails: {message.unsubscribe_url}\n")
        return made

    @contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        given = self._settings
        try:
            if given.smtp_security == "tls":
                server: smtplib.SMTP = smtplib.SMTP_SSL(
                    given.smtp_host, given.smtp_port, timeout=TIMEOUT_SECONDS, context=ssl.create_default_context()
                )
            else:
                server = smtplib.SMTP(given.smtp_host, given.smtp_port, timeout=TIMEOUT_SECONDS)
        except (smtplib.SMTPException, OSError) as error:
            raise VendorUnavailable(f"the mail server does not answer: {type(error).__name__}") from error
        try:
            self._begin(server)
            yield server
        except (smtplib.SMTPServerDisconnected, OSError) as error:
            raise VendorUnavailable(f"the mail server ended the connection: {type(error).__name__}") from error
        finally:
            with suppress(smtplib.SMTPException, OSError):
                server.quit()
            server.close()

    def _begin(self, server: smtplib.SMTP) -> None:
        given = self._settings
        try:
            if given.smtp_security == "starttls":
                server.starttls(context=ssl.create_default_context())
            server.ehlo_or_helo_if_needed()
            if given.smtp_username and given.smtp_password:
                server.login(given.smtp_username, given.smtp_password.get_secret_value())
        except smtplib.SMTPAuthenticationError as error:
            if error.smtp_code < 500:
                raise VendorUnavailable(f"the mail server puts the login off: {error.smtp_code}") from None
            raise CredentialRefused("The mail server refuses SMTP_USERNAME and SMTP_PASSWORD.") from None
        except smtplib.SMTPNotSupportedError:
            raise NotConfigured("The mail server knows no STARTTLS, or no login; see SMTP_SECURITY.") from None
        except smtplib.SMTPResponseException as error:
            raise VendorUnavailable(f"the mail server answers {error.smtp_code}") from None

    @staticmethod
    def _judge(step: str, code: int, said: bytes | str) -> None:
        if code < 400:
            return
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
        answer = f"{code} {masked(text, 120)}"
        if is_about_sender(code, text):
            raise RequestRefused(f"The mail server takes no e-mail of this sender for now: {answer}")
        enhanced = _ENHANCED.match(text)
        if code < 500 or (enhanced and enhanced[1] == "4"):
            of_server = code == _ENDS or (enhanced and enhanced[2] not in (*_OF_RECIPIENT, _POLICY))
            raise (VendorUnavailable if of_server else PutOff)(f"the mail server puts {step} off: {code}")
        if step == "MAIL":
            raise NotConfigured(f"The mail server refuses SMTP_FROM: {answer}")
        raise MessageRefused(
            f"the mail server refuses {step}: {answer}",
            code=""
            if enhanced and enhanced[2] in _OF_RECIPIENT
            else f"{code} {enhanced[0] if enhanced else ''}".strip(),
        )


class TextMessages:
    """A text message service behind one address; docs/sequences.md has its request and its answer."""

    name = "sms"

    def __init__(self, settings: SequenceSettings) -> None:
        parts = urlsplit(settings.sms_url)
        if not settings.sms_url or not (settings.sms_token or settings.sms_signing_key):
            raise NotConfigured("Text messages need SMS_URL, and SMS_TOKEN or SMS_SIGNING_KEY.")
        if parts.scheme != "https" and parts.hostname not in LOOPBACK:
            raise NotConfigured("SMS_URL is no https:// address: messages would go in clear.")
        self._settings, self._url = settings, settings.sms_url.rstrip("/")

    def send(self, message: Message) -> str:
        """Send a text message."""
        body = json.dumps({"to": message.recipient, "text": message.body, "key": message.key}).encode()
        status, answer = self._ask("POST", self._url, message.key, body)
        if status in (200, 201, 202, 409):
            return self._reference(answer, message.key)
        if status in (429, 503):
            raise VendorUnavailable(f"the text message service answers {status}")
        if status in (401, 403):
            raise CredentialRefused(f"The text message service answers {status} to SMS_TOKEN and SMS_SIGNING_KEY.")
        if status == 402:
            raise RequestRefused("The text message service answers 402: it takes no message until it is paid.")
        if status in (404, 405):
            raise NotConfigured(f"SMS_URL answers {status}: it is no text message service.")
        if 400 <= status < 500:
            raise MessageRefused(f"the text message service refuses the message: {status}", code=str(status))
        raise OutcomeUnknown(f"the text message service answers {status}")

    def look_up(self, key: str) -> str | None:
        """Ask for a message by its key."""
        try:
            status, answer = self._ask("GET", f"{self._url}/{quote(key, safe='')}", key, b"")
        except (VendorUnavailable, OutcomeUnknown):
            return None
        return self._reference(answer, key) if status == 200 else "" if status == 404 else None

    def _ask(self, method: str, url: str, key: str, body: bytes) -> tuple[int, bytes]:
        import httpx

        try:
            answer = httpx.request(
                method, url, content=body or None, headers=self._headers(key, body), timeout=TIMEOUT_SECONDS,
                follow_redirects=False,
            )  # fmt: skip
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise VendorUnavailable(f"the text message service does not answer: {type(error).__name__}") from None
        except httpx.HTTPError as error:
            raise OutcomeUnknown(f"the text message service did not confirm it: {type(error).__name__}") from None
        return answer.status_code, answer.content

    def _headers(self, key: str, body: bytes) -> dict[str, str]:
        given, at = self._settings, str(int(time.time()))
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        if given.sms_token:
            headers["Authorization"] = f"Bearer {given.sms_token.get_secret_value()}"
        if given.sms_signing_key:
            signed = hmac.new(
                given.sms_signing_key.get_secret_value().encode(), f"{at}.".encode() + body, hashlib.sha256
            )
            headers |= {"X-Timestamp": at, "X-Signature": f"sha256={signed.hexdigest()}"}
        return headers

    @staticmethod
    def _reference(answer: bytes, key: str) -> str:
        try:
            found = json.loads(answer)["id"]
        except (ValueError, TypeError, KeyError):
            return key
        return masked(str(found), 200)


def senders(settings: SequenceSettings) -> tuple[dict[str, Sender], dict[str, str]]:
    """Return what sends each channel; and of a channel without, why there is none."""
    if settings.warehouse_sequences_sender == "outbox":
        return {"email": Outbox(), "sms": Outbox()}, {}
    found: dict[str, Sender] = {}
    problems = {}
    made: tuple[tuple[str, type[Smtp] | type[TextMessages]], ...] = (("email", Smtp), ("sms", TextMessages))
    for channel, kind in made:
        try:
            found[channel] = kind(settings)
        except NotConfigured as error:
            problems[channel] = str(error)
    return found, problems
