"""Google's push channels: ask for notifications of a calendar or of Drive's log of changes, and end them.

A channel cannot be renewed, only replaced, and may have at most a week. Its token is ours, and comes back with every
notification. Stopping a channel that Google does not know is no error: it has ended.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from warehouse_pipelines.errors import RequestRefused
from warehouse_pipelines.model.reading import ReadContext
from warehouse_pipelines.sources import gcalendar, gdrive
from warehouse_pipelines.sources._google import client
from warehouse_pipelines.sources._google_requests import ask, calls

LIFE = timedelta(days=7)
"""What is asked for, and the most that Google gives."""


class Channel(NamedTuple):
    """What Google calls a channel that it has made, and when it ends."""

    resource_id: str
    expires_at: datetime


class _Made(msgspec.Struct):
    resource_id: str = msgspec.field(name="resourceId")
    expiration: str | int = ""


class _Start(msgspec.Struct):
    token: str = msgspec.field(name="startPageToken")


class _File(msgspec.Struct):
    drive_id: str = msgspec.field(name="driveId", default="")


def calendars() -> list[str]:
    """Return what there is to watch of Calendar. Raises ``pydantic.ValidationError`` for missing settings."""
    return gcalendar.Settings().calendars


def watch_calendar(calendar: str, *, channel_id: str, token: str, address: str) -> Channel:
    """Make a channel for the events of a calendar; raises as ``Client.request`` does."""
    api = client(ReadContext(), "Google Calendar", gcalendar.SCOPES)
    body = {"id": channel_id, "type": "web_hook", "address": address, "token": token}
    body_with_life = {**body, "params": {"ttl": str(int(LIFE.total_seconds()))}}
    watch = calls(*gcalendar.API, "events").watch(calendarId=calendar, body=body_with_life)
    return _channel(ask(api, watch, _Made))


def drives() -> list[str]:
    """Return which log of Drive there is to watch: that of the root folder's shared drive, else the user's (empty)."""
    root = gdrive.Settings().gdrive_root_folder_id
    if not root:
        return [""]
    api = client(ReadContext(), "Google Drive", gdrive.SCOPES)
    file = calls(*gdrive.API, "files").get(fileId=root, fields="driveId", supportsAllDrives=True)
    return [ask(api, file, _File).drive_id]


def watch_drive(drive_id: str, *, channel_id: str, token: str, address: str) -> Channel:
    """Make a channel for a log of changes; raises as ``Client.request`` does."""
    api = client(ReadContext(), "Google Drive", gdrive.SCOPES)
    known: dict[str, Any] = {"supportsAllDrives": True, **({"driveId": drive_id} if drive_id else {})}
    changes = calls(*gdrive.API, "changes")
    start = ask(api, changes.getStartPageToken(**known), _Start).token
    ends = int((datetime.now(UTC) + LIFE).timestamp() * 1000)
    body = {"id": channel_id, "type": "web_hook", "address": address, "token": token, "expiration": str(ends)}
    watch = changes.watch(**known, includeItemsFromAllDrives=bool(drive_id), pageToken=start, body=body)
    return _channel(ask(api, watch, _Made))


def stop(service: str, channel_id: str, resource_id: str) -> None:
    """End a channel of ``calendar`` or ``drive``; raises as ``Client.request`` does."""
    scopes = gcalendar.SCOPES if service == "calendar" else gdrive.SCOPES
    api = client(ReadContext(), f"Google {service.capitalize()}", scopes)
    channels = calls(service, "v3", "channels")
    try:
        ask(api, channels.stop(body={"id": channel_id, "resourceId": resource_id}), bytes)
    except RequestRefused as refused:
        if refused.status != 404:
            raise


def _channel(made: _Made) -> Channel:
    ends = int(made.expiration) / 1000 if str(made.expiration).isdigit() else None
    return Channel(
        made.resource_id,
        datetime.fromtimestamp(ends, UTC) if ends is not None else datetime.now(UTC) + timedelta(hours=1),
    )
