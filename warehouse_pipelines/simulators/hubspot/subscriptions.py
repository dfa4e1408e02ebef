"""The subscriptions of an app, as HubSpot's specification of `/webhooks/v3/{appId}` has them: the developer key in the
address, one target, subscriptions that are paused unless they are told to be active."""

from __future__ import annotations

import itertools
import re
import time
from typing import Any

from warehouse_pipelines.simulators.core.wire import Answer, Request, answer_json
from warehouse_pipelines.simulators.hubspot.answers import Refusal, error_answer, iso, json_or_empty
from warehouse_pipelines.simulators.hubspot.portal import HubSpotSettings

PATH = re.compile(r"/webhooks/v3/(\d+)/(settings|subscriptions)(?:/(\d+))?")
OBJECTS = ("company", "contact", "deal", "line_item", "object", "product", "ticket")
EACH = ("creation", "deletion", "merge", "propertyChange", "restore")
EVENTS = {f"{kind}.{what}" for kind in OBJECTS for what in EACH}
EVENTS |= {f"{kind}.associationChange" for kind in OBJECTS if kind != "product"} | {"contact.privacyDeletion"}
MOST = 1_000


class App:
    """An app of a developer account."""

    def __init__(self, settings: HubSpotSettings) -> None:
        self._settings = settings
        self._ids = itertools.count(11)
        self.target: dict[str, Any] | None = None
        self.subscriptions: dict[int, dict[str, Any]] = {}

    def answer(self, request: Request, app_id: str, what: str, key: str | None) -> Answer:
        if request.first("hapikey") != self._settings.developer_key:
            return error_answer(401, "INVALID_AUTHENTICATION", "The API key provided is invalid.")
        if int(app_id) != self._settings.app_id:
            return error_answer(404, "OBJECT_NOT_FOUND", f"No app {app_id}")
        if what == "settings":
            return self._answer_settings(request)
        if key is not None:
            return self._answer_one(request, int(key))
        if request.method == "POST":
            return self._create(json_or_empty(request))
        return answer_json(200, {"results": list(self.subscriptions.values())})

    def _answer_settings(self, request: Request) -> Answer:
        if request.method == "DELETE":
            self.target = None
            return Answer(204)
        if request.method == "PUT":
            body = json_or_empty(request)
            if not str(body.get("targetUrl", "")).startswith(("https://", "http://127.0.0.1")):
                raise Refusal(400, "VALIDATION_ERROR", "targetUrl must be a public https address")
            if not isinstance(body.get("throttling"), dict):
                raise Refusal(400, "VALIDATION_ERROR", "Some required fields were not set: [throttling]")
            self.target = {"targetUrl": body["targetUrl"], "throttling": body["throttling"], "createdAt": _now()}
        if self.target is None:
            return error_answer(404, "OBJECT_NOT_FOUND", "No webhook settings")
        return answer_json(200, self.target)

    def _create(self, body: dict[str, Any]) -> Answer:
        event, name = str(body.get("eventType")), body.get("propertyName")
        if event not in EVENTS or (event.endswith(".propertyChange")) != bool(name):
            raise Refusal(400, "VALIDATION_ERROR", f"Invalid subscription to {event}")
        if name in self._settings.untold_properties:
            raise Refusal(400, "VALIDATION_ERROR", f"The property {name} cannot be subscribed to")
        if event.startswith("object.") and not body.get("objectTypeId"):
            raise Refusal(400, "VALIDATION_ERROR", "objectTypeId is required")
        if len(self.subscriptions) >= MOST:
            raise Refusal(400, "VALIDATION_ERROR", f"An app has at most {MOST} subscriptions")
        said = {key: body[key] for key in ("propertyName", "objectTypeId") if body.get(key)}
        if any(one["eventType"] == event and said.items() <= one.items() for one in self.subscriptions.values()):
            raise Refusal(400, "VALIDATION_ERROR", "The subscription exists")
        key = next(self._ids)
        made = {"id": str(key), "eventType": event, "active": bool(body.get("active")), "createdAt": _now(), **said}
        self.subscriptions[key] = made
        return answer_json(201, made)

    def _answer_one(self, request: Request, key: int) -> Answer:
        if key not in self.subscriptions:
            return error_answer(404, "OBJECT_NOT_FOUND", f"No subscription {key}")
        if request.method == "DELETE":
            del self.subscriptions[key]
            return Answer(204)
        if request.method == "PATCH":
            self.subscriptions[key]["active"] = bool(json_or_empty(request).get("active"))
        return answer_json(200, self.subscriptions[key])


def _now() -> str:
    return iso(int(time.time() * 1000))
