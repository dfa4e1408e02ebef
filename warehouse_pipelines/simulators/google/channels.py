"""The simulated push channels: they are made, send notifications, end, and cannot be renewed.

The first message, `sync`, is sent before the answer is. Numbers of messages rise with gaps. A channel that was stopped
sends once more, as the vendor warns. A notification has no body and no signature.
"""

from __future__ import annotations

import itertools
import secrets
import threading
from dataclasses import dataclass
from typing import Any

from warehouse_pipelines.simulators.core.population import Population
from warehouse_pipelines.simulators.core.simulator import Simulator, operation
from warehouse_pipelines.simulators.core.webhooks import Message, post
from warehouse_pipelines.simulators.core.wire import Answer, Request, answer_json
from warehouse_pipelines.simulators.google.answers import error_v3

USUAL_SECONDS = {"calendar": 604_800, "drive": 3_600}
MOST_SECONDS = 604_800


@dataclass
class Channel:
    service: str
    watched: str
    address: str
    token: str
    resource_id: str
    ends_at: float
    number: int = 1
    stopped: bool = False


class ChannelApi(Simulator):
    def __init__(self, population: Population, settings: Any) -> None:
        super().__init__(population, settings)
        self.channels: dict[str, Channel] = {}
        self._resources = itertools.count(1)

    def now(self) -> float:
        raise NotImplementedError

    def watch_events(self, request: Request, calendar: str) -> Answer:
        if calendar not in getattr(self, "calendars", {}):
            return error_v3(404, "notFound", "Not Found")
        return self._watch(request, "calendar", calendar)

    def watch_changes(self, request: Request) -> Answer:
        if not request.first("pageToken"):
            return error_v3(400, "required", "Required parameter: pageToken", location="pageToken")
        return self._watch(request, "drive", request.first("driveId"))

    def _watch(self, request: Request, service: str, watched: str) -> Answer:
        body = request.json()
        channel_id, address = str(body.get("id", "")), str(body.get("address", ""))
        if not channel_id or len(channel_id) > 64 or len(str(body.get("token", ""))) > 256:
            return error_v3(400, "invalid", "Invalid Value")
        if channel_id in self.channels:
            return error_v3(400, "channelIdNotUnique", f"Channel id {channel_id} not unique")
        if not address.startswith("https://") and not self.settings.plain_addresses:
            return error_v3(401, "webhookUrlNotHttps", f"WebHook callback must be HTTPS: {address}")
        asked = int((body.get("params") or {}).get("ttl") or USUAL_SECONDS[service])
        if body.get("expiration"):
            asked = int(int(body["expiration"]) / 1000 - self.now())
        ends_at = self.now() + min(asked, self.settings.channel_seconds or MOST_SECONDS)
        channel = Channel(
            service, watched, address, str(body.get("token", "")), f"resource{next(self._resources)}", ends_at
        )
        self.channels[channel_id] = channel
        self._send(channel_id, channel, "sync")
        made = {
            "kind": "api#channel", "id": channel_id, "resourceId": channel.resource_id, "token": channel.token,
            "resourceUri": self._uri(channel), "expiration": str(int(ends_at * 1000)),
        }  # fmt: skip
        return answer_json(200, made)

    def stop_calendar(self, request: Request) -> Answer:
        return self._stop(request, "calendar")

    def stop_drive(self, request: Request) -> Answer:
        return self._stop(request, "drive")

    def _stop(self, request: Request, service: str) -> Answer:
        body = request.json()
        channel = self.channels.get(str(body.get("id", "")))
        known = channel is not None and channel.service == service and channel.resource_id == body.get("resourceId")
        if channel is None or not known or channel.stopped:
            return error_v3(404, "notFound", f"Channel '{body.get('id')}' not found for project '1'")
        channel.stopped = True
        self._send(str(body["id"]), channel, "exists" if service == "calendar" else "change")
        return Answer(204)

    def _uri(self, channel: Channel) -> str:
        if channel.service == "calendar":
            return f"https://www.googleapis.com/calendar/v3/calendars/{channel.watched}/events?alt=json"
        return "https://www.googleapis.com/drive/v3/changes?pageToken=1&alt=json"

    def notify(self, service: str, watched: str) -> None:
        """Tell every channel of this that there is news."""
        for channel_id, channel in self.channels.items():
            mine = (channel.service, channel.watched) == (service, watched)
            if mine and not channel.stopped and channel.ends_at > self.now():
                self._send(channel_id, channel, "exists" if service == "calendar" else "change")

    def _send(self, channel_id: str, channel: Channel, state: str) -> None:
        headers = {
            "User-Agent": "APIs-Google; (+https://developers.google.com/webmasters/APIs-Google.html)",
            "X-Goog-Channel-ID": channel_id,
            "X-Goog-Channel-Token": channel.token,
            "X-Goog-Message-Number": str(channel.number),
            "X-Goog-Resource-ID": channel.resource_id,
            "X-Goog-Resource-State": state,
            "X-Goog-Resource-URI": self._uri(channel),
        }
        channel.number += 1 if state == "sync" else 3
        address = channel.address
        threading.Thread(target=post, args=(address, Message(b"", headers)), daemon=True).start()

    @operation
    def expire_channels(self) -> int:
        """End every channel now, without a word."""
        for channel in self.channels.values():
            channel.ends_at = self.now() - secrets.randbelow(60) - 1
        return len(self.channels)

    @operation
    def list_channels(self) -> list[dict[str, Any]]:
        """Those that are neither stopped nor ended."""
        return [
            {"id": one, "service": it.service, "watched": it.watched, "ends_at": it.ends_at}
            for one, it in self.channels.items()
            if not it.stopped and it.ends_at > self.now()
        ]
