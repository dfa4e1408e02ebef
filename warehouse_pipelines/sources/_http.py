"""The one HTTP client of all vendors.

Connections are shared by the process; every request has timeouts; 429, 5xx, a reset and a body that was cut short
are tried again with jittered backoff, ``Retry-After`` honoured in both forms; each request first takes its place
in the credential's budget, which all runs share; answers are decoded into the form that the vendor's notes
describe, so an answer without its list is an error and never an empty page. Neither headers nor bodies are logged.

``WAREHOUSE_RETRY_SECONDS`` (default 1) is the first backoff; each further one doubles, up to 60 s.
"""

import email.utils
import functools
import hashlib
import logging
import os
import random
import re
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from warehouse_pipelines.errors import (
    AnswerChanged,
    CredentialRefused,
    NotConfigured,
    PermissionMissing,
    RequestRefused,
    VendorUnavailable,
    masked,
)
from warehouse_pipelines.model.reading import Budget, Extraction

if TYPE_CHECKING:
    import httpx

log = logging.getLogger("warehouse.ingestion")

T = TypeVar("T")

ATTEMPTS = 7
LONGEST_WAIT = 900.0
"""Seconds; a vendor that asks for more (HubSpot's 477 asks for hours) ends the run, and the next run goes on."""

_MARKUP = re.compile(r"<[^>]*>")
"""Of an error in XML or HTML, which would leave no room for what it says."""

TRANSIENT = frozenset({408, 423, 425, 429, 477, 500, 502, 503, 504, 520, 521, 522, 523, 524, 525, 526})


@functools.cache
def _trusted() -> ssl.SSLContext:
    """Return the certificates that are trusted; reading them takes 20 ms, and each client would."""
    import httpx  # 0.2 s with the terminal library it imports, which `warehouse status` need not wait for

    return httpx.create_ssl_context()


@functools.lru_cache(maxsize=32)
def _connections(base_url: str) -> "httpx.Client":
    import httpx

    return httpx.Client(
        base_url=base_url,
        verify=_trusted(),
        timeout=httpx.Timeout(60, connect=10, pool=60),
        limits=httpx.Limits(max_connections=20, max_keepalive_connections=20, keepalive_expiry=30),
        headers={"User-Agent": "warehouse-pipelines", "Accept": "application/json"},
        follow_redirects=False,
    )


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks for, in either of its forms; None without one."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        at = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - (now or datetime.now(UTC))).total_seconds())


class NotModified(RequestRefused):
    """304: nothing is newer than the condition in the request's headers."""


class Client:
    """One vendor, one credential, one extraction.

    ``headers`` carry the credential, which is what ``budgets`` are counted by; ``renew`` names the settings that it is
    made of, for the error that says that it is refused.
    ``wait_for`` lets a vendor read from an answer how long it wants us to wait: seconds, or None when it does not say.
    ``login`` gives the headers of a credential that expires, or is a signature of the moment, for each attempt; a 401
    is answered once by asking it anew with True, after which it gives the new one.
    ``credential`` is what budgets are counted by then, because those headers change.
    ``again`` tells of a refusal that looks final that a repetition may help (a rate limit that is a 403).
    ``explain`` is shown every refusal before its status is judged, and raises what only the body tells (a SOAP fault).
    """

    def __init__(
        self,
        extraction: Extraction,
        *,
        title: str,
        base_url: str,
        headers: Mapping[str, str],
        renew: str = "",
        budgets: Sequence[Budget] = (),
        wait_for: "Callable[[httpx.Response, int], float | None]" = lambda response, attempt: None,
        explain: "Callable[[httpx.Response], None]" = lambda response: None,
        login: Callable[[bool], Mapping[str, str]] = lambda renew: {},
        credential: str = "",
        again: "Callable[[httpx.Response], bool]" = lambda response: False,
    ) -> None:
        import httpx

        self.extraction = extraction
        self.title = title
        try:
            address = httpx.URL(base_url)
        except httpx.InvalidURL:
            address = httpx.URL("")
        if address.scheme not in ("http", "https") or not address.host:
            raise NotConfigured(f"The base URL of {title} is no URL; write https://host or http://host:port.")
        self._http = _connections(base_url.rstrip("/"))
        self._headers = dict(headers)
        self._renew = renew
        self._budgets = tuple(budgets)
        self._wait_for = wait_for
        self._lock = threading.Lock()
        self._waiting, self._since = 0, 0.0
        self._explain = explain
        self._login = login
        self._again = again
        identity = (base_url, sorted(headers.items()), *([credential] if credential else []))
        self._credential = hashlib.sha256(repr(identity).encode()).hexdigest()[:16]

    def get(self, path: str, into: type[T], *, params: Mapping[str, str] | None = None, **how: Any) -> T:
        """Ask for ``path`` and decode the answer; see ``request``."""
        return self.request("GET", path, into, params=params, **how)

    def post(self, path: str, into: type[T], *, body: Any, **how: Any) -> T:
        """Send ``body`` as JSON to a ``path`` that may be asked again, and decode the answer; see ``request``."""
        return self.request("POST", path, into, body=body, **how)

    def request(
        self,
        method: str,
        path: str,
        into: type[T],
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        budgets: Sequence[Budget] = (),
    ) -> T:
        """Return the answer as an ``into``; ``headers`` are those of this request, such as a condition.

        Raises ``VendorUnavailable`` when all attempts failed, ``CredentialRefused``, ``PermissionMissing`` or
        ``RequestRefused`` for an answer that a repetition would not change, of which ``NotModified`` is one,
        ``AnswerChanged`` for an answer of another form, ``NotConfigured`` for a credential that no header can carry,
        and ``BudgetSpent`` from the budget.
        """
        content = None if body is None else msgspec.json.encode(body)
        sent = {**(headers or {}), **({} if content is None else {"Content-Type": "application/json"})}
        return self.send(
            method, path, lambda answer: decoded(answer, into),
            params=params, content=content, headers=sent, budgets=budgets,
        )  # fmt: skip

    def send(
        self,
        method: str,
        path: str,
        read: Callable[[bytes], T],
        *,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        budgets: Sequence[Budget] = (),
    ) -> T:
        """Return what ``read`` makes of the answer, which need not be JSON; raises as ``request`` does.

        ``read`` raises ``msgspec.ValidationError`` for another form and ``msgspec.DecodeError`` for a body that cannot
        be read at all, which is asked for again.
        """
        import httpx

        problem, wait, renewed = "", 0.0, False
        for attempt in range(1, ATTEMPTS + 1):
            for budget in (*self._budgets, *budgets):
                self.extraction.take(self._credential, budget)
            sent = {**self._headers, **self._login(False), **(headers or {})}
            self._begin(calls=1)
            try:
                answer = self._http.request(method, path, params=params, content=content, headers=sent)
            except UnicodeEncodeError as error:  # by httpx, before anything is sent
                character, place = ord(error.object[error.start]), error.start + 1
                raise NotConfigured(
                    f"The credential of {self.title} has a character beyond ASCII, U+{character:04X} at position "
                    f"{place} of its header. Copy it again and set it; nothing was sent."
                ) from None
            except httpx.LocalProtocolError as error:
                raise NotConfigured(
                    f"A request to {self.title} cannot be sent: {masked(str(error).partition(' b')[0])}. Is there a "
                    "character in its credential that does not belong there? Nothing was sent."
                ) from None
            except httpx.RequestError as error:  # a body in another encoding than its label says is one as well
                problem, asked = f"{type(error).__name__}", None
            else:
                if answer.status_code < 300:
                    try:
                        return read(answer.content)
                    except msgspec.ValidationError as error:
                        raise AnswerChanged(
                            f"{self.title} answered {method} {path} in another form than expected: "
                            f"{masked(str(error))}. Compare the vendor's documentation; nothing was loaded."
                        ) from error
                    except (msgspec.DecodeError, UnicodeDecodeError) as error:
                        problem, asked = f"{answer.status_code} with a body that cannot be read ({error})", None
                else:
                    if answer.status_code == 401 and not renewed and self._login(True):
                        problem, renewed = "401", True
                        continue
                    self._explain(answer)
                    if not self._again(answer):
                        self._refuse(method, path, answer)
                    problem = f"{answer.status_code}"
                    asked = retry_after(answer.headers.get("Retry-After"))
                    if asked is None:
                        asked = self._wait_for(answer, attempt)
            finally:
                self._end()
            if attempt == ATTEMPTS:
                break
            wait = backoff(attempt) if asked is None else asked + random.uniform(0, 0.1)  # noqa: S311
            if wait > LONGEST_WAIT:
                raise VendorUnavailable(
                    f"{self.title} answered {problem} to {method} {path} and asks to wait {wait:.0f} s; "
                    "nothing was loaded, the next run starts at the same place"
                )
            log.warning("%s: %s %s failed (%s), attempt %d of %d, next in %.1f s",
                        self.title, method, path, problem, attempt, ATTEMPTS, wait)  # fmt: skip
            self.pause(wait)
        if problem.startswith("2"):
            raise AnswerChanged(f"{self.title} answered {method} {path} with {problem}, {ATTEMPTS} times")
        raise VendorUnavailable(
            f"{self.title} did not answer {method} {path} after {ATTEMPTS} attempts (last: {problem}); "
            "nothing was loaded, the next run starts at the same place"
        )

    def forget_session(self) -> None:
        """Send no cookie that this vendor has set so far."""
        self._http.cookies.clear()

    def pause(self, seconds: float) -> None:
        """Wait, unless the run is cancelled meanwhile; then raise ``VendorUnavailable``."""
        self._begin()
        cancelled = self.extraction.cancelled.wait(seconds)
        self._end()
        if cancelled:
            raise VendorUnavailable(f"{self.title}: the run was stopped while waiting for the vendor")

    def _begin(self, calls: int = 0) -> None:
        """Begin to wait. Threads may share a client: while several wait, the time passes once."""
        with self._lock:
            self.extraction.calls += calls
            if not self._waiting:
                self._since = time.monotonic()
            self._waiting += 1

    def _end(self) -> None:
        with self._lock:
            self._waiting -= 1
            if not self._waiting:
                self.extraction.waited_seconds += time.monotonic() - self._since

    def _refuse(self, method: str, path: str, answer: "httpx.Response") -> None:
        """Raise for an answer that a repetition would not change; return for one that it may."""
        status = answer.status_code
        if status in TRANSIENT or (status >= 500 and status != 530):
            return
        said = masked(" ".join(_MARKUP.sub(" ", answer.text).split()), 200)
        asked = f"{self.title} answered {status} to {method} {path}: {said}"
        if status in (401, 530):
            again = f"Renew the credential and set {self._renew or 'it'} again"
            raise CredentialRefused(f"{asked}. {again}; nothing was loaded.")
        if status == 403:
            raise PermissionMissing(f"{asked}. Grant the credential what it lacks, then run again.")
        refusal = NotModified if status == 304 else RequestRefused
        error = refusal(f"{asked}. The request is wrong or the vendor has changed; nothing was loaded.")
        error.status = status
        raise error


def listed(records: list[T] | None, what: str, *, first: bool, last: bool) -> list[T]:
    """Return the records of a page. Null instead of a list is how some vendors end, and anywhere else it is no list."""
    if records is None and (first or not last):
        raise AnswerChanged(f"{what} answered null instead of its list; nothing was loaded.")
    return records or []


class _Key(msgspec.Struct):
    id: str | int


_key = msgspec.json.Decoder(_Key).decode


def key_of(record: msgspec.Raw) -> str | None:
    """Return the ``id`` of a record; None for one without, which is the loader's to set aside."""
    try:
        return str(_key(record).id)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


_BOM = b"\xef\xbb\xbf"

_STRING_OR_NUMBER = re.compile(rb'"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b', re.DOTALL)
"""A string of JSON, or what Python and others write for a number that is none."""

_MENDED = re.compile(
    rb"\\\\"
    rb"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|(?P<control>[\x00-\x1f])"
    rb'|\\(?P<escape>[^"\\/bfnrtu])'
)
"""Within a string: an escaped backslash or a pair of surrogates, which are right; half a pair, a bare control
character or an escape that there is not, which are no valid JSON."""


def decoded(content: bytes, into: type[T]) -> T:
    """Return an answer as an ``into``, mended where one record would otherwise cost its whole page.

    Half a character becomes U+FFFD, a bare control character is escaped, the backslash of an escape that does not exist
    stands for itself, and ``NaN`` and ``Infinity`` become texts, which no column of numbers takes: its value is null
    and counted, and ``raw_data`` says what the vendor sent. A byte order mark is dropped.

    Raises ``msgspec.ValidationError`` for another form, ``msgspec.DecodeError`` for what is no JSON even so.
    """
    content = content.removeprefix(_BOM)
    try:
        return msgspec.json.decode(content, type=into)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError):
        return msgspec.json.decode(_STRING_OR_NUMBER.sub(_mend, content), type=into)


def _mend(found: re.Match[bytes]) -> bytes:
    token = found[0]
    return _MENDED.sub(_mend_character, token) if token[:1] == b'"' else b'"%s"' % token


def _mend_character(found: re.Match[bytes]) -> bytes:
    if found["half"]:
        return rb"\ufffd"
    if found["control"]:
        return b"\\u%04x" % ord(found["control"])
    return rb"\\" + found["escape"] if found["escape"] else found[0]


def pause(extraction: Extraction, title: str, seconds: float) -> None:
    """Wait, unless the run is cancelled meanwhile; then raise ``VendorUnavailable``."""
    began = time.monotonic()
    cancelled = extraction.cancelled.wait(seconds)
    extraction.waited_seconds += time.monotonic() - began
    if cancelled:
        raise VendorUnavailable(f"{title}: the run was stopped while waiting for the vendor")


def first_backoff() -> float:
    """Return the unit in which waits are counted; a ``wait_for`` multiplies by it, so tests need not wait."""
    return float(os.environ.get("WAREHOUSE_RETRY_SECONDS", "1"))


def backoff(attempt: int) -> float:
    """Return the jittered seconds to wait after failed attempt number ``attempt``."""
    return float(min(60.0, first_backoff() * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0))  # noqa: S311
