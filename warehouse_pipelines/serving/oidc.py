"""Sign in by an OIDC provider: the authorization code flow with PKCE, state and nonce, by ``authlib``.

    GET /login/oidc            sends the browser to the provider
    GET /login/oidc/callback   takes the answer, and begins a session

Nobody becomes a user by this: an administrator adds one whose name is the e-mail address at the provider. At the first
sign-in the user is bound to the provider's subject, and from then on the address means nothing, because it may be given
to somebody else there. The address counts only where the provider says that it verified it.

What began a sign-in stands in a cookie of the browser for ten minutes, and nothing is kept here: a stranger may begin
as many as he likes. State, nonce and verifier are made of the cookie's secret, which the provider never sees, and of
all else that stands there. A code is taken once by the provider. Whoever asks again and again is answered 429, and the
provider is asked by few at a time.
"""

import asyncio
import contextlib
import hmac
import logging
import secrets
import time
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit

import httpx
from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from warehouse_pipelines.queries import query
from warehouse_pipelines.serving import guard, sessions
from warehouse_pipelines.serving.limits import Rate
from warehouse_pipelines.serving.pages.render import render
from warehouse_pipelines.serving.problems import Refusal
from warehouse_pipelines.serving.public_address import LOOPBACK
from warehouse_pipelines.serving.rights import everyone
from warehouse_pipelines.serving.sign_in import local_path, network
from warehouse_pipelines.settings import ServeSettings

log = logging.getLogger("warehouse.serve")

PATH = "/login/oidc"
SECONDS = 600
TIMEOUT = 10.0
KEPT_SECONDS, AGAIN_SECONDS = 3600.0, 5.0
PER_SECOND = 5
"""Requests a second from one address, with twice as many at once: an office signs in behind one."""
AT_A_TIME = 20
"""Sign-ins that the provider is asked about at a time."""
LONGEST_COOKIE = 3_000
"""Browsers drop a cookie of more than four thousand characters."""
ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"]
"""Those with a public key: one with a shared secret could be forged by whoever else has it, and `none` by anybody."""

routes = guard.router()


class Begun(NamedTuple):
    """A sign-in that was begun, as the browser's cookie has it."""

    secret: str
    at: int
    next_path: str

    @classmethod
    def read(cls, cookie: str) -> "Begun | None":
        """Return what a cookie says; None for one that is none, or too old."""
        secret, _, rest = cookie.partition(".")
        at, _, next_path = rest.partition(".")
        if len(secret) < 40 or not at.isascii() or not at.isdigit() or len(at) > 12:
            return None
        if not 0 <= time.time() - int(at) <= SECONDS:
            return None
        return cls(secret, int(at), local_path(unquote(next_path)))

    @property
    def cookie(self) -> str:
        """What the browser keeps."""
        return f"{self.secret}.{self.at}.{quote(self.next_path, safe='/')}"

    def made(self, what: str) -> str:
        """Return the ``state``, ``nonce`` or ``verifier``."""
        return hmac.new(self.secret.encode(), f"{what} {self.at} {self.next_path}".encode(), "sha256").hexdigest()


class Provider:
    """What the provider says of itself, read once an hour; one that does not answer is left alone for a moment."""

    def __init__(self, settings: ServeSettings) -> None:
        self.issuer = settings.warehouse_oidc_issuer.rstrip("/")
        self.client_id = settings.warehouse_oidc_client_id
        self.redirect = f"{settings.warehouse_public_url.rstrip('/')}{PATH}/callback"
        self._secret = settings.warehouse_oidc_client_secret
        self._known: dict[str, Any] = {}
        self._read_at = self._failed_at = float("-inf")
        self._lock, self._busy = asyncio.Lock(), 0
        self.rate = Rate(PER_SECOND)

    def client(self) -> Any:
        """Return authlib's client."""
        from authlib.integrations.httpx_client import AsyncOAuth2Client

        secret = self._secret.get_secret_value() if self._secret else None
        return AsyncOAuth2Client(
            self.client_id, secret, scope="openid email", redirect_uri=self.redirect, timeout=TIMEOUT,
            code_challenge_method="S256",
        )  # fmt: skip

    async def endpoint(self, name: str) -> str:
        """Return an address of the provider's. Raises ``Refusal`` when it does not answer as it should."""
        async with self._lock:
            if time.monotonic() - self._read_at > KEPT_SECONDS:
                await self._discover()
        address = str(self._known.get(name, ""))
        parts = urlsplit(address)
        if parts.scheme != "https" and parts.hostname not in LOOPBACK:
            raise Refusal(502, f"The OIDC provider has no {name} that is encrypted.")
        return address

    async def _discover(self) -> None:
        if time.monotonic() - self._failed_at < AGAIN_SECONDS:
            raise Refusal(502, "The OIDC provider does not answer.")
        self._failed_at = time.monotonic()
        found = await self._get(f"{self.issuer}/.well-known/openid-configuration")
        if str(found.get("issuer", "")).rstrip("/") != self.issuer:
            raise Refusal(502, "The OIDC provider calls itself otherwise than WAREHOUSE_OIDC_ISSUER.")
        self._known, self._read_at, self._failed_at = found, time.monotonic(), float("-inf")

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Be one of few that the provider is asked about. Raises ``Refusal``."""
        if self._busy >= AT_A_TIME:
            raise Refusal(503, "Too many sign-ins at a time; try again.", headers={"Retry-After": "5"})
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1

    async def claims(self, code: str, verifier: str, nonce: str) -> dict[str, Any]:
        """Return what the provider vouches for of who signed in. Raises ``Refusal`` where it does not."""
        from authlib.common.errors import AuthlibBaseError
        from joserfc import jwt
        from joserfc.errors import JoseError
        from joserfc.jwk import KeySet

        try:
            async with self.client() as client:
                token = await client.fetch_token(
                    await self.endpoint("token_endpoint"), code=code, code_verifier=verifier
                )
            keys = KeySet.import_key_set(await self._get(await self.endpoint("jwks_uri")))
            decoded = jwt.decode(str(token.get("id_token", "")), keys, algorithms=ALGORITHMS)
            jwt.JWTClaimsRegistry(
                leeway=60,
                iss={"essential": True, "values": [self.issuer, f"{self.issuer}/"]},
                aud={"essential": True, "value": self.client_id},
                exp={"essential": True},
                iat={"essential": True},
                sub={"essential": True},
                nonce={"essential": True, "value": nonce},
            ).validate(decoded.claims)
        except (AuthlibBaseError, JoseError, httpx.HTTPError, ValueError) as error:
            log.warning("a sign-in by OIDC was refused: %s", type(error).__name__)
            raise Refusal(403, "The OIDC provider's answer does not hold. Sign in again.") from error
        claims: dict[str, Any] = dict(decoded.claims)
        others = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        if len(others) > 1 and claims.get("azp") != self.client_id:
            raise Refusal(403, "The OIDC provider's answer is for another program.")
        return claims

    async def _get(self, address: str) -> Any:
        try:
            async with httpx.AsyncClient(timeout=TIMEOUT) as client:
                answer = await client.get(address)
                return answer.raise_for_status().json()
        except (httpx.HTTPError, ValueError) as error:
            log.warning("the OIDC provider does not answer: %s", type(error).__name__)
            raise Refusal(502, "The OIDC provider does not answer.") from error


def _provider(request: Request) -> Provider:
    found: Provider | None = request.app.state.oidc
    if found is None:
        raise Refusal(404, "There is nothing here.")
    if not found.rate.allows("oidc", network(guard.address(request))):
        raise Refusal(429, "Too many sign-ins from this address; try again.", headers={"Retry-After": "1"})
    return found


def _cookie_name(request: Request) -> str:
    """Return the cookie's name: behind HTTPS one that no neighbouring site can set."""
    return f"{'__Host-' if request.app.state.https else ''}warehouse_oidc"


@routes.get(PATH)
@everyone
async def leave(request: Request, next: str = "/") -> Response:
    """Send the browser to the provider."""
    provider = _provider(request)
    begun = Begun(secrets.token_urlsafe(48), int(time.time()), local_path(next))
    if len(begun.cookie) > LONGEST_COOKIE:
        begun = begun._replace(next_path="/")
    endpoint = await provider.endpoint("authorization_endpoint")
    async with provider.client() as client:
        url, _ = client.create_authorization_url(
            endpoint, state=begun.made("state"), nonce=begun.made("nonce"), code_verifier=begun.made("verifier")
        )
    response = RedirectResponse(url, status_code=303)
    response.set_cookie(
        _cookie_name(request), begun.cookie, max_age=SECONDS, path="/", secure=True, httponly=True, samesite="lax"
    )
    return response


@routes.get(f"{PATH}/callback")
@everyone
async def come_back(request: Request, state: str = "", code: str = "", error: str = "") -> Response:
    """Begin a session for whom the provider vouches."""
    provider = _provider(request)
    begun = Begun.read(request.cookies.get(_cookie_name(request), ""))
    if begun is None or not hmac.compare_digest(begun.made("state").encode(), state.encode("utf-8", "replace")):
        raise Refusal(403, "This browser did not begin this sign-in, or it took too long. Sign in again.")
    if error or not code:
        raise Refusal(403, "The OIDC provider refused the sign-in.")
    with provider.turn():
        claims = await provider.claims(code, begun.made("verifier"), begun.made("nonce"))
    verified = str(claims.get("email", "")).strip().lower() if claims.get("email_verified") is True else None
    given = {"issuer": provider.issuer, "subject": str(claims["sub"]), "name": verified or None}
    response = RedirectResponse(begun.next_path, status_code=303)
    async with request.app.state.pool.session() as session:
        cursor = await session.execute(query("access_of_subject"), given)
        user = await cursor.fetchone()
        if user is None:
            page = render(
                request, "problem.html", status=403, title="Not a user here", visitor=None,
                detail="An administrator adds users: warehouse users add, with the e-mail address as the name.",
            )  # fmt: skip
            page.delete_cookie(_cookie_name(request), path="/", secure=True, httponly=True, samesite="lax")
            return page
        await sessions.begin(session, request, response, user["id"])
    response.delete_cookie(_cookie_name(request), path="/", secure=True, httponly=True, samesite="lax")
    return response
