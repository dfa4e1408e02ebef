"""Google Calendar: the events of the calendars that are shared with the service account.

The first run lists every calendar to its end and keeps the sync token of its last page; a later run asks each for what
changed since. The tokens are this entity's ``state``, saved with the data in one transaction. A calendar without a
token is listed in full, and rows that are no longer listed are cancelled and tombstoned. All calendars are listed in
full when a token is refused (410), or the setting no longer names a calendar of the last run. ``--full`` does the
same.

**A calendar that is not shared** (404, or 403) costs only itself: the others are loaded and tombstoned, the run is
partial and names it, and its rows and its token stay. If no calendar can be read the run fails.

Calendars are read side by side, the pages of each one after another: each names the next.

The list is asked for without time bounds and without an order, because a token may not come with them (unconfirmed),
and with the same parameters every time, as the protocol wants. A page may be empty while there is a next one; a last
page without a token is an error, since nothing proves that it was the last.

**Series are not expanded**: a row for a series with its ``recurrence``, one for each occurrence that was moved,
changed or cancelled (``recurring_event_id``, ``original_start_time``). An open series has no end to expand to.

**Deleted** is ``status = 'cancelled'``; the row stays, ``archived``. Such an event may come with nothing but its id
and status, so it is merged into the stored record.

The key is calendar and event: an event's id is unique in its calendar only. The record does not name its calendar, so
``calendarId`` is added before it. An all-day event has ``start_date`` and ``end_date`` (the day after its last); its
``start_time`` is midnight UTC, for sorting. Left out: attachments' contents, reminders.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from warehouse_pipelines.errors import (
    AnswerChanged,
    CredentialRefused,
    CursorStuck,
    NotConfigured,
    PermissionMissing,
    RequestRefused,
)
from warehouse_pipelines.model.deletes import Deletes
from warehouse_pipelines.model.entity import Entity, columns
from warehouse_pipelines.model.reading import Json, Page, Pages, ReadContext, ReadReport, ReadRequest
from warehouse_pipelines.model.rules import one_of
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.sources._google import WritingSettings, client, writer
from warehouse_pipelines.sources._google_requests import ask, calls
from warehouse_pipelines.sources._http import Client
from warehouse_pipelines.sources._in_flight import side_by_side

API = ("calendar", "v3")
SCOPES = ("calendar.readonly",)
WRITE_SCOPES = ("calendar.events",)
MOST = 2_500


class Settings(WritingSettings):
    """``GCALENDAR_IDS``: the calendars' addresses, with commas between them.

    ``GCALENDAR_SEND_UPDATES``: whom Google mails about events that are written from here.
    """

    gcalendar_ids: str
    gcalendar_send_updates: Literal["none", "externalOnly", "all"] = "none"

    @property
    def calendars(self) -> list[str]:
        """The calendars, each once."""
        return list(dict.fromkeys(filter(None, map(str.strip, self.gcalendar_ids.split(",")))))


class Events(msgspec.Struct):
    items: list[msgspec.Raw]
    following: str | None = msgspec.field(name="nextPageToken", default=None)
    sync_token: str | None = msgspec.field(name="nextSyncToken", default=None)


class _Access(msgspec.Struct):
    role: str = msgspec.field(name="accessRole", default="")


class Glance(msgspec.Struct):
    """What decides how a record is read."""

    id: str | None = None
    status: str | None = None


Listed = tuple[str, Sequence[msgspec.Raw], Sequence[Glance]]
"""A page of a calendar, and what decides how its records are read."""

_glance = msgspec.json.Decoder(Glance).decode


def fetch(request: ReadRequest, context: ReadContext) -> Pages:
    """Yield what changed in the calendars since the last good run, or everything.

    Raises ``NotConfigured`` without a calendar, and what the vendor refused with when none of them can be read.
    """
    calendars = Settings().calendars
    if not calendars:
        raise NotConfigured("GCALENDAR_IDS names no calendar")
    api = client(context, "Google Calendar", SCOPES)
    readers = [GCalendarReader(request, api, calendar) for calendar in calendars]
    changes_only = bool(request.state) and request.state.keys() <= set(calendars)
    if changes_only:
        try:
            yield from _pages(request, context, readers, request.state)
        except RequestRefused as error:
            if error.status != 410:
                raise
            changes_only = False
            context.note(sync_token_refused=next(one.calendar for one in readers if one.refusal is error))
            readers = [GCalendarReader(request, api, calendar) for calendar in calendars]
    if not changes_only:
        yield from _pages(request, context, readers, {})
    unproven = None
    refused = [reader for reader in readers if reader.refusal]
    if refused:
        if len(refused) == len(readers) and refused[0].refusal:
            raise refused[0].refusal
        names = ", ".join(reader.calendar for reader in refused)
        unproven = (
            f"Google Calendar: {len(refused)} of {len(readers)} calendars cannot be read: {names}. Their rows were "
            "left as they are; the others are loaded. Share them with the service account, or take them out of "
            "GCALENDAR_IDS."
        )
        changes_only = True
    by_calendar = {reader.calendar: reader for reader in readers}
    return ReadReport(
        changes_only=changes_only,
        deleted_keys=_deleted_keys(request.entity, context, by_calendar) if changes_only else (),
        unproven=unproven,
        next_state={reader.calendar: reader.token for reader in readers if reader.token},
    )


def _pages(
    request: ReadRequest, context: ReadContext, readers: Sequence["GCalendarReader"], tokens: Mapping[str, str]
) -> Iterator[Page]:
    """Yield the events of the calendars, side by side: what changed since their tokens, or all."""
    walks = (reader.pages(tokens.get(reader.calendar, "")) for reader in readers)
    for calendar, items, glances in side_by_side(context, walks, 1 if request.limit else None):
        yield Page(received(context, calendar, items, glances))


def _deleted_keys(entity: Entity, context: ReadContext, readers: Mapping[str, "GCalendarReader"]) -> list[str]:
    """Return the keys of stored events that their calendar was listed without, and those of no calendar of ours."""
    if all(reader.listed is None for reader in readers.values()):
        return []
    unsure = [reader.calendar for reader in readers.values() if reader.unreadable]
    if unsure:
        context.note(deletions_unknown=unsure)
    keys = []
    for (calendar, event), _ in context.known.hashes(entity):
        reader = readers.get(calendar)
        if reader is None or (reader.listed is not None and event not in reader.listed):
            keys.append(f"{calendar} {event}")
    return keys


class GCalendarReader:
    """One calendar; ``token`` is what its last page left, now or when it was last read; ``refusal`` why it cannot be.

    ``listed`` has the ids of its events when all of them were read; not if one of them was ``unreadable``.
    """

    def __init__(self, request: ReadRequest, api: Client, calendar: str) -> None:
        self.request, self.api, self.calendar = request, api, calendar
        self.token = request.state.get(calendar, "")
        self.refusal: RequestRefused | PermissionMissing | None = None
        self.listed: set[str] | None = None
        self.unreadable = False

    def pages(self, since: str = "") -> Iterator[Listed]:
        """Yield the events, those that changed since a sync token or all; none of a calendar that is not shared."""
        try:
            yield from self._pages(since)
        except RequestRefused as error:
            self.refusal = error
            if error.status != 404:
                raise
        except PermissionMissing as error:
            self.refusal = error

    def _pages(self, since: str) -> Iterator[Listed]:
        params = {"calendarId": self.calendar, "maxResults": min(self.request.page_size, MOST), "singleEvents": False}
        if since:
            params["syncToken"] = since
        asked: set[str] = set()
        turned: set[tuple[str | None, ...]] = set()
        listed: set[str | None] = set()
        events = calls(*API, "events")
        while True:
            answer = ask(self.api, events.list(**params), Events)
            glances = [_seen(item) for item in answer.items]
            keys = tuple(glance.id for glance in glances)
            if keys and keys in turned:
                raise CursorStuck(f"Google Calendar: {self.calendar} answered the same page twice; it would never end.")
            turned.add(keys)
            listed.update(keys)
            yield self.calendar, answer.items, glances
            if answer.following is None:
                break
            if answer.following in asked:
                raise CursorStuck(f"Google Calendar: {self.calendar} repeats a page token; it would never end.")
            asked.add(answer.following)
            params["pageToken"] = answer.following
        if not answer.sync_token:
            raise AnswerChanged(
                f"Google Calendar: the last page of {self.calendar} has no sync token, so nothing tells that it "
                "was the last; nothing was loaded."
            )
        self.token = answer.sync_token
        self.unreadable = not since and None in listed
        if not since and not self.unreadable:
            self.listed = {key for key in listed if key is not None}


def received(
    context: ReadContext, calendar: str, items: Sequence[msgspec.Raw], glances: Sequence[Glance] = ()
) -> list[Json]:
    """Return the records of a calendar's events as they are loaded; a cancelled one over what is stored of it."""
    glances = glances or [_seen(item) for item in items]
    cancelled = [f"{calendar} {glance.id}" for glance in glances if glance.status == "cancelled"]
    key = "calendar_id google_event_id"
    stored = context.known.records("pipedesk.calendar_events", cancelled, key) if cancelled else {}
    records = []
    for item, glance in zip(items, glances, strict=True):
        known = stored.get(f"{calendar} {glance.id}") if glance.status == "cancelled" else None
        records.append(_within(calendar, bytes(item)) if known is None else _over(known, item))
    return records


def _seen(item: msgspec.Raw) -> Glance:
    try:
        return _glance(item)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Glance()


def _within(calendar: str, record: bytes) -> Json:
    """Return a record that names its calendar; one that is no object is the loader's to set aside."""
    if record[:1] != b"{":
        return record
    rest = record[1:].lstrip()
    return b'{"calendarId":' + msgspec.json.encode(calendar) + (b"" if rest[:1] == b"}" else b",") + rest


def _over(known: Json, received: msgspec.Raw) -> Json:
    """Return what was received, and what is known beside it."""
    return msgspec.json.encode({**msgspec.json.decode(known, type=dict), **msgspec.json.decode(received, type=dict)})


EVENTS = Entity(
    name="events",
    table="pipedesk.calendar_events",
    about="Events of the shared calendars; a series is one row, a changed occurrence of it another.",
    path="events",
    key="calendar_id google_event_id",
    state_based=True,
    edited="updated_at",
    deletes=Deletes(flag="status=cancelled", deleted_values={"status": "cancelled"}),
    index="google_event_id status start_time end_time recurring_event_id",
    rules=(one_of("status", "confirmed", "tentative", "cancelled"),),
    columns=columns(
        id="calendar_id=calendarId google_event_id=id recurring_event_id=recurringEventId ical_uid=iCalUID",
        text="""
            summary description status location visibility transparency event_type=eventType color_id=colorId
            time_zone=start.timeZone
        """,
        email="organizer_email=organizer.email creator_email=creator.email",
        url="meet_link=hangoutLink|conferenceData.entryPoints.0.uri html_link=htmlLink",
        integer="sequence",
        date="start_date=start.date end_date=end.date",
        timestamptz="""
            start_time=start.dateTime|start.date|originalStartTime.dateTime|originalStartTime.date
            end_time=end.dateTime|end.date
            original_start_time=originalStartTime.dateTime|originalStartTime.date
            created_at=created updated_at=updated
        """,
        jsonb="attendees recurrence",
    ),
)


def check() -> str:
    """Ask every calendar for one event, and what may be written.

    Raises ``PermissionMissing`` that names the calendars that cannot be read. Not being allowed to write is no error.
    """
    api = client(ReadContext(), "Google Calendar", SCOPES)
    calendars = Settings().calendars
    refused = []
    for calendar in calendars:
        try:
            ask(api, calls(*API, "events").list(calendarId=calendar, maxResults=1), Events)
        except (RequestRefused, PermissionMissing) as error:
            refused.append(f"{calendar} ({error})")
    if refused:
        raise PermissionMissing(
            f"Google Calendar: {len(refused)} of {len(calendars)} calendars cannot be read. Share them with the "
            f"service account, or take them out of GCALENDAR_IDS: {'; '.join(refused)}"
        )
    return (
        f"Google Calendar answers: {len(calendars)} calendar(s) are shared with the service account; "
        f"granted: {', '.join(SCOPES)}; {_writable(calendars)}"
    )


def _writable(calendars: Sequence[str]) -> str:
    """Return which calendars may be written, with the scope for writing."""
    scope = ", ".join(WRITE_SCOPES)
    api = writer(ReadContext(), "Google Calendar", WRITE_SCOPES)
    writable = []
    try:
        for calendar in calendars:
            with contextlib.suppress(RequestRefused):
                answer = ask(api, calls(*API, "events").list(calendarId=calendar, maxResults=1), _Access)
                writable += [calendar] if answer.role in ("writer", "owner") else []
    except (CredentialRefused, PermissionMissing) as error:
        return f"not granted, for writing: {scope} ({error})"
    acting = " for the user of GOOGLE_WRITE_AS" if Settings().google_write_as else ""
    return f"for writing: {scope}{acting}, which may write {len(writable)} of them"


GCALENDAR = Source(
    name="gcalendar",
    title="Google Calendar",
    transport="api",
    settings=Settings,
    fetch=fetch,
    check=check,
    page_size=MOST,
    entities=(EVENTS,),
)
