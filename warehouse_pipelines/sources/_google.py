"""The login that the Google sources share: a service account, by google-auth, over the client of all vendors.

google-auth signs the assertion and keeps the token, which is the part that is easy to get wrong. Requests do not go
through google-api-python-client: it is 111 MB of API descriptions; its httplib2 connections belong to one thread; its
retries ignore ``Retry-After``, sleep where a cancelled run cannot wake them, and are not counted; and it hands over
dictionaries where we keep the record's own bytes. So there is one machinery of retries, budgets, counts and cancelling
for all vendors, and what is left of Google's client is a path and a dictionary of parameters. (Its import costs 0.19 s,
google-auth's 0.11 s, and both can wait until a run needs them.)

A token lives an hour and is kept in this process; one that is refused before its time is replaced once.
"""

import functools
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from warehouse_pipelines.errors import CredentialRefused, NotConfigured, RequestRefused
from warehouse_pipelines.model.reading import Budget, ReadContext
from warehouse_pipelines.settings import FromEnvironment
from warehouse_pipelines.sources._http import Client

if TYPE_CHECKING:
    import httpx

SCOPES = "https://www.googleapis.com/auth/"
TOO_FAST = (b"rateLimitExceeded", b"userRateLimitExceeded", b"quotaExceeded", b"dailyLimitExceeded")
"""The reasons of a 403 that time heals; any other is a permission that is missing."""


class GoogleSettings(FromEnvironment):
    """Sheets allows a user 60 reads a minute; the quotas of Calendar and Drive are larger, and the project's own."""

    google_application_credentials: Path
    google_base_url: str | None = None
    google_requests_per_minute: int = 50

    @property
    def base_url(self) -> str:
        """Where the APIs are, all of them but Sheets."""
        return self.google_base_url or "https://www.googleapis.com"


def client(context: ReadContext, title: str, scopes: Sequence[str], host: str = "www") -> Client:
    """Return a client of one API, signed in as the service account.

    Raises ``NotConfigured`` for a key file that cannot be read.
    """
    settings = GoogleSettings()
    path = settings.google_application_credentials
    try:
        changed = path.stat().st_mtime_ns
    except OSError as error:
        raise NotConfigured(f"GOOGLE_APPLICATION_CREDENTIALS names a file that cannot be read: {error}") from error

    def login(renew: bool) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {_token(context, str(path), changed, tuple(scopes), renew)}"}

    return Client(
        context,
        title=title,
        base_url=settings.google_base_url or f"https://{host}.googleapis.com",
        headers={},
        renew="GOOGLE_APPLICATION_CREDENTIALS",
        login=login,
        credential=str(path),
        budgets=(Budget("minute", settings.google_requests_per_minute, 60),),
        again=is_rate_limit,
    )


def is_rate_limit(answer: "httpx.Response") -> bool:
    """Whether a 403 only means that this was too fast."""
    return answer.status_code == 403 and any(reason in answer.content for reason in TOO_FAST)


_lock = threading.Lock()


@functools.lru_cache(maxsize=8)
def _credentials(path: str, changed: int, scopes: tuple[str, ...]) -> Any:
    from google.oauth2 import service_account

    kind: Any = service_account.Credentials
    try:
        return kind.from_service_account_file(path, scopes=[SCOPES + scope for scope in scopes])
    except (ValueError, KeyError) as error:
        raise NotConfigured(
            "GOOGLE_APPLICATION_CREDENTIALS names a file that is no key of a service account. Make one in the console "
            "(IAM, Service accounts, Keys, JSON) and name it."
        ) from error


def _token(context: ReadContext, path: str, changed: int, scopes: tuple[str, ...], renew: bool) -> str:
    """Return an access token that is good for some minutes; a new one when the last was refused."""
    from google.auth.exceptions import GoogleAuthError

    credentials = _credentials(path, changed, scopes)
    with _lock:
        if renew or not credentials.valid:
            try:
                credentials.refresh(_exchange(context))
            except (RequestRefused, GoogleAuthError, CredentialRefused) as error:
                raise CredentialRefused(
                    f"Google gives the service account no token: {error} Is its key still there, is this machine's "
                    "clock right? Make a new key if not, and name its file in GOOGLE_APPLICATION_CREDENTIALS."
                ) from error
        return str(credentials.token)


def _exchange(context: ReadContext) -> Any:
    """Return what google-auth sends its one request by: our own client, so that it is counted and tried again."""

    def ask(url: str, method: str = "GET", body: bytes = b"", headers: Any = None, **how: Any) -> SimpleNamespace:
        parts = urlsplit(url)
        there = Client(context, title="Google", base_url=f"{parts.scheme}://{parts.netloc}", headers={})
        answer = there.send(method, parts.path, msgspec.json.Decoder(msgspec.Raw).decode, content=body, headers=headers)
        return SimpleNamespace(status=200, headers={}, data=bytes(answer))

    return ask
