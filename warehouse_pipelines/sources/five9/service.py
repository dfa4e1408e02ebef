"""The web service as it is spoken to: settings, envelope, limits, and what a fault means.

AdminWebService is SOAP 1.1, document/literal, with unqualified children and HTTP Basic on every request. ``zeep`` was
tried: it starts in a quarter of a second, but its first act is to fetch the WSDL and a schema that this imports from a
third host, without which it fails; it brings a transport beside our own, with other retries and no budget; and it makes
a tree of every answer. Four operations and one envelope need none of it.
"""

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar
from zoneinfo import ZoneInfo

import msgspec
from pydantic import SecretStr

from warehouse_pipelines.errors import (
    CredentialRefused,
    PermissionMissing,
    RequestRefused,
    VendorUnavailable,
    WarehouseError,
    masked,
)
from warehouse_pipelines.model.reading import Budget, ReadContext
from warehouse_pipelines.settings import FromEnvironment
from warehouse_pipelines.sources._http import Client, first_backoff
from warehouse_pipelines.sources.five9.answers import (
    CallCounter,
    Fault,
    Field,
    call_counters,
    contact_fields,
    fault_in,
    list_sizes,
)

if TYPE_CHECKING:
    import httpx

VERSION = "v13"
PATH = f"/wsadmin/{VERSION}/AdminWebService"
SHARE = 0.9
"""Of what the domain allows; its counters are of this user alone, and somebody may be looking things up by hand."""

T = TypeVar("T")


class Settings(FromEnvironment, env_prefix="FIVE9_"):
    """The vendor's sample pauses 0.3 s between requests; the domain's own limits are read at each run."""

    username: str
    password: SecretStr
    base_url: str = "https://api.five9.com"
    time_zone: ZoneInfo = ZoneInfo("America/Los_Angeles")
    contact_id_field: str = "contactID"
    email_field: str = "email"
    division_field: str = "Market"
    status_field: str = "Lead Status"
    all_contacts_numbered: bool = False
    requests_per_minute: int = 200


class ServerFault(VendorUnavailable):
    """The fault ``Server``, which may be what this vendor has to say about too many records."""


PASSING = {
    "OperationsLimitExceeded",
    "ServiceUnavailable",
    "ConcurrentModification",
    "AdminSessionClosed",
    "UserAlreadyLoggedIn",
}
"""Faults that another attempt may not meet."""


def error_of(fault: Fault, operation: str, login: str) -> WarehouseError:
    """Return the error that a fault is; ``login`` names the settings of the login."""
    what = f"Five9 answered {operation} with the fault {fault.name}: {masked(fault.details.get('message', ''), 200)}"
    if fault.name == "Server":
        return ServerFault(f"{what}. Nothing was loaded; the next run reads everything again.")
    if fault.name in PASSING:
        return VendorUnavailable(f"{what}. Nothing was loaded; the next run reads everything again.")
    if fault.name == "InvalidAccount":
        return CredentialRefused(
            f"{what}. Renew the login of this account and set it again ({login}); nothing was loaded."
        )
    if fault.name in ("AccessDisallowed", "UserHasNoRequiredRole"):
        return PermissionMissing(f"{what}. Give the user the role of an administrator or of the API, then run again.")
    return RequestRefused(f"{what}. The request is wrong or the vendor has changed; nothing was loaded.")


class Service:
    """One operation at a time, within the limits of the domain."""

    def __init__(self, context: ReadContext) -> None:
        settings = context.settings(Settings)
        login = f"{settings.username}:{settings.password.get_secret_value()}".encode()
        self.context = context
        self._login = f"{context.setting('FIVE9_USERNAME')} and {context.setting('FIVE9_PASSWORD')}"
        self._user = settings.username
        self._operation = ""
        self._limits: list[Budget] = []
        self._http = Client(
            context,
            title="Five9",
            base_url=settings.base_url,
            renew=self._login,
            headers={
                "Authorization": f"Basic {base64.b64encode(login).decode()}",
                "Content-Type": "text/xml; charset=utf-8",
                "Accept": "text/xml",
                "SOAPAction": '""',
            },
            budgets=(Budget("minute", settings.requests_per_minute, 60),),
            wait_for=self._wait_for,
            explain=self._explain,
            session=True,
        )

    def ask(self, operation: str, read: Callable[[bytes], T], arguments: str = "") -> T:
        """Return what ``read`` makes of the answer to an operation; a fault is raised as the error that it is."""

        def checked(content: bytes) -> T:
            if fault := fault_in(content):
                raise error_of(fault, operation, self._login)
            if f"{operation}Response".encode() in content:
                return read(content)
            if b"Envelope>" not in content:
                raise msgspec.DecodeError("no SOAP envelope, or half of one")
            raise msgspec.ValidationError(f"no {operation}Response")

        envelope = (
            '<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body>'
            f'<ns:{operation} xmlns:ns="http://service.admin.ws.five9.com/">{arguments}</ns:{operation}>'
            "</soap:Body></soap:Envelope>"
        )
        before, self._operation = self._operation, operation
        try:
            return self._http.send(
                "POST", PATH, checked,
                params={"user": self._user}, content=envelope.encode(), budgets=self._limits,
            )  # fmt: skip
        finally:
            self._operation = before

    def fields(self) -> list[Field]:
        """Return the fields of the domain."""
        return self.ask("getContactFields", contact_fields, "<namePattern>.*</namePattern>")

    def largest_list(self) -> int:
        """Return how many contacts the largest dialing list has."""
        return max(self.ask("getListsInfo", list_sizes, "<listNamePattern>.*</listNamePattern>"), default=0)

    def counters(self) -> list[CallCounter]:
        """Return the limits of the domain, and how much of them this user has used."""
        return self.ask("getCallCountersState", call_counters)

    def keep_to_limits(self) -> None:
        """Learn how many queries the domain allows, and make no more than ``SHARE`` of them.

        What it allows in an hour is spent in shares of ten minutes, so that a long read is slow and not cut off.
        """
        limits = [one for one in self.counters() if one.operation == "Query" and one.limit > 0]
        for one in limits:
            part = 600 / one.seconds if 600 < one.seconds <= 3600 else 1
            allowed = max(1, int(one.limit * SHARE * part))
            self._limits.append(Budget(f"query {one.seconds}", allowed, one.seconds * part))
        self.context.note(query_limits={str(one.seconds): [one.value, one.limit] for one in limits})

    def _explain(self, answer: "httpx.Response") -> None:
        """Raise for a fault that a repetition would not change. Too many records may be ``Server``: nobody waits."""
        fault = fault_in(answer.content)
        if fault is None:
            return
        if fault.name == "AdminSessionClosed":
            self._http.forget_session()
        if fault.name not in PASSING and (fault.name != "Server" or self._operation == "getContactRecords"):
            raise error_of(fault, self._operation, self._login)

    def _wait_for(self, answer: "httpx.Response", attempt: int) -> float | None:
        """Return the length of the window that is used up; a minute when the counters do not tell which."""
        fault = fault_in(answer.content)
        seconds = 60
        if fault is None or fault.name != "OperationsLimitExceeded":
            return seconds * first_backoff() if answer.status_code == 429 else None
        if self._operation != "getCallCountersState":
            kind = fault.details.get("operationType", "Query")
            full = [one.seconds for one in self.counters() if one.operation == kind and one.value >= one.limit]
            seconds = max(full, default=seconds)
        return seconds * first_backoff()
