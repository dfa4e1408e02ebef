"""Make, change and cancel events in Google Calendar: a person's wish becomes a plan of the target ``google_events``.

``create_event`` and its like plan and apply at once, for programs; ``plan_*`` only plan, for a command that shows it.
The plan has who and why, its receipts what was sent; `warehouse outbound verify` and `undo` take its number.
"""

import base64
import hashlib
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from warehouse_pipelines.errors import WrongUse
from warehouse_pipelines.outbound import ledger
from warehouse_pipelines.outbound.google_calendar import EVENTS
from warehouse_pipelines.outbound.ledger import Change, Item, Plan
from warehouse_pipelines.outbound.run import Outbound, connected
from warehouse_pipelines.outbound.values import Value, Values, link_value, same
from warehouse_pipelines.settings import settings
from warehouse_pipelines.sources import gcalendar


@dataclass(frozen=True, kw_only=True)
class Draft:
    """An event as somebody wants it. A time without an offset is one of ``WAREHOUSE_TIME_ZONE``; a date is all day.

    ``end`` is an hour after ``start`` unless it is given, of an all-day event the day after its last.
    """

    summary: str
    start: str
    end: str = ""
    description: str = ""
    location: str = ""
    guests: tuple[str, ...] = ()
    meet: bool = False

    def values(self) -> Values:
        """Return the fields of the target. Raises ``WrongUse`` for what cannot be one."""
        if not self.summary.strip():
            raise WrongUse("an event needs a summary: what is it about?")
        start = moment(self.start)
        end = moment(self.end) if self.end else _after(start)
        if len(start) != len(end) and 10 in (len(start), len(end)):
            raise WrongUse("an event is of whole days or of times: give start and end in the same form.")
        if datetime.fromisoformat(end) <= datetime.fromisoformat(start):
            raise WrongUse(f"the event ends at {end}, which is not after {start}.")
        return {
            "summary": self.summary.strip() or None,
            "description": self.description.strip() or None,
            "location": self.location.strip() or None,
            "start": start,
            "end": end,
            "guests": guests(self.guests),
            "meet": "true" if self.meet else None,
            "status": "confirmed",
        }


def moment(text: str) -> str:
    """Return a date as it is, and a time with its offset from UTC. Raises ``WrongUse`` for anything else."""
    try:
        if len(text) == len("2026-01-31"):
            return date.fromisoformat(text).isoformat()
        found = datetime.fromisoformat(text)
    except ValueError:
        raise WrongUse(f"{text!r} is no time; write 2026-01-31T09:30, or 2026-01-31 for a whole day.") from None
    if found.tzinfo is None:
        found = found.replace(tzinfo=settings().warehouse_time_zone)
    return found.isoformat(timespec="seconds")


def _after(start: str) -> str:
    if len(start) == len("2026-01-31"):
        return (date.fromisoformat(start) + timedelta(days=1)).isoformat()
    return (datetime.fromisoformat(start) + timedelta(hours=1)).isoformat(timespec="seconds")


def guests(addresses: tuple[str, ...]) -> Value:
    """Return the field of these guests. Raises ``WrongUse`` for what is no address."""
    for one in addresses:
        name, at, host = one.strip().partition("@")
        if not (name and at and "." in host) or set(one.strip()) & set(" ;,<>"):
            raise WrongUse(f"{one!r} is no e-mail address.")
    return link_value({one.strip().lower() for one in addresses})


def event_id(calendar: str, key: str = "") -> str:
    """Return an id for a new event: the same for the same ``key``, and one of its own without."""
    if not key:
        return uuid.uuid4().hex
    digest = hashlib.sha256(f"{calendar} {key}".encode()).digest()[:20]
    return base64.b32hexencode(digest).decode().lower().rstrip("=")


def plan_event(
    at_work: Outbound, calendar: str, draft: Draft, *, by: str, why: str | None = None, key: str = ""
) -> Plan:
    """Plan a new event. With a ``key`` whose event is there nothing is to do.

    Raises ``WrongUse`` for a calendar that is not among ``GCALENDAR_IDS``, and for a key whose event was cancelled.
    """
    values = draft.values()
    begun = None if key else _begun(at_work, _known(calendar), values)
    object_id = begun or f"{_known(calendar)} {event_id(calendar, key)}"
    wanted = {"id": object_id, **values}

    def find() -> list[Item]:
        there = at_work.partner.read([object_id]).get(object_id) if key or begun else None
        if there is None:
            fields = {name: Change(None, value) for name, value in wanted.items() if value is not None}
            return [Item(action="create", source_key=object_id, object_id=object_id, fields=fields)]
        if there.values["status"] == "cancelled":
            what = f"of the key {key!r}" if key else object_id
            raise WrongUse(f"the event {what} was cancelled; restore it, or give another key.")
        return []

    return at_work.plan_by_hand(find, by, why)


def _begun(at_work: Outbound, calendar: str, values: Mapping[str, Value]) -> str | None:
    """Return the id that a command took for this very event and did not come to its end with."""
    wanted = {name: value for name, value in values.items() if value is not None}
    for plan in ledger.open_plans(at_work.session, EVENTS.name):
        for item in ledger.items(at_work.session, plan.plan_id, ["planned", "sending"]):
            new = {name: one.new for name, one in item.fields.items() if name != "id"}
            if item.action == "create" and item.source_key.startswith(f"{calendar} ") and new == wanted:
                return item.source_key
    return None


def plan_change(
    at_work: Outbound, calendar: str, event: str, changes: Mapping[str, Value], *, by: str, why: str | None = None,
    series: bool = False,
) -> Plan:  # fmt: skip
    """Plan a change of fields of an event that is there.

    Raises ``WrongUse`` where it is not, or cannot be so, and for a series unless ``series`` says that all of its events
    are meant.
    """
    if not re.fullmatch(r"(?!\.+$)\S+", event):  # dots alone would name the calendar
        raise WrongUse(f"{event!r} is no id of an event.")
    object_id = f"{_known(calendar)} {event}"

    def find() -> list[Item]:
        there = at_work.partner.read([object_id]).get(object_id)
        if there is None:
            raise WrongUse(f"{calendar} has no event {event}.")
        if there.values["status"] == "cancelled" and "status" not in changes:
            raise WrongUse(f"the event {event} was cancelled; restore it first.")
        rule = there.values["recurrence"]
        if rule and not series:
            raise WrongUse(
                f"{event} is a series ({rule}), and all of its events would change. --series does so; change a single "
                "one in Google Calendar."
            )
        kinds = {field.name: field.kind for field in EVENTS.fields}
        fields = {
            name: Change(there.values[name], value)
            for name, value in changes.items()
            if not same(kinds[name], there.values[name], value)
        }
        after = {**there.values, **{name: one.new for name, one in fields.items()}}
        _require_order(after["start"], after["end"])
        if not fields:
            return []
        item = Item(action="update", source_key=object_id, object_id=object_id, fields=fields)
        if rule:
            item.fields = {**fields, "recurrence": Change(rule, rule)}
            item.reason = f"all events of the series {rule}"
        return [item]

    return at_work.plan_by_hand(find, by, why)


def _require_order(start: Value, end: Value) -> None:
    if start and end and ((len(start) == 10) is not (len(end) == 10) or _moment(end) <= _moment(start)):
        raise WrongUse(f"the event would end at {end}, which is not after {start}: give both, in the same form.")


def _moment(value: str) -> datetime:
    return datetime.fromisoformat(value)


def _known(calendar: str) -> str:
    known = gcalendar.Settings().calendars
    if calendar not in known:
        raise WrongUse(f"{calendar} is not among GCALENDAR_IDS, so nobody would see the event here: {', '.join(known)}")
    return calendar


def create_event(url: str, calendar: str, draft: Draft, *, by: str, why: str | None = None, key: str = "") -> Plan:
    """Make an event, and its row in ``pipedesk.calendar_events``; a second call with the same ``key`` makes no other.

    Raises as ``plan_event`` and ``applying.run`` do.
    """
    return _applied(url, by, lambda at_work: plan_event(at_work, calendar, draft, by=by, why=why, key=key))


def update_event(
    url: str, calendar: str, event: str, changes: Mapping[str, Value], *, by: str, why: str | None = None,
    series: bool = False,
) -> Plan:  # fmt: skip
    """Change an event. What somebody changed meanwhile is ``moved`` or ``refused`` in the plan, and left."""
    return _applied(
        url, by, lambda at_work: plan_change(at_work, calendar, event, changes, by=by, why=why, series=series)
    )


def cancel_event(url: str, calendar: str, event: str, *, by: str, why: str | None = None, series: bool = False) -> Plan:
    """Cancel an event; see ``update_event``. Changing its status to ``confirmed`` restores it."""
    return update_event(url, calendar, event, {"status": "cancelled"}, by=by, why=why, series=series)


def _applied(url: str, by: str, plan: Callable[[Outbound], Plan]) -> Plan:
    with connected(url, EVENTS) as at_work:
        made = plan(at_work)
        return at_work.apply(made, by, force=True) if made.changes else made
