"""How the simulated portal describes itself: properties, schemas of custom objects, owners and pipelines."""

from __future__ import annotations

from typing import Any

import msgspec

from warehouse_pipelines.simulators.core.wire import Answer, Request, answer_json
from warehouse_pipelines.simulators.hubspot.answers import (
    batch_answer,
    batch_inputs,
    error_answer,
    page_limit,
    results_answer,
)
from warehouse_pipelines.simulators.hubspot.objects import PORTAL, ObjectType
from warehouse_pipelines.simulators.hubspot.portal import Portal
from warehouse_pipelines.simulators.hubspot.properties import Property
from warehouse_pipelines.simulators.hubspot.store import Store

MAX_BATCH = 100


def _property(body: dict[str, Any]) -> Property:
    unique = bool(body.get("hasUniqueValue"))
    return Property(str(body["name"]), str(body["type"]), str(body["fieldType"]), custom=True, unique=unique)


class DescriptionRequests:
    """Requests for what the portal says of itself."""

    def __init__(self, portal: Portal) -> None:
        self._portal = portal

    def definitions(self, request: Request, store: Store, rest: str) -> Answer:
        known = store.definitions
        if request.method == "POST" and rest == "batch/read":
            names = [str(item.get("name")) for item in batch_inputs(request.json(), MAX_BATCH)]
            return batch_answer(
                [msgspec.json.encode(known[n].definition()) for n in names if n in known], [], len(names)
            )
        if request.method == "POST" and not rest:
            return self._define(store, request.json())
        if rest == "groups":
            return results_answer(
                [{"name": "contactinformation", "label": "Information", "displayOrder": 1, "archived": False}]
            )
        if rest:
            if rest not in known:
                return error_answer(404, "OBJECT_NOT_FOUND", f"No property {rest}")
            return answer_json(200, known[rest].definition())
        if request.first("archived") == "true":
            return results_answer([])
        return results_answer([known[name].definition() for name in sorted(known)])

    def _define(self, store: Store, body: dict[str, Any]) -> Answer:
        name = str(body.get("name"))
        if name in store.definitions:
            return error_answer(409, "CONFLICT", f'A property named "{name}" already exists.')
        if body.get("type") == "bool" and len(body.get("options") or ()) != 2:
            return error_answer(400, "VALIDATION_ERROR", "Boolean properties must have exactly two options")
        store.define(name, _property(body))
        return answer_json(201, store.definitions[name].definition())

    def make_schema(self, body: dict[str, Any]) -> Answer:
        """Make a custom object as a client describes it."""
        name, labels = str(body.get("name")), body.get("labels") or {}
        properties = {str(each["name"]): _property(each) for each in body.get("properties") or ()}
        if not (labels.get("singular") and properties and body.get("requiredProperties")):
            return error_answer(400, "VALIDATION_ERROR", "Some required fields were not set: [labels, properties]")
        if any(store.kind.custom and store.kind.singular == name for store in self._portal.stores.values()):
            return error_answer(409, "CONFLICT", f"An object named {name} already exists")
        type_id = f"2-{37_000_101 + self._portal.made_objects}"
        standard = {each: Property(each, "datetime", "date") for each in ("hs_createdate", "hs_lastmodifieddate")}
        kind = ObjectType(
            f"{name}s",
            (type_id, f"p{PORTAL}_{name}", f"p_{name}"),
            type_id,
            name,
            {"hs_object_id": Property("hs_object_id", "number", "number"), **standard, **properties},
            ("hs_createdate", "hs_lastmodifieddate", "hs_object_id"),
            (str(body.get("primaryDisplayProperty")),),
            0,
            700_001,
            lambda number, created, modified: {},
            custom=True,
        )
        return answer_json(201, self._schema(self._portal.make_object(kind)))

    def schemas(self, which: str | None) -> Answer:
        custom = [store for store in self._portal.stores.values() if store.kind.custom]
        if which is None:
            return results_answer([self._schema(store) for store in custom])
        for store in custom:
            if which in (*store.kind.path_names, store.kind.singular):
                return answer_json(200, self._schema(store))
        return error_answer(404, "OBJECT_NOT_FOUND", f"No schema {which}")

    def _schema(self, store: Store) -> dict[str, Any]:
        kind = store.kind
        shown = kind.search_text[0]
        edges = []
        for other in self._portal.stores.values():
            for _, type_id, _ in self._portal.associations.types(kind.name, other.kind.name):
                name = f"{kind.singular}_to_{other.kind.singular}"
                ends = {"fromObjectTypeId": kind.type_id, "toObjectTypeId": other.kind.type_id}
                edges.append({"id": str(type_id), **ends, "name": name})
        return {
            "id": kind.type_id[2:],
            "objectTypeId": kind.type_id,
            "name": kind.singular,
            "fullyQualifiedName": f"p{PORTAL}_{kind.singular}",
            "labels": {"singular": kind.singular.capitalize(), "plural": f"{kind.singular.capitalize()}s"},
            "primaryDisplayProperty": shown,
            "secondaryDisplayProperties": [],
            "requiredProperties": [shown],
            "searchableProperties": [shown],
            "metaType": "PORTAL_SPECIFIC",
            "archived": False,
            "properties": [known.definition() for known in store.definitions.values()],
            "associations": edges,
            "createdAt": "2026-01-01T00:00:00Z",
            "updatedAt": "2026-01-01T00:00:00Z",
        }

    def account(self) -> Answer:
        """Answer whose account it is, as HubSpot's reference of the account information API shows it."""
        return answer_json(
            200,
            {
                "portalId": self._portal.settings.portal_id,
                "accountType": "STANDARD",
                "timeZone": "US/Eastern",
                "companyCurrency": "USD",
                "additionalCurrencies": [],
                "utcOffset": "-05:00",
                "utcOffsetMilliseconds": -18_000_000,
                "uiDomain": "app.hubspot.com",
                "dataHostingLocation": "na1",
            },
        )

    def owners(self, request: Request) -> Answer:
        limit = page_limit(request, 100, 500)
        archived = request.first("archived") == "true"
        listed = [one for one in self._portal.lookups.owners if one["archived"] == archived]
        email = request.first("email")
        listed = [one for one in listed if not email or one["email"] == email]
        start = int(request.first("after") or 0)
        body: dict[str, Any] = {"results": listed[start : start + limit]}
        if start + limit < len(listed):
            body["paging"] = {"next": {"after": str(start + limit)}}
        return answer_json(200, body, list_key="results", page_size=limit)

    def pipelines(self, store: Store) -> Answer:
        if store.kind.name != "deals":
            return results_answer([])
        return answer_json(200, {"results": self._portal.lookups.all("pipelines")}, list_key="results")
