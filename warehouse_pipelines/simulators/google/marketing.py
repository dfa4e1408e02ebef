"""What the marketing department typed into its two spreadsheets: the leads that came, and what was spent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from warehouse_pipelines.simulators.core import journey
from warehouse_pipelines.simulators.core.journey import Journeys
from warehouse_pipelines.simulators.core.population import DIVISIONS, PAID_SOURCES, Population, misspell, spell_phone
from warehouse_pipelines.simulators.google.sheet import Sheet

LEADS, SPENDS = "1LeadsOfTheMarketingDepartment", "1SpendOfTheMarketingDepartment"
ZONE = ZoneInfo("America/New_York")
LEAD_HEADER = (
    "Date", "Source", "Campaign", "First Name", " Last Name", "Email", "Phone", "Notes", "Created At", "UTM Campaign",
    "Form Submit Zipcode", "Call Attempts", "Lead Set", "Division", "", "Total Job Value", "Weather",
)  # fmt: skip
SPEND_HEADER = ("Date", "Channel", "Campaign", "Amount", "Impressions", "Clicks", "Conversions", "Division")


class Marketing:
    """The formulas of both spreadsheets; ``now`` in seconds since 1970."""

    def __init__(self, population: Population, contacts: int, now: float) -> None:
        self.population = population
        self._born = datetime.fromtimestamp(now, UTC).replace(microsecond=0, tzinfo=None)
        self._journeys = Journeys(population, contacts, int(now * 1000))
        self._leads, self._spends = max(2, contacts // 3), max(2, contacts // 4)

    def sheets(self) -> dict[str, list[Sheet]]:
        """The sheets of each spreadsheet."""
        leads = Sheet(0, "Leads", list(LEAD_HEADER), self.lead, list(range(self._leads)))
        spends = Sheet(0, "Spend", list(SPEND_HEADER), self.spend, list(range(self._spends)))
        notes = Sheet(71, "Read me", ["These sheets are filled by hand"], lambda number: {})
        return {LEADS: [leads, notes], SPENDS: [notes, spends]}

    def lead(self, number: int) -> dict[str, Any]:
        """Person ``3 * number`` as somebody typed them in; every ninth row is left blank."""
        if number % 9 == 7:
            return {}
        person, random_bytes = (
            self.population.person(3 * number).told("sheet"),
            self.population.random_bytes("sheet", number),
        )
        created = datetime.fromtimestamp(self._journeys.after(person.number, journey.FORM) // 1000, ZONE)
        created = created.replace(tzinfo=None)
        phone: Any = spell_phone(person.phone, random_bytes[1])
        if random_bytes[1] % 5 == 0:
            phone = int(person.phone[2:])
        zip_code: Any = person.place.zip if random_bytes[2] & 1 else int(person.place.zip)
        return {
            "Date": created.date(),
            "Source": "" if number == 0 else person.source,
            "Campaign": ("Spring gutters", "Storm", 2026)[random_bytes[4] % 3],
            "First Name": person.nickname,
            " Last Name": person.last_name.upper()
            if random_bytes[5] % 4 == 0
            else misspell(person.last_name, random_bytes[12]),
            "Email": f" {person.email.upper()}" if random_bytes[6] % 3 == 0 else person.email,
            "Phone": phone,
            "Notes": "" if random_bytes[7] & 1 else "call after five",
            "Created At": created,
            "UTM Campaign": "spring",
            "Form Submit Zipcode": zip_code,
            "Call Attempts": random_bytes[8] % 6,
            "Lead Set": journey.visited(person.number),
            "Division": DIVISIONS[person.place.division],
            "Total Job Value": random_bytes[11] * 100 + 0.5 if journey.sold(person.number) else "",
            "Weather": "",
        }

    def spend(self, number: int) -> dict[str, Any]:
        random_bytes = self.population.random_bytes("spend", number)
        # As often as the rows suffice for the whole history; the last are of today.
        days = -(-self._spends // len(PAID_SOURCES))
        every = max(1, journey.HISTORY_MS // journey.DAY_MS // days)
        day = self._born.date() - timedelta(days=every * (days - 1 - number // len(PAID_SOURCES)))
        return {
            "Date": day,
            "Channel": PAID_SOURCES[number % len(PAID_SOURCES)],
            "Campaign": ("Spring gutters", "Storm")[number // 7 % 2],
            "Amount": (20 + random_bytes[0]) * every + 0.25,
            "Impressions": random_bytes[1] * 100,
            "Clicks": random_bytes[2],
            "Conversions": "" if random_bytes[3] & 1 else random_bytes[3] % 9,
            "Division": DIVISIONS[random_bytes[4] % 5],
        }
