"""Sign in by an OIDC provider: the authorization code flow with PKCE, state and nonce, by ``authlib``.

    GET /login/oidc            sends the browser to the provider
    GET /login/oidc/callback   takes the answer, and begins a session

Nobody becomes a user by this: an administrator adds one whose name is the e-mail address at the provider. At the first
sign-in the user is bound to the provider's subject, and from then on the address means nothing, because it may be given
to somebody else there. The address counts only where the provider says that it verified it.

What began a sign-in is kept in ``access.oidc_attempt`` for ten minutes, used once, bound to the browser by a cookie.
"""

import hmac
import logging
import secrets
import time
from typing import Any
from urllib.parse import urlsplit

import httpx
from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from warehouse_pipelines.queries import query
from warehouse_pipelines.serving import guard, sessions
from warehouse_pipelines.serving.pages.render import render
from warehouse_pipelines.serving.problems import Refusal
from warehouse_pipelines.serving.public_address import LOOPBACK
from warehouse_pipelines.serving.rights import everyone
from warehouse_pipelines.serving.secrets_kept import digest
from warehouse_pipelines.serving.sign_in import local_path
from warehouse_pipelines.settings import ServeSettings

log = logging.getLogger("warehouse.serve")

COOKIE, PATH = "warehouse_oidc", "/login/oidc"
SECONDS = 600
TIMEOUT = 10.0
KEPT_SECONDS = 3600.0
ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"]
"""Those with a public key: one with a shared secret could be forged by whoever else has it, and `none` by anybody."""

routes = guard.router()


class Provider:
    """What the provider says of itself, read once an hour."""

    def __init__(self, settings: ServeSettings) -> None:
        self.issuer = settings.warehouse_oidc_issuer.rstrip("/")
        self.client_id = settings.warehouse_oidc_client_id
        self.redirect = f"{settings.warehouse_public_url.rstrip('/')}{PATH}/callback"
        self._secret = settings.warehouse_oidc_client_secret
        self._known: dict[str, Any] = {}
        self._read_at = float("-inf")

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
        if time.monotonic() - self._read_at > KEPT_SECONDS:
            found = await self._get(f"{self.issuer}/.well-known/openid-configuration")
            if str(found.get("issuer", "")).rstrip("/") != self.issuer:
                raise Refusal(502, "The OIDC provider calls itself otherwise than WAREHOUSE_OIDC_ISSUER.")
            self._known, self._read_at = found, time.monotonic()
        address = str(self._known.get(name, ""))
        parts = urlsplit(address)
        if parts.scheme != "https" and parts.hostname not in LOOPBACK:
            raise Refusal(502, f"The OIDC provider has no {name} that is encrypted.")
        return address

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
    return found


@routes.get(PATH)
@everyone
async def leave(request: Request, next: str = "/") -> Response:
    """Send the browser to the provider."""
    provider = _provider(request)
    state, nonce, verifier = (secrets.token_urlsafe(48) for _ in range(3))
    endpoint = await provider.endpoint("authorization_endpoint")
    async with provider.client() as client:
        url, _ = client.create_authorization_url(endpoint, state=state, nonce=nonce, code_verifier=verifier)
    async with request.app.state.pool.session() as session:
        await session.execute(
            "INSERT INTO access.oidc_attempt (state_hash, nonce, verifier, next_path, expires_at)"
            " VALUES (%s, %s, %s, %s, now() + make_interval(secs => %s))",
            [digest(state), nonce, verifier, local_path(next), SECONDS],
        )
    response = RedirectResponse(url, status_code=303)
    response.set_cookie(COOKIE, state, max_age=SECONDS, path=PATH, secure=True, httponly=True, samesite="lax")
    return response


@routes.get(f"{PATH}/callback")
@everyone
async def come_back(request: Request, state: str = "", code: str = "", error: str = "") -> Response:
    """Begin a session for whom the provider vouches."""
    provider = _provider(request)
    kept = request.cookies.get(COOKIE, "")
    if not state or not hmac.compare_digest(kept.encode("utf-8", "replace"), state.encode("utf-8", "replace")):
        raise Refusal(403, "This browser did not begin this sign-in. Sign in again.")
    async with request.app.state.pool.session() as session:
        cursor = await session.execute(
            "DELETE FROM access.oidc_attempt WHERE state_hash = %s AND expires_at > now()"
            " RETURNING nonce, verifier, next_path",
            [digest(state)],
        )
        begun = await cursor.fetchone()
    if begun is None:
        raise Refusal(403, "This sign-in was used already, or took too long. Sign in again.")
    if error or not code:
        raise Refusal(403, "The OIDC provider refused the sign-in.")
    claims = await provider.claims(code, begun["verifier"], begun["nonce"])
    verified = str(claims.get("email", "")).strip().lower() if claims.get("email_verified") is True else None
    given = {"issuer": provider.issuer, "subject": str(claims["sub"]), "name": verified or None}
    response = RedirectResponse(begun["next_path"], status_code=303)
    async with request.app.state.pool.session() as session:
        cursor = await session.execute(query("access_of_subject"), given)
        user = await cursor.fetchone()
        if user is None:
            page = render(
                request, "problem.html", status=403, title="Not a user here", visitor=None,
                detail="An administrator adds users: warehouse users add, with the e-mail address as the name.",
            )  # fmt: skip
            page.delete_cookie(COOKIE, path=PATH, secure=True, httponly=True, samesite="lax")
            return page
        await sessions.begin(session, request, response, user["id"])
    response.delete_cookie(COOKIE, path=PATH, secure=True, httponly=True, samesite="lax")
    return response
