"""Google Calendar as a partner: events, each found by calendar and id.

    with connected(url, EVENTS) as at_work:
        plan = google_events.plan_event(at_work, ...)

- **The id is ours** (base32hex), so an event that is sent twice is one event: the second is answered 409.
- **An update is guarded by the ETag** of the look that went before it. 412 says that somebody changed the event
  meanwhile; it is refused then, and nothing is overwritten.
- **A cancelled event** stays, with its fields, and can be confirmed again.
- **A series** is one event here. A write to it names its rule (``recurrence``, never changed), so an event that became
  a series, or another one, since it was planned is left alone.
- Guests are addresses with ``;`` between them. What a guest has answered stays when others are added.
- The row of ``pipedesk.calendar_events`` is written from what is read back.

Left out: single events of a series, rooms, attachments, reminders. Unconfirmed: that Google makes the video conference
of an update.
"""

import functools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from warehouse_pipelines.errors import RequestRefused, WarehouseError
from warehouse_pipelines.model.reading import ReadContext
from warehouse_pipelines.outbound.partner import Action, ById, Partner, Record, Reply, Write
from warehouse_pipelines.outbound.target import BOOKKEEPING, Field, Target, Written
from warehouse_pipelines.outbound.values import Value, Values, link_value, linked
from warehouse_pipelines.sources import gcalendar
from warehouse_pipelines.sources._google import writer
from warehouse_pipelines.sources._google_requests import ask, calls, ignored

MOVED = "somebody changed the event between our look and our write (412), and it was left as it is; plan again."


BECAME_SERIES = "the event became a series since it was planned, and was left as it is; plan again."


class _Moment(msgspec.Struct, rename="camel"):
    date: str | None = None
    date_time: str | None = None


class _Event(msgspec.Struct, rename="camel"):
    id: str
    etag: str = ""
    status: str = "confirmed"
    updated: str | None = None
    summary: str | None = None
    description: str | None = None
    location: str | None = None
    start: _Moment = msgspec.field(default_factory=_Moment)
    end: _Moment = msgspec.field(default_factory=_Moment)
    attendees: list[dict[str, Any]] = []
    recurrence: list[str] = []
    hangout_link: str | None = None
    conference_data: dict[str, Any] | None = None
    extended_properties: dict[str, Any] = {}


class _Id(msgspec.Struct):
    id: str


class CalendarPartner(ById):
    """The events of all calendars that the service account, or the user it acts for, may write."""

    most = 1

    def __init__(self, target: Target, context: ReadContext) -> None:
        self.client = writer(context, "Google Calendar", gcalendar.WRITE_SCOPES)
        self._seen: dict[str, _Event] = {}
        self.answers: dict[str, msgspec.Raw] = {}  # as they were last read

    @property
    def _events(self) -> Any:
        return calls(*gcalendar.API, "events")

    def read(self, ids: Sequence[str]) -> dict[str, Record]:
        """Return the events of these ids, cancelled ones too."""
        found = {}
        for one in ids:
            calendar, event = one.split(" ")
            try:
                answer = ask(self.client, self._events.get(calendarId=calendar, eventId=event), msgspec.Raw)
            except RequestRefused as refused:
                if refused.status == 404:
                    continue
                if refused.status != 410:
                    raise
                answer = msgspec.Raw(msgspec.json.encode({"id": event, "status": "cancelled"}))
            self.answers[one] = answer
            seen = self._seen[one] = msgspec.json.decode(answer, type=_Event)
            operation = seen.extended_properties.get("private", {}).get(BOOKKEEPING)
            found[one] = Record(one, _values(one, seen), seen.updated, operation)
        return found

    def read_by_key(self, keys: Sequence[str]) -> dict[str, Record]:
        """Return the events of these ids; the key is the id."""
        return self.read(keys)

    def write(self, action: Action, writes: Sequence[Write]) -> Reply:
        """Make or change an event, once. Raises as ``Partner.write``; ``RequestRefused`` where somebody was faster."""
        (write,) = writes
        calendar, event = (write.object_id or write.values["id"] or "").split(" ")
        body = self._body(write)
        how = {
            "calendarId": calendar, "body": body, "sendUpdates": gcalendar.Settings().gcalendar_send_updates,
            "conferenceDataVersion": 1,
        }  # fmt: skip
        if action == "create":
            body |= {"id": event, "extendedProperties": {"private": {BOOKKEEPING: write.operation}}}
            with ignored(409):  # what is read back says whose it is
                ask(self.client, self._events.insert(**how), _Id, repeat=False)
            return Reply()
        seen = self._seen.get(f"{calendar} {event}")
        if seen and seen.recurrence and "recurrence" not in write.values:
            raise RequestRefused(BECAME_SERIES)
        try:
            patch = self._events.patch(eventId=event, **how)
            ask(self.client, patch, _Id, if_match=seen.etag if seen else "", repeat=False)
        except RequestRefused as refused:
            if refused.status != 412:
                raise
            moved = RequestRefused(MOVED)
            moved.status = 412
            raise moved from refused
        return Reply()

    def _body(self, write: Write) -> dict[str, Any]:
        body: dict[str, Any] = {}
        for name, value in write.values.items():
            match name:
                case "id" | "recurrence":
                    continue
                case "start" | "end":
                    body[name] = _moment(value, new=write.object_id not in self._seen)
                case "guests":
                    body["attendees"] = self._attendees(write.object_id, linked(value))
                case "meet":
                    create = {"requestId": write.operation, "conferenceSolutionKey": {"type": "hangoutsMeet"}}
                    body["conferenceData"] = {"createRequest": create} if value else None
                case _:
                    body[name] = value
        return body

    def _attendees(self, object_id: str | None, guests: set[str]) -> list[dict[str, Any]]:
        """Return the guests as they are there, the new ones, and the organizer and rooms, which are no guests."""
        seen = self._seen.get(object_id or "")
        known = {_address(one): one for one in seen.attendees if _is_guest(one)} if seen else {}
        others = [one for one in seen.attendees if not _is_guest(one)] if seen else []
        return [*others, *(known.get(one, {"email": one}) for one in sorted(guests))]

    def filled_by_others(self, ids: Sequence[str]) -> dict[str, list[str]]:
        """Return what a person made of events that is not among their fields: a series, and what is attached."""
        found = {}
        for one in ids:
            event = msgspec.json.decode(self.answers[one], type=dict[str, Any]) if one in self.answers else {}
            if names := [name for name in ("recurrence", "attachments") if event.get(name)]:
                found[one] = names
        return found


def _address(attendee: Mapping[str, Any]) -> str:
    return str(attendee.get("email", "")).lower()


def _is_guest(attendee: Mapping[str, Any]) -> bool:
    return not (attendee.get("organizer") or attendee.get("resource"))


def _values(object_id: str, event: _Event) -> Values:
    guests = {_address(one) for one in event.attendees if _is_guest(one)}
    return {
        "id": object_id,
        "summary": event.summary,
        "description": event.description,
        "location": event.location,
        "start": event.start.date_time or event.start.date,
        "end": event.end.date_time or event.end.date,
        "guests": link_value(guests),
        "meet": "true" if event.hangout_link or event.conference_data else None,
        "recurrence": " ".join(event.recurrence) or None,
        "status": event.status,
    }


def _moment(value: Value, *, new: bool) -> dict[str, str | None]:
    """Return a time as Google takes it; null clears the other form of an event that becomes one of whole days."""
    name, other = ("dateTime", "date") if len(value or "") > len("2026-01-31") else ("date", "dateTime")
    return {name: value} if new else {name: value, other: None}


def keep(written: Written, partner: Partner) -> str | None:
    """Load the events as they were read back into ``pipedesk.calendar_events``."""
    from warehouse_pipelines.loading.keyed import load_answers  # with dlt, which a list of targets needs not

    assert isinstance(partner, CalendarPartner)  # noqa: S101  (the partner of this target)
    by_calendar: dict[str, list[str]] = defaultdict(list)
    for item in written.items:
        if item.object_id in partner.answers:
            by_calendar[item.object_id.split(" ")[0]].append(item.object_id)
    problems = []
    for calendar, ids in by_calendar.items():
        answers = [partner.answers[one] for one in ids]
        try:
            received = functools.partial(gcalendar.received, calendar=calendar, items=answers)
            result = load_answers(gcalendar.GCALENDAR, gcalendar.EVENTS, ids, received, url=written.url)
            problems += ["it is in the dead letters"] if result.failed else []
        except WarehouseError as error:
            problems.append(str(error))
    return "; ".join(dict.fromkeys(problems)) or None


EVENTS = Target(
    name="google_events",
    about="Events in Google Calendar, as somebody asks for them: `warehouse google event`.",
    crm="gcalendar",
    object="events",
    source="",
    reads=(),
    partner=CalendarPartner,
    key="id",
    lists_all=True,
    retired=("status", "cancelled"),
    keep=keep,
    fields=(
        Field(name="id", about="Calendar and event."),
        Field(name="summary"),
        Field(name="description"),
        Field(name="location"),
        Field(name="start", kind="time"),
        Field(name="end", kind="time"),
        Field(name="guests"),
        Field(name="meet", kind="bool"),
        Field(name="recurrence", about="The rule of a series, which is never written."),
        Field(name="status"),
    ),
)  # fmt: skip
