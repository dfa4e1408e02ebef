"""How each person comes from the first touch to the paid job, and the ids by which vendors know them.

Every vendor's records take their times and each other's ids from here, as real integrations do. Person ``i`` turns up
at ``first(i)``, which grows with ``i``; what follows, follows in this order:

    knock, click or form    SalesRabbit, LeadConduit, a form of CallRail, the marketing sheet
    call                    CallRail
    contact, lead           HubSpot, then Genius, Five9 and MarketSharp
    appointment             of every second person: HubSpot, Genius, MarketSharp
    visit                   when the appointment takes place; SalesPro's estimate, the calendar, Arrivy
    sale                    of every fourth: Genius' job, MarketSharp's job, HubSpot's deal that was won
    payment                 of jobs that are old enough

Who turned up lately has not come as far: visits lie ahead, and nobody has paid.
"""

from __future__ import annotations

from typing import Final

from warehouse_pipelines.simulators.core.population import Person, Population

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
HISTORY_MS: Final = 700 * DAY_MS
_QUIET_MS: Final = 3 * HOUR_MS
"""How long ago the last person turned up."""
_PATIENCE_MS: Final = 10 * DAY_MS
_GOLDEN, _MASK = 0x9E3779B97F4A7C15, 0xFFFFFFFFFFFFFFFF

FORM, CALL, CONTACT = 2 * MINUTE_MS, 10 * MINUTE_MS, 30 * MINUTE_MS
# Genius and MarketSharp keep a wall clock, which may be an hour off in the other half of the year.
LEAD, DIALER, OFFICE = 2 * HOUR_MS, 3 * HOUR_MS, 4 * HOUR_MS
APPOINTMENT, VISIT, SALE = DAY_MS, 6 * DAY_MS, 8 * DAY_MS
INSTALLED, PAID = 45 * DAY_MS, 60 * DAY_MS
"""How long after the first touch each stage comes, at most."""

OHIO: Final = -5 * HOUR_MS
"""The offset of local time from UTC in winter."""
OPENS: Final = 9 * HOUR_MS + 30 * MINUTE_MS - OHIO
"""When the first visit of a day begins, in UTC."""

HUBSPOT_CONTACT: Final = 9_999_501
"""The id that HubSpot gave to its first contact; the n-th after it has the n-th id after it.

It stands just before a power of ten, as ids of other objects there do.
"""
HUBSPOT_APPOINTMENT: Final = 9_999_999_801
SALESRABBIT_LEAD: Final = 9_100_000
GENIUS_USERS: Final = 40


class Journeys:
    """The times of one vendor's people; ``people`` of them turned up, evenly, in the time until ``now`` (ms)."""

    def __init__(self, population: Population, people: int, now: int) -> None:
        self._seed, self._people = population.seed, max(1, people)
        self.now = now
        self._latest = now - HOUR_MS
        self._start = now - HISTORY_MS
        self._span = HISTORY_MS - _QUIET_MS

    def first(self, person: int) -> int:
        """When a person turned up: grows with the number, a chance place within the person's slot.

        One in fifty is on a whole second, which some vendors write without a fraction.
        """
        person = min(person, self._people)
        chance = ((person + self._seed) * _GOLDEN & _MASK) >> 40  # 24 bits
        low = self._start + self._span * person // self._people
        time = low + (self._span // self._people * chance >> 24) if person < self._people else low
        whole = time - time % 1000
        return whole if chance & 0xFF < 5 and whole >= low else time

    def after(self, person: int, lag: int) -> int:
        """A stage ``lag`` after the first touch: grows with both, and is in the past.

        Of those who turned up lately, stages come faster, or they could not be in the past.
        """
        first = self.first(person)
        left = self._latest - first
        return first + min(lag, left * lag // (lag + _PATIENCE_MS))

    def visit(self, person: int) -> int:
        """When the appointment takes place, by day as far as it can; for one without a sale it may lie ahead."""
        at = self.after(person, VISIT) if sold(person) else self.first(person) + VISIT + person % 7 * 2 * DAY_MS
        by_day = at - at % DAY_MS + OPENS + person // 2 % 9 * HOUR_MS
        late = sold(person) and by_day + HOUR_MS >= self.after(person, SALE)
        return at if late or by_day <= self.after(person, APPOINTMENT) else by_day


def visited(person: int) -> bool:
    """Whether an appointment was made."""
    return person % 2 == 0


def sold(person: int) -> bool:
    """Whether the visit ended in a sale."""
    return person % 4 == 0


def buyer(number: int) -> int:
    """The person of the n-th deal, booking: of each twelve people the three who bought, and one who did not."""
    return 12 * (number // 4) + (0, 4, 6, 8)[number % 4]


def original(person: int) -> int:
    """Whom HubSpot's contact of this number really is: one in twenty is the person before it, a second time."""
    return person - 1 if is_double(person) else person


def is_double(person: int) -> bool:
    """Whether HubSpot's contact of this number is somebody who is there already; itself, the person is not there."""
    return person % 20 == 17


def hubspot_contact(person: int) -> str | None:
    return None if is_double(person) else str(HUBSPOT_CONTACT + person)


def hubspot_appointment(person: int) -> str | None:
    return str(HUBSPOT_APPOINTMENT + person // 2) if visited(person) else None


def salesrabbit_lead(person: int) -> int:
    """The lead of a person; every eleventh is of a stranger."""
    return SALESRABBIT_LEAD + person + person // 10


def reference(person: int) -> str | None:
    """By what LeadConduit passes a lead on; every second person came by it."""
    return f"A-{person // 2}" if person % 2 == 0 else None


def genius_prospect(person: int) -> int | None:
    """Genius' prospect of lead ``person``: of each six, those who are visited and the first; numbers begin with 1."""
    block, place = divmod(person - 1, 6)
    found = {0: 1, 1: 2, 3: 3, 5: 4}.get(place)
    return None if found is None or person < 1 else 4 * block + found


def of_genius_prospect(number: int) -> int:
    """The person of a prospect."""
    block, place = divmod(number - 1, 4)
    return 6 * block + (1, 2, 4, 6)[place]


def genius_user(person: int) -> int:
    """The user of Genius who looks after a person."""
    return 1 + person % GENIUS_USERS


def work_email(person: Person, number: int) -> str:
    """The address of employee ``number``, the same in every system of the business."""
    surname = person.last_name.lower().replace("'", "").replace("ü", "ue")
    return f"{surname}.{number}@crew.example.com"


def salespro_id(kind: str, seed: int, number: int) -> str:
    """The id of the n-th customer (``cus``), estimate (``est``) or credit application (``cra``)."""
    return f"{kind}{((number + 1) * _GOLDEN + seed) & _MASK:016x}"
