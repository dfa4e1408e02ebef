"""What the simulated Calendar lets a program write: events with an id of the program's own, guarded by ETags.

An id that was used once is taken for ever, that of a deleted event too. A service account that acts for nobody may
neither invite guests nor make a video conference.
"""

from __future__ import annotations

import re
from typing import Any

from warehouse_pipelines.simulators.core.simulator import operation
from warehouse_pipelines.simulators.core.wire import Answer, Request, answer_json
from warehouse_pipelines.simulators.google.answers import error_v3, moment
from warehouse_pipelines.simulators.google.calendar import Calendar, CalendarApi

ID = re.compile(r"[a-v0-9]{5,1024}")
WRITABLE = frozenset({
    "attendees", "colorId", "conferenceData", "description", "end", "extendedProperties", "location", "recurrence",
    "reminders", "start", "status", "summary", "transparency", "visibility",
})  # fmt: skip


class CalendarWriteApi(CalendarApi):
    def acts_for(self, request: Request) -> str:
        """Whom the service account acts for; nobody is an empty text."""
        raise NotImplementedError

    def insert_event(self, request: Request, name: str) -> Answer:
        body = request.json()
        if refused := self._refused_write(request, name, body):
            return refused
        its = self.calendars[name]
        event_id = body.get("id")
        if event_id is not None and not ID.fullmatch(str(event_id)):
            return error_v3(400, "invalid", "Invalid resource id value.")
        if event_id in self._known_ids(its):
            return error_v3(409, "duplicate", "The requested identifier already exists.")
        if not {"start", "end"} <= body.keys():
            return error_v3(400, "required", "Missing end time." if "start" in body else "Missing start time.")
        event_id = event_id or f"g{self._sequence:06d}"
        made = moment(self.now())
        owner = {"email": name, "self": True}
        its.order.append(event_id)
        its.changes[event_id] = {
            "kind": "calendar#event", "id": event_id, "status": "confirmed", "created": made,
            "htmlLink": f"https://www.google.com/calendar/event?eid={event_id}", "creator": owner, "organizer": owner,
            "iCalUID": f"{event_id}@google.com", "sequence": 0, "eventType": "default",
            "reminders": {"useDefault": True},
        }  # fmt: skip
        return self._written(request, name, event_id, body)

    def patch_event(self, request: Request, name: str, event_id: str) -> Answer:
        body = request.json()
        if refused := self._refused_write(request, name, body):
            return refused
        its = self.calendars[name]
        if event_id not in self._known_ids(its):
            return error_v3(404, "notFound", "Not Found")
        if refused := self._refused_condition(request, name, event_id):
            return refused
        return self._written(request, name, event_id, body)

    def remove_event(self, request: Request, name: str, event_id: str) -> Answer:
        if refused := self._refused_write(request, name, {}):
            return refused
        its = self.calendars[name]
        if event_id not in self._known_ids(its):
            return error_v3(404, "notFound", "Not Found")
        if self._event(name, event_id)["status"] == "cancelled":
            return error_v3(410, "deleted", "Resource has been deleted")
        if refused := self._refused_condition(request, name, event_id):
            return refused
        self._touch_event(name, event_id, {"status": "cancelled"})
        return Answer(204)

    def _known_ids(self, its: Calendar) -> set[str]:
        return {*self._ids(its), *its.order}

    def _refused_write(self, request: Request, name: str, body: dict[str, Any]) -> Answer | None:
        its = self.calendars.get(name)
        if its is None or name in self.hidden:
            return error_v3(404, "notFound", "Not Found")
        if its.role not in ("writer", "owner"):
            message = "You need to have writer access to this calendar."
            return error_v3(403, "requiredAccessLevel", message, domain="calendar")
        if not self.acts_for(request) and self.settings.delegation:
            if body.get("attendees"):
                message = "Service accounts cannot invite attendees without Domain-Wide Delegation of Authority."
                return error_v3(403, "forbiddenForServiceAccounts", message, domain="calendar")
            if body.get("conferenceData"):
                return error_v3(400, "invalid", "Invalid conference type value.")
        return None

    def _refused_condition(self, request: Request, name: str, event_id: str) -> Answer | None:
        asked = request.headers.get("if-match")
        if asked in (None, "*", self._event(name, event_id).get("etag")):
            return None
        return error_v3(412, "conditionNotMet", "Precondition Failed", location="If-Match", location_type="header")

    def _written(self, request: Request, name: str, event_id: str, body: dict[str, Any]) -> Answer:
        fields = {one: value for one, value in body.items() if one in WRITABLE}
        conference = fields.pop("conferenceData", {})
        event = self.calendars[name].changes.setdefault(event_id, {})
        if request.first("conferenceDataVersion") == "1" and "conferenceData" in body:
            self._confer(event, event_id, conference)
        before = self._event(name, event_id)
        for name_ in ("start", "end"):
            if moment_ := fields.get(name_):
                fields[name_] = {one: value for one, value in moment_.items() if value is not None}
        if attendees := fields.get("attendees"):
            known = {one["email"]: one for one in before.get("attendees", ())}
            fields["attendees"] = [
                {"responseStatus": "needsAction", **known.get(one["email"], {}), **one} for one in attendees
            ]
        if "sequence" in before and {"start", "end", "status"} & fields.keys() and "id" not in body:
            fields["sequence"] = before["sequence"] + 1
        self._touch_event(name, event_id, fields)
        for removed in [one for one, value in fields.items() if value is None]:
            event[removed] = None
        return answer_json(200, self._event(name, event_id))

    def _confer(self, event: dict[str, Any], event_id: str, asked: dict[str, Any] | None) -> None:
        """Make a video conference, once for each request's id; None takes it away."""
        if not asked:
            event["hangoutLink"] = event["conferenceData"] = None
            return
        create = asked.get("createRequest", {})
        made = (event.get("conferenceData") or {}).get("createRequest", {}).get("requestId")
        if not create or made == create.get("requestId"):
            return
        link = f"https://meet.google.com/{event_id[:3]}-{event_id[3:7]}-{event_id[-3:]}"
        state = {"statusCode": "pending" if self.settings.slow_conferences else "success"}
        event["conferenceData"] = {"createRequest": {**create, "status": state}}
        if not self.settings.slow_conferences:
            event["hangoutLink"] = link
            event["conferenceData"]["entryPoints"] = [{"entryPointType": "video", "uri": link}]

    @operation
    def set_role(self, calendar: str, role: str) -> None:
        """What the service account may do in a calendar: reader, writer, owner."""
        self.calendars[calendar].role = role

    @operation
    def described_event(self, calendar: str, id: str) -> dict[str, Any]:
        """An event with all of its fields, one that was deleted too."""
        return self._event(calendar, id)
