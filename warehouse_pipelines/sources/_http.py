"""The HTTP client of all vendors.

A vendor's ``client.py`` makes a ``Client`` with its credential and rates; ``get``, ``post`` and ``send`` return
decoded answers or raise the project's errors.

Connections are shared by the process; cookies are not, because a server may look at the session before the login, and
answer one account with the records of another. Every request has timeouts. 429, 5xx, a reset and a body that was cut
short are tried again with jittered backoff; ``Retry-After`` is honoured in both forms. Each attempt first acquires the
credential's budget, which all runs share. Answers are decoded into the form that the vendor documents (``_json``), so
an answer without its list is an error and never an empty page. Neither headers nor bodies are logged.

``httpx.Auth`` is not used for logins: its flow sends the request after a 401 within the same call, so that request
would neither acquire the budget nor be counted, and a login by this client would wait inside of it.

``WAREHOUSE_RETRY_SECONDS`` (default 1) is the first backoff; each further one doubles, up to 60 s.
"""

import contextlib
import email.utils
import functools
import hashlib
import logging
import os
import random
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import msgspec

from warehouse_pipelines.errors import (
    AnswerChanged,
    BudgetSpent,
    CredentialRefused,
    NotConfigured,
    OutcomeUnknown,
    PermissionMissing,
    RequestRefused,
    VendorUnavailable,
    WritePostponed,
    masked,
)
from warehouse_pipelines.model.reading import Budget, ReadContext
from warehouse_pipelines.sources._json import decoded

if TYPE_CHECKING:
    import httpx

log = logging.getLogger("warehouse.ingestion")

T = TypeVar("T")

ATTEMPTS = 7
LONGEST_WAIT = 900.0
"""Seconds. A vendor that asks for more (HubSpot's 477 asks for hours) ends the run, and the next run goes on."""

_MARKUP = re.compile(r"<[^>]*>")
"""Removed from an error in XML or HTML, so that its text fits."""

UNTOUCHED = frozenset({423, 429, 477})
"""Transient refusals that say that nothing was done."""

AT_ONCE_SECONDS = 1.0
"""How long a write of ``Client.at_once`` may have waited."""

FEWEST_HELD = 4
"""Requests that ``Client.hold`` acquires at least: two looks for a record, one right before its write, the write."""

HELD_SECONDS = 300.0
"""How long requests may be used that ``Client.hold`` acquired."""

TRANSIENT = frozenset({408, 423, 425, 429, 477, 500, 502, 503, 504, 520, 521, 522, 523, 524, 525, 526})


@functools.cache
def _trusted() -> ssl.SSLContext:
    """Return the trusted certificates. They are shared, because reading them takes 20 ms."""
    import httpx  # 0.2 s with the terminal library it imports, which `warehouse status` need not wait for

    return httpx.create_ssl_context()


@functools.lru_cache(maxsize=32)
def _connections(base_url: str) -> "httpx.Client":
    """Return the client of an address. Its sockets are closed when the cache and every thread have let go of it."""
    import weakref
    from http.cookiejar import CookieJar, DefaultCookiePolicy

    import httpx

    client = httpx.Client(
        base_url=base_url,
        verify=_trusted(),
        timeout=httpx.Timeout(60, connect=10, pool=60),
        limits=httpx.Limits(max_connections=40, max_keepalive_connections=40, keepalive_expiry=30),
        headers={"User-Agent": "warehouse-pipelines", "Accept": "application/json"},
        follow_redirects=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
    )
    # Not by __del__: of a circle, which a caught error makes, the sockets may be collected before their client.
    weakref.finalize(client, _close, [client._transport, *client._mounts.values()])
    return client


def _close(transports: "Sequence[httpx.BaseTransport | None]") -> None:
    for transport in transports:
        if transport is not None:
            with contextlib.suppress(Exception):
                transport.close()


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


class _Passing(Exception):
    """An attempt failed and another one may help, after ``seconds`` if the vendor says how long to wait.

    ``untouched`` says that the vendor did nothing of what was asked.
    """

    def __init__(self, problem: str, seconds: float | None = None, *, untouched: bool = False) -> None:
        super().__init__(problem)
        self.problem, self.seconds, self.untouched = problem, seconds, untouched


class _Block:
    """A block of ``at_once``: what it spent its time on, and whether the vendor may have done something of it."""

    def __init__(self, attempt: int) -> None:
        self._began = time.monotonic()
        self.asked_seconds = 0.0
        self.attempt = attempt
        self.touched = False
        self.short = False
        """True if the requests that were held did not suffice."""

    @property
    def waited(self) -> float:
        return time.monotonic() - self._began - self.asked_seconds


class NotModified(RequestRefused):
    """304: nothing is newer than the condition in the request's headers."""


class Client:
    """Requests of one read to one vendor, with one credential.

    ``headers``     carry the credential, by which ``budgets`` are counted
    ``renew``       names the settings of the credential, for the error that it is refused
    ``login``       returns the auth headers of a credential that expires, or signs the moment, for each attempt. Called
                    with True once after a 401, to renew them. No ``httpx.Auth``: what that sends a second time would be
                    neither counted nor held to the budget
    ``credential``  what budgets are counted by if ``login`` makes the headers, which change
    ``wait_for``    returns the seconds that an answer asks to wait, None if it does not say
    ``session``     is True to send the cookies that the vendor sets back to it, which no other client sends
    ``again``       returns True to retry a response that would otherwise be permanent (a rate limit that is a 403)
    ``explain``     is called with every refusal before its status is judged, and raises what only the body tells (a
                    SOAP fault)
    """

    def __init__(
        self,
        context: ReadContext,
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
        session: bool = False,
        again: "Callable[[httpx.Response], bool]" = lambda response: False,
    ) -> None:
        import httpx

        self.context = context
        self.title = title
        try:
            address = httpx.URL(base_url)
        except httpx.InvalidURL:
            address = httpx.URL("")
        if address.scheme not in ("http", "https") or not address.host:
            raise NotConfigured(f"The base URL of {title} is no URL; write https://host or http://host:port.")
        self._http = _connections(base_url.rstrip("/"))
        self._session = httpx.Cookies() if session else None
        self._headers = dict(headers)
        self._renew = renew
        self._budgets = tuple(budgets)
        self._wait_for = wait_for
        self._explain = explain
        self._login = login
        self._again = again
        self._held, self._held_until = 0, 0.0
        self._sent, self._needed = 0, FEWEST_HELD
        self._block: _Block | None = None
        identity = (base_url, sorted(headers.items()), *([credential] if credential else []))
        self.credential = hashlib.sha256(repr(identity).encode()).hexdigest()[:16]

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
        repeat: bool = True,
    ) -> T:
        """Return the answer as an ``into``; ``headers`` are those of this request, such as a condition.

        ``repeat`` is False for a write: it is sent again only after an answer that says that nothing was done, and any
        other answer that is no good raises ``OutcomeUnknown``. In ``at_once`` it is not sent after a wait.

        Raises ``VendorUnavailable`` when all attempts failed, ``CredentialRefused``, ``PermissionMissing`` or
        ``RequestRefused`` (``NotModified`` for a 304) for a final answer, ``AnswerChanged`` for an answer of another
        form, ``NotConfigured`` for a credential that no header can carry, and ``BudgetSpent`` from the budget.
        """
        content = None if body is None else msgspec.json.encode(body)
        sent = {**(headers or {}), **({} if content is None else {"Content-Type": "application/json"})}
        return self.send(
            method, path, lambda answer: decoded(answer, into),
            params=params, content=content, headers=sent, budgets=budgets, repeat=repeat,
        )  # fmt: skip

    def send(
        self,
        method: str,
        path: str,
        read: Callable[[bytes], T],
        *,
        params: Mapping[str, str] | tuple[tuple[str, str], ...] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        budgets: Sequence[Budget] = (),
        repeat: bool = True,
    ) -> T:
        """Return what ``read`` makes of the answer, which need not be JSON; raises as ``request`` does.

        ``read`` raises ``msgspec.ValidationError`` for another form and ``msgspec.DecodeError`` for a body that cannot
        be read at all, which is asked for again.
        """
        renewed, problem = False, "not sent after a wait"
        block = None if repeat else self._block
        first = block.attempt if block else 1
        for attempt in range(first, first + ATTEMPTS):
            self._acquire_next(*budgets)
            sent = {**self._headers, **self._login(False), **(headers or {})}
            if block and block.waited > AT_ONCE_SECONDS:
                self._postpone(method, path, block)
            try:
                with self.context.waiting(calls=1), self.context.pace.timed(f"{method} {path}", _Passing):
                    answer = self._attempt(method, path, params=params, content=content, headers=sent)
                    if answer.status_code < 300:
                        if block:
                            block.touched = True
                        return _read(self.title, method, path, answer, read)
                    if answer.status_code == 401 and not renewed and self._login(True):
                        renewed, problem = True, "401"
                        continue
                    self._refuse(method, path, answer, attempt)
            except _Passing as passing:
                if not (repeat or passing.untouched):
                    if block:
                        block.touched = True
                    raise OutcomeUnknown(
                        f"{self.title} answered {method} {path} with {passing.problem}, so nobody knows what it wrote"
                    ) from passing
                problem, asked = passing.problem, passing.seconds
            if block or attempt < ATTEMPTS:
                self._wait(method, path, attempt, problem, asked, postpone=block is not None)
        if problem.startswith("2"):
            raise AnswerChanged(f"{self.title} answered {method} {path} with {problem}, {ATTEMPTS} times")
        raise VendorUnavailable(
            f"{self.title} did not answer {method} {path} after {ATTEMPTS} attempts (last: {problem}); "
            "nothing was loaded, the next run starts at the same place"
        )

    def hold(self) -> None:
        """Acquire the budget of as many requests as went from the last call to the end of its ``at_once``.

        Who asks what a write is based on calls it first, so that neither the questions nor the write wait.
        """
        if time.monotonic() > self._held_until:
            self._held = 0
        while self._held < self._needed:
            self._acquire(*self._budgets)
            self._held += 1
        self._held_until = time.monotonic() + HELD_SECONDS
        self._sent = 0

    @contextlib.contextmanager
    def at_once(self, attempt: int = 1) -> Iterator[_Block]:
        """Send the writes of the block now or not at all: after a wait, what was asked before it may be old.

        A write (``repeat=False``) that would be sent after a wait for the budget, for the vendor or for a login raises
        ``WritePostponed``, however long the wait. So does any request of the block that the budget has not at once: the
        next ``hold`` waits for it. ``attempt`` says which one in a row the caller makes: the wait grows with it. The
        block's ``touched`` is False as long as the vendor has done nothing of its writes.
        """
        self._block = block = _Block(attempt)
        try:
            yield block
        finally:
            self._block = None
            self._needed = max(FEWEST_HELD, self._sent * (2 if block.short else 1))

    def _postpone(self, method: str, path: str, block: "_Block") -> NoReturn:
        """Give back the request that a write has acquired and is not sent with, and raise ``WritePostponed``."""
        self._held, self._held_until = self._held + 1, time.monotonic() + HELD_SECONDS
        block.short = True
        raise WritePostponed(f"{self.title}: {method} {path} had to wait, so it was not sent", 0)

    def _acquire_next(self, *budgets: Budget) -> None:
        """Acquire the next request, unless ``hold`` did."""
        self._sent += 1
        if self._held and not budgets and time.monotonic() < self._held_until:
            self._held -= 1
        elif self._block is None:
            self._acquire(*self._budgets, *budgets)
        else:
            try:
                self._acquire(*self._budgets, *budgets, longest_wait=AT_ONCE_SECONDS)
            except BudgetSpent as spent:
                self._block.short = True
                raise WritePostponed(f"{self.title}: {spent}", 0) from spent

    def _acquire(self, *budgets: Budget, longest_wait: float | None = None) -> None:
        """Acquire a request of each budget, of the shortest time first, which is the scarcest while it is waited for.

        One that got old while another was waited for is acquired once more, or the vendor would be asked too often.
        """
        acquired = []
        for budget in sorted(budgets, key=lambda one: one.seconds):
            self.context.acquire(self.credential, budget, longest_wait)
            acquired.append((budget, time.monotonic()))
        for budget, at in acquired[:-1]:
            if time.monotonic() - at > budget.seconds / 20:
                self.context.acquire(self.credential, budget, longest_wait)

    def _attempt(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | tuple[tuple[str, str], ...] | None,
        content: bytes | None,
        headers: Mapping[str, str],
    ) -> "httpx.Response":
        """Send a request once and return the answer, of any status."""
        import httpx

        began = time.monotonic()
        try:
            request = self._http.build_request(method, path, params=params, content=content, headers=headers)
            if self._session is not None:
                self._session.set_cookie_header(request)
            answer = self._http.send(request)
            if self._session is not None:
                self._session.extract_cookies(answer)
            return answer
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
            unsent = isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout))
            raise _Passing(type(error).__name__, untouched=unsent) from error
        finally:
            if self._block:
                self._block.asked_seconds += time.monotonic() - began

    def _wait(self, method: str, path: str, attempt: int, problem: str, asked: float | None, *, postpone: bool) -> None:
        """Wait before the next attempt, ``asked`` seconds if the vendor said so; end the run for too long a wait.

        With ``postpone`` raise ``WritePostponed`` instead.
        """
        wait = backoff(attempt) if asked is None else asked + random.uniform(0, 0.1)  # noqa: S311
        if postpone:
            raise WritePostponed(f"{self.title} answered {problem} to {method} {path} and did nothing", wait)
        if wait > LONGEST_WAIT:
            raise VendorUnavailable(
                f"{self.title} answered {problem} to {method} {path} and asks to wait {wait:.0f} s; "
                "nothing was loaded, the next run starts at the same place"
            )
        log.warning("%s: %s %s failed (%s), attempt %d of %d, next in %.1f s",
                    self.title, method, path, problem, attempt, ATTEMPTS, wait)  # fmt: skip
        self.context.pause(self.title, wait)

    def forget_session(self) -> None:
        """Send no cookie that this vendor has set so far."""
        if self._session is not None:
            self._session.clear()

    def _refuse(self, method: str, path: str, answer: "httpx.Response", attempt: int) -> NoReturn:
        """Raise the error of an answer that is not good: ``_Passing`` where another attempt may help."""
        self._explain(answer)
        status = answer.status_code
        if self._again(answer) or status in TRANSIENT or (status >= 500 and status != 530):
            asked = retry_after(answer.headers.get("Retry-After"))
            raise _Passing(f"{status}", self._wait_for(answer, attempt) if asked is None else asked,
                           untouched=status in UNTOUCHED)  # fmt: skip
        raise _refusal(self.title, method, path, answer, self._renew)


def _read(title: str, method: str, path: str, answer: "httpx.Response", read: Callable[[bytes], T]) -> T:
    """Return what ``read`` makes of a good answer."""
    try:
        return read(answer.content)
    except msgspec.ValidationError as error:
        raise AnswerChanged(
            f"{title} answered {method} {path} in another form than expected: "
            f"{masked(str(error))}. Compare the vendor's documentation; nothing was loaded."
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _Passing(f"{answer.status_code} with a body that cannot be read ({error})") from error


def _refusal(title: str, method: str, path: str, answer: "httpx.Response", renew: str) -> Exception:
    """Return the error of an answer that another attempt would not change."""
    status = answer.status_code
    message = masked(" ".join(_MARKUP.sub(" ", answer.text).split()), 200)
    asked = f"{title} answered {status} to {method} {path}: {message}"
    if status in (401, 530):
        again = f"Renew the credential and set {renew or 'it'} again"
        return CredentialRefused(f"{asked}. {again}; nothing was loaded.")
    if status == 403:
        return PermissionMissing(f"{asked}. Grant the credential what it lacks, then run again.")
    refusal = NotModified if status == 304 else RequestRefused
    error = refusal(f"{asked}. The request is wrong or the vendor has changed; nothing was loaded.")
    error.status = status
    return error


def first_backoff() -> float:
    """Return the unit of waits; a ``wait_for`` multiplies by it, so that tests need not wait."""
    return float(os.environ.get("WAREHOUSE_RETRY_SECONDS", "1"))


def backoff(attempt: int) -> float:
    """Return the jittered seconds to wait after failed attempt number ``attempt``."""
    return float(min(60.0, first_backoff() * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0))  # noqa: S311
