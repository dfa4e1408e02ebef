"""The simulated Calendar: the appointments of two crews, and what the sync protocol tells of them.

Event ids are unique in a calendar only: both crews have the same. Series are masters with their exceptions; asked for
single events it answers 400, which is the simulator's limit and not the vendor's.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from warehouse_pipelines.simulators.core.journey import Journeys
from warehouse_pipelines.simulators.core.population import Population
from warehouse_pipelines.simulators.core.simulator import Simulator, operation
from warehouse_pipelines.simulators.core.wire import Answer, Request, answer_json
from warehouse_pipelines.simulators.google.answers import error_v3, masked, moment
from warehouse_pipelines.simulators.google.appointments import event_id_of, event_of

CREWS = ("crew-a@example.test", "crew-b@example.test")
MOST, USUAL = 2500, 250
MONTH = 30 * 86_400
NOT_WITH_TOKEN = (
    "iCalUID", "orderBy", "privateExtendedProperty", "q", "sharedExtendedProperty", "timeMin", "timeMax", "updatedMin",
)  # fmt: skip


@dataclass
class Calendar:
    count: int
    order: list[str] = field(default_factory=list)  # events that were added
    changes: dict[str, dict[str, Any]] = field(default_factory=dict)
    touched: dict[str, int] = field(default_factory=dict)  # when in the sequence of changes
    erased: set[str] = field(default_factory=set)  # in no list, and 404 by themselves
    epoch: int = 0  # tokens of an earlier one are refused
    role: str = "writer"  # what the service account may do there


class CalendarApi(Simulator):
    def __init__(self, population: Population, settings: Any) -> None:
        super().__init__(population, settings)
        self._opened = self.now()
        self._sequence = 0
        sizes = (max(3, settings.contacts // 3), max(3, settings.contacts // 6))
        self.hidden: dict[str, Answer] = {}  # calendars that are not shared, and what is answered for them
        self._journeys = Journeys(population, settings.contacts, int(self._opened * 1000))
        self.calendars = {crew: Calendar(size) for crew, size in zip(CREWS, sizes, strict=True)}

    def now(self) -> float:
        raise NotImplementedError

    def calendar_environment(self) -> dict[str, str]:
        return {"GCALENDAR_IDS": ",".join(self.calendars)}

    def _ids(self, calendar: Calendar) -> list[str]:
        base = [event_id_of(number) for number in range(calendar.count)]
        return [one for one in (*base, *calendar.order) if one not in calendar.erased]

    def _formula(self, name: str, number: int) -> dict[str, Any]:
        return event_of(self.population, self._journeys, name, number, first=name == CREWS[0])

    def _event(self, name: str, event_id: str) -> dict[str, Any]:
        calendar = self.calendars[name]
        number = event_id.removeprefix("ev")
        event = self._formula(name, int(number)) if number.isdigit() else {}
        event = {**event, **calendar.changes.get(event_id, {})}
        return {name: value for name, value in event.items() if value is not None}

    def events(self, request: Request, name: str) -> Answer:
        calendar = self.calendars.get(name)
        if name in self.hidden:
            return replace(self.hidden[name])
        if calendar is None:
            return error_v3(404, "notFound", "Not Found")
        token, page = request.first("syncToken"), request.first("pageToken").partition("~")[0]
        refused = self._refused_parameters(request, calendar, token)
        if refused is not None:
            return refused
        offset, sequence = (int(part) for part in page.split(":")) if page else (0, self._sequence)
        since = int(token.split(":")[1]) if token else None
        ids = [one for one in self._ids(calendar) if self._is_listed(name, one, since, request)]
        size = min(MOST, int(request.first("maxResults") or USUAL))
        taken = ids[offset : offset + size]
        if self.settings.empty_pages and "~" not in request.first("pageToken"):
            taken, size = [], 0
        body: dict[str, Any] = {
            "kind": "calendar#events",
            "etag": '"p33"',
            "summary": name,
            "updated": moment(self.now()),
            "timeZone": "America/New_York",
            "accessRole": calendar.role,
            "defaultReminders": [],
        }
        if offset + size < len(ids) or not size:
            body["nextPageToken"] = f"{offset + size}:{sequence}" + ("" if size else "~e")
        elif self.settings.token_with_time_min or not (set(request.query) & {"timeMin", "timeMax", "orderBy"}):
            body["nextSyncToken"] = f"{calendar.epoch}:{sequence}"
        body["items"] = [self._stubbed(self._event(name, one)) for one in taken]
        return answer_json(
            200, masked(body, request.first("fields")), list_key="items",
            page_size=int(request.first("maxResults") or USUAL),
        )  # fmt: skip

    def _refused_parameters(self, request: Request, calendar: Calendar, token: str) -> Answer | None:
        if request.first("singleEvents") == "true":
            return error_v3(400, "invalid", "the simulator does not expand series", location="singleEvents")
        if token:
            if set(request.query) & set(NOT_WITH_TOKEN) or request.first("showDeleted") == "false":
                message = "Sync token cannot be used with other query restrictions."
                return error_v3(400, "syncTokenWithRequestRestrictions", message, location="syncToken")
            epoch, colon, sequence = token.partition(":")
            if not colon or int(epoch) != calendar.epoch or int(sequence) > self._sequence:
                message = "Sync token is no longer valid, a full sync is required."
                return error_v3(410, "fullSyncRequired", message, domain="calendar", location="syncToken")
        least = request.first("updatedMin")
        if least and datetime.fromisoformat(least).timestamp() < self.now() - MONTH:
            message = "The requested minimum modification time lies too far in the past."
            return error_v3(410, "updatedMinTooLongAgo", message, domain="calendar", location="updatedMin")
        return None

    def _is_listed(self, name: str, event_id: str, since: int | None, request: Request) -> bool:
        touched = self.calendars[name].touched.get(event_id, 0)
        if since is not None:
            return touched > since
        event = self._event(name, event_id)
        return event["status"] != "cancelled" or "recurringEventId" in event or request.first("showDeleted") == "true"

    def _stubbed(self, event: dict[str, Any]) -> dict[str, Any]:
        if event["status"] != "cancelled" or not self.settings.bare_stubs:
            return event
        kept = ("kind", "etag", "id", "status", "recurringEventId", "originalStartTime")
        return {name: event[name] for name in kept if name in event}

    def event(self, request: Request, name: str, event_id: str) -> Answer:
        """One event; one that was deleted too, with its fields, on its organizer's calendar."""
        calendar = self.calendars.get(name)
        if calendar is None or event_id not in self._ids(calendar):
            return error_v3(404, "notFound", "Not Found")
        return answer_json(200, self._event(name, event_id))

    def _touch_event(self, name: str, event_id: str, fields: dict[str, Any]) -> None:
        self._sequence += 1
        calendar = self.calendars[name]
        calendar.touched[event_id] = self._sequence
        calendar.erased.discard(event_id)
        stamp = {"etag": f'"{self._sequence}{event_id[-3:]}"', "updated": moment(self.now())}
        calendar.changes.setdefault(event_id, {}).update({**stamp, **fields})
        self.event_touched(name)

    def event_touched(self, calendar: str) -> None:
        """Called after each change of an event."""

    @operation
    def create_event(self, calendar: str, **fields: Any) -> str:
        its = self.calendars[calendar]
        event_id = event_id_of(its.count + len(its.order))
        its.order.append(event_id)
        self._touch_event(calendar, event_id, {"created": moment(self.now()), **fields})
        return event_id

    @operation
    def edit_event(self, calendar: str, id: str, **fields: Any) -> None:
        self._touch_event(calendar, id, fields)

    @operation
    def delete_event(self, calendar: str, id: str) -> None:
        self._touch_event(calendar, id, {"status": "cancelled"})

    @operation
    def restore_event(self, calendar: str, id: str) -> None:
        self._touch_event(calendar, id, {"status": "confirmed"})

    @operation
    def cancel_instance(self, calendar: str, id: str, start: str) -> str:
        """One occurrence of a series does not take place; ``start`` is like 2026-05-05T09:00:00Z."""
        instance = f"{id}_{start.replace('-', '').replace(':', '')}"
        its = self.calendars[calendar]
        its.order.append(instance)
        its.changes[instance] = {"kind": "calendar#event", "etag": '"1"', "id": instance}
        self._sequence += 1
        its.touched[instance] = self._sequence
        its.changes[instance] |= {
            "status": "cancelled",
            "recurringEventId": id,
            "originalStartTime": {"dateTime": start},
        }
        return instance

    @operation
    def erase_event(self, calendar: str, id: str) -> None:
        """Show it no more and tell nobody, as after a change of what may be seen."""
        self.calendars[calendar].erased.add(id)

    @operation
    def unshare_calendar(self, calendar: str, status: int = 404) -> None:
        """Nobody shares it with the service account any more, or (403) only whether it is free or busy."""
        refused = error_v3(404, "notFound", "Not Found") if status == 404 else error_v3(403, "forbidden", "Forbidden")
        self.hidden[calendar] = refused

    @operation
    def share_calendar(self, calendar: str) -> None:
        """Sync tokens of before are refused, since who may see what has changed."""
        del self.hidden[calendar]
        self.calendars[calendar].epoch += 1

    @operation
    def invalidate_sync_tokens(self, calendar: str | None = None) -> None:
        for name, its in self.calendars.items():
            if calendar in (None, name):
                its.epoch += 1

    @operation
    def event_ids(self, calendar: str) -> list[str]:
        """Those that are not cancelled, in their order."""
        its = self.calendars[calendar]
        return [one for one in self._ids(its) if self._event(calendar, one)["status"] != "cancelled"]
