"""The client of HubSpot: token, rates, and what its errors say beyond their status."""

from typing import TYPE_CHECKING

import msgspec

from warehouse_pipelines.errors import PermissionMissing
from warehouse_pipelines.model.reading import Budget, ReadContext
from warehouse_pipelines.sources._http import Client, first_backoff
from warehouse_pipelines.sources.hubspot.answers import Forbidden, Refused
from warehouse_pipelines.sources.hubspot.settings import Settings

if TYPE_CHECKING:
    import httpx

VERSION = "v3"
OBJECTS = f"/crm/{VERSION}/objects"
PROPERTIES = f"/crm/{VERSION}/properties"
SCHEMAS = f"/crm-object-schemas/{VERSION}/schemas"
OWNERS = f"/crm/{VERSION}/owners"
PIPELINES = f"/crm/{VERSION}/pipelines"
ACCOUNT = "/account-info/v3/details"
ASSOCIATIONS = "/crm/v4/associations"  # v3 has neither labels nor type ids


def client(context: ReadContext, settings: Settings) -> Client:
    """Return the client of the portal in the settings."""
    return Client(
        context,
        title="HubSpot",
        base_url=settings.base_url,
        renew=context.setting("HUBSPOT_ACCESS_TOKEN"),
        headers={"Authorization": f"Bearer {settings.access_token.get_secret_value()}"},
        budgets=(
            Budget("requests", settings.requests_per_10_seconds, 10),
            Budget("day", settings.requests_per_day, 86_400),
        ),
        wait_for=wait_for,
        explain=explain,
    )


def explain(answer: "httpx.Response") -> None:
    """Raise ``PermissionMissing`` with the name of the missing scope, which is at the end of a long answer."""
    if answer.status_code != 403:
        return
    try:
        scopes = msgspec.json.decode(answer.content, type=Forbidden).scopes
    except msgspec.MsgspecError:
        return
    if scopes:
        raise PermissionMissing(
            f"HubSpot answered 403 to {answer.request.method} {answer.request.url.path}: the token lacks "
            f"{', '.join(scopes)}. Grant it to the private app, then run again; other entities are not concerned."
        )


def wait_for(answer: "httpx.Response", attempt: int) -> float | None:
    """Return the seconds to wait by the policy that a 429 names; a spent day ends the run.

    Both windows roll: room comes as the oldest requests leave them, so the first wait is a short one.
    """
    if answer.status_code == 423:
        return 2.0
    if answer.status_code != 429:
        return None
    try:
        policy = msgspec.json.decode(answer.content, type=Refused).policy
    except msgspec.MsgspecError:
        return None
    if policy == "DAILY":
        return 86_400.0
    first = {"TEN_SECONDLY_ROLLING": 2.0, "SECONDLY": 0.5}.get(policy)
    return first * 2 ** (attempt - 1) * first_backoff() if first else None
