"""The appointments of the crews: the formula from a number to an event of a calendar."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from warehouse_pipelines.simulators.core import journey
from warehouse_pipelines.simulators.core.journey import Journeys
from warehouse_pipelines.simulators.core.population import Population
from warehouse_pipelines.simulators.google.answers import moment


def event_id_of(number: int) -> str:
    return f"ev{number:07d}"


def event_of(population: Population, journeys: Journeys, crew: str, number: int, *, first: bool) -> dict[str, Any]:
    """The appointment of a number: of three visits two are the first crew's, and one the second's."""
    person = population.person(2 * (number * 3 // 2 if first else number * 3 + 2))
    visit = datetime.fromtimestamp(journeys.visit(person.number) / 1000, UTC)
    start = visit.replace(minute=0, second=0, microsecond=0) - timedelta(hours=4)
    created = moment(journeys.after(person.number, journey.APPOINTMENT) / 1000)
    event: dict[str, Any] = {
        "kind": "calendar#event",
        "etag": f'"{number}"',
        "id": event_id_of(number),
        "status": "tentative" if number % 11 == 5 else "confirmed",
        "htmlLink": f"https://www.google.com/calendar/event?eid={event_id_of(number)}",
        "created": created,
        "updated": created,
        "summary": f"Inspection at {person.nickname} {person.last_name}'s",
        "description": f"Call {person.phone} first",
        "location": f"{person.street}, {person.place.city}",
        "creator": {"email": crew, "self": True},
        "organizer": {"email": crew, "self": True},
        "start": {"dateTime": f"{start:%Y-%m-%dT%H:%M:%S}-04:00", "timeZone": "America/New_York"},
        "end": {"dateTime": f"{start + timedelta(hours=1):%Y-%m-%dT%H:%M:%S}-04:00"},
        "iCalUID": f"{event_id_of(number)}@google.com",
        "sequence": 0,
        "attendees": [{"email": person.email, "responseStatus": "accepted"}],
        "eventType": "default",
        "reminders": {"useDefault": True},
    }
    if number % 3 == 0:
        event["hangoutLink"] = f"https://meet.google.com/{event_id_of(number)}"
    if number % 10 == 4:
        del event["description"]
        event["start"], event["end"] = (
            {"date": f"{start:%Y-%m-%d}"},
            {"date": f"{start + timedelta(days=1):%Y-%m-%d}"},
        )
    if number % 15 == 7:
        event["recurrence"] = ["RRULE:FREQ=WEEKLY;BYDAY=TU"]
    if number % 15 == 8:
        event["recurringEventId"] = event_id_of(number - 1)
        event["originalStartTime"] = {"dateTime": f"{start - timedelta(days=1):%Y-%m-%dT%H:%M:%S}-04:00"}
    return event
