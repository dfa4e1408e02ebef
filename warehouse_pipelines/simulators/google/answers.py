"""How Google's APIs word an answer: errors in two envelopes, and the mask that ``fields`` puts on everything."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple

from warehouse_pipelines.simulators.core.wire import Answer, answer_json


class Route(NamedTuple):
    method: str
    pattern: str
    handler: str
    template: str
    scopes: frozenset[str]


READ_SHEETS = frozenset({"spreadsheets.readonly", "spreadsheets", "drive.readonly", "drive"})
READ_DRIVE = frozenset({"drive.metadata.readonly", "drive.readonly", "drive", "drive.metadata"})
READ_CALENDAR = frozenset({"calendar.readonly", "calendar.events.readonly", "calendar", "calendar.events"})
WRITE_DRIVE = frozenset({"drive"})
WRITE_CALENDAR = frozenset({"calendar", "calendar.events"})

REST: dict[str, tuple[Route, ...]] = {
    "sheets": (
        Route("GET", r"/v4/spreadsheets/([^/:]+)", "spreadsheet", "/v4/spreadsheets/{id}", READ_SHEETS),
        Route(
            "GET", r"/v4/spreadsheets/([^/:]+)/values:batchGet", "batch_get",
            "/v4/spreadsheets/{id}/values:batchGet", READ_SHEETS,
        ),
        Route(
            "GET", r"/v4/spreadsheets/([^/:]+)/values/(.+)", "values",
            "/v4/spreadsheets/{id}/values/{range}", READ_SHEETS,
        ),
    ),
    "calendar": (
        Route(
            "GET", r"/calendar/v3/calendars/([^/]+)/events", "events",
            "/calendar/v3/calendars/{id}/events", READ_CALENDAR,
        ),
        Route(
            "GET", r"/calendar/v3/calendars/([^/]+)/events/([^/]+)", "event",
            "/calendar/v3/calendars/{id}/events/{id}", READ_CALENDAR,
        ),
        Route(
            "POST", r"/calendar/v3/calendars/([^/]+)/events/watch", "watch_events",
            "/calendar/v3/calendars/{id}/events/watch", READ_CALENDAR,
        ),
        Route(
            "POST", r"/calendar/v3/calendars/([^/]+)/events", "insert_event",
            "/calendar/v3/calendars/{id}/events", WRITE_CALENDAR,
        ),
        Route(
            "PATCH", r"/calendar/v3/calendars/([^/]+)/events/([^/]+)", "patch_event",
            "/calendar/v3/calendars/{id}/events/{id}", WRITE_CALENDAR,
        ),
        Route(
            "DELETE", r"/calendar/v3/calendars/([^/]+)/events/([^/]+)", "remove_event",
            "/calendar/v3/calendars/{id}/events/{id}", WRITE_CALENDAR,
        ),
        Route("POST", r"/calendar/v3/channels/stop", "stop_calendar", "/calendar/v3/channels/stop", READ_CALENDAR),
    ),
    "drive": (
        Route("GET", r"/drive/v3/files", "file_list", "/drive/v3/files", READ_DRIVE),
        Route("GET", r"/drive/v3/files/generateIds", "generate_ids", "/drive/v3/files/generateIds", WRITE_DRIVE),
        Route("POST", r"/drive/v3/files", "insert_file", "/drive/v3/files", WRITE_DRIVE),
        Route("PATCH", r"/drive/v3/files/([^/]+)", "patch_file", "/drive/v3/files/{id}", WRITE_DRIVE),
        Route(
            "GET", r"/drive/v3/files/([^/]+)/permissions", "permissions",
            "/drive/v3/files/{id}/permissions", READ_DRIVE,
        ),
        Route(
            "POST", r"/drive/v3/files/([^/]+)/permissions", "insert_permission",
            "/drive/v3/files/{id}/permissions", WRITE_DRIVE,
        ),
        Route(
            "PATCH", r"/drive/v3/files/([^/]+)/permissions/([^/]+)", "patch_permission",
            "/drive/v3/files/{id}/permissions/{id}", WRITE_DRIVE,
        ),
        Route(
            "DELETE", r"/drive/v3/files/([^/]+)/permissions/([^/]+)", "remove_permission",
            "/drive/v3/files/{id}/permissions/{id}", WRITE_DRIVE,
        ),
        Route("GET", r"/drive/v3/files/([^/]+)", "file", "/drive/v3/files/{id}", READ_DRIVE),
        Route(
            "GET", r"/drive/v3/changes/startPageToken", "start_page_token",
            "/drive/v3/changes/startPageToken", READ_DRIVE,
        ),
        Route("GET", r"/drive/v3/changes", "changes", "/drive/v3/changes", READ_DRIVE),
        Route("POST", r"/drive/v3/changes/watch", "watch_changes", "/drive/v3/changes/watch", READ_DRIVE),
        Route("POST", r"/drive/v3/channels/stop", "stop_drive", "/drive/v3/channels/stop", READ_DRIVE),
    ),
}  # fmt: skip


def error_v4(code: int, status: str, message: str, *, reason: str | None = None) -> Answer:
    error: dict[str, Any] = {"code": code, "message": message, "status": status}
    if reason:
        kind = "type.googleapis.com/google.rpc.ErrorInfo"
        error["details"] = [{"@type": kind, "reason": reason, "domain": "googleapis.com"}]
    return answer_json(code, {"error": error})


def error_v3(
    code: int,
    reason: str,
    message: str,
    *,
    domain: str = "global",
    location: str | None = None,
    location_type: str = "parameter",
) -> Answer:
    each = {"domain": domain, "reason": reason, "message": message}
    if location:
        each |= {"locationType": location_type, "location": location}
    return answer_json(code, {"error": {"code": code, "message": message, "errors": [each]}})


def moment(seconds: float) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def masked(value: Any, fields: str) -> Any:
    """What ``fields`` leaves of an answer: ``a,b(c,d),e/f``; nothing asked for leaves all."""
    return _kept(value, _parsed(fields)) if fields else value


def _parsed(fields: str) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    stack, word, node = [tree], "", tree

    def take(word: str) -> dict[str, Any]:
        here = stack[-1]
        for part in filter(None, word.replace(".", "/").split("/")):
            here = here.setdefault(part, {})
        return here

    for letter in fields:
        if letter in ",()":
            node = take(word) if word else node
            word = ""
            if letter == "(":
                stack.append(node)
            elif letter == ")":
                stack.pop()
        elif not letter.isspace():
            word += letter
    if word:
        take(word)
    return tree


def _kept(value: Any, tree: dict[str, Any]) -> Any:
    if not tree or "*" in tree:
        return value
    if isinstance(value, list):
        return [_kept(one, tree) for one in value]
    if isinstance(value, dict):
        return {name: _kept(value[name], below) for name, below in tree.items() if name in value}
    return value
