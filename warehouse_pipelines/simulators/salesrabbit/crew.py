"""The leads of the simulated SalesRabbit, the crew that knocks at their doors, and what each knock changed.

Lead `i` is person `i` of the population, with the id that HubSpot contact `i` may carry, under the name that the crew
heard at the door. Base leads were created, then modified, in the order of their numbers; a million of them are not
held.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

from warehouse_pipelines.simulators.core.journey import DAY_MS, Journeys
from warehouse_pipelines.simulators.core.population import Population, spell_phone
from warehouse_pipelines.simulators.core.timeline import Timeline
from warehouse_pipelines.simulators.salesrabbit.settings import SalesRabbitSettings

DAY = 86_400
FIRST_LEAD, FIRST_USER = 9_100_000, 911_700_001
STATUSES = (
    (205, "Not Home", "NH"),
    (206, "Go Back", "GB"),
    (207, "Not Interested", "NI"),
    (212, "Objection - Follow Up", "FU"),
    (214, "Appointment Set", "AS"),
    (215, "Sold", "SO"),
    (218, "Renter", "RE"),
)
EVENTS_AT_MOST = 3


class Crew:
    """The leads and the users; ``now`` and all times in seconds."""

    def __init__(self, population: Population, settings: SalesRabbitSettings, now: int) -> None:
        self.population, self.settings = population, settings
        self.count = settings.contacts + settings.contacts // 10
        end = now - 1800
        self._journeys = Journeys(population, settings.contacts, now * 1000)
        self._base_modified: Callable[[int], int] = lambda number: self.stage(number, 5 * DAY_MS)
        self._base_start = end - 700 * DAY
        self.leads = Timeline(self.count, self._base_modified)
        self.added = 0
        self.changes: dict[int, dict[str, Any]] = {}
        self.created: dict[int, int] = {}
        self.events: dict[int, list[tuple[int, int]]] = {}  # (time, place in STATUSES), where not the formula's
        self.deleted: dict[int, int | None] = {}  # deleted leads, and when they were modified before
        self.users = [self.new_user(number) for number in range(12 + settings.contacts // 100)]

    def chance(self, number: int) -> int:
        digest = blake2b(b"%d:rabbit:%d" % (self.population.seed, number), digest_size=6).digest()
        return int.from_bytes(digest, "big")

    def person(self, number: int) -> int:
        """Whose lead it is: every eleventh is of a stranger, whom no other vendor knows."""
        known, place = divmod(number, 11)
        return self.settings.contacts + known if place == 10 and number < self.count else number - known

    def created_at(self, number: int) -> int:
        if number in self.created:
            return self.created[number]
        return self.stage(number, 0)

    def stage(self, number: int, lag: int) -> int:
        """A time of the lead's person; a stranger's lies between those of the neighbours."""
        known, place = divmod(number, 11)
        if place != 10:
            return self._journeys.after(number - known, lag) // 1000
        before, behind = (self._journeys.after(10 * known + near, lag) for near in (9, 10))
        return (before + behind) // 2000

    def events_of(self, number: int) -> list[tuple[int, int]]:
        """What became of a lead: the time and the status of each change, oldest first."""
        if number in self.events:
            return self.events[number]
        chance = self.chance(number)
        first, last = self.created_at(number), self._base_modified(number) - chance % 2
        count = 1 + chance % EVENTS_AT_MOST
        statuses = len(STATUSES)
        if count == 1:
            return [(last if chance & 8 else first, (chance >> 4) % statuses)]
        step = (last - first) // (count - 1)
        return [(last - step * back, ((chance >> 4) + 3 * back) % statuses) for back in reversed(range(count))]

    def status_time(self, number: int) -> int:
        return self.events_of(number)[-1][0]

    def lead(self, number: int) -> dict[str, Any]:
        person = self.population.person(self.person(number)).told("salesrabbit")
        random_bytes = person.random_bytes
        changes = self.changes.get(number, {})
        events = self.events_of(number)
        modified = self.leads.time_of(number)
        if modified is None:
            modified = self.deleted.get(number) or self.created_at(number)
        user = self.users[random_bytes[21] % len(self.users)] if self.users else {"id": FIRST_USER, "firstName": ""}
        place = person.place
        # A rep writes down what is heard: a short name, or the family's name alone.
        heard = (person.first_name, person.nickname, "")[random_bytes[22] % 3]
        created = time_text(self.created_at(number))
        address = {
            "street1": person.street.replace(" Ave", " Avenue") if random_bytes[23] & 1 else person.street,
            "street2": f"Apt {random_bytes[24] % 20}" if random_bytes[24] < 20 else "",
            "city": place.city,
            "state": "The Buckeye State" if random_bytes[25] < 4 else "OH",
            "zip": place.zip,
            "country": "USA",
        }
        coordinates = {
            "latitude": round(place.latitude + random_bytes[26] / 10_000 + 0.000_000_123, 12),
            "longitude": round(place.longitude - random_bytes[27] / 10_000 - 0.000_000_456, 12),
        }
        nested = self.settings.shape == "nested" or (self.settings.shape == "mixed" and number % 2 == 1)
        lead: dict[str, Any] = {
            "id": FIRST_LEAD + number,
            "userName": f"{user['firstName']} {user.get('lastName', '')}".strip(),
            "userId": user["id"],
            "firstName": heard,
            "lastName": person.last_name,
            "businessName": f"{person.last_name} & Sons" if random_bytes[28] < 10 else "",
            "phonePrimary": spell_phone(person.phone, random_bytes[29]) if random_bytes[30] < 180 else "",
            "phoneAlternate": "",
            "email": person.email if random_bytes[31] < 120 else "",
            **({"address": address, "coordinates": coordinates} if nested else {**address, **coordinates}),
            "status": STATUSES[events[-1][1]][1],
            "notes": f"Dog in the yard.\nAsk for {person.nickname}." if random_bytes[20] < 60 else None,
            "customFields": {"Roof Age": str(random_bytes[19] % 50), "Stories": "2"} if random_bytes[19] & 1 else {},
            "appointment": {"date": time_text(events[-1][0] + 2 * DAY), "type": "Estimate"}
            if events[-1][1] == 4
            else None,
            "integrationData": {},
            "statusModified": time_text(events[-1][0]),
            "ownerModified": created,
            "dateCreated": created,
            "dateModified": time_text(modified),
        }
        if nested:
            lead |= {
                "campaignId": 4_000 + number % 5,
                "dateOfBirth": "1961-04-05" if random_bytes[18] < 10 else None,
                "deletedAt": None,
                "files": [{"name": "roof.jpg", "url": "https://files.example.test/roof.jpg"}]
                if random_bytes[18] < 40
                else [],
            }
        lead.update(changes)
        return lead

    def history(self, number: int, since: int | None = None) -> list[dict[str, Any]]:
        lead = self.lead(number)
        return [
            {
                "id": STATUSES[place][0],
                "name": STATUSES[place][1],
                "abbreviation": STATUSES[place][2],
                "active": True,
                "changedByUserId": str(lead["userId"]),
                "statusUpdated": time_text(at),
                "leadCreated": lead["dateCreated"],
                "leadModified": lead["dateModified"],
            }
            for at, place in self.events_of(number)
            if since is None or at >= since
        ]

    def new_user(self, number: int) -> dict[str, Any]:
        person = self.population.employee(1 + number)
        hired = self._base_start + number * 5 * DAY
        return {
            "id": FIRST_USER + number,
            "firstName": person.nickname,
            "lastName": person.last_name,
            "email": f"rep{number}@crew.example.com",
            "phone": spell_phone(person.phone, number),
            "active": number % 6 != 5,
            "hireDate": time_text(hired)[:10] if number % 4 else "",
            "businessUnit": "Roofing",
            "department": "Sales",
            "role": ("Rep", "Manager")[number % 5 == 0],
            "office": person.place.city,
            "team": f"Team {number % 3}",
            "region": "Ohio",
            "orgId": 7_001,
            "supervisorId": None if number == 0 else FIRST_USER,
            "recruiterId": None,
            "cmsId": 50_000 + number,
            "leadRepCmsId": None,
            "photo_url": f"https://files.example.test/{number}.jpg" if number % 3 else "",
            "externalIds": [{"name": "genius", "value": str(300 + number)}] if number % 2 else [],
            "dateCreated": time_text(hired),
            "dateModified": time_text(hired + (700 - number * 5 % 600) * DAY // 2),
        }

    def number_of(self, key: int | str) -> int | None:
        text = str(key)
        number = int(text) - FIRST_LEAD if text.isdigit() else -1
        return number if 0 <= number < self.count + self.added else None


def time_text(seconds: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).isoformat(timespec="seconds")
