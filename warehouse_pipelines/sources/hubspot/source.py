"""HubSpot as a source: its entities, and how its credential is checked."""

import contextlib
from datetime import UTC, datetime
from typing import cast

import msgspec

from warehouse_pipelines.errors import PermissionMissing
from warehouse_pipelines.model.reading import ReadContext, ReadRequest, Window
from warehouse_pipelines.model.source import Credential, Source
from warehouse_pipelines.sources.hubspot import by_key
from warehouse_pipelines.sources.hubspot.client import ACCOUNT, client
from warehouse_pipelines.sources.hubspot.entities import (
    CONTACTS,
    OBJECT_ENTITIES,
    OWNERS,
    PAIR_ENTITIES,
    PIPELINE_STAGES,
    PIPELINES,
)
from warehouse_pipelines.sources.hubspot.fetch import fetch
from warehouse_pipelines.sources.hubspot.properties import inspect, mapped
from warehouse_pipelines.sources.hubspot.reader import HubSpotReader
from warehouse_pipelines.sources.hubspot.settings import Settings


def check(context: ReadContext | None = None) -> str:
    """Ask for the properties of contacts, which a token without that scope is refused by name."""
    with contextlib.suppress(PermissionMissing):  # which is said of the entity
        request = ReadRequest(entity=CONTACTS, window=Window(None, datetime.now(UTC)))
        HubSpotReader(request, context or ReadContext()).properties  # noqa: B018  (asks)
    return "HubSpot answers: it knows the token"


class _Account(msgspec.Struct, rename="camel"):
    portal_id: int


def credential(context: ReadContext) -> Credential:
    """Tell whose the token is, by the portal's number; every token may ask for it.

    It is written ``hub-123``, because a message that is kept has no long numbers, which may be of people.
    """
    settings = context.settings(Settings)
    asking = client(context, settings)
    wanted = settings.account_id.strip().removeprefix("hub-")
    return Credential(
        asking.credential,
        context.setting("HUBSPOT_ACCESS_TOKEN"),
        context.setting("HUBSPOT_ACCOUNT_ID"),
        wanted and f"hub-{wanted}",
        lambda: [f"hub-{asking.get(ACCOUNT, _Account).portal_id}"],
    )


HUBSPOT: Source = Source(
    name="hubspot",
    title="HubSpot",
    transport="api",
    settings=Settings,
    fetch=fetch,
    check=check,
    check_in=check,
    credential=credential,
    entities=(*OBJECT_ENTITIES, OWNERS, PIPELINES, PIPELINE_STAGES, *PAIR_ENTITIES),
    inspect=inspect,
    read_keys=by_key.read_keys,
    by_key={entity.name: by_key.MOST for entity in OBJECT_ENTITIES},
    place=lambda name, kind: f"properties.{name}",
    as_configured=lambda entity, form: mapped(HUBSPOT, entity, OBJECT_ENTITIES, cast(type[Settings], form)),
)
