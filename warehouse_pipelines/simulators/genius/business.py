"""Who and how many are in the tables of the simulated Genius, and when what happened to them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from warehouse_pipelines.simulators.core import journey
from warehouse_pipelines.simulators.core.journey import Journeys
from warehouse_pipelines.simulators.core.population import Person, Population

Row = dict[str, Any]

HISTORY = timedelta(days=730)
USERS = journey.GENIUS_USERS


class Business:
    """Lead `n` is person `n`; who became a prospect, was visited and bought says ``journey``: appointment `n` is person
    `2 n`, job `n` person `4 n`.

    Times are the wall clock of the application, in whole seconds. The newest row of a table is a few hours old.
    """

    def __init__(self, population: Population, leads: int, now: datetime) -> None:
        self.population, self.leads, self.now = population, leads, now.replace(microsecond=0)
        self.prospects = sum(journey.genius_prospect(number) is not None for number in range(1, leads + 1))
        self.appointments = leads // 2
        self.jobs = max(2, leads // 4)
        self.change_orders = max(2, leads // 5)
        self._epoch = datetime(1970, 1, 1)  # noqa: DTZ001  (as if the wall clock were UTC)
        self.journeys = Journeys(population, leads, self.ms(self.now))

    def at(self, number: int, count: int, random_bytes: bytes) -> datetime:
        """A time that grows with the number; the last is three hours ago."""
        seconds = int(HISTORY.total_seconds()) * (count - number) // max(1, count)
        return self.now - timedelta(hours=3, seconds=seconds + random_bytes[9] * 3)

    def times(self, number: int, count: int, added: str = "created_at") -> Row:
        """When a row was added, and when it was last changed: in one of seven cases never, and then that is NULL."""
        random_bytes = self.population.random_bytes("genius", number * 31 + count)
        at = self.at(number, count, random_bytes)
        changed = None if random_bytes[0] % 7 == 0 else at + timedelta(minutes=random_bytes[1] % 90)
        return {added: at, "updated_at": changed}

    def person(self, number: int) -> Person:
        return self.population.person(number)

    def user(self, number: int) -> int:
        return 1 + number % USERS

    def ms(self, moment: datetime) -> int:
        return (moment - self._epoch) // timedelta(milliseconds=1)

    def moment(self, ms: int) -> datetime:
        return (self._epoch + timedelta(milliseconds=ms)).replace(microsecond=0)

    def stage(self, person: int, lag: int, added: str = "created_at") -> Row:
        """The same as ``times``, of what a person came to after ``lag`` ms."""
        random_bytes = self.population.random_bytes("genius", person * 31 + lag % 1009)
        at = self.moment(self.journeys.after(person, lag))
        changed = None if random_bytes[0] % 7 == 0 else min(self.now, at + timedelta(minutes=random_bytes[1] % 90))
        return {added: at, "updated_at": changed}

    def visit(self, person: int) -> datetime:
        return self.moment(self.journeys.visit(person) + journey.OHIO)


def address_of(person: Person) -> Row:
    return {"address1": person.street, "city": person.place.city, "state": "OH", "zip": person.place.zip}


def price_of(job: int) -> str:
    return f"{5_000 + job * 91 % 60_000}.10"
