"""The simulated Google: one login and one port for Sheets, Calendar and Drive, each in a module of its own.

A service account is made when the simulator starts, with a key of its own; its file lies in the temp folder and names
this simulator as its ``token_uri``. Assertions are verified (RS256, audience, times), tokens expire and have scopes.
"""

from __future__ import annotations

import base64
import functools
import json
import os
import re
import secrets
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from warehouse_pipelines.simulators.core.faults import Fault
from warehouse_pipelines.simulators.core.per_minute import PerMinute
from warehouse_pipelines.simulators.core.population import Population
from warehouse_pipelines.simulators.core.simulator import operation
from warehouse_pipelines.simulators.core.wire import Answer, Request, answer_json
from warehouse_pipelines.simulators.google.answers import REST, error_v3, error_v4
from warehouse_pipelines.simulators.google.calendar_writes import CalendarWriteApi
from warehouse_pipelines.simulators.google.channels import ChannelApi
from warehouse_pipelines.simulators.google.drive_writes import DriveWriteApi
from warehouse_pipelines.simulators.google.sheets import SheetsApi

ACCOUNT = "warehouse@simulated.iam.gserviceaccount.com"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
AUDIENCE = "https://oauth2.googleapis.com/token"  # what clients write, whatever the address they send it to
SCOPES = "https://www.googleapis.com/auth/"
OFFICE = "office@example.test"  # the user whom the service account may act for


@dataclass
class GoogleSettings:
    contacts: int = 1000  # fixed at start
    now: float | None = None  # fixed at start: seconds since 1970
    token_seconds: int = 3600
    revoked: bool = False  # the service account's key was deleted: 400 invalid_grant
    per_minute: int | None = None  # requests of the three APIs, then 429
    limit_as: str = "429"  # or 403, which Calendar and Drive have as well
    empty_pages: bool = False  # of Calendar: every second page has no items and yet a next page
    bare_stubs: bool = True  # a deleted event carries only its id and status
    incomplete_search: bool = False  # of Drive: not all corpora were searched
    plain_addresses: bool = False  # whether a channel may be sent to http://, as in tests
    channel_seconds: int | None = None  # the most that a channel lasts
    token_with_time_min: bool = False  # whether a first list with time bounds or an order ends with a sync token
    delegation: bool = True  # whether guests and video conferences need a user whom the account acts for
    delegated_scopes: tuple[str, ...] = ("calendar.events", "drive")  # what the account may do for that user
    slow_conferences: bool = False  # the link of a video conference comes after the answer


@functools.cache
def _key() -> Any:
    from cryptography.hazmat.primitives.asymmetric import rsa

    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Google(CalendarWriteApi, DriveWriteApi, SheetsApi, ChannelApi):
    settings_type = GoogleSettings
    settings: GoogleSettings

    def __init__(self, population: Population, settings: GoogleSettings) -> None:
        started = time.time()
        self._ahead = (settings.now or started) - started
        self._tokens: dict[str, tuple[float, frozenset[str], str]] = {}
        self._minute = PerMinute()
        self._file: Path | None = None
        super().__init__(population, settings)

    def now(self) -> float:
        return time.time() + self._ahead

    def environment(self) -> dict[str, str]:
        return {
            "GOOGLE_APPLICATION_CREDENTIALS": str(self.key_file()),
            "GOOGLE_BASE_URL": self.url,
            "GOOGLE_REQUESTS_PER_MINUTE": "1000000",
            "GOOGLE_WRITE_AS": OFFICE,
            **self.sheets_environment(),
            **self.calendar_environment(),
            **self.drive_environment(),
        }

    def key_file(self) -> Path:
        """The service account's key, as the console gives it away."""
        if self._file is None:
            from cryptography.hazmat.primitives import serialization as form

            handle, name = tempfile.mkstemp(prefix="simulated-google-", suffix=".json")
            pem = _key().private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
            described = {
                "type": "service_account",
                "project_id": "simulated",
                "private_key_id": "1",
                "private_key": pem.decode(),
                "client_email": ACCOUNT,
                "client_id": "1",
                "token_uri": f"{self.url}/token",
            }
            with os.fdopen(handle, "w") as file:
                json.dump(described, file)
            self._file = Path(name)
        return self._file

    def close(self) -> None:
        super().close()
        if self._file is not None:
            self._file.unlink(missing_ok=True)

    def answer(self, request: Request) -> Answer:
        if request.path == "/token":
            return self._token(request)
        for method, pattern, name, template, scopes in ROUTES:
            found = pattern.fullmatch(request.path)
            if found is None or method != request.method:
                continue
            answer = self._refusal(request, scopes)
            if answer is None:
                handler: Callable[..., Answer] = getattr(self, name)
                answer = handler(request, *found.groups())
            answer.route = template
            return answer
        return error_v3(404, "notFound", "Not Found")

    def route_of(self, request: Request) -> str:
        return next((route[3] for route in ROUTES if route[1].fullmatch(request.path)), request.path)

    def _refusal(self, request: Request, scopes: frozenset[str]) -> Answer | None:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        expires_at, granted, _ = self._tokens.get(token, (0.0, frozenset(), ""))
        if time.monotonic() >= expires_at:
            return self.refused()
        if not scopes & granted:
            if request.path.startswith("/v4/"):
                return error_v4(403, "PERMISSION_DENIED", "Request had insufficient authentication scopes.")
            return error_v3(403, "insufficientPermissions", "Insufficient Permission")
        if self._minute.is_over(self.settings.per_minute):
            return self.rate_limited(self.settings.limit_as)
        return None

    def acts_for(self, request: Request) -> str:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        return self._tokens.get(token, (0.0, frozenset(), ""))[2]

    def refused(self) -> Answer:
        return error_v3(401, "authError", "Invalid Credentials", location="Authorization", location_type="header")

    def rate_limited(self, policy: str) -> Answer:
        if policy == "403":
            return error_v3(403, "rateLimitExceeded", "Rate Limit Exceeded", domain="usageLimits")
        message = (
            "Quota exceeded for quota metric 'Read requests' and limit 'Read requests per minute per user' of service "
            "'sheets.googleapis.com' for consumer 'project_number:1'."
        )
        return error_v4(429, "RESOURCE_EXHAUSTED", message, reason="RATE_LIMIT_EXCEEDED")

    def _token(self, request: Request) -> Answer:
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        if form.get("grant_type") != GRANT:
            return answer_json(400, {"error": "unsupported_grant_type"}, route="/token")
        claims = _verified(form.get("assertion", ""))
        now = time.time()
        good = (
            claims is not None
            and claims.get("iss") == ACCOUNT
            and claims.get("aud") in (AUDIENCE, f"{self.url}/token")
            and claims.get("iat", 0) <= now + 60
            and now < claims.get("exp", 0) <= claims.get("iat", 0) + 3600
        )
        if claims is None or not good or self.settings.revoked:
            said = {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
            return answer_json(400, said, route="/token")
        token = f"ya29.{secrets.token_urlsafe(16)}"
        scopes = frozenset(scope.removeprefix(SCOPES) for scope in str(claims.get("scope", "")).split())
        subject = str(claims.get("sub", ""))
        if subject and not (subject == OFFICE and scopes <= set(self.settings.delegated_scopes)):
            said = {
                "error": "unauthorized_client",
                "error_description": "Client is unauthorized to retrieve access tokens using this method, or client "
                "not authorized for any of the scopes requested.",
            }
            return answer_json(401, said, route="/token")
        self._tokens[token] = (time.monotonic() + self.settings.token_seconds, scopes, subject)
        granted = {"access_token": token, "expires_in": self.settings.token_seconds, "token_type": "Bearer"}
        return answer_json(200, granted, route="/token")

    def event_touched(self, calendar: str) -> None:
        self.notify("calendar", calendar)

    def file_touched(self, drive_id: str) -> None:
        self.notify("drive", drive_id)

    @operation
    def expire_tokens(self) -> int:
        """Forget every token that was granted, before its time."""
        count = len(self._tokens)
        self._tokens.clear()
        return count

    def corrupt(self, fault: Fault, request: Request, body: dict[str, Any], list_key: str) -> None:
        if list_key == "values":
            self.corrupt_values(fault, request, body)
        else:
            self.corrupt_list(fault, request, body, list_key)

    def corrupt_list(self, fault: Fault, request: Request, body: dict[str, Any], list_key: str) -> None:
        """The lists of the v3 APIs, whose pages are chained by tokens."""
        records = body.get(list_key) or []
        match fault.kind:
            case "repeat_page" | "endless":
                end = next((name for name in ("nextSyncToken", "newStartPageToken") if name in body), None)
                if end is not None:
                    body.pop(end)
                step = 0 if fault.kind == "repeat_page" else 1
                body["nextPageToken"] = self.following(request, list_key, step)
            case "missing_list":
                body.pop(fault["key"] or list_key, None)
            case "malformed":
                for place in range(min(fault["records"], len(records))):
                    self.corrupt_record(fault, records, place)

    def following(self, request: Request, list_key: str, step: int) -> str:
        """The token of the same page, or of one that is new and shows the same."""
        token = request.first("pageToken")
        base, _, turn = token.partition("~")
        return f"{base}~{int(turn or 0) + step}"

    def corrupt_record(self, fault: Fault, records: list[Any], place: int) -> None:
        what, record = fault["what"], records[place]
        if what == "non_object":
            records[place] = "not a record"
        elif what == "missing_id":
            record.pop("id", None)
            record.pop("fileId", None)
        else:
            record = record.get("file", record)
            name = fault["property"] or "created"
            value = {"bad_date": "not a date", "out_of_range": "9" * 400, "bad_number": "twelve"}.get(what)
            *above, last = name.split(".")
            for part in above:
                record = record.setdefault(part, {})
            record[last] = value if value is not None else "before\x00after"


def _verified(assertion: str) -> dict[str, Any] | None:
    """The claims of an assertion that this account has signed."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    try:
        signed, _, signature = assertion.rpartition(".")
        header, claims = (json.loads(_unpadded(part)) for part in signed.split("."))
        if header.get("alg") != "RS256":
            return None
        _key().public_key().verify(_unpadded(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    except (ValueError, InvalidSignature):
        return None
    return dict(claims)


def _unpadded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


ROUTES = [
    (route.method, re.compile(route.pattern), route.handler, route.template, route.scopes)
    for api in REST.values()
    for route in api
]
