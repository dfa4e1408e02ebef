"""The login that the Google sources share: a service account, by google-auth, over the client of all vendors.

google-auth signs the assertion and keeps the token, which is the part that is easy to get wrong. What is asked for is
built by google-api-python-client (``_google_requests``) and sent by the client of all vendors.

**Reading** asks for read-only scopes, as the service account itself. **Writing** asks for its own, and acts for the
user of ``GOOGLE_WRITE_AS`` where one is named (domain-wide delegation): a service account of its own may neither invite
guests nor make a video conference, and owns no storage.

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


class WritingSettings(GoogleSettings):
    """``GOOGLE_WRITE_AS``: the address of a user of the Workspace for whom is written, by domain-wide delegation."""

    google_write_as: str = ""


def client(context: ReadContext, title: str, scopes: Sequence[str], host: str = "www", act_for: str = "") -> Client:
    """Return a client of one API, signed in as the service account, which may act for a user.

    Raises ``NotConfigured`` for a key file that cannot be read.
    """
    settings = GoogleSettings()
    path = settings.google_application_credentials
    try:
        changed = path.stat().st_mtime_ns
    except OSError as error:
        raise NotConfigured(f"GOOGLE_APPLICATION_CREDENTIALS names a file that cannot be read: {error}") from error

    def login(renew: bool) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {_token(context, str(path), changed, tuple(scopes), act_for, renew)}"}

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


def writer(context: ReadContext, title: str, scopes: Sequence[str]) -> Client:
    """Return a client that may write, signed in for the user of ``GOOGLE_WRITE_AS`` if one is named."""
    return client(context, title, scopes, act_for=WritingSettings().google_write_as)


def is_rate_limit(answer: "httpx.Response") -> bool:
    """Whether a 403 only means that this was too fast."""
    return answer.status_code == 403 and any(reason in answer.content for reason in TOO_FAST)


_lock = threading.Lock()


@functools.lru_cache(maxsize=8)
def _credentials(path: str, changed: int, scopes: tuple[str, ...], act_for: str) -> Any:
    from google.oauth2 import service_account

    kind: Any = service_account.Credentials
    try:
        return kind.from_service_account_file(path, scopes=[SCOPES + one for one in scopes], subject=act_for or None)
    except (ValueError, KeyError) as error:
        raise NotConfigured(
            "GOOGLE_APPLICATION_CREDENTIALS names a file that is no key of a service account. Make one in the console "
            "(IAM, Service accounts, Keys, JSON) and name it."
        ) from error


def _token(context: ReadContext, path: str, changed: int, scopes: tuple[str, ...], act_for: str, renew: bool) -> str:
    """Return an access token that is good for some minutes; a new one when the last was refused."""
    from google.auth.exceptions import GoogleAuthError

    credentials = _credentials(path, changed, scopes, act_for)
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
